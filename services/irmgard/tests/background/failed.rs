use std::{os::unix::fs::PermissionsExt, path::Path, process::Stdio, time::Duration};

use chassis::store::Store;
use contract::{FailureReason, PhotoId};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    process::Command,
    task::JoinHandle,
};

use crate::place::{PATIENCE, Place, eventually, stderr, stdout};

async fn uses(place: &Place) -> Vec<(String, String, Option<i64>)> {
    sqlx::query_as("SELECT who, action, photo_id FROM failed_photo_use ORDER BY id")
        .fetch_all(place.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn failed_photos_are_listed() {
    let place = Place::new().await;
    assert_eq!(
        stdout(&place.irmgard(&["failed", "list"]).await),
        "No photo has failed.\n"
    );
    let corrupt = place.failed(FailureReason::CorruptImage).await;
    let large = place.failed(FailureReason::TooLarge).await;
    place.queued("0s").await;

    let output = place.irmgard(&["failed", "list", "--json", "--as", "anna"]).await;
    let ids: Vec<i64> = stdout(&output)
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["id"]
                .as_i64()
                .unwrap()
        })
        .collect();
    assert_eq!(ids, [corrupt.get(), large.get()]);
    let output = place.irmgard(&["failed", "list", "--reason", "too-large"]).await;
    let table = stdout(&output);
    assert!(
        table.contains("too-large") && !table.contains("corrupt-image"),
        "{table}"
    );
    assert!(
        !table.contains("camera 7.jpg"),
        "file names are not for terminals: {table}"
    );
    assert_eq!(
        uses(&place).await[1],
        ("anna".to_owned(), "list".to_owned(), None)
    );
}

/// The detail is a worker's word, the name a camera's.
#[tokio::test]
async fn a_list_cannot_play_with_the_terminal() {
    let place = Place::new().await;
    let id = place.failed(FailureReason::CorruptImage).await;
    sqlx::query("UPDATE photo SET failure_detail = $1, name = $1")
        .bind("a\u{1b}]0;title\u{7}\u{9b}2J\u{202e}gpj\r")
        .execute(place.pool())
        .await
        .unwrap();
    let table = stdout(&place.irmgard(&["failed", "list"]).await);
    assert!(
        table.contains("\\u001b") && table.contains("\\u202e"),
        "{table:?}"
    );
    let json = stdout(&place.irmgard(&["failed", "list", "--json"]).await);
    for text in [&table, &json] {
        let odd = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!text.contains(odd), "{text:?}");
    }
    let photo: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(photo["id"], id.get());
    assert_eq!(photo["detail"], "a\u{1b}]0;title\u{7}\u{9b}2J\u{202e}gpj\r");
}

/// A failed photo whose original has these bytes, in the store and in the row.
async fn failed_with_original(place: &Place, bytes: Vec<u8>) -> PhotoId {
    let id = place.failed(FailureReason::CorruptImage).await;
    sqlx::query("UPDATE photo SET size_bytes = $2, sha256 = $3 WHERE id = $1")
        .bind(id.get())
        .bind(i64::try_from(bytes.len()).unwrap())
        .bind(Sha256::digest(&bytes).as_slice())
        .execute(place.pool())
        .await
        .unwrap();
    let mut settings = place.settings.store.clone();
    settings.answer_timeout = PATIENCE;
    let store = Store::new(settings).unwrap();
    let original = place.original(id.get());
    store.put(&original, bytes, "image/jpeg").await.unwrap();
    id
}

/// The names of a folder's files.
fn names(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn an_export_is_for_its_owners_eyes_and_is_recorded() {
    let place = Place::new().await;
    let id = failed_with_original(&place, b"bytes of the photo".to_vec()).await;
    let folder = tempfile::tempdir().unwrap();
    let folder_name = folder.path().to_str().unwrap();
    let arguments = ["failed", "export", &id.to_string(), folder_name, "--as", "anna"];

    let output = place.irmgard(&arguments).await;
    assert!(output.status.success(), "{}", stderr(&output));
    let file = folder.path().join(format!("{id}.jpg"));
    assert_eq!(stdout(&output).trim(), file.to_str().unwrap());
    assert_eq!(std::fs::read(&file).unwrap(), b"bytes of the photo");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        uses(&place).await,
        [("anna".to_owned(), "export".to_owned(), Some(id.get()))]
    );

    assert_eq!(names(folder.path()), [format!("{id}.jpg")]);

    std::fs::write(&file, "a person's notes").unwrap();
    let again = place.irmgard(&arguments).await;
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("is there already"), "{}", stderr(&again));
    assert_eq!(std::fs::read(&file).unwrap(), b"a person's notes");

    let waiting = place.queued("0s").await;
    let output = place
        .irmgard(&["failed", "export", &waiting.to_string(), folder_name])
        .await;
    assert_eq!(
        output.status.code(),
        Some(1),
        "only failed photos can be exported"
    );
    assert!(
        stderr(&output).contains("is not failed but queued"),
        "{}",
        stderr(&output)
    );
    assert_eq!(uses(&place).await.len(), 2);
}

/// The pod in which people export has 512 Mi, and its files count towards them.
#[tokio::test]
async fn an_export_does_not_hold_the_photo_in_memory() {
    const PHOTO_BYTES: usize = 128 << 20;
    let place = Place::new().await;
    let id = failed_with_original(&place, vec![7; PHOTO_BYTES]).await;
    let folder = tempfile::tempdir().unwrap();
    let mut export = Command::new(env!("CARGO_BIN_EXE_irmgard"))
        .args(["failed", "export", &id.to_string()])
        .arg(folder.path())
        .env_clear()
        .envs(place.scratch.environment_of("desk"))
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", export.id().unwrap());
    let mut most_kib = 0;
    let ended = loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse().ok());
        most_kib = most_kib.max(peak.unwrap_or(0));
        if let Ok(ended) = tokio::time::timeout(Duration::from_millis(1), export.wait()).await {
            break ended.unwrap();
        }
    };
    assert!(ended.success());
    let file = folder.path().join(format!("{id}.jpg"));
    assert_eq!(file.metadata().unwrap().len(), PHOTO_BYTES as u64);
    assert!(most_kib > 0, "its memory was never seen");
    assert!(most_kib < (PHOTO_BYTES / 2 / 1024) as u64, "{most_kib} KiB");
}

#[tokio::test]
async fn an_original_that_is_not_what_was_uploaded_is_not_exported() {
    let place = Place::new().await;
    let id = failed_with_original(&place, b"bytes of the photo".to_vec()).await;
    let folder = tempfile::tempdir().unwrap();
    let folder_name = folder.path().to_str().unwrap();
    for other in [&b"bytes of a phot0"[..], b"bytes of the ph0to"] {
        let original = place.original(id.get());
        let store = place.store();
        store.put(&original, other.to_vec(), "image/jpeg").await.unwrap();
        let output = place
            .irmgard(&["failed", "export", &id.to_string(), folder_name])
            .await;
        assert_eq!(output.status.code(), Some(1));
        assert!(
            stderr(&output).contains("is not what was uploaded"),
            "{}",
            stderr(&output)
        );
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }
}

/// Half an original must not stay behind where nobody looks for it.
#[tokio::test]
async fn an_export_that_is_stopped_or_cut_off_leaves_nothing() {
    let place = Place::new().await;
    let id = failed_with_original(&place, vec![7; 8 << 20]).await;
    let folder = tempfile::tempdir().unwrap();
    let (endpoint, stalled) = half_an_object(8 << 20).await;
    let mut environment = place.scratch.environment_of("desk");
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
        let names = names(folder.path());
        names.first().map(|name| folder.path().join(name))
    };
    eventually("half of it is there", async || {
        part().is_some_and(|part| part.metadata().is_ok_and(|file| file.len() > 0))
    })
    .await;
    let mode = part().unwrap().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let pid = Pid::from_raw(export.id().unwrap().try_into().unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    let output = tokio::time::timeout(PATIENCE, export.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("was stopped"), "{}", stderr(&output));
    assert_eq!(names(folder.path()), Vec::<String>::new());
    stalled.abort();
}

/// A store that answers with the first half of an object of so many bytes, and then with nothing.
async fn half_an_object(bytes: usize) -> (String, JoinHandle<()>) {
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
    let place = Place::new().await;
    let corrupt = place.failed(FailureReason::CorruptImage).await;
    let crashed = place.failed(FailureReason::ProcessCrashed).await;
    let other = place.failed(FailureReason::TooLarge).await;
    let waiting = place.queued("0s").await;

    let output = place
        .irmgard(&["failed", "requeue", "--reason", "process-crashed"])
        .await;
    assert_eq!(
        stdout(&output),
        "1 of 1 photos were queued again.\n",
        "{}",
        stderr(&output)
    );
    assert_eq!(place.status(crashed).await, "received");

    let output = place
        .irmgard(&["failed", "requeue", &corrupt.to_string(), &waiting.to_string()])
        .await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains(&format!("photo {waiting} is not failed but queued")),
        "{}",
        stderr(&output)
    );
    assert_eq!(place.status(corrupt).await, "received");
    assert_eq!(place.status(waiting).await, "queued");

    let output = place.irmgard(&["failed", "requeue", "--all"]).await;
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(place.status(other).await, "received");
    assert_eq!(place.outbox_length().await, 3);
    let recorded: Vec<_> = uses(&place)
        .await
        .into_iter()
        .map(|(_, action, id)| (action, id.unwrap()))
        .collect();
    let requeue = |id: contract::PhotoId| ("requeue".to_owned(), id.get());
    assert_eq!(recorded, [requeue(crashed), requeue(corrupt), requeue(other)]);

    let output = place.irmgard(&["failed", "requeue", &waiting.to_string()]).await;
    assert_eq!(output.status.code(), Some(1), "it has not failed");
    assert_eq!(uses(&place).await.len(), 3, "what was refused is no use");

    let output = place.irmgard(&["failed", "requeue"]).await;
    assert_eq!(output.status.code(), Some(2), "which ones must be said");
}

#[tokio::test]
async fn a_deleted_original_is_gone_and_its_photo_stays_failed() {
    let place = Place::new().await;
    let id = place.failed(FailureReason::CorruptImage).await;
    let original = place.original(id.get());
    place
        .store()
        .put(&original, b"photo".to_vec(), "image/jpeg")
        .await
        .unwrap();
    let output = place.irmgard(&["failed", "delete", &id.to_string()]).await;
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!place.store().exists(&original).await.unwrap());
    assert_eq!(place.status(id).await, "failed");

    let output = place.irmgard(&["failed", "requeue", &id.to_string()]).await;
    assert_eq!(output.status.code(), Some(1), "there is nothing left to work on");
    assert_eq!(place.status(id).await, "failed");
    let actions: Vec<_> = uses(&place)
        .await
        .into_iter()
        .map(|(_, action, _)| action)
        .collect();
    assert_eq!(actions, ["delete", "requeue"]);
}

#[tokio::test]
async fn the_account_is_recorded_when_no_name_is_given() {
    let place = Place::new().await;
    place.irmgard(&["failed", "list"]).await;
    let user = nix::unistd::User::from_uid(nix::unistd::getuid())
        .unwrap()
        .unwrap()
        .name;
    assert_eq!(uses(&place).await[0].0, user);
}
