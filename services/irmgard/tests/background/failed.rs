use std::os::unix::fs::PermissionsExt;

use contract::FailureReason;
use serde_json::Value;

use crate::place::{Place, stderr, stdout};

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

#[tokio::test]
async fn an_export_is_for_its_owners_eyes_and_is_recorded() {
    let place = Place::new().await;
    let id = place.failed(FailureReason::CorruptImage).await;
    let original = place.original(id.get());
    place
        .store()
        .put(&original, b"bytes of the photo".to_vec(), "image/jpeg")
        .await
        .unwrap();
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

    let again = place.irmgard(&arguments).await;
    assert_eq!(
        again.status.code(),
        Some(1),
        "a file that is there is not overwritten"
    );

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
        stderr(&output).contains(&format!("is gone: {waiting}")),
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
