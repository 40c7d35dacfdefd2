//! Diagnostics for invalid queries and empty results.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use super::{logq, piped, text, world};

#[test]
fn invalid_queries_are_rejected() {
    for (arguments, message) in [
        (
            ["--since", "soon"].as_slice(),
            "--since: \"soon\" is not a time: write 15m",
        ),
        (
            &["--since", "-5m", "--until", "2h"],
            "logq: error: --until 2h is before --since -5m\n",
        ),
        (&["-f", "photo"], "-f: \"photo\" is not a condition"),
        (
            &["-f", "level >= warn"],
            "-f cannot order levels. Use --level warn for this level and above",
        ),
        (
            &["-f", "@timestamp=soon"],
            "-f: \"soon\" is not a time: write 15m",
        ),
        (
            &["--around", "14:00", "--since", "yesterday"],
            "with --around, --since must be a duration such as 30s, 15m or 2h, not \"yesterday\"",
        ),
        (&["--since", "+5m"], "--since: \"+5m\" is not a time: write 15m"),
        (
            &["--since", "14:00 CET"],
            "--since: \"14:00 CET\" is not a time: write 15m",
        ),
        (
            &["view", "--utc", "trouble"],
            "\"--utc\" is an option. Put the view's name first; the views are webservice-db",
        ),
        (
            &["--grep", "a(b"],
            "logq: error: --grep: invalid regular expression \"a(b\": unclosed group\nlogq:     a(b\n\
             logq:      ^\n",
        ),
        (
            &["-f", "message~=["],
            "logq: error: -f: invalid regular expression \"[\": unclosed character class\nlogq:     [\n\
             logq:     ^\n",
        ),
        (
            &["--since", "9999-01-01T00:00:00Z"],
            "is out of range: before 1970 or after 2261",
        ),
        (
            &["-f", "@timestamp>soon"],
            "-f: \"soon\" is not a time: write 15m",
        ),
        (&["-l", "a b"], "--selector: \"a b\" is not a label requirement"),
        (&["--trace", "xyz"], "--trace: \"xyz\" is not a trace id"),
        (&["--with-db"], "--with-db adds dependencies of a component"),
        (
            &["-c", "irmgard", "--with-db"],
            "--with-db needs two passes over the lines",
        ),
        (&["--level", "loud"], "error, warn, info, debug, trace"),
        (
            &["--level", "warn", "--level", "error"],
            "'--level <LEVEL>' cannot be used multiple times",
        ),
        (
            &["view", "trouble", "--since", "1h", "--since", "2h"],
            "'--since <TIME>' cannot be used multiple times",
        ),
        (
            &["--stats", "--tail", "5"],
            "--tail selects a part of the lines, but summaries count all of them",
        ),
        (&["--photo", "abc"], "a photo id is a number, for example 17"),
        (&["-c", ""], "a name must not be empty"),
        (&["-c", "irmgard,"], "a name must not be empty"),
        (&["trace"], "--trace: \"-\" is not a trace id"),
        (
            &["trace", world::TRACE, "--tail", "3"],
            "a waterfall shows the whole trace: omit --tail",
        ),
    ] {
        let output = piped(arguments, b"");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            text(&output.stderr).contains(message),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
    }
    let output = logq(&[], Path::new("answered")).output().unwrap();
    assert!(text(&output.stderr).contains("--grep WORD searches texts"));
    let output = logq(&[], Path::new("/nowhere/at/all")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).starts_with("logq: error: /nowhere/at/all: "));
}

#[test]
fn empty_results_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let pods = world::write(folder.path());
    for (arguments, message) in [
        (
            ["-c", "irmgrad"].as_slice(),
            "no lines of component irmgrad; did you mean irmgard?",
        ),
        (
            &["-c", "irmgard", "-c", "typo", "--level", "trace", "-n", "photo"],
            "no lines of component typo; names in the lines: anonymizer, irmgard, object-store, postgres, \
             rabbitmq\n\
             logq: no lines of namespace photo; did you mean photos?",
        ),
        (
            &["--pod", "irmgard-*", "--since", "1h"],
            "no lines of pod irmgard-* in this time",
        ),
        (
            &["-f", "levl=warn"],
            "no line has a field levl; did you mean level?",
        ),
        (
            &["-f", "level=WARN"],
            "no line has level=WARN; did you mean level=warn?",
        ),
        (
            &["-f", "status_code>500"],
            "no line has a field status_code; did you mean http.response.status_code?",
        ),
        (&["--since", "2100-01-01"], "--since 2100-01-01 is in the future"),
        (
            &["--around", "2100-01-01"],
            "--around 2100-01-01 is in the future",
        ),
        (
            &["--since", "-5m"],
            "no lines found; --since -5m means 5m ago, like --since 5m",
        ),
        (
            &["-f", "level=warn,error"],
            "level=warn,error matches one value; to match several write -f 'level~=^(warn|error)$'",
        ),
        (
            &["-f", "photo.id = 17|18"],
            "photo.id = 17|18 matches one value; to match several write -f 'photo.id~=^(17|18)$'",
        ),
        (&["--top", "*"], "no line in the result has a field *"),
        (
            &["trace", world::TRACE, "-c", "postgre"],
            "no lines of component postgre; did you mean postgres?",
        ),
        (&["--photo", "4711"], "no lines of photo 4711"),
        (
            &["trace", "deadbeefdeadbeef"],
            "no lines of trace deadbeefdeadbeef",
        ),
        // irmgard's dependencies are included, so a silent irmgard does not explain the empty result.
        (
            &["-c", "irmgard", "--with-all", "--level", "error", "--since", "1h"],
            "no lines found; --explain shows the query, `logq doctor` checks whether lines arrive",
        ),
        // Both values exist, but no line has both.
        (
            &["-c", "irmgard", "-f", "outcome=anonymized"],
            "no lines found; --explain shows the query, `logq doctor` checks whether lines arrive",
        ),
    ] {
        let output = logq(arguments, &pods).output().unwrap();
        assert_eq!(
            text(&output.stderr),
            format!("logq: {message}\n"),
            "{arguments:?}"
        );
        assert_eq!(
            (output.status.code(), text(&output.stdout).as_str()),
            (Some(1), "")
        );
    }
    let two = logq(&["--top", "component", "--limit", "2"], &pods)
        .output()
        .unwrap();
    let shown = text(&two.stdout);
    assert_eq!(shown.lines().count(), 4, "{shown}");
    assert!(shown.ends_with("         4         (other values)\n"), "{shown}");
}

#[test]
fn unknown_field_names_are_reported() {
    let line = b"{\"level\":\"info\",\"msg\":\"m1\",\"who\":\"u\"}\n";
    for (arguments, message) in [
        (
            ["--fields", "levl,message"].as_slice(),
            "--fields: no field levl; did you mean level?",
        ),
        (
            &["--hide", "who"],
            "--hide: no field who; for who of other programs use fields.who",
        ),
        (&["--hide", "*_secnds"], "--hide: no field *_secnds"),
        (
            &["-f", "levl != info"],
            "-f levl != info: no field levl; did you mean level?",
        ),
        (
            &["-f", "traceid not exists"],
            "-f traceid not exists: no field traceid; did you mean trace_id?",
        ),
        (
            &["-f", "level!=warn,error"],
            "-f level!=warn,error: no level warn,error; to match several write -f \
             'level!~=^(warn|error)$'",
        ),
        (
            &["--hide", "message", "-o", "raw"],
            "--hide has no effect with -o raw",
        ),
        (
            &["--fields", "message", "--stats"],
            "--fields has no effect with --stats",
        ),
    ] {
        let output = piped(arguments, line);
        assert_eq!(
            text(&output.stderr),
            format!("logq: {message}\n"),
            "{arguments:?}"
        );
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty(), "{arguments:?}");
    }
    for name in ["photo*", "fields.who", "*", "kubernetes.labels.tier", "http"] {
        let output = piped(&["--fields", name, "--hide", name], line);
        assert_eq!(text(&output.stderr), "", "{name}");
    }
}

/// Lines that --level, --since or --until leave out only because they have no level or no time.
#[test]
fn lines_without_a_time_or_a_level_are_counted() {
    let lines = b"{\"time\":\"2026-11-22T10:00:00Z\",\"level\":\"error\",\"msg\":\"a\"}\n\
        {\"time\":\"2026-11-22T10:00:01Z\",\"msg\":\"b\"}\n{\"msg\":\"c\"}\n\
        2026-11-22 10:00:02,500 ERROR d\njava.io.IOException: e\n\tat f\n\
        {\"time\":\"2026-11-22T10:00:03Z\",\"level\":\"info\",\"msg\":\"g\"}\n";
    let time = "2 lines without a time were left out\n";
    let since = [
        "--since",
        "2026-11-22T09:00:00Z",
        "--until",
        "2026-11-22T11:00:00Z",
        "--utc",
    ];
    for (arguments, notes) in [
        (
            ["--level", "error"].as_slice(),
            "3 lines without a level were left out\n",
        ),
        (
            &["--level", "error", "--grep", "b"],
            "1 line without a level was left out\n",
        ),
        (&["-f", "level=error"], ""),
        (&[], ""),
        (&since, time),
        (&["--stats"], ""),
        (
            &["--level", "error", "--stats"],
            "3 lines without a level were left out\n",
        ),
        (
            &["--level", "error", "-o", "json"],
            "3 lines without a level were left out\n",
        ),
        (
            &["--level", "error", "-C", "1"],
            "3 lines without a level were left out\n",
        ),
        (
            &["--level", "error", "--follow"],
            "3 lines without a level were left out\n",
        ),
        (&["--level", "trace", "--grep", "^[ag]$"], ""),
    ] {
        let output = piped(arguments, lines);
        let notes: String = notes.lines().map(|note| format!("logq: {note}\n")).collect();
        assert_eq!(text(&output.stderr), notes, "{arguments:?}");
        assert!(!text(&output.stdout).contains("left out"), "{arguments:?}");
    }
    let output = piped(&[&since[..], &["--level", "error"]].concat(), lines);
    assert_eq!(text(&output.stdout).lines().count(), 2);
    assert_eq!(
        text(&output.stderr),
        format!("logq: {time}logq: 1 line without a level was left out\n")
    );
}

/// logq ignores a pipe that is not an argument, and reports data in it.
#[test]
fn ignored_standard_input_is_reported() {
    let run = |arguments: &[&str], input: Stdio| {
        let output = Command::new(env!("CARGO_BIN_EXE_logq"))
            .args(arguments)
            .env("LOGQ_CONFIG", "")
            .env("LOGQ_OPENSEARCH_URL", "http://127.0.0.1:1")
            .env("KUBECONFIG", "/nowhere/kubeconfig")
            .stdin(input)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        text(&output.stderr)
    };
    let pipe = |content: &str| {
        let (read, mut write) = std::io::pipe().unwrap();
        write.write_all(content.as_bytes()).unwrap();
        (Stdio::from(read), write)
    };
    let note = "standard input was ignored; use `logq -` to read it\n";
    let (full, _open) = pipe("a line\n");
    assert!(run(&["--level", "warn"], full).starts_with(&format!("logq: {note}")));
    let (silent, _open) = pipe("");
    assert!(!run(&[], silent).contains(note));
    let (ended, open) = pipe("");
    drop(open);
    assert!(!run(&[], ended).contains(note));
    // As in a shell loop over ids.
    let (full, _open) = pipe("18\n");
    assert!(!run(&["--photo", "17"], full).contains(note));
}
