//! JSON lines of PostgreSQL, RabbitMQ and other programs.

use super::*;

#[test]
fn postgresql_line() {
    assert_eq!(
        file_document(
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
            r#"{"timestamp":"2026-11-22 10:49:43 CST","error_severity":"ODD","message":"duration: 1.5 ms  bind a: S",
            "state_code":"00000","pid":"x","leader_pid":0}"#
        ),
        json!({
            "message": "duration: 1.5 ms  bind a: S", "component": "postgres", "duration_seconds": 0.0015,
            "db": {"system": {"name": "postgresql"}, "query": {"text": "S"}}, "postgresql": {"severity": "ODD"},
            "fields": {"timestamp": "2026-11-22 10:49:43 CST", "process.pid": "x"},
        })
    );
}

/// The member `statement` takes precedence over a statement in the message.
#[test]
fn statement_member_wins_over_the_message() {
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
fn rabbitmq_line() {
    assert_eq!(
        file_document(
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
    let empty = untimed(r#"{"time":"now","level":"info","msg":"m","pid":"<0.1.0>","domain":"","mfa":""}"#);
    assert_eq!(empty.pointer("/rabbitmq/domain"), Some(&json!("")));
    assert_eq!(empty.pointer("/code/function/name"), Some(&json!("")));
    // logrus with the process's id.
    let other = untimed(r#"{"time":"now","level":"info","msg":"m","pid":5}"#);
    assert_eq!(other.get(field::COMPONENT), None);
}

#[test]
fn foreign_json_line() {
    assert_eq!(
        file_document(
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
