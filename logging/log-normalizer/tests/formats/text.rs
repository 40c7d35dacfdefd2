//! Lines of plain text.

use super::*;

#[test]
fn text_with_a_zone() {
    check(&[
        // Spring Boot 3, tracing-subscriber with colours, zap's console, MongoDB before 4.4.
        (
            Some("warn"),
            Some(TIME),
            "2026-11-22T10:49:43.101Z  WARN 1 --- [main] c.e.App : m",
        ),
        (
            Some("info"),
            Some(TIME),
            "\u{1b}[2m2026-11-22T10:49:43.101000Z\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m \u{1b}[2mapp\u{1b}[0m: m",
        ),
        (
            Some("error"),
            Some(TIME),
            "2026-11-22T12:49:43.101+0200\tERROR\ta/b.go:1\tm",
        ),
        (
            Some("warn"),
            Some(TIME),
            "2026-11-22T10:49:43.101+0000 W  NETWORK  [conn1] m",
        ),
        // Logback with a comma, .NET's Serilog, zerolog's console, loguru, structlog's console.
        (
            Some("error"),
            Some(TIME),
            "2026-11-22T10:49:43,101Z ERROR [main] c.e.App: m",
        ),
        (Some("warn"), Some(TIME), "2026-11-22 11:49:43.101 +01:00 [WRN] m"),
        (Some("error"), Some(SECOND), "2026-11-22T10:49:43Z ERR m"),
        (
            Some("info"),
            Some(TIME),
            "2026-11-22 10:49:43.101+00:00 | SUCCESS  | a:b:1 - m",
        ),
        (Some("warn"), Some(TIME), "2026-11-22T10:49:43.101Z [warning  ] m"),
        // env_logger, gunicorn, Airflow, Envoy, Symfony.
        (
            Some("error"),
            Some(SECOND),
            "[2026-11-22T10:49:43Z ERROR app::x] m",
        ),
        (
            Some("info"),
            Some(SECOND),
            "[2026-11-22 10:49:43 +0000] [1] [INFO] m",
        ),
        (
            Some("error"),
            Some(TIME),
            "[2026-11-22T10:49:43.101+0000] {a.py:1} ERROR - m",
        ),
        (
            Some("error"),
            Some(TIME),
            "[2026-11-22T10:49:43.101+00:00] app.ERROR: m {\"a\":1}",
        ),
        // MySQL, PostgreSQL, RabbitMQ.
        (
            Some("warn"),
            Some(TIME),
            "2026-11-22T10:49:43.101000Z 0 [Warning] [MY-010918] [Server] m",
        ),
        (
            Some("error"),
            Some(TIME),
            "2026-11-22 11:49:43.101 CET [7] ERROR:  m",
        ),
        (
            Some("error"),
            Some(TIME),
            "2026-11-22 10:49:43.101000+00:00 [error] <0.1.0> m",
        ),
        // Syslog (RFC 5424), access logs.
        (
            Some("info"),
            Some(TIME),
            "<165>1 2026-11-22T10:49:43.101Z host app 1 ID47 - m",
        ),
        (
            None,
            Some(SECOND),
            "10.0.0.1 - - [22/Nov/2026:10:49:43 +0000] \"GET /ERROR HTTP/1.1\" 500 5 \"-\" \"curl\"",
        ),
        // logfmt: containerd, Prometheus, log15; also after a time.
        (
            Some("warn"),
            Some(TIME),
            "time=\"2026-11-22T10:49:43.101Z\" level=warning msg=\"m\"",
        ),
        (
            Some("error"),
            Some(TIME),
            "ts=2026-11-22T10:49:43.101Z caller=a.go:1 level=error msg=m",
        ),
        (
            Some("debug"),
            Some(TIME),
            "t=2026-11-22T10:49:43.101Z lvl=dbug msg=m",
        ),
        (Some("error"), None, "level=ERROR+2 msg=m"),
        (
            Some("warn"),
            Some(SECOND),
            "2026-11-22T10:49:43Z level=warn msg=m",
        ),
        // After a time, a word with a colon is enough.
        (Some("warn"), Some(SECOND), "2026-11-22T10:49:43Z warn: m"),
        (None, Some(SECOND), "2026-11-22T10:49:43Z warn m"),
        (
            Some("warn"),
            Some(SECOND),
            "[22-Nov-2026 10:49:43 UTC] WARNING: [pool www] m",
        ),
        (Some("warn"), Some(SECOND), "WARN[2026-11-22T10:49:43Z] m"),
    ]);
}

/// Such lines get their time only from the runtime.
#[test]
fn a_time_without_a_zone_is_utc_unless_the_runtime_gave_one() {
    check(&[
        // klog, glog, CockroachDB.
        (Some("error"), None, "E1122 10:49:43.101234       1 file.go:12] m"),
        (
            Some("warn"),
            None,
            "W20261122 10:49:43.101234     1 file.cc:12] m",
        ),
        (
            Some("info"),
            None,
            "I261122 10:49:43.101234 1 file.go:12 ⋮ [n1] m",
        ),
        // nginx, Apache 2.2 and 2.4, syslog (RFC 3164).
        (
            Some("error"),
            Some("2026-11-22T10:49:43.000000000Z"),
            "2026/11/22 10:49:43 [error] 31#31: *1 open() failed",
        ),
        (
            Some("error"),
            Some("2026-11-22T10:49:43.000000000Z"),
            "[Sun Nov 22 10:49:43 2026] [error] [client 10.0.0.1] m",
        ),
        (
            Some("error"),
            Some("2026-11-22T10:49:43.101234000Z"),
            "[Sun Nov 22 10:49:43.101234 2026] [core:error] [pid 1:tid 2] [client 10.0.0.1] m",
        ),
        (
            Some("trace"),
            Some("2026-11-22T10:49:43.101234000Z"),
            "[Sun Nov 22 10:49:43.101234 2026] [http:trace3] [pid 1] m",
        ),
        (Some("error"), None, "<34>Nov 22 10:49:43 host su: m"),
        // Log4j, Kafka, ZooKeeper, Elasticsearch, Spring Boot 2, Logback, Tomcat, the Java virtual machine.
        (
            Some("error"),
            Some("2026-11-22T10:49:43.101000000Z"),
            "2026-11-22 10:49:43,101 ERROR [main] c.e.App - m",
        ),
        (
            Some("info"),
            Some("2026-11-22T10:49:43.101000000Z"),
            "[2026-11-22 10:49:43,101] INFO [Log partition=a-0] m (kafka.log.Log)",
        ),
        (
            Some("warn"),
            Some("2026-11-22T10:49:43.101000000Z"),
            "2026-11-22 10:49:43,101 [myid:1] - WARN  [main:Q@1] - m",
        ),
        (
            Some("warn"),
            Some("2026-11-22T10:49:43.101000000Z"),
            "[2026-11-22T10:49:43,101][WARN ][o.e.n.Node] [n1] m",
        ),
        (
            Some("warn"),
            Some("2026-11-22T10:49:43.101000000Z"),
            "2026-11-22 10:49:43.101  WARN 1 --- [main] c.e.App : m",
        ),
        (Some("info"), None, "10:49:43.101 [main] INFO  c.e.App - m"),
        (
            Some("error"),
            Some("2026-11-22T10:49:43.101000000Z"),
            "22-Nov-2026 10:49:43.101 SEVERE [main] o.a.App m",
        ),
        (Some("info"), None, "[0.005s][info][gc] Using G1"),
        // Python, Celery, Tornado, gunicorn.
        (
            Some("error"),
            Some("2026-11-22T10:49:43.101000000Z"),
            "2026-11-22 10:49:43,101 - app.name - ERROR - m",
        ),
        (
            Some("info"),
            Some("2026-11-22T10:49:43.101000000Z"),
            "[2026-11-22 10:49:43,101: INFO/MainProcess] m",
        ),
        (
            Some("warn"),
            Some("2026-11-22T10:49:43.101000000Z"),
            "[W 2026-11-22 10:49:43.101 ServerApp] m",
        ),
        (Some("error"), None, "[E 261122 10:49:43 web:1] m"),
        // Ruby, PHP (Laravel), Redis, MariaDB, Envoy, Go's slog, Elixir, NLog, Serilog's console.
        (
            Some("error"),
            Some("2026-11-22T10:49:43.101234000Z"),
            "E, [2026-11-22T10:49:43.101234 #1] ERROR -- : m",
        ),
        (
            Some("error"),
            Some("2026-11-22T10:49:43.000000000Z"),
            "[2026-11-22 10:49:43] production.ERROR: m {\"a\":1}",
        ),
        (
            Some("warn"),
            Some("2026-11-22T10:49:43.101000000Z"),
            "1:M 22 Nov 2026 10:49:43.101 # m",
        ),
        (
            Some("info"),
            Some("2026-11-22T10:49:43.101000000Z"),
            "1:M 22 Nov 2026 10:49:43.101 * m",
        ),
        (
            Some("info"),
            Some("2026-11-22T10:49:43.000000000Z"),
            "2026-11-22 10:49:43 0 [Note] m",
        ),
        (
            Some("info"),
            Some("2026-11-22T10:49:43.101000000Z"),
            "[2026-11-22 10:49:43.101][1][info][main] [source/server/server.cc:1] m",
        ),
        (
            Some("info"),
            Some("2026-11-22T10:49:43.000000000Z"),
            "2026/11/22 10:49:43 INFO m a=1",
        ),
        (Some("error"), None, "10:49:43.101 [error] m"),
        (
            Some("error"),
            Some("2026-11-22T10:49:43.101000000Z"),
            "2026-11-22 10:49:43.1010|ERROR|App.Name|m",
        ),
        (Some("info"), None, "[10:49:43 INF] m"),
        (Some("info"), None, "3:04PM INF m"),
        // logrus, .NET's console.
        (
            Some("info"),
            None,
            "INFO[0000] m                                             a=1",
        ),
        (Some("error"), None, "\u{1b}[31mERRO\u{1b}[0m[0012] m"),
        (
            Some("error"),
            None,
            "fail: App.Name[17]\n      m\n      System.Exception: x\n         at App.Main()",
        ),
        (Some("info"), None, "info: App.Name[0] m"),
        // java.util.logging in two lines, with a trace.
        (
            Some("error"),
            Some("2026-11-22T10:49:43.000000000Z"),
            "Nov 22, 2026 10:49:43 AM app.Main main\nSEVERE: m\njava.io.IOException: two\nlines\n\tat app.Main.main(Main.java:1)",
        ),
        // Go's log: no level.
        (
            None,
            Some("2026-11-22T10:49:43.000000000Z"),
            "2026/11/22 10:49:43 m",
        ),
        // Two-digit years and days or months first are ambiguous.
        (None, None, "11/22/26 10:49:43 m"),
        (None, None, "11/22/2026 10:49:43 ERROR m"),
        // Levels within a text are none.
        (None, None, "the FATAL one"),
        (None, None, "CONFIG is loaded"),
        (None, None, "HTTP 500"),
        (None, None, "FINE. Thanks"),
        (None, None, "<3>m"),
        (None, None, "<999>1 - host app - - - m"),
        (None, None, "info: m"),
        (
            None,
            Some("2026-11-22T10:49:43.000000000Z"),
            "2026-11-22 10:49:43 an ERROR",
        ),
    ]);
}

#[test]
fn a_byte_order_mark_is_removed() {
    let bom = "\u{feff}";
    check(&[(
        Some("error"),
        Some(SECOND),
        &format!(r#"{bom}{{"time":"2026-11-22T10:49:43Z","level":"error","msg":"m"}}"#),
    )]);
    assert_eq!(documents(&format!("{bom}ERROR m"))[0].message(), "ERROR m");
}

#[test]
fn messages_of_two_lines_belong_to_their_trace() {
    for trace in [
        "java.sql.SQLException: Failed. SQL statement:\nfailing10 [42001-197]\n\tat a.B.c(B.java:1)\nCaused by: java.io.IOException: inner: multi\nline message\n\tat e.F.g(F.java:3)\n\t... 2 more",
        "java.io.IOException: x\n\tat a.B.c(B.java:1)\n\tSuppressed: java.io.IOException: closed\nby peer\n\t\tat a.b(C.java:1)",
        "panic: first\nsecond\n\ngoroutine 1 [running]:\nmain.main()\n\t/x.go:9",
        "thread 'main' panicked at src/main.rs:2:5:\nfirst\nsecond\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
        "Traceback (most recent call last):\n  File \"x\", line 1\nValueError: first\nsecond\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"x\", line 1\nValueError: x",
    ] {
        let found = documents(&format!("before\n{trace}\nafter"));
        let messages: Vec<&str> = found.iter().map(Document::message).collect();
        assert_eq!(messages, ["before", trace, "after"]);
    }
}

/// Lines that only look like a message stay separate.
#[test]
fn lines_after_an_exception_without_frames_stay_apart() {
    for lines in [
        "it said java.io.IOException: x\nnext\nafter",
        "java.io.IOException: x\n2026-11-22 10:49:43,101 INFO next\n\tat nothing",
        "java.io.IOException: x\nnext\n{\"a\":1}\n\tat nothing",
        "panic: x\nnext\n\tindented",
        "thread 'main' panicked at src/main.rs:2:5:\nfirst\nnext\n  indented",
    ] {
        let found = documents(lines);
        let last = lines.lines().last().unwrap();
        assert_eq!(found.last().unwrap().message(), last, "{lines}");
        let messages: Vec<&str> = found
            .iter()
            .map(|document| document.text("fields.a").map_or(document.message(), |a| a))
            .collect();
        assert!(
            messages
                .iter()
                .any(|message| *message == "next" || message.ends_with("INFO next")),
            "{messages:?}"
        );
    }
}

#[test]
fn the_runtimes_time_precedes_one_without_a_zone() {
    for text in [
        "2026-11-22 10:49:43,101 ERROR m",
        r#"{"asctime":"2026-11-22 10:49:43,101","levelname":"ERROR","message":"m"}"#,
    ] {
        let documents = documents(&format!("2026-11-22T08:00:00Z stdout F {text}"));
        let time = documents[0].timestamp().map(|time| time.to_string());
        assert_eq!(time.as_deref(), Some("2026-11-22T08:00:00.000000000Z"), "{text}");
    }
}

#[test]
fn padded_and_tabbed_levels() {
    check(&[
        // Consul, Nomad.
        (
            Some("info"),
            Some(TIME),
            "    2026-11-22T10:49:43.101Z [INFO]  agent: m",
        ),
        // Fluent Bit.
        (
            Some("warn"),
            Some(SECOND),
            "[2026/11/22 10:49:43] [ warn] [engine] m",
        ),
        // zap's console encoder: Istio, OpenTelemetry Collector.
        (Some("warn"), Some(TIME), "2026-11-22T10:49:43.101Z\twarn\tads\tm"),
        (None, Some(TIME), "2026-11-22T10:49:43.101Z\tads\twarn\tm"),
    ]);
}

#[test]
fn quoted_values_have_no_level() {
    check(&[(Some("info"), None, "msg='a level=error b' level=info")]);
}
