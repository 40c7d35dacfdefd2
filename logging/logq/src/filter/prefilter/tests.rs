//! Tests that lines are rejected. The tests of `source/files` check that no matching line is rejected.

use log_normalizer::{Origin, RawLine};

use super::{Prefilter, has_escapes};
use crate::{
    filter::{Comparison, Filter, Glob, Literal, Pattern, condition},
    time::Clock,
};

const LINE: &str = r#"{"@timestamp":"2026-11-22T10:00:05Z","level":"info","message":"request answered","component":"irmgard","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","photo":{"id":17},"duration_seconds":0.5}"#;

fn admits(filter: &Filter, line: &str) -> bool {
    let prefilter = Prefilter::new(filter, &Origin::Source("a".to_owned()));
    prefilter.may_match(&RawLine::plain(line.as_bytes(), 0), !has_escapes(line.as_bytes()))
}

fn text(pattern: &str) -> Filter {
    Filter::Text(Pattern::new(pattern).unwrap())
}

fn at(comparison: Comparison, time: &str) -> Filter {
    Filter::Compare("@timestamp".to_owned(), comparison, Literal::new(time))
}

#[test]
fn prefilter_rejects_a_non_matching_line() {
    let field = |text| condition::parse(text, &Clock::system(true)).unwrap();
    let glob = |name: &str, glob| Filter::Glob(name.to_owned(), Glob::new(glob).unwrap());
    for (filter, fitting, other) in [
        ("level", Filter::Level("info"), Filter::Level("warn")),
        ("number", field("photo.id=17"), field("photo.id=18")),
        ("order", field("duration_seconds<1"), field("duration_seconds>1")),
        (
            "member",
            field("photo.id exists"),
            field("photo.width_pixels exists"),
        ),
        ("literal", text("answered"), text("timed out")),
        ("digits", text("17"), text("404")),
        (
            "regex",
            text("request (answered|refused)$"),
            text("time(d out|out)"),
        ),
        ("any case", text("(?i)ANSWERED"), text("(?i)REFUSED")),
        (
            "component",
            glob("component", "irm*"),
            glob("component", "anonymizer"),
        ),
        (
            "trace",
            glob("trace_id", "4bf92f35*"),
            glob("trace_id", "4bf92f36*"),
        ),
        (
            "time",
            Filter::All(vec![
                at(Comparison::AtLeast, "2026-11-22T10:00:00Z"),
                at(Comparison::AtMost, "2026-11-22T10:00:10Z"),
            ]),
            at(Comparison::AtLeast, "2026-11-22T10:00:06Z"),
        ),
    ] {
        assert!(admits(&fitting, LINE), "{filter}");
        assert!(!admits(&other, LINE), "{filter}");
        // An escape may stand for any character.
        assert!(
            admits(&other, &LINE.replace("request", r"\u0072equest")),
            "{filter}"
        );
    }
}

/// The program's line in a line of Docker's files counts, not its escaped text.
#[test]
fn docker_lines_are_rejected_by_their_content() {
    let docker = |inner: &str| {
        let log = serde_json::to_string(&format!("{inner}\n")).unwrap();
        format!(r#"{{"log":{log},"stream":"stdout","time":"2026-11-22T10:00:05.1Z"}}"#)
    };
    let line = docker(LINE);
    assert!(admits(&Filter::Level("info"), &line));
    assert!(!admits(&Filter::Level("warn"), &line));
    assert!(admits(&text("answered"), &line));
    assert!(!admits(&text("timed out"), &line));
    // Plain text has Docker's time.
    let plain = docker("2026-11-22 09:00:00 ready");
    assert!(admits(&at(Comparison::AtLeast, "2026-11-22T10:00:05Z"), &plain));
    assert!(!admits(&at(Comparison::AtLeast, "2026-11-22T10:00:06Z"), &plain));
    // Another member, or a prefix before the line: the message is `log`, with no level.
    let other = line.replace("\"stream\"", "\"x\":1,\"stream\"");
    assert!(admits(&Filter::Level("warn"), &other));
    let mut prefixed = RawLine::plain(line.as_bytes(), 0);
    prefixed.time = log_normalizer::Time::parse("2026-11-22T10:00:05Z");
    let prefilter = Prefilter::new(&Filter::Level("warn"), &Origin::Source("a".to_owned()));
    assert!(prefilter.may_match(&prefixed, false));
}

/// As pino writes it. In other members a number may have another meaning.
#[test]
fn numeric_levels_are_compared() {
    for (line, fits) in [
        (r#"{"level":30,"msg":"m"}"#, false),
        (r#"{"level":39,"msg":"m"}"#, false),
        (r#"{"level":40,"msg":"m"}"#, true),
        (r#"{"level":30,"levelno":40}"#, true),
        // Without a level: the line is counted.
        (r#"{"level":9,"msg":"m"}"#, true),
        (r#"{"level":30.0,"msg":"m"}"#, true),
        (r#"{"levelno":30,"msg":"m"}"#, true),
    ] {
        assert_eq!(admits(&Filter::Level("warn"), line), fits, "{line}");
    }
}

#[test]
fn numbers_are_compared_by_value() {
    let wanted = condition::parse("photo.id=17", &Clock::system(true)).unwrap();
    for (written, fits) in [
        ("17.0", true),
        ("1.7e1", true),
        ("\"17\"", true),
        ("16.99999999999999999999", true),
        ("[17]", true),
        ("170", false),
        ("\"x17\"", false),
    ] {
        let line = LINE.replace(r#""id":17"#, &format!(r#""id" : {written}"#));
        assert_eq!(admits(&wanted, &line), fits, "{written}");
    }
}

#[test]
fn labels_are_found_by_their_own_name() {
    let line = r#"{"message":"m","kubernetes":{"labels":{"release":"r7","a.b":"x"}}}"#;
    let field = |text| condition::parse(text, &Clock::system(true)).unwrap();
    assert!(admits(&field("kubernetes.labels.release=r7"), line));
    assert!(!admits(&field("kubernetes.labels.release=r8"), line));
    // `a.b` is stored as `a_b`.
    assert!(admits(&field("kubernetes.labels.a_b=x"), line));
}

/// They are counted, so that a note can name their number.
#[test]
fn lines_without_a_time_or_a_level_are_not_rejected() {
    let since = at(Comparison::AtLeast, "2026-11-22T10:00:06Z");
    for line in [
        r#"{"msg":"m"}"#,
        r#"{"ts":12.5,"msg":"m"}"#,
        // A nested member is not the line's level or time.
        r#"{"msg":"m","job":{"timestamp":"2020-01-01T00:00:00Z","level":"info"}}"#,
        "text",
    ] {
        assert!(admits(&since, line), "{line}");
        assert!(admits(&Filter::Level("warn"), line), "{line}");
    }
    for line in [
        r#"{"ts":1795341605123,"level":"info","msg":"m"}"#,
        r#"{"time":"2026-11-22 10:00:05","level":"info","msg":"m"}"#,
        r#"{"t":"2026-11-22T11:00:05+0100","level":"debug","msg":"m"}"#,
    ] {
        assert!(!admits(&since, line), "{line}");
        assert!(!admits(&Filter::Level("warn"), line), "{line}");
    }
    let nested = r#"{"time":"2026-11-22 10:49:43","attr":{"time":"2020-01-01T00:00:00Z"}}"#;
    assert!(admits(&since, nested));
    // Docker's lines hold the program's level in a text.
    let docker = r#"{"log":"{\"level\":\"error\"}\n","stream":"stdout","time":"2026-11-22T10:00:05Z"}"#;
    assert!(admits(&Filter::Level("warn"), docker));
}

/// A line may be older than the kubelet's timestamp, and have a time in seconds. 12.5 is no time, so the line is counted.
#[test]
fn time_in_seconds_is_rendered() {
    let wanted = Filter::All(vec![
        at(Comparison::AtLeast, "2026-11-22T10:19:59Z"),
        at(Comparison::AtMost, "2026-11-22T10:20:00Z"),
    ]);
    for (seconds, fits) in [("1795342799.5", true), ("1795342801", false), ("12.5", true)] {
        let line = format!(r#"{{"level":"info","ts":{seconds},"msg":"zap"}}"#);
        assert_eq!(admits(&wanted, &line), fits, "{seconds}");
    }
}
