//! Lines in the schema's shape.

use super::*;

#[test]
fn schema_line_is_kept() {
    assert_eq!(
        file_document(
            r#"{"@timestamp":"2026-11-22T10:49:43.101+01:00","level":"warn","message":"m","component":"irmgard",
            "service":{"name":"irmgard"},"photo":{"id":17,"new":{"a":[null]}},"new":5,"target":null}"#
        ),
        json!({
            "@timestamp": "2026-11-22T09:49:43.101000000Z", "level": "warn", "message": "m", "component": "irmgard",
            "service": {"name": "irmgard"}, "photo": {"id": 17, "new": {"a": [null]}}, "new": 5,
        })
    );
}

/// A line in the schema's shape with these members.
fn schema_line(members: &str) -> String {
    format!(r#"{{"@timestamp":"2026-11-22T10:20:00Z","level":"info","message":"m",{members}}}"#)
}

fn schema_document(members: &str) -> Value {
    let mut value = untimed(&schema_line(members));
    let members = value.as_object_mut().unwrap();
    assert_eq!(members.remove(field::LEVEL), Some(json!("info")));
    assert_eq!(members.remove(field::MESSAGE), Some(json!("m")));
    value
}

#[test]
fn values_that_contradict_the_schema_move_to_fields() {
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
        assert_eq!(schema_document(members), document, "{members}");
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
        assert_eq!(schema_document(members), document, "{members}");
    }
}

/// Names are as deep and as long as a line allows. They must not overflow the stack.
#[test]
fn hostile_names_stay_in_fields() {
    let dots = "a.".repeat(500_000) + "a";
    let long = document(schema_line(&format!(r#""{dots}":1"#)).as_bytes(), &file());
    let fields = long.get("fields").and_then(Value::as_object).unwrap();
    assert_eq!(fields.get(&dots[..512]), Some(&json!("1")));
    assert_eq!(long.get(field::TRUNCATED), Some(&json!(true)));

    let deep = "{\"a\":".repeat(120) + "1" + &"}".repeat(120);
    for name in ["photo", "fields", "odd", "message.x"] {
        document(schema_line(&format!(r#""{name}":{deep}"#)).as_bytes(), &file());
    }
}

#[test]
fn a_line_names_its_pod_only_if_its_source_has_none() {
    let claimed = r#""component":"vault","kubernetes":{"pod":"p","node":5,"labels":{"app.kubernetes.io/name":"vault",
        "app_kubernetes_io/part-of":"x","app":"y"},"other_labels":{"z.z":"z"}}"#;
    assert_eq!(
        schema_document(claimed),
        json!({
            "component": "vault",
            "kubernetes": {
                "pod": "p", "node": "5", "other_labels": {"app": "y", "z.z": "z"},
                "labels": {"app_kubernetes_io/name": "vault", "app_kubernetes_io/part-of": "x"},
            },
        })
    );
    let document = document(schema_line(claimed).as_bytes(), &pod());
    assert_eq!(document.component(), Some("irmgard"));
    assert_eq!(document.label("app.kubernetes.io/name"), Some("irmgard"));
    assert_eq!(document.text("kubernetes.pod"), Some("irmgard-1"));
    assert_eq!(document.get("kubernetes.other_labels"), None);
    assert_eq!(document.get("fields"), None);
}
