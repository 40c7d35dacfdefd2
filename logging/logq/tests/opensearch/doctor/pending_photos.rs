//! A silent worker with waiting photos, detected from lines.

use serde_json::{Value, json};

use super::{WHAT, arrived, doctor, problems, report, without_times};
use crate::log_store::LogStore;

const PHOTOS: &str = "photos";

fn uses_queue(namespace: &str, more: Value) -> Value {
    let labels = json!({ "irmgard_dev/uses-queue": "rabbitmq" });
    let mut all = json!({ "kubernetes": { "namespace": namespace, "labels": labels } });
    all.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    all
}

/// irmgard accepted a photo `seconds` ago.
fn accepted(namespace: &str, photo: u64, seconds: i64) -> (String, String, String) {
    let request = json!({
        "photo": { "id": photo }, "outcome": "new",
        "http": { "request": { "method": "POST" }, "response": { "status_code": 202 } },
    });
    let (stream, id, text) = arrived("irmgard", seconds, uses_queue(namespace, request));
    (stream, format!("{id}-{namespace}-{photo}"), text)
}

/// A worker returned a verdict.
fn verdict(namespace: &str, photo: u64, seconds: i64) -> (String, String, String) {
    let line = json!({ "photo": { "id": photo }, "outcome": "anonymized" });
    let (stream, id, text) = arrived("anonymizer", seconds, uses_queue(namespace, line));
    (stream, format!("{id}-{namespace}-{photo}"), text)
}

/// Without a cluster, the doctor knows the waiting photos only from irmgard's lines.
#[tokio::test]
async fn silent_worker_with_waiting_photos_is_reported() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    let others = ["rabbitmq", "postgres"].map(|name| arrived(name, 1, json!({})));
    let lines = [
        accepted(PHOTOS, 1, 700),
        verdict(PHOTOS, 1, 690),
        accepted(PHOTOS, 2, 600),
        accepted(PHOTOS, 3, 20),
    ];
    store
        .create_with_arrival(&[lines.as_slice(), &others].concat())
        .await;
    let (_, found) = problems(&mut doctor(&store, &[]));
    let found: Vec<String> = found.iter().map(|text| without_times(text)).collect();
    assert_eq!(
        found,
        ["warn: lines of anonymizer: the newest TIME ago, while 2 photos wait, the oldest for TIME"]
    );

    // The worker continues.
    store
        .create_with_arrival(&[verdict(PHOTOS, 2, 0), verdict(PHOTOS, 3, 0)])
        .await;
    let (code, text) = report(&mut doctor(&store, &[]));
    assert!(text.contains("no photo is waiting"), "{text}");
    assert_eq!(code, Some(0), "{text}");
}

#[tokio::test]
async fn photos_of_all_namespaces_are_checked() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    let namespaces = ["a", "b", "c", "d"];
    let lines: Vec<_> = namespaces
        .iter()
        .enumerate()
        .flat_map(|(number, namespace)| {
            // The last photo has the fewest lines.
            let answered = (number as u64..4).flat_map(|photo| {
                let photo = 10 + photo;
                [accepted(namespace, photo, 700), verdict(namespace, photo, 690)]
            });
            let waits = [accepted(namespace, 1, 600)];
            answered.chain(waits).collect::<Vec<_>>()
        })
        .collect();
    store.create_with_arrival(&lines).await;
    let (_, found) = problems(&mut doctor(&store, &[]));
    let found: Vec<String> = found
        .iter()
        .filter(|text| text.contains("lines of anonymizer"))
        .map(|text| without_times(text))
        .collect();
    let message = namespaces.map(|namespace| {
        format!(
            "warn: lines of anonymizer in {namespace}: the newest TIME ago, while 1 photo waits, the oldest \
             for TIME"
        )
    });
    assert_eq!(found, message);
}
