//! Log lines of the programs, and their documents.

use log_normalizer::{ContainerRef, Metadata, Origin, PodContainer, RawLine, normalize};
use schema::{field, stream};
use serde_json::{Value, json};

/// Traces of the uploads of photos 17 and 18, and of a download of 17.
pub const UPLOAD: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
pub const FAILED: &str = "4bf92f3599999999a3ce929d0e0e4736";
pub const VISIT: &str = "4bf92f35aaaaaaaaa3ce929d0e0e4736";

/// A line: its name in tests, its component, and its text.
pub type Written = (&'static str, &'static str, String);

/// The stream, id and document of a component's line.
pub fn document(component: &str, line: &str) -> (String, String, Value) {
    let place = ContainerRef {
        namespace: "photos".to_owned(),
        pod: format!("{component}-0"),
        uid: format!("uid-of-{component}"),
        container: component.to_owned(),
    };
    let labels = [
        ("app.kubernetes.io/name", component),
        ("irmgard.dev/uses-database", "postgres"),
        ("irmgard.dev/uses-queue", "rabbitmq"),
    ];
    let labels = labels
        .into_iter()
        .take(if component == "irmgard" { 3 } else { 1 });
    let metadata = Metadata {
        labels: labels
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        ..Metadata::default()
    };
    let document = normalize(
        &RawLine::plain(line.as_bytes(), 0),
        &Origin::Pod(PodContainer::new(place, &metadata)),
    );
    let id = document.id().unwrap().to_owned();
    let mut document = Value::Object(document.into_members());
    if document.get(field::TIMESTAMP).is_none() {
        document[field::TIMESTAMP] = at(30).into();
    }
    let stream = stream::data_stream(stream::of(document[field::COMPONENT].as_str().unwrap()));
    (stream, id, document)
}

fn at(second: u32) -> String {
    format!("2026-11-22T10:00:{second:02}.000001Z")
}

/// A line of one of our programs.
pub fn ours(second: u32, level: &str, message: &str, more: Value) -> String {
    let mut line = json!({ "@timestamp": at(second), "level": level, "message": message });
    if let (Some(line), Value::Object(more)) = (line.as_object_mut(), more) {
        line.extend(more);
    }
    line.to_string()
}

fn request(second: u32, level: &str, of: (&str, &str), status: u16, seconds: f64, more: Value) -> String {
    let (method, route) = of;
    let mut all = json!({
        "http": { "request": { "method": method }, "route": route, "response": { "status_code": status } },
        "duration_seconds": seconds, "outcome": "ok",
    });
    if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
        all.extend(more);
    }
    ours(second, level, "request answered", all)
}

fn postgres(second: u32, severity: &str, message: &str, trace: &str) -> String {
    json!({
        "timestamp": format!("2026-11-22 10:00:{second:02}.000 UTC"), "error_severity": severity,
        "message": message, "application_name": format!("irmgard {trace}"), "pid": 7, "user": "irmgard",
    })
    .to_string()
}

fn rabbitmq(second: u32, level: &str, message: &str) -> String {
    json!({
        "time": format!("2026-11-22 10:00:{second:02}.000000+00:00"), "level": level, "msg": message,
        "pid": "<0.1.0>", "domain": "rabbitmq",
    })
    .to_string()
}

/// A minute of the system: `i…` irmgard, `d…` its database, `q…` the broker,
/// `a…` the worker, `s…` the store, which writes text.
pub fn world() -> Vec<Written> {
    let upload = ("POST", "/projects/{project}/photos");
    let stages = json!({
        "get_seconds": 0.1, "decode_seconds": 0.2, "detect_seconds": 0.8, "obscure_seconds": 0.05,
        "encode_seconds": 0.1, "put_seconds": 0.1, "publish_seconds": 0.01, "delete_seconds": 0.02,
    });
    let failure = json!({ "reason": "corrupt-image", "detail": "no JPEG" });
    vec![
        ("q1", "rabbitmq", rabbitmq(1, "notice", "queue is ready")),
        (
            "i1",
            "irmgard",
            request(
                2,
                "info",
                upload,
                202,
                0.25,
                json!({ "photo": { "id": 17 }, "trace_id": UPLOAD }),
            ),
        ),
        (
            "d1",
            "postgres",
            postgres(3, "LOG", "duration: 112.5 ms  statement: COMMIT", UPLOAD),
        ),
        (
            "a1",
            "anonymizer",
            ours(
                4,
                "info",
                "anonymised a photo",
                json!({
                    "photo": { "id": 17 }, "trace_id": UPLOAD, "outcome": "anonymized", "duration_seconds": 1.4, "stage": stages,
                }),
            ),
        ),
        (
            "i2",
            "irmgard",
            ours(
                5,
                "info",
                "result received",
                json!({
                    "photo": { "id": 17 }, "trace_id": UPLOAD, "outcome": "anonymized",
                }),
            ),
        ),
        (
            "i3",
            "irmgard",
            request(6, "warn", upload, 503, 7.0, json!({ "trace_id": FAILED })),
        ),
        (
            "i4",
            "irmgard",
            request(
                7,
                "info",
                ("GET", "/photos/{id}/image"),
                200,
                1.0,
                json!({
                    "photo": { "id": 17 }, "trace_id": VISIT,
                }),
            ),
        ),
        (
            "i5",
            "irmgard",
            request(
                8,
                "info",
                ("GET", "/photos/{id}/image"),
                409,
                0.999,
                json!({ "photo": { "id": 18 } }),
            ),
        ),
        (
            "d2",
            "postgres",
            postgres(9, "ERROR", "canceling statement due to statement timeout", FAILED),
        ),
        (
            "d3",
            "postgres",
            postgres(10, "LOG", "duration: 2500.0 ms  execute s1: SELECT 1", FAILED),
        ),
        (
            "a2",
            "anonymizer",
            ours(
                11,
                "warn",
                "the photo cannot be anonymised; its original stays",
                json!({
                    "photo": { "id": 18 }, "trace_id": FAILED, "outcome": "failed", "failure": failure, "duration_seconds": 0.1,
                }),
            ),
        ),
        (
            "i6",
            "irmgard",
            ours(
                12,
                "warn",
                "photo failed",
                json!({
                    "photo": { "id": 18 }, "trace_id": FAILED, "outcome": "failed", "failure": failure,
                }),
            ),
        ),
        ("q2", "rabbitmq", rabbitmq(13, "error", "closing AMQP connection")),
        (
            "i7",
            "irmgard",
            ours(14, "error", "the outbox cannot be read", json!({})),
        ),
        (
            "a3",
            "anonymizer",
            ours(
                15,
                "info",
                "the photo had been anonymised already",
                json!({
                    "photo": { "id": 17 }, "trace_id": UPLOAD, "outcome": "answered-again", "duration_seconds": 0.02,
                }),
            ),
        ),
        (
            "a4",
            "anonymizer",
            ours(16, "info", "taking jobs again", json!({})),
        ),
        ("s1", "object-store", "plain text of the store".to_owned()),
    ]
}
