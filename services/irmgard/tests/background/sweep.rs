use contract::ObjectLocation;
use irmgard::{
    results::{Verdict, apply},
    sweep::Sweep,
};
use serde_json::Value;

use crate::place::{Place, stderr, stdout};

/// What the program found, as (kind, location, deleted).
fn findings(text: &str) -> Vec<(String, String, bool)> {
    let mut findings: Vec<_> = text
        .lines()
        .map(|line| {
            let finding: Value = serde_json::from_str(line).unwrap();
            (
                finding["kind"].as_str().unwrap().to_owned(),
                finding["location"].as_str().unwrap().to_owned(),
                finding["deleted"].as_bool().unwrap(),
            )
        })
        .collect();
    findings.sort();
    findings
}

async fn put(place: &Place, location: &ObjectLocation) {
    place
        .store()
        .put(location, b"photo".to_vec(), "image/jpeg")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_dry_run_finds_what_belongs_to_nothing_and_deletes_nothing() {
    let place = Place::new().await;
    let known = place.received().await;
    put(&place, &place.original(known.get())).await;

    let orphan = place.original(555);
    put(&place, &orphan).await;

    let done = place.queued("0s").await;
    let outcome = place.anonymized(done).outcome;
    apply(place.pool(), &[Verdict { id: done, outcome }])
        .await
        .unwrap();
    let left_over = place.original(done.get());
    put(&place, &left_over).await;
    put(&place, &place.output(done.get())).await;

    // Anonymised, as the row says, but the output is gone: the original may be all there is.
    let doubtful = place.queued("0s").await;
    let outcome = place.anonymized(doubtful).outcome;
    apply(
        place.pool(),
        &[Verdict {
            id: doubtful,
            outcome,
        }],
    )
    .await
    .unwrap();
    put(&place, &place.original(doubtful.get())).await;

    let input = &place.settings.store.input_bucket;
    let foreign = ObjectLocation::new(input, "photos/notes.txt").unwrap();
    put(&place, &foreign).await;
    let elsewhere = ObjectLocation::new(input, "other/photo.jpg").unwrap();
    put(&place, &elsewhere).await;
    let unknown_output = place.output(777);
    put(&place, &unknown_output).await;

    let output = place.irmgard(&["sweep", "--older-than", "0s", "--json"]).await;
    assert!(output.status.success(), "{}", stderr(&output));
    let mut expected = [
        ("no-photo".to_owned(), orphan.to_string(), false),
        ("original-of-anonymized".to_owned(), left_over.to_string(), false),
        ("foreign-key".to_owned(), foreign.to_string(), false),
        ("unknown-output".to_owned(), unknown_output.to_string(), false),
    ];
    expected.sort();
    assert_eq!(findings(&stdout(&output)), expected);
    for location in [&orphan, &left_over, &foreign, &elsewhere, &unknown_output] {
        assert!(place.store().exists(location).await.unwrap());
    }

    let table = stdout(&place.irmgard(&["sweep", "--older-than", "0s"]).await);
    assert!(
        table.contains("no photo") && table.contains("--delete deletes 2 of 4"),
        "{table}"
    );
}

#[tokio::test]
async fn what_may_be_deleted_is_deleted_and_nothing_else() {
    let place = Place::new().await;
    let known = place.received().await;
    let orphan = place.original(known.get() + 1);
    let foreign = ObjectLocation::new(&place.settings.store.input_bucket, "photos/notes.txt").unwrap();
    let unknown_output = place.output(known.get() + 1);
    for location in [&place.original(known.get()), &orphan, &foreign, &unknown_output] {
        put(&place, location).await;
    }
    let store = place.store();
    let tomorrow = chrono::Utc::now() + chrono::Duration::days(1);
    let sweep = Sweep::new(&store, place.pool(), tomorrow);

    let mut found = sweep.find().await.unwrap();
    let refusal = sweep.delete(&mut found).await.unwrap_err().to_string();
    assert!(refusal.contains("never given out"), "{refusal}");
    assert!(store.exists(&orphan).await.unwrap());

    // Drawn, as for an upload whose rows were never written.
    sqlx::query("SELECT nextval('photo_id_seq')")
        .execute(place.pool())
        .await
        .unwrap();
    sweep.delete(&mut found).await.unwrap();
    assert!(!store.exists(&orphan).await.unwrap());
    for kept in [&place.original(known.get()), &foreign, &unknown_output] {
        assert!(store.exists(kept).await.unwrap(), "{kept}");
    }
    let deleted: Vec<_> = found
        .iter()
        .filter(|f| f.deleted)
        .map(|f| f.location.clone())
        .collect();
    assert_eq!(deleted, [orphan.to_string()]);
}

#[tokio::test]
async fn what_is_young_is_not_looked_at_and_cannot_be_deleted() {
    let place = Place::new().await;
    put(&place, &place.original(555)).await;
    assert_eq!(stdout(&place.irmgard(&["sweep"]).await), "Nothing found.\n");
    let output = place.irmgard(&["sweep", "--delete", "--older-than", "59m"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("at least 1h"), "{}", stderr(&output));
}

#[tokio::test]
async fn unfinished_uploads_are_found() {
    let place = Place::new().await;
    let location = place.original(556);
    let client = place.store().client().clone();
    let upload = client
        .create_multipart_upload()
        .bucket(location.bucket())
        .key(location.key())
        .send()
        .await
        .unwrap();
    assert!(upload.upload_id().is_some());
    let output = place.irmgard(&["sweep", "--older-than", "0s", "--json"]).await;
    assert!(output.status.success(), "{}", stderr(&output));
    let listed = client
        .list_multipart_uploads()
        .bucket(location.bucket())
        .send()
        .await;
    if listed.is_ok() {
        let expected = [("unfinished-upload".to_owned(), location.to_string(), false)];
        assert_eq!(findings(&stdout(&output)), expected);
    } else {
        assert!(
            stderr(&output).contains("cannot list unfinished uploads"),
            "{}",
            stderr(&output)
        );
    }
}
