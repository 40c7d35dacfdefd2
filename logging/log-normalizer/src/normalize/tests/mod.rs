//! Lines of each format become documents.

mod programs;
mod properties;
mod schema_line;

use std::path::Path;

use serde_json::json;

use super::*;
use crate::{ContainerRef, Cri, Metadata, PodContainer, Stream, conforms};

const READ: i64 = 1_795_342_800_000_000_000;

fn pod() -> Origin {
    let place = ContainerRef::from_log_path(Path::new("photos_irmgard-1_uid/main/0.log")).unwrap();
    let mut metadata = Metadata::default();
    metadata
        .labels
        .insert("app.kubernetes.io/name".to_owned(), "irmgard".to_owned());
    metadata.node = Some("n1".to_owned());
    Origin::Pod(PodContainer::new(place, &metadata))
}

fn file() -> Origin {
    Origin::Source("a.log".to_owned())
}

fn document(bytes: &[u8], origin: &Origin) -> Document {
    let mut line = RawLine::plain(bytes, 17);
    line.time = Some(Time::from_nanos(READ));
    let document = normalize(&line, origin);
    assert_eq!(conforms(&document), Ok(()), "{}", document.to_json());
    document
}

/// The document of a line of a file, without the id.
fn file_document(text: &str) -> Value {
    let mut members = document(text.as_bytes(), &file()).into_members();
    members.remove("event");
    Value::Object(members)
}

/// The same without the time, which must be the runtime's.
fn untimed(text: &str) -> Value {
    let mut value = file_document(text);
    let time = value.as_object_mut().unwrap().remove(field::TIMESTAMP);
    assert_eq!(time, Some(json!("2026-11-22T10:20:00.000000000Z")));
    value
}

#[test]
fn text_line() {
    assert_eq!(
        untimed("\u{1b}[31mERROR\u{1b}[0m x\r"),
        json!({"message": "ERROR x", "level": "error"})
    );
    assert_eq!(untimed("x"), json!({"message": "x"}));
    assert_eq!(untimed(""), json!({"message": ""}));
    assert_eq!(untimed("{x"), json!({"message": "{x", "tags": ["unparsed-json"]}));
}

#[test]
fn problems_are_tagged() {
    let scrubbed = document(b"{\xff", &file());
    assert_eq!(scrubbed.tags().collect::<Vec<_>>(), ["scrubbed", "unparsed-json"]);
    let long = document(&vec![b'x'; 1_048_577], &file());
    assert_eq!(long.tags().collect::<Vec<_>>(), ["cut"]);
    assert_eq!(long.get(field::TRUNCATED), Some(&json!(true)));
    assert_eq!(long.message().len(), 1_048_576);

    let read = Some(Time::from_nanos(READ));
    let unmatched = normalize(&RawLine::unmatched(b"{\"msg\":1} ERROR", read, 0), &pod());
    assert_eq!(unmatched.tags().collect::<Vec<_>>(), ["unmatched-cri"]);
    assert_eq!(
        (unmatched.message(), unmatched.level()),
        ("{\"msg\":1} ERROR", None)
    );
    let again = normalize(&RawLine::unmatched(b"{\"msg\":1} ERROR", None, 9), &pod());
    assert_eq!(unmatched.id(), again.id());
}

/// The bytes are those that Fluentd's plugin hashes; `sha256sum` gave these.
#[test]
fn ids_are_stable() {
    let line = b"2026-11-22T11:20:00.000000001+01:00 stderr F caf\xe9";
    let cri = Cri::parse(line).unwrap();
    let of_pod = normalize(&RawLine::cri(&cri, 5), &pod());
    assert_eq!(of_pod.iostream(), Some(Stream::Stderr));
    assert_eq!(
        of_pod.id(),
        Some("03841c59dde9fab35ff1beb656ead914adb9edda738661e92e06ea4439b04453")
    );
    assert_eq!(
        document(b"x", &file()).id(),
        Some("d1637104e4b6484ba9d5d9b3f4874aea6cfcd6efa15aec0a7dc542c3a896a2ef")
    );
}

#[test]
fn line_without_a_time_has_no_timestamp() {
    let document = normalize(&RawLine::plain(b"x", 0), &file());
    assert_eq!(document.get(field::TIMESTAMP), None);
}
