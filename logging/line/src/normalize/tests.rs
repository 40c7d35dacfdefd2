use std::path::Path;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{Cri, Metadata, Place, Pod, Stream, conforms};

const READ: i64 = 1_795_342_800_000_000_000;

fn pod() -> Origin {
    let place = Place::of_file(Path::new("photos_irmgard-1_uid/main/0.log")).unwrap();
    let mut metadata = Metadata::default();
    metadata
        .labels
        .insert("app.kubernetes.io/name".to_owned(), "irmgard".to_owned());
    metadata.node = Some("n1".to_owned());
    Origin::Pod(Pod::new(place, &metadata))
}

fn file() -> Origin {
    Origin::Source("a.log".to_owned())
}

fn document(bytes: &[u8], origin: &Origin) -> Document {
    let mut line = Line::plain(bytes, 17);
    line.time = Some(Time::from_nanos(READ));
    let document = normalize(&line, origin);
    assert_eq!(conforms(&document), Ok(()), "{}", document.to_json());
    document
}

/// What a line of a file gives beside its id.
fn of_file(text: &str) -> Value {
    let mut members = document(text.as_bytes(), &file()).into_members();
    members.remove("event");
    Value::Object(members)
}

/// The same without its time, which must be the runtime's.
fn untimed(text: &str) -> Value {
    let mut value = of_file(text);
    let time = value.as_object_mut().unwrap().remove(field::TIMESTAMP);
    assert_eq!(time, Some(json!("2026-11-22T10:20:00.000000000Z")));
    value
}

#[test]
fn a_line_of_ours() {
    assert_eq!(
        of_file(
            r#"{"@timestamp":"2026-11-22T10:49:43.101+01:00","level":"warn","message":"m","component":"irmgard",
            "service":{"name":"irmgard"},"photo":{"id":17,"new":{"a":[null]}},"new":5,"target":null}"#
        ),
        json!({
            "@timestamp": "2026-11-22T09:49:43.101000000Z", "level": "warn", "message": "m", "component": "irmgard",
            "service": {"name": "irmgard"}, "photo": {"id": 17, "new": {"a": [null]}}, "new": 5,
        })
    );
}

/// What comes with every line of the next tests.
fn ours(members: &str) -> String {
    format!(r#"{{"@timestamp":"2026-11-22T10:20:00Z","level":"info","message":"m",{members}}}"#)
}

fn of_ours(members: &str) -> Value {
    let mut value = untimed(&ours(members));
    let members = value.as_object_mut().unwrap();
    assert_eq!(members.remove(field::LEVEL), Some(json!("info")));
    assert_eq!(members.remove(field::MESSAGE), Some(json!("m")));
    value
}

#[test]
fn what_contradicts_the_schema_is_moved() {
    for (members, document) in [
        (r#""photo":17"#, json!({"fields": {"photo": "17"}})),
        (
            r#""photo":{"id":[1],"status":"x"}"#,
            json!({"fields": {"photo.id": "[1]"}, "photo": {"status": "x"}}),
        ),
        (
            r#""http":{"request":{"body":5}}"#,
            json!({"fields": {"http.request.body": "5"}}),
        ),
        (
            r#""project":{"b":1,"a":2}"#,
            json!({"fields": {"project": "{\"a\":2,\"b\":1}"}}),
        ),
        (r#""fields":5"#, json!({"fields": {"fields": "5"}})),
        (
            r#""fields":{"photo":1,"a":null},"photo":2"#,
            json!({"fields": {"photo": "2"}}),
        ),
        (
            r#""tags":["a"],"event":{"id":"x","action":"y"}"#,
            json!({"fields": {"tags": "[\"a\"]", "event.id": "x"}}),
        ),
        (r#""photo.id.x":1"#, json!({"fields": {"photo.id.x": "1"}})),
    ] {
        assert_eq!(of_ours(members), document, "{members}");
    }
}

#[test]
fn dotted_names_are_nested() {
    for (members, document) in [
        (
            r#""photo.id":17,"photo":{"status":"x"}"#,
            json!({"photo": {"id": 17, "status": "x"}}),
        ),
        (
            r#""photo":{"id":1},"photo.id":2"#,
            json!({"photo": {"id": 1}, "fields": {"photo.id": "2"}}),
        ),
        (
            r#""http":{"request.method":"GET"}"#,
            json!({"http": {"request": {"method": "GET"}}}),
        ),
        (r#""x.y":1,"x":{"z":2}"#, json!({"x": {"y": 1, "z": 2}})),
        (r#""x.y":1,"x":2"#, json!({"x": 2, "fields": {"x.y": "1"}})),
        (r#""fields.x.y":1"#, json!({"fields": {"x.y": 1}})),
        (
            r#""":1,"a..b":{"c":2},"photo":{" ":3}"#,
            json!({"fields": {"_": 1, "a___b": {"c": 2}, "photo__": 3}}),
        ),
        (
            r#""_id":"x","x":{"_id":"y"}"#,
            json!({"fields": {"_id": "x"}, "x": {"_id": "y"}}),
        ),
    ] {
        assert_eq!(of_ours(members), document, "{members}");
    }
}

/// As deep and as long as a line can be; nothing may overflow the stack.
#[test]
fn hostile_names_are_only_kept() {
    let dots = "a.".repeat(500_000) + "a";
    let long = document(ours(&format!(r#""{dots}":1"#)).as_bytes(), &file());
    let fields = long.get("fields").and_then(Value::as_object).unwrap();
    assert_eq!(fields.get(&dots[..512]), Some(&json!("1")));
    assert_eq!(long.get(field::TRUNCATED), Some(&json!(true)));

    let deep = "{\"a\":".repeat(120) + "1" + &"}".repeat(120);
    for name in ["photo", "fields", "odd", "message.x"] {
        document(ours(&format!(r#""{name}":{deep}"#)).as_bytes(), &file());
    }
}

#[test]
fn what_a_line_says_of_its_pod_counts_only_without_one() {
    let claimed = r#""component":"vault","kubernetes":{"pod":"p","node":5,"labels":{"app.kubernetes.io/name":"vault",
        "app_kubernetes_io/part-of":"x","app":"y"},"other_labels":{"z.z":"z"}}"#;
    assert_eq!(
        of_ours(claimed),
        json!({
            "component": "vault",
            "kubernetes": {
                "pod": "p", "node": "5", "other_labels": {"app": "y", "z.z": "z"},
                "labels": {"app_kubernetes_io/name": "vault", "app_kubernetes_io/part-of": "x"},
            },
        })
    );
    let document = document(ours(claimed).as_bytes(), &pod());
    assert_eq!(document.component(), Some("irmgard"));
    assert_eq!(document.label("app.kubernetes.io/name"), Some("irmgard"));
    assert_eq!(document.text("kubernetes.pod"), Some("irmgard-1"));
    assert_eq!(document.get("kubernetes.other_labels"), None);
    assert_eq!(document.get("fields"), None);
}

#[test]
fn a_line_of_postgresql() {
    assert_eq!(
        of_file(
            r#"{"timestamp":"2026-11-22 10:49:43.101 UTC","user":"irmgard","dbname":"irmgard","pid":77,
            "remote_host":"[local]","session_id":"6b.1","line_num":3,"ps":"UPDATE","session_start":"x","vxid":"3/7",
            "txid":0,"error_severity":"ERROR","state_code":"23505","message":"duplicate key","detail":"Key exists.",
            "statement":"INSERT","application_name":"irmgard 4bf92f3577b34da6a3ce929d0e0e4736","query_id":-5,"hint":""}"#
        ),
        json!({
            "@timestamp": "2026-11-22T10:49:43.101000000Z", "level": "error", "message": "duplicate key",
            "component": "postgres", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "process": {"pid": 77},
            "client": {"address": "[local]"}, "fields": {"session_start": "x"},
            "db": {"system": {"name": "postgresql"}, "namespace": "irmgard", "query": {"text": "INSERT"},
                "response": {"status_code": "23505"}},
            "postgresql": {"severity": "ERROR", "user": "irmgard", "session_id": "6b.1", "line_number": 3,
                "ps": "UPDATE", "virtual_transaction_id": "3/7", "detail": "Key exists.", "query_id": "-5",
                "application_name": "irmgard 4bf92f3577b34da6a3ce929d0e0e4736"},
        })
    );
    assert_eq!(
        untimed(
            r#"{"timestamp":"2026-11-22 10:49:43 CET","error_severity":"ODD","message":"duration: 1.5 ms  bind a: S",
            "state_code":"00000","pid":"x","leader_pid":0}"#
        ),
        json!({
            "message": "duration: 1.5 ms  bind a: S", "component": "postgres", "duration_seconds": 0.0015,
            "db": {"system": {"name": "postgresql"}, "query": {"text": "S"}}, "postgresql": {"severity": "ODD"},
            "fields": {"timestamp": "2026-11-22 10:49:43 CET", "process.pid": "x"},
        })
    );
}

/// What PostgreSQL calls the statement is it, whatever the message says.
#[test]
fn a_statement_goes_before_the_one_in_the_message() {
    let of = |statement: &str| {
        let head = r#""timestamp":"x","error_severity":"LOG","message":"duration: 1 ms  statement: m""#;
        untimed(&format!("{{{head}{statement}}}"))
    };
    for (statement, text) in [
        ("", "m"),
        (r#","statement":"""#, "m"),
        (r#","statement":"s""#, "s"),
    ] {
        assert_eq!(
            of(statement).pointer("/db/query/text"),
            Some(&json!(text)),
            "{statement}"
        );
    }
    let odd = of(r#","statement":{"a":1}"#);
    assert_eq!(odd.pointer("/db/query"), None);
    assert_eq!(odd.pointer("/fields/db.query.text"), Some(&json!("{\"a\":1}")));
}

#[test]
fn a_line_of_rabbitmq() {
    assert_eq!(
        of_file(
            r#"{"time":"2026-11-22 10:49:44.791192+00:00","level":"warning","domain":"rabbitmq.connection",
            "msg":"connection <0.1.0> (127.0.0.1:5 -> 127.0.0.1:6) has a client-provided name: irmgard relay",
            "pid":"<0.9.0>","file":"rabbit_reader.erl","line":12,"mfa":["rabbit_reader","start",3],"node":"r@1"}"#
        ),
        json!({
            "@timestamp": "2026-11-22T10:49:44.791192000Z", "level": "warn", "component": "rabbitmq",
            "message": "connection <0.1.0> (127.0.0.1:5 -> 127.0.0.1:6) has a client-provided name: irmgard relay",
            "messaging": {"system": "rabbitmq", "client": {"id": "irmgard relay"}},
            "rabbitmq": {"domain": "rabbitmq.connection", "pid": "<0.9.0>", "connection": {"pid": "<0.1.0>"}},
            "client": {"address": "127.0.0.1", "port": 5}, "fields": {"node": "r@1"},
            "code": {"file": {"path": "rabbit_reader.erl"}, "line": {"number": 12},
                "function": {"name": "rabbit_reader:start/3"}},
        })
    );
    assert_eq!(
        untimed(r#"{"time":"now","level":"loud","msg":"m","pid":"<0.1.0>","domain":5,"mfa":1}"#),
        json!({
            "message": "m", "component": "rabbitmq", "messaging": {"system": "rabbitmq"},
            "rabbitmq": {"pid": "<0.1.0>"}, "fields": {"time": "now", "level": "loud", "domain": 5, "mfa": 1},
        })
    );
    let empty = untimed(r#"{"time":"now","level":"info","msg":"m","domain":"","mfa":""}"#);
    assert_eq!(empty.pointer("/rabbitmq/domain"), Some(&json!("")));
    assert_eq!(empty.pointer("/code/function/name"), Some(&json!("")));
    // logrus with the process's id.
    let other = untimed(r#"{"time":"now","level":"info","msg":"m","pid":5}"#);
    assert_eq!(other.get(field::COMPONENT), None);
}

#[test]
fn a_line_of_nobody_we_know() {
    assert_eq!(
        of_file(
            r#"{"ts":"2026-11-22T10:49:43Z","lvl":"WARN","msg":"m","trace_id":"4BF92F3577B34DA6A3CE929D0E0E4736"}"#
        ),
        json!({
            "@timestamp": "2026-11-22T10:49:43.000000000Z", "level": "warn", "message": "m",
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            "fields": {"ts": "2026-11-22T10:49:43Z", "lvl": "WARN", "trace_id": "4BF92F3577B34DA6A3CE929D0E0E4736"},
        })
    );
    assert_eq!(
        untimed(r#"{"level":61,"time":5,"component":"x"}"#),
        json!({
            "message": r#"{"level":61,"time":5,"component":"x"}"#, "component": "x",
            "fields": {"level": 61, "time": 5, "component": "x"},
        })
    );
}

#[test]
fn a_line_of_text() {
    assert_eq!(
        untimed("\u{1b}[31mERROR\u{1b}[0m x\r"),
        json!({"message": "ERROR x", "level": "error"})
    );
    assert_eq!(untimed("x"), json!({"message": "x"}));
    assert_eq!(untimed(""), json!({"message": ""}));
    assert_eq!(untimed("{x"), json!({"message": "{x", "tags": ["unparsed-json"]}));
}

#[test]
fn what_went_wrong_is_told() {
    let scrubbed = document(b"{\xff", &file());
    assert_eq!(scrubbed.tags().collect::<Vec<_>>(), ["scrubbed", "unparsed-json"]);
    let long = document(&vec![b'x'; 1_048_577], &file());
    assert_eq!(long.tags().collect::<Vec<_>>(), ["cut"]);
    assert_eq!(long.get(field::TRUNCATED), Some(&json!(true)));
    assert_eq!(long.message().len(), 1_048_576);

    let read = Some(Time::from_nanos(READ));
    let unmatched = normalize(&Line::unmatched(b"{\"msg\":1} ERROR", read, 0), &pod());
    assert_eq!(unmatched.tags().collect::<Vec<_>>(), ["unmatched-cri"]);
    assert_eq!(
        (unmatched.message(), unmatched.level()),
        ("{\"msg\":1} ERROR", None)
    );
    let again = normalize(&Line::unmatched(b"{\"msg\":1} ERROR", None, 9), &pod());
    assert_eq!(unmatched.id(), again.id());
}

/// The bytes are those that Fluentd's plugin hashes; `sha256sum` gave these.
#[test]
fn ids_are_made_as_agreed() {
    let line = b"2026-11-22T11:20:00.000000001+01:00 stderr F caf\xe9";
    let cri = Cri::parse(line).unwrap();
    let of_pod = normalize(&Line::cri(&cri, 5), &pod());
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
fn a_line_without_any_time_has_none() {
    let document = normalize(&Line::plain(b"x", 0), &file());
    assert_eq!(document.get(field::TIMESTAMP), None);
}

/// JSON that looks like what programs write, with odd values in odd places.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "17",
            "true",
            "info",
            "2026-11-22T10:49:43Z",
            "2026-11-22 10:49:43 UTC",
            "LOG",
            "<0.1.0>",
            "duration: 1 ms  statement: x",
            "connection <0.1.0> (a:1 -> b:2)",
        ])
        .prop_map(Value::from),
        (8180..8200_usize).prop_map(|length| "é".repeat(length / 2 + 1).into()),
    ];
    leaf.prop_recursive(12, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn name() -> impl Strategy<Value = String> {
    let known: Vec<&str> = schema::FIELDS.iter().map(|field| field.name).collect();
    let parts: Vec<&str> = known.iter().flat_map(|name| name.split('.')).collect();
    prop_oneof![
        prop::sample::select(known).prop_map(ToOwned::to_owned),
        prop::sample::select(parts).prop_map(ToOwned::to_owned),
        prop::sample::select(vec![
            "timestamp",
            "time",
            "msg",
            "error_severity",
            "pid",
            "domain",
            "mfa",
            "line_num",
            "_id",
            "a.b",
            "log.x",
            "kubernetes.labels.app.kubernetes.io/name",
            "irmgard.dev/uses-database",
            "fields.",
            "photo.id.x",
        ])
        .prop_map(ToOwned::to_owned),
        "[a-c.]{0,8}",
        ".{0,3}",
        (500..520_usize).prop_map(|length| "n".repeat(length)),
    ]
}

fn members() -> impl Strategy<Value = serde_json::Map<String, Value>> {
    let heads = prop::sample::select(vec![
        json!({}),
        json!({"@timestamp": "2026-11-22T10:49:43Z", "level": "info", "message": "m"}),
        json!({"timestamp": "2026-11-22 10:49:43 UTC", "error_severity": "LOG", "message": "m"}),
        json!({"time": "2026-11-22 10:49:43+00:00", "level": "info", "msg": "m", "pid": "<0.1.0>"}),
    ]);
    (heads, prop::collection::vec((name(), value()), 0..8)).prop_map(|(head, members)| {
        let head = head.as_object().cloned().unwrap_or_default();
        members.into_iter().chain(head).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_object_becomes_a_document_that_an_index_takes(members in members()) {
        let line = serde_json::to_vec(&members).unwrap();
        for origin in [pod(), file()] {
            let document = document(&line, &origin);
            let again = Document::from_json(document.to_json().as_bytes()).unwrap();
            prop_assert_eq!(&again, &document);
        }
    }

    #[test]
    fn any_bytes_become_a_document(bytes in prop::collection::vec(any::<u8>(), 0..200), brace in any::<bool>()) {
        let line = if brace { [b"{".as_slice(), &bytes].concat() } else { bytes };
        let first = document(&line, &pod());
        prop_assert_eq!(&first, &document(&line, &pod()));
        let _ = Cri::parse(&line);
        let _ = crate::timestamped(&line);
    }

    /// Another time, container, offset or byte is another line.
    #[test]
    fn ids_differ(a in "[ab\\x00]{0,4}", b in "[ab\\x00]{0,4}", earlier in 0..3_i64, later in 0..3_i64) {
        let id = |text: &str, nanos: i64| {
            let mut line = Line::plain(text.as_bytes(), u64::try_from(nanos).unwrap());
            line.time = Some(Time::from_nanos(nanos));
            [pod(), file()].map(|origin| normalize(&line, &origin).id().unwrap().to_owned())
        };
        let same = a == b && earlier == later;
        let [pod_a, file_a] = id(&a, earlier);
        let [pod_b, file_b] = id(&b, later);
        prop_assert_eq!((pod_a == pod_b, file_a == file_b), (same, same));
        prop_assert_ne!(pod_a, file_a);
    }
}
