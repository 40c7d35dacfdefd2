use std::{os::unix::fs::PermissionsExt, path::Path, process::Stdio, time::Duration};

use contract::{FailureReason, PhotoId};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use service_runtime::store::Store;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    process::Command,
    task::JoinHandle,
};

use crate::fixture::{Fixture, TIMEOUT, eventually, stderr, stdout};

async fn audit_entries(fixture: &Fixture) -> Vec<(String, String, Option<i64>)> {
    sqlx::query_as("SELECT who, action, photo_id FROM failed_photo_use ORDER BY id")
        .fetch_all(fixture.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn failed_photos_are_listed() {
    let fixture = Fixture::new().await;
    assert_eq!(
        stdout(&fixture.run_irmgard(&["failed", "list"]).await),
        "No photo has failed.\n"
    );
    let corrupt = fixture.insert_failed(FailureReason::CorruptImage).await;
    let large = fixture.insert_failed(FailureReason::TooLarge).await;
    fixture.insert_queued("0s").await;

    let output = fixture
        .run_irmgard(&["failed", "list", "--json", "--as", "anna"])
        .await;
    let ids: Vec<i64> = stdout(&output)
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["id"]
                .as_i64()
                .unwrap()
        })
        .collect();
    assert_eq!(ids, [corrupt.get(), large.get()]);
    let output = fixture
        .run_irmgard(&["failed", "list", "--reason", "too-large"])
        .await;
    let table = stdout(&output);
    assert!(
        table.contains("too-large") && !table.contains("corrupt-image"),
        "{table}"
    );
    assert!(
        !table.contains("camera 7.jpg"),
        "the table must not show file names: {table}"
    );
    assert_eq!(
        audit_entries(&fixture).await[1],
        ("anna".to_owned(), "list".to_owned(), None)
    );
}

/// The detail comes from a worker, the name from a camera.
#[tokio::test]
async fn a_list_sends_no_control_characters_to_the_terminal() {
    let fixture = Fixture::new().await;
    let id = fixture.insert_failed(FailureReason::CorruptImage).await;
    sqlx::query("UPDATE photo SET failure_detail = $1, name = $1")
        .bind("a\u{1b}]0;title\u{7}\u{9b}2J\u{202e}gpj\r")
        .execute(fixture.pool())
        .await
        .unwrap();
    let table = stdout(&fixture.run_irmgard(&["failed", "list"]).await);
    assert!(
        table.contains("\\u001b") && table.contains("\\u202e"),
        "{table:?}"
    );
    let json = stdout(&fixture.run_irmgard(&["failed", "list", "--json"]).await);
    for text in [&table, &json] {
        let odd = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!text.contains(odd), "{text:?}");
    }
    let photo: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(photo["id"], id.get());
    assert_eq!(photo["detail"], "a\u{1b}]0;title\u{7}\u{9b}2J\u{202e}gpj\r");
}

/// A failed photo whose original has these bytes, in the store and in the row.
async fn failed_with_original(fixture: &Fixture, bytes: Vec<u8>) -> PhotoId {
    let id = fixture.insert_failed(FailureReason::CorruptImage).await;
    sqlx::query("UPDATE photo SET size_bytes = $2, sha256 = $3 WHERE id = $1")
        .bind(id.get())
        .bind(i64::try_from(bytes.len()).unwrap())
        .bind(Sha256::digest(&bytes).as_slice())
        .execute(fixture.pool())
        .await
        .unwrap();
    let mut settings = fixture.settings.store.clone();
    settings.answer_timeout = TIMEOUT;
    let store = Store::new(settings).unwrap();
    let original = fixture.original(id.get());
    store.put(&original, bytes, "image/jpeg").await.unwrap();
    id
}

/// The file names in a folder.
fn file_names(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap();
    let mut file_names: Vec<_> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    file_names.sort();
    file_names
}

#[tokio::test]
async fn an_export_is_readable_for_its_owner_only_and_is_recorded() {
    let fixture = Fixture::new().await;
    let id = failed_with_original(&fixture, b"bytes of the photo".to_vec()).await;
    let folder = tempfile::tempdir().unwrap();
    let folder_name = folder.path().to_str().unwrap();
    let arguments = ["failed", "export", &id.to_string(), folder_name, "--as", "anna"];

    let output = fixture.run_irmgard(&arguments).await;
    assert!(output.status.success(), "{}", stderr(&output));
    let file = folder.path().join(format!("{id}.jpg"));
    assert_eq!(stdout(&output).trim(), file.to_str().unwrap());
    assert_eq!(std::fs::read(&file).unwrap(), b"bytes of the photo");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        audit_entries(&fixture).await,
        [("anna".to_owned(), "export".to_owned(), Some(id.get()))]
    );

    assert_eq!(file_names(folder.path()), [format!("{id}.jpg")]);

    std::fs::write(&file, "a person's notes").unwrap();
    let again = fixture.run_irmgard(&arguments).await;
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("exists already"), "{}", stderr(&again));
    assert_eq!(std::fs::read(&file).unwrap(), b"a person's notes");

    let waiting = fixture.insert_queued("0s").await;
    let output = fixture
        .run_irmgard(&["failed", "export", &waiting.to_string(), folder_name])
        .await;
    assert_eq!(
        output.status.code(),
        Some(1),
        "only failed photos can be exported"
    );
    assert!(
        stderr(&output).contains("has status queued, not failed"),
        "{}",
        stderr(&output)
    );
    assert_eq!(audit_entries(&fixture).await.len(), 2);
}

/// The pod for exports has 512 Mi, and its files count towards them.
#[tokio::test]
async fn an_export_does_not_hold_the_photo_in_memory() {
    const PHOTO_BYTES: usize = 128 << 20;
    let fixture = Fixture::new().await;
    let id = failed_with_original(&fixture, vec![7; PHOTO_BYTES]).await;
    let folder = tempfile::tempdir().unwrap();
    let mut export = Command::new(env!("CARGO_BIN_EXE_irmgard"))
        .args(["failed", "export", &id.to_string()])
        .arg(folder.path())
        .env_clear()
        .envs(fixture.scratch.environment_for("operator-shell"))
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", export.id().unwrap());
    let mut peak_kib = 0;
    let ended = loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse().ok());
        peak_kib = peak_kib.max(peak.unwrap_or(0));
        if let Ok(ended) = tokio::time::timeout(Duration::from_millis(1), export.wait()).await {
            break ended.unwrap();
        }
    };
    assert!(ended.success());
    let file = folder.path().join(format!("{id}.jpg"));
    assert_eq!(file.metadata().unwrap().len(), PHOTO_BYTES as u64);
    assert!(peak_kib > 0, "the peak memory was never read");
    assert!(peak_kib < (PHOTO_BYTES / 2 / 1024) as u64, "{peak_kib} KiB");
}

#[tokio::test]
async fn a_changed_original_is_not_exported() {
    let fixture = Fixture::new().await;
    let id = failed_with_original(&fixture, b"bytes of the photo".to_vec()).await;
    let folder = tempfile::tempdir().unwrap();
    let folder_name = folder.path().to_str().unwrap();
    for other in [&b"bytes of a phot0"[..], b"bytes of the ph0to"] {
        let original = fixture.original(id.get());
        let store = fixture.store();
        store.put(&original, other.to_vec(), "image/jpeg").await.unwrap();
        let output = fixture
            .run_irmgard(&["failed", "export", &id.to_string(), folder_name])
            .await;
        assert_eq!(output.status.code(), Some(1));
        assert!(
            stderr(&output).contains("is not what was uploaded"),
            "{}",
            stderr(&output)
        );
        assert_eq!(file_names(folder.path()), Vec::<String>::new());
    }
}

/// A partial original must not be left in the folder.
#[tokio::test]
async fn an_export_that_is_stopped_or_cut_off_leaves_nothing() {
    let fixture = Fixture::new().await;
    let id = failed_with_original(&fixture, vec![7; 8 << 20]).await;
    let folder = tempfile::tempdir().unwrap();
    let (endpoint, stalled) = serve_half_an_object(8 << 20).await;
    let mut environment = fixture.scratch.environment_for("operator-shell");
    environment.insert("OBJECT_STORE_ENDPOINT".to_owned(), endpoint);
    environment.insert("OBJECT_STORE_ANSWER_TIMEOUT".to_owned(), "10m".to_owned());
    let export = Command::new(env!("CARGO_BIN_EXE_irmgard"))
        .args(["failed", "export", &id.to_string()])
        .arg(folder.path())
        .env_clear()
        .envs(environment)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let part = || {
        let file_names = file_names(folder.path());
        file_names.first().map(|name| folder.path().join(name))
    };
    eventually("half of the file is written", async || {
        part().is_some_and(|part| part.metadata().is_ok_and(|file| file.len() > 0))
    })
    .await;
    let mode = part().unwrap().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let pid = Pid::from_raw(export.id().unwrap().try_into().unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    let output = tokio::time::timeout(TIMEOUT, export.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("was stopped"), "{}", stderr(&output));
    assert_eq!(file_names(folder.path()), Vec::<String>::new());
    stalled.abort();
}

/// A store that sends the first half of an object of `bytes` bytes, and then nothing.
async fn serve_half_an_object(bytes: usize) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![7; bytes / 2]).await.unwrap();
        std::future::pending::<()>().await;
    });
    (endpoint, task)
}

#[tokio::test]
async fn failed_photos_are_queued_again() {
    let fixture = Fixture::new().await;
    let corrupt = fixture.insert_failed(FailureReason::CorruptImage).await;
    let crashed = fixture.insert_failed(FailureReason::ProcessCrashed).await;
    let other = fixture.insert_failed(FailureReason::TooLarge).await;
    let waiting = fixture.insert_queued("0s").await;

    let output = fixture
        .run_irmgard(&["failed", "requeue", "--reason", "process-crashed"])
        .await;
    assert_eq!(
        stdout(&output),
        "1 of 1 photos were queued again.\n",
        "{}",
        stderr(&output)
    );
    assert_eq!(fixture.status(crashed).await, "received");

    let output = fixture
        .run_irmgard(&["failed", "requeue", &corrupt.to_string(), &waiting.to_string()])
        .await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains(&format!("photo {waiting} has status queued, not failed")),
        "{}",
        stderr(&output)
    );
    assert_eq!(fixture.status(corrupt).await, "received");
    assert_eq!(fixture.status(waiting).await, "queued");

    let output = fixture.run_irmgard(&["failed", "requeue", "--all"]).await;
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(fixture.status(other).await, "received");
    assert_eq!(fixture.outbox_length().await, 3);
    let recorded: Vec<_> = audit_entries(&fixture)
        .await
        .into_iter()
        .map(|(_, action, id)| (action, id.unwrap()))
        .collect();
    let requeue = |id: contract::PhotoId| ("requeue".to_owned(), id.get());
    assert_eq!(recorded, [requeue(crashed), requeue(corrupt), requeue(other)]);

    let output = fixture
        .run_irmgard(&["failed", "requeue", &waiting.to_string()])
        .await;
    assert_eq!(output.status.code(), Some(1), "the photo has not failed");
    assert_eq!(
        audit_entries(&fixture).await.len(),
        3,
        "a refused request is not recorded"
    );

    let output = fixture.run_irmgard(&["failed", "requeue"]).await;
    assert_eq!(output.status.code(), Some(2), "the command needs ids or a filter");
}

#[tokio::test]
async fn a_deleted_original_is_gone_and_its_photo_stays_failed() {
    let fixture = Fixture::new().await;
    let id = fixture.insert_failed(FailureReason::CorruptImage).await;
    let original = fixture.original(id.get());
    fixture
        .store()
        .put(&original, b"photo".to_vec(), "image/jpeg")
        .await
        .unwrap();
    let output = fixture.run_irmgard(&["failed", "delete", &id.to_string()]).await;
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!fixture.store().exists(&original).await.unwrap());
    assert_eq!(fixture.status(id).await, "failed");

    let output = fixture.run_irmgard(&["failed", "requeue", &id.to_string()]).await;
    assert_eq!(output.status.code(), Some(1), "the original is deleted");
    assert_eq!(fixture.status(id).await, "failed");
    let actions: Vec<_> = audit_entries(&fixture)
        .await
        .into_iter()
        .map(|(_, action, _)| action)
        .collect();
    assert_eq!(actions, ["delete", "requeue"]);
}

#[tokio::test]
async fn the_account_is_recorded_when_no_name_is_given() {
    let fixture = Fixture::new().await;
    fixture.run_irmgard(&["failed", "list"]).await;
    let user = nix::unistd::User::from_uid(nix::unistd::getuid())
        .unwrap()
        .unwrap()
        .name;
    assert_eq!(audit_entries(&fixture).await[0].0, user);
}
