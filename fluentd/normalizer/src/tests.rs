//! Tests of the normaliser, with `kill -9`, rollbacks and panics between a container's lines.

use std::time::Duration;

use log_normalizer::{Document, Origin, RawLine, normalize};
use rmp::decode;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::events::Events;
use crate::normalizer::{Normalizer, add_notice, read_dead_letters};

const PATH: &str = "/var/log/pods/shop_job-abc_00000008-0000-4000-8000-000000000008/importer/0.log";
const METADATA: &str = r#"{"node":"node-1","labels":{"app.kubernetes.io/name":"irmgard"}}"#;

/// The documents of all streams, each with its stream, as the plugin and the output receive them.
pub fn documents(events: &Events) -> Vec<Value> {
    let mut response = Vec::new();
    events.write(&mut response).unwrap();
    let mut rest = response.as_slice();
    decode::read_map_len(&mut rest).unwrap();
    let text = |rest: &mut &[u8]| {
        let length = decode::read_str_len(rest).unwrap();
        take(rest, length)
    };
    assert_eq!(text(&mut rest), b"events");
    let mut documents = Vec::new();
    for _ in 0..decode::read_array_len(&mut rest).unwrap() {
        assert_eq!(decode::read_array_len(&mut rest).unwrap(), 3);
        let stream = String::from_utf8(text(&mut rest)).unwrap();
        let count: u32 = decode::read_int(&mut rest).unwrap();
        let length = decode::read_bin_len(&mut rest).unwrap();
        assert!(length < 150_000 || count == 1, "{count} events in {length} bytes");
        let bytes = take(&mut rest, length);
        let mut events = bytes.as_slice();
        for _ in 0..count {
            assert_eq!(decode::read_array_len(&mut events).unwrap(), 2);
            assert_eq!(decode::read_ext_meta(&mut events).unwrap().size, 8);
            take(&mut events, 8);
            assert_eq!(decode::read_map_len(&mut events).unwrap(), 2);
            assert_eq!(text(&mut events), b"id");
            let id = text(&mut events);
            assert_eq!(text(&mut events), b"json");
            let mut document: Value = serde_json::from_slice(&text(&mut events)).unwrap();
            assert_eq!(document["event"]["id"].as_str().unwrap().as_bytes(), id);
            document["_stream"] = stream.clone().into();
            documents.push(document);
        }
        assert!(events.is_empty());
    }
    documents
}

fn take(bytes: &mut &[u8], length: u32) -> Vec<u8> {
    let (taken, rest) = bytes.split_at(length as usize);
    *bytes = rest;
    taken.to_vec()
}

/// Lines of one container, each a microsecond after the last one.
fn lines(from: usize, lines: &[(char, &str)]) -> Vec<u8> {
    let lines: Vec<String> = lines
        .iter()
        .enumerate()
        .map(|(number, (tag, text))| {
            format!(
                "2026-11-22T10:49:43.{:06}000Z stdout {tag} {text}\r\n",
                from + number
            )
        })
        .collect();
    lines.concat().into_bytes()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

struct Fixture {
    folder: TempDir,
    normalizer: Normalizer,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let normalizer = Normalizer::open(folder.path(), None, Duration::ZERO).unwrap();
        Self { folder, normalizer }
    }

    /// Reads a batch; returns the messages.
    fn feed(&mut self, lines: &[u8]) -> Vec<String> {
        let messages = self.read(lines);
        self.normalizer.commit().unwrap();
        messages
    }

    /// Reads a batch without a commit.
    fn read(&mut self, lines: &[u8]) -> Vec<String> {
        let mut events = Events::new();
        self.normalizer
            .feed(PATH, METADATA, lines, Duration::ZERO, &mut events)
            .unwrap();
        messages(&events)
    }

    fn expire(&mut self, now: Duration) -> Vec<String> {
        let mut events = Events::new();
        self.normalizer.expire(now, &mut events);
        self.normalizer.commit().unwrap();
        messages(&events)
    }

    /// Continues with the state that `kill -9` leaves.
    fn restart(&mut self) {
        self.normalizer = Normalizer::open(self.folder.path(), None, Duration::ZERO).unwrap();
    }

    fn stored(&self) -> usize {
        self.folder.path().read_dir().unwrap().count()
    }
}

fn messages(events: &Events) -> Vec<String> {
    let message = |document: &Value| document["message"].as_str().unwrap().to_owned();
    documents(events).iter().map(message).collect()
}

#[test]
fn a_line_becomes_a_document_of_its_component() {
    let mut events = Events::new();
    let mut normalizer = Fixture::new().normalizer;
    let line = lines(
        0,
        &[(
            'F',
            r#"{"level":"warn","message":"m","@timestamp":"2026-11-22T10:49:42Z"}"#,
        )],
    );
    normalizer
        .feed(PATH, METADATA, &line, Duration::ZERO, &mut events)
        .unwrap();
    let documents = documents(&events);
    let [document] = documents.as_slice() else {
        panic!("{documents:?}")
    };
    assert_eq!(
        (&document["_stream"], &document["level"], &document["message"]),
        (&"irmgard".into(), &"warn".into(), &"m".into())
    );
    assert_eq!(document["kubernetes"]["node"], "node-1");
    let broken = normalizer.feed(PATH, "{", &line, Duration::ZERO, &mut Events::new());
    assert!(format!("{:#}", broken.unwrap_err()).contains("the pod's metadata"));
}

/// Fluentd's buffer must not split an event stream.
#[test]
fn event_streams_are_small() {
    let mut fixture = Fixture::new();
    let long = "x".repeat(200_000);
    let mut batch = lines(0, &[('F', "short"); 1_000]);
    batch.extend(lines(1_000, &[('F', &long), ('F', "end")]));
    assert_eq!(fixture.feed(&batch).len(), 1_002);
}

#[test]
fn pending_lines_survive_a_restart_after_each_line() {
    let all = [
        ('P', "half \r"),
        ('F', "whole"),
        ('F', "Traceback (most recent call last):"),
        ('P', "  File \"a.py\","),
        ('F', " line 1"),
        ('F', "ValueError: x"),
        ('F', "Traceback (most recent call last):"),
        ('F', "  File \"b.py\", line 1"),
        ('F', "ValueError: y"),
        ('F', r#"{"message":"next"}"#),
    ];
    let mut fixture = Fixture::new();
    let mut found = Vec::new();
    for (number, line) in all.iter().enumerate() {
        found.extend(fixture.feed(&lines(number, &[*line])));
        fixture.restart();
        // Fluentd had not stored its position after the line.
        assert_eq!(
            fixture.feed(&lines(number, &[*line])).len(),
            usize::from(number == 9),
            "{number}"
        );
        fixture.restart();
    }
    let trace = |file: &str, value: &str| {
        format!("Traceback (most recent call last):\n  File \"{file}.py\", line 1\nValueError: {value}")
    };
    assert_eq!(
        found,
        [
            "half \rwhole".to_owned(),
            trace("a", "x"),
            trace("b", "y"),
            "next".to_owned()
        ]
    );
}

#[test]
fn a_rolled_back_batch_is_read_again() {
    let mut fixture = Fixture::new();
    fixture.feed(&lines(0, &[('P', "one ")]));
    let batch = lines(1, &[('F', "two"), ('P', "three ")]);
    for _ in 0..3 {
        assert_eq!(fixture.read(&batch), ["one two"]);
        fixture.normalizer.rollback(Duration::ZERO);
    }
    assert_eq!(fixture.feed(&batch), ["one two"]);
    assert_eq!(fixture.feed(&lines(3, &[('F', "four")])), ["three four"]);
}

#[test]
fn incomplete_lines_expire() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.feed(&lines(0, &[('F', "panic: boom")])), [""; 0]);
    fixture.expire(seconds(0));
    assert_eq!(fixture.expire(seconds(1)), ["panic: boom"]);
    fixture.feed(&lines(1, &[('P', "no end")]));
    for second in 2..5 {
        assert_eq!(fixture.expire(seconds(second)), [""; 0]);
    }
    assert_eq!(fixture.expire(seconds(6)), ["no end"]);
    // Its stored state is then deleted.
    for second in 7..=62 {
        assert_eq!(
            (fixture.expire(seconds(second)).len(), fixture.stored()),
            (0, usize::from(second < 61)),
            "{second}"
        );
    }
}

#[test]
fn nothing_expires_while_the_output_is_blocked() {
    let mut fixture = Fixture::new();
    fixture.feed(&lines(0, &[('F', "panic: boom")]));
    assert_eq!(fixture.expire(seconds(100)), [""; 0]);
    assert_eq!(fixture.expire(seconds(101)), ["panic: boom"]);
}

/// Fluentd needs some seconds to find the files of restored lines.
#[test]
fn restored_lines_wait_longer() {
    let mut fixture = Fixture::new();
    fixture.feed(&lines(0, &[('F', "panic: boom")]));
    fixture.restart();
    for second in 0..31 {
        assert_eq!(fixture.expire(seconds(second)), [""; 0]);
    }
    assert_eq!(fixture.expire(seconds(31)), ["panic: boom"]);
}

#[test]
fn a_long_line_is_cut_across_a_restart() {
    let mut fixture = Fixture::new();
    let part = "x".repeat(schema::MAX_CONTENT_BYTES / 2);
    for number in 0..4 {
        fixture.feed(&lines(number, &[('P', &part)]));
        fixture.restart();
    }
    let stored = fixture.folder.path().read_dir().unwrap().next().unwrap().unwrap();
    assert!(stored.metadata().unwrap().len() < 2 * schema::MAX_CONTENT_BYTES as u64);
    let messages = fixture.feed(&lines(4, &[('F', "end")]));
    assert_eq!(
        messages.iter().map(String::len).collect::<Vec<_>>(),
        [schema::MAX_CONTENT_BYTES]
    );
}

#[test]
fn unreadable_files_are_kept_aside_and_foreign_ones_untouched() {
    let mut fixture = Fixture::new();
    fixture.feed(&lines(0, &[('P', "first")]));
    let entry = fixture.folder.path().read_dir().unwrap().next().unwrap();
    let pending = entry.unwrap().path();
    let complete = std::fs::read(&pending).unwrap();
    std::fs::write(&pending, &complete[..complete.len() - 3]).unwrap();
    let foreign = fixture.folder.path().join("README.txt");
    std::fs::write(&foreign, "{\"path\":").unwrap();
    fixture.restart();
    assert_eq!(fixture.feed(&lines(1, &[('F', "second")])), ["second"]);
    assert!(foreign.exists() && !pending.exists());
    assert!(pending.with_extension("unreadable").exists());
}

/// Java's log: each batch ends with a line that may begin a stack trace.
#[test]
fn stored_state_does_not_grow_with_the_lines() {
    let mut fixture = Fixture::new();
    let exception = ('F', "WARN c.e.X: call failed: java.io.IOException: refused");
    let mut sizes = Vec::new();
    for batch in 0..20 {
        fixture.feed(&lines(100 * batch, &[exception; 100]));
        let file = fixture.folder.path().read_dir().unwrap().next().unwrap();
        sizes.push(file.unwrap().metadata().unwrap().len());
    }
    assert!(sizes[19] < 2 * sizes[0], "{sizes:?}");
}

fn panics_at_boom(line: &RawLine<'_>, origin: &Origin) -> Document {
    assert!(!line.content.starts_with(b"boom"), "it is {}", "boom");
    normalize(line, origin)
}

#[test]
fn a_panic_makes_its_line_text() {
    let mut fixture = Fixture::new();
    fixture.normalizer.set_normalize(panics_at_boom);
    let mut events = Events::new();
    let batch = lines(
        0,
        &[('F', "before"), ('F', "boom"), ('F', "boom"), ('F', "after")],
    );
    fixture
        .normalizer
        .feed(PATH, METADATA, &batch, Duration::ZERO, &mut events)
        .unwrap();
    assert_eq!(messages(&events), ["before", "boom", "boom", "after"]);
    assert_eq!(events.panics, ["it is boom", "it is boom"]);
    let documents = documents(&events);
    assert_ne!(documents[1]["event"]["id"], documents[2]["event"]["id"]);
    assert_eq!(
        (&documents[1]["_stream"], &documents[1]["tags"]),
        (&"irmgard".into(), &json!([]))
    );
    assert_eq!(documents[1]["@timestamp"], "2026-11-22T10:49:43.000001000Z");
}

#[test]
fn dead_letters_keep_stream_and_id() {
    let mut events = Events::new();
    let letter = json!({"_stream": "postgres", "message": "m", "component": "x", "event": {"id": "i"}});
    read_dead_letters(
        format!("{letter}\n\nno JSON\n{{\"message\":\"no id\"}}\n").as_bytes(),
        &mut events,
    );
    assert_eq!(documents(&events), [letter]);
    assert_eq!(events.rejected, ["no JSON", "{\"message\":\"no id\"}"]);
}

#[test]
fn a_notice_is_a_line_of_fluentd() {
    let mut events = Events::new();
    add_notice(3, "node-1", "", &mut events).unwrap();
    let documents = documents(&events);
    let [notice] = documents.as_slice() else {
        panic!("{documents:?}")
    };
    assert_eq!(
        (
            &notice["_stream"],
            &notice["component"],
            &notice["kind"],
            &notice["count"],
            &notice["kubernetes"]
        ),
        (
            &"fluentd".into(),
            &"fluentd".into(),
            &"dead-letters".into(),
            &3.into(),
            &json!({"node": "node-1"})
        )
    );
}
