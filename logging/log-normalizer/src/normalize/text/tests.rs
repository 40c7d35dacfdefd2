use super::*;

#[test]
fn colours_are_removed() {
    for (text, plain) in [
        ("\u{1b}[31mred\u{1b}[0m", "red"),
        ("a\u{1b}[1;38:5:9mb", "ab"),
        ("\u{1b}[2Jstays\u{1b}[", "\u{1b}[2Jstays\u{1b}["),
        ("\u{1b}\u{1b}[mx", "\u{1b}x"),
        ("\u{1b}[3\u{1b}[1mx", "\u{1b}[3x"),
    ] {
        assert_eq!(without_colours(text), plain, "{text:?}");
    }
}

#[test]
fn lines_with_a_certain_level() {
    for (line, level) in [
        ("I1122 10:49:43.101234       1 main.go:10] x", "info"),
        ("F1122 10:49:43.101234 1 x", "error"),
        ("panic: x", "error"),
        ("fatal error: x", "error"),
        ("thread 'a' (3) panicked at x", "error"),
        ("Traceback (most recent call last):", "error"),
        ("Exception in thread \"main\" x", "error"),
        ("ERROR x", "error"),
        ("WARN|x", "warn"),
        ("ERROR: x", "error"),
        ("NOTICE", "info"),
        ("[ERROR] x", "error"),
        ("[info] x", "info"),
        ("2026-11-22 10:49:43 ERROR x", "error"),
        ("2026-11-22T10:49:43.101Z WARN: x", "warn"),
        ("2026-11-22 10:49:43,101 +01:00 [debug] x", "debug"),
        (
            "[2026-11-22T10:49:43,101][INFO ][o.o.n.Node               ] [n1] started",
            "info",
        ),
        ("2026-11-22 10:49:43 +0000 [warn]: #0 x", "warn"),
        ("2026/11/22 10:49:44 [error] 31#31: *1 open() failed", "error"),
        ("2026-11-22 10:49:44.791192+00:00 [notice] <0.44.0> x", "info"),
        ("2026-11-22 10:49:43.101 UTC [123] FATAL:  could not x", "error"),
        ("time=\"x y\" level=warning msg=z", "warn"),
        ("a=1 lvl=\"EROR\" severity=\"crit\"", "error"),
        ("level=warn", "warn"),
        ("2026-11-22 10:49:43.101234 W | etcdserver: x", "warn"),
        ("2026-11-22 10:49:43.101234 N | etcdserver: x", "info"),
        ("[1] 2026/11/22 10:49:43.101234 [ERR] x", "error"),
        (
            "2026.11.22 10:49:43.101234 [ 1 ] {a-b} <Error> Application: x",
            "error",
        ),
        ("2026-11-22T10:49:43.101Z pid=1 tid=a class=Job WARN: x", "warn"),
        (
            "2026-11-22 10:49:43 UTC | CORE | ERROR | (pkg/log.go:1 in f) | x",
            "error",
        ),
        ("2026/11/22 10:49:43 main.go:5: [ERROR] x", "error"),
        ("[Nest] 1  - 11/22/2026, 10:49:43 AM    WARN [Router] x", "warn"),
        ("[Nest] 1  - 11/22/2026, 10:49:43 AM     LOG [Router] x", "info"),
        ("[22-Nov-2026 10:49:43 UTC] PHP Warning:  x in y", "warn"),
        ("PHP Fatal error:  x", "error"),
        ("lvl=eror msg=x", "error"),
        ("a.b=\"say \\\"level=error\\\"\" level=info", "info"),
    ] {
        assert_eq!(parse(line, false).level, Some(level), "{line}");
    }
}

#[test]
fn lines_without_a_certain_level() {
    for line in [
        "",
        "error x",
        "Error: x",
        "[Info] x",
        "ERRORS: 3",
        "ERROR-free",
        "INFORMATIONAL x",
        "an ERROR x",
        "[x] ERROR y",
        "info: x",
        "2026-11-22 10:49:43 error x",
        "2026-11-22 ERROR",
        "2026-11-22 10:49:43.101 UTC [123] LOG:  x",
        "X1122 10:49:43.101234 x",
        "I1122 10:49:43.101 x",
        "2026-11-22 10:49:43 W || x",
        "2026-11-22 10:49:43 <b>ERROR</b>",
        "2026-11-22 10:49:43 <errors>",
        "2026-11-22 10:49:43 user=1 ERROR: x",
        "2026-11-22 10:49:43 a b.go:5: [ERROR] x",
        "2026-11-22 10:49:43 see: [ERROR] x",
        "[Nest] has one ERROR in it",
        "PHP Extension:  x",
        "PHP Warning: x",
        "the level=error is",
        "a=1 slevel=error",
        "a=\"level=error\"",
        "a=1 level=",
        "=x level=error",
    ] {
        assert_eq!(parse(line, false).level, None, "{line}");
    }
}

#[test]
fn a_time_after_the_level_or_the_process_is_read() {
    for line in [
        "WARN 2026-11-22 10:49:43,101 django x",
        "ERROR [2026-11-22T10:49:43.101Z] x",
        "[WARN] 2026-11-22 10:49:43.101 x",
        "[17] 2026/11/22 10:49:43.101 [INF] x",
        "[22-Nov-2026 10:49:43.101 UTC] PHP Notice:  x",
        "2026-11-22T10:49:43.101Z pid=1 tid=a INFO: x",
    ] {
        let start = parse(line, false);
        let time = start.time.map(|time| time.to_string());
        assert_eq!(time.as_deref(), Some("2026-11-22T10:49:43.101000000Z"), "{line}");
        assert!(start.level.is_some(), "{line}");
    }
    // The message begins with a date.
    let start = parse("ERROR: 2026-11-22 10:49:43 is not a date", false);
    assert_eq!(start.time, None);
}
