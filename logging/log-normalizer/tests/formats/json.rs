//! JSON lines.

use super::*;

#[test]
fn json_loggers() {
    check(&[
        // zap: production, development keys, ISO 8601.
        (
            Some("warn"),
            Some(TIME),
            r#"{"level":"warn","ts":1795344583.101,"caller":"a.go:1","msg":"m"}"#,
        ),
        (
            Some("error"),
            Some(TIME),
            r#"{"level":"dpanic","ts":"2026-11-22T12:49:43.101+0200","msg":"m"}"#,
        ),
        (
            Some("error"),
            Some(TIME),
            r#"{"L":"ERROR","T":"2026-11-22T12:49:43.101+0200","C":"a.go:1","M":"m"}"#,
        ),
        // Kubernetes components with --logging-format=json.
        (
            None,
            Some(TIME),
            r#"{"ts":1795344583101.0,"caller":"a.go:1","msg":"m","v":0}"#,
        ),
        // etcd.
        (
            Some("info"),
            Some(TIME),
            r#"{"level":"info","ts":"2026-11-22T10:49:43.101Z","caller":"embed/etcd.go:1","msg":"m"}"#,
        ),
        // slog.
        (
            Some("error"),
            Some(TIME),
            r#"{"time":"2026-11-22T10:49:43.101Z","level":"ERROR+2","msg":"m"}"#,
        ),
        (
            Some("debug"),
            Some(TIME),
            r#"{"time":"2026-11-22T10:49:43.101Z","level":"DEBUG-4","msg":"m"}"#,
        ),
        // zerolog, logrus, bunyan, pino, winston.
        (
            Some("info"),
            Some(SECOND),
            r#"{"level":"info","time":1795344583,"message":"m"}"#,
        ),
        (
            Some("warn"),
            Some(SECOND),
            r#"{"level":"warning","msg":"m","time":"2026-11-22T10:49:43Z"}"#,
        ),
        (
            Some("error"),
            Some(TIME),
            r#"{"name":"a","hostname":"h","pid":1,"level":50,"msg":"m","time":"2026-11-22T10:49:43.101Z","v":0}"#,
        ),
        (
            Some("info"),
            Some(TIME),
            r#"{"level":30,"time":1795344583101,"pid":1,"hostname":"h","msg":"m"}"#,
        ),
        (
            Some("trace"),
            Some(TIME),
            r#"{"level":"silly","message":"m","timestamp":"2026-11-22T10:49:43.101Z"}"#,
        ),
        // java.util.logging, Log4j, Logback, Elasticsearch.
        (
            Some("error"),
            Some(TIME),
            r#"{"timestamp":"2026-11-22T10:49:43.101Z","level":"SEVERE","message":"m"}"#,
        ),
        (
            Some("debug"),
            Some(TIME),
            r#"{"timestamp":"2026-11-22T10:49:43.101Z","level":"FINE","message":"m"}"#,
        ),
        (
            Some("info"),
            Some(TIME),
            r#"{"timestamp":"2026-11-22T10:49:43.101Z","level":"CONFIG","message":"m"}"#,
        ),
        (
            Some("warn"),
            Some(TIME),
            r#"{"timeMillis":1795344583101,"thread":"t","level":"WARN","loggerName":"l","message":"m"}"#,
        ),
        (
            Some("error"),
            Some(TIME),
            r#"{"instant":{"epochSecond":1795344583,"nanoOfSecond":101000000},"level":"ERROR","message":"m"}"#,
        ),
        (
            Some("info"),
            Some(TIME),
            r#"{"@timestamp":"2026-11-22T11:49:43.101+01:00","@version":"1","message":"m","level":"INFO","level_value":20000}"#,
        ),
        (
            Some("warn"),
            Some(TIME),
            r#"{"type":"server","timestamp":"2026-11-22T10:49:43,101Z","level":"WARN","component":"o.e.n.Node","message":"m"}"#,
        ),
        // Python: python-json-logger has no zone, structlog has.
        (
            Some("error"),
            Some("2026-11-22T10:49:43.101000000Z"),
            r#"{"asctime":"2026-11-22 10:49:43,101","levelname":"ERROR","message":"m"}"#,
        ),
        (Some("warn"), None, r#"{"levelno":30,"message":"m"}"#),
        (
            Some("warn"),
            Some(TIME),
            r#"{"event":"m","level":"warning","timestamp":"2026-11-22T10:49:43.101Z"}"#,
        ),
        // Serilog: no level is Information.
        (
            Some("info"),
            Some(TIME),
            r#"{"@t":"2026-11-22T10:49:43.1010000Z","@mt":"m {A}","A":1}"#,
        ),
        (
            Some("error"),
            Some(TIME),
            r#"{"@t":"2026-11-22T10:49:43.1010000Z","@m":"m","@l":"Fatal","@x":"System.Exception: m\n   at A"}"#,
        ),
        // .NET's JSON console.
        (
            Some("info"),
            Some(SECOND),
            r#"{"Timestamp":"2026-11-22T10:49:43Z","EventId":0,"LogLevel":"Information","Category":"c","Message":"m"}"#,
        ),
        // Monolog.
        (
            Some("warn"),
            Some(TIME),
            r#"{"message":"m","level":300,"level_name":"WARNING","channel":"app","datetime":"2026-11-22T10:49:43.101000+00:00"}"#,
        ),
        (
            Some("error"),
            Some(TIME),
            r#"{"message":"m","level":400,"level_name":"ERROR","datetime":{"date":"2026-11-22 10:49:43.101000","timezone_type":3,"timezone":"UTC"}}"#,
        ),
        // Google, GELF, OpenTelemetry, Fluent Bit.
        (
            Some("error"),
            Some(TIME),
            r#"{"severity":"EMERGENCY","message":"m","timestamp":{"seconds":1795344583,"nanos":101000000}}"#,
        ),
        (
            Some("warn"),
            Some(TIME),
            r#"{"version":"1.1","host":"h","short_message":"m","timestamp":1795344583.101,"level":4}"#,
        ),
        (
            Some("error"),
            Some(TIME),
            r#"{"timeUnixNano":"1795344583101000000","severityNumber":17,"body":"m"}"#,
        ),
        (None, Some(TIME), r#"{"date":1795344583.101,"log":"m"}"#),
        // journald, with a message of bytes.
        (
            Some("error"),
            Some(TIME),
            r#"{"__REALTIME_TIMESTAMP":"1795344583101000","PRIORITY":"3","MESSAGE":"m","_PID":"1"}"#,
        ),
        (
            Some("info"),
            Some(TIME),
            r#"{"__REALTIME_TIMESTAMP":"1795344583101000","PRIORITY":"6","MESSAGE":[104,195,188]}"#,
        ),
        // MongoDB, MySQL.
        (
            Some("warn"),
            Some(TIME),
            r#"{"t":{"$date":"2026-11-22T10:49:43.101+00:00"},"s":"W","c":"NETWORK","id":1,"ctx":"c","msg":"m"}"#,
        ),
        (
            Some("debug"),
            Some(TIME),
            r#"{"t":{"$date":"2026-11-22T10:49:43.101+00:00"},"s":"D2","c":"NETWORK","id":1,"ctx":"c","msg":"m"}"#,
        ),
        (
            Some("warn"),
            Some(TIME),
            r#"{"prio":2,"err_code":10068,"msg":"m","time":"2026-11-22T10:49:43.101000Z","label":"Warning"}"#,
        ),
        // PostgreSQL in another zone than UTC.
        (
            Some("error"),
            Some(TIME),
            r#"{"timestamp":"2026-11-22 11:49:43.101 CET","error_severity":"PANIC","message":"m"}"#,
        ),
        (
            Some("debug"),
            Some(TIME),
            r#"{"timestamp":"2026-11-22 13:49:43.101 +03","error_severity":"DEBUG3","message":"m"}"#,
        ),
        // Padded numbers, and numbers without a meaning.
        (Some("error"), None, r#"{"level":"error ","msg":"m"}"#),
        (None, None, r#"{"level":3,"ts":12.5,"msg":"m"}"#),
        (None, None, r#"{"level":"off","time":-1,"msg":"m"}"#),
        (
            None,
            None,
            r#"{"level":"unknown","time":99999999999999999999,"msg":"m"}"#,
        ),
        (
            None,
            None,
            r#"{"s":"E","label":"error","msg":"m","time":"22.11.26 10:49"}"#,
        ),
    ]);
}

#[test]
fn epochs_of_every_unit() {
    for number in [
        "1795344583.101",
        "1795344583101",
        "1795344583101000",
        "1795344583101000000",
    ] {
        for value in [number.to_owned(), format!("\"{number}\"")] {
            check(&[(
                Some("info"),
                Some(TIME),
                &format!(r#"{{"ts":{value},"level":"info","msg":"m"}}"#),
            )]);
        }
    }
}

#[test]
fn a_line_of_docker_is_the_programs_line() {
    let json = r#"{"log":"{\"level\":\"error\",\"msg\":\"m\"}\n","stream":"stderr","time":"2026-11-22T10:49:43.101Z"}"#;
    let text =
        r#"{"log":"WARN x\r\n","stream":"stdout","time":"2026-11-22T10:49:43.101Z","attrs":{"tag":"t"}}"#;
    check(&[
        (Some("error"), Some(TIME), json),
        (Some("warn"), Some(TIME), text),
    ]);
    let document = &documents(json)[0];
    assert_eq!(
        (document.message(), document.text("log.iostream")),
        ("m", Some("stderr"))
    );
    let document = &documents(text)[0];
    assert_eq!(
        (document.message(), document.text("fields.attrs.tag")),
        ("WARN x", Some("t"))
    );
    // Other members: a program's line.
    let other =
        &documents(r#"{"log":"WARN x","stream":"stdout","time":"2026-11-22T10:49:43.101Z","a":1}"#)[0];
    assert_eq!(
        (other.level(), other.text("fields.stream")),
        (None, Some("stdout"))
    );
}

#[test]
fn the_loggers_own_members_win_over_the_applications() {
    check(&[
        // Serilog, Elastic, Python's logging, hclog.
        (
            Some("error"),
            Some(TIME),
            r#"{"@t":"2026-11-22T10:49:43.101Z","@mt":"m","@l":"Error","level":30,"message":"x"}"#,
        ),
        (
            Some("error"),
            Some(TIME),
            r#"{"@timestamp":"2026-11-22T10:49:43.101Z","log.level":"ERROR","level":"info","message":"m"}"#,
        ),
        (
            Some("error"),
            None,
            r#"{"levelname":"ERROR","level":20,"message":"m"}"#,
        ),
        (
            Some("warn"),
            Some(TIME),
            r#"{"@level":"warn","@message":"m","@timestamp":"2026-11-22T10:49:43.101000Z","level":1}"#,
        ),
        // zap with fields of the application.
        (
            Some("error"),
            Some(TIME),
            r#"{"level":"error","ts":1795344583.101,"msg":"m","timestamp":"2020-01-01T00:00:00Z"}"#,
        ),
        (
            Some("error"),
            Some(TIME),
            r#"{"level":"error","ts":"2026-11-22T10:49:43.101Z","msg":"m","time":1500000000}"#,
        ),
        // A duration is no time.
        (
            Some("error"),
            None,
            r#"{"level":"error","msg":"m","time":{"seconds":3,"nanos":5}}"#,
        ),
        // A host name does not make a line RabbitMQ's.
        (
            Some("info"),
            Some(TIME),
            r#"{"time":"2026-11-22T10:49:43.101Z","level":"INFO","msg":"m","domain":"example.com","pid":"<main>"}"#,
        ),
    ]);
}

#[test]
fn values_beyond_json_cost_no_level() {
    check(&[
        (
            Some("error"),
            None,
            r#"{"level":"error","loss":NaN,"message":"m"}"#,
        ),
        (
            Some("error"),
            None,
            r#"{"level":"error","loss":-Infinity,"message":"m"}"#,
        ),
        (
            Some("error"),
            None,
            r#"{"level":"error","loss":1e999,"message":"m"}"#,
        ),
        (
            Some("error"),
            None,
            r#"{"level":"error","text":"\ud800","message":"m"}"#,
        ),
    ]);
}

#[test]
fn levels_and_times_of_nested_objects() {
    check(&[
        // Loguru, Falco, nginx, Kubernetes' audit log.
        (
            Some("error"),
            None,
            r#"{"text":"m","record":{"level":{"name":"ERROR","no":40},"message":"m"}}"#,
        ),
        (
            Some("warn"),
            None,
            r#"{"output":"m","priority":"Warning","rule":"r"}"#,
        ),
        (
            None,
            Some(SECOND),
            r#"{"time_iso8601":"2026-11-22T10:49:43+00:00","status":200}"#,
        ),
        (
            None,
            Some(TIME),
            r#"{"kind":"Event","level":"Metadata","stageTimestamp":"2026-11-22T10:49:43.101000Z"}"#,
        ),
        (
            None,
            Some(SECOND),
            r#"{"timestamp":{"seconds":"1795344583","nanos":0},"message":"m"}"#,
        ),
    ]);
}
