//! What is said where a question is wrong, or nothing is found.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use super::{logq, piped, text, world};

#[test]
fn what_is_asked_wrongly_is_told() {
    for (arguments, told) in [
        (
            ["--since", "soon"].as_slice(),
            "--since: \"soon\" is no time: write 15m",
        ),
        (
            &["--since", "-5m", "--until", "2h"],
            "logq: error: --until 2h is before --since -5m\n",
        ),
        (&["-f", "photo"], "-f: \"photo\" says nothing of a field"),
        (
            &["-f", "level >= warn"],
            "-f does not order levels: --level warn shows the lines of this level and above",
        ),
        (&["-f", "@timestamp=soon"], "-f: \"soon\" is no time: write 15m"),
        (
            &["--around", "14:00", "--since", "yesterday"],
            "--since \"yesterday\" beside --around is no length of time: write 30s",
        ),
        (&["--since", "+5m"], "--since: \"+5m\" is no time: write 15m"),
        (
            &["--since", "14:00 CET"],
            "--since: \"14:00 CET\" is no time: write 15m",
        ),
        (
            &["view", "--utc", "trouble"],
            "\"--utc\" is an option: the name of a view comes first; there are webservice-db",
        ),
        (
            &["--grep", "a(b"],
            "logq: error: --grep: \"a(b\" is no regular expression: unclosed group\nlogq:     a(b\nlogq:      ^\n",
        ),
        (
            &["-f", "message~=["],
            "logq: error: -f: \"[\" is no regular expression: unclosed character class\nlogq:     [\nlogq:     ^\n",
        ),
        (
            &["--since", "9999-01-01T00:00:00Z"],
            "is before 1970 or after 2261",
        ),
        (&["-f", "@timestamp>soon"], "-f: \"soon\" is no time: write 15m"),
        (&["-l", "a b"], "--selector: \"a b\" is no requirement"),
        (&["--trace", "xyz"], "--trace: \"xyz\" is no trace id"),
        (
            &["--with-db"],
            "--with-db says whose lines beside those of a component",
        ),
        (&["-c", "irmgard", "--with-db"], "--with-db needs to read twice"),
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
            "--tail chooses among lines, and numbers are of all of them",
        ),
        (&["--photo", "abc"], "a photo's id is a number, such as 17"),
        (&["-c", ""], "a name has at least one character"),
        (&["-c", "irmgard,"], "a name has at least one character"),
        (&["trace"], "--trace: \"-\" is no trace id"),
        (
            &["trace", world::TRACE, "--tail", "3"],
            "a waterfall shows the whole trace: leave --tail out",
        ),
    ] {
        let output = piped(arguments, b"");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            text(&output.stderr).contains(told),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
    }
    let output = logq(&[], Path::new("answered")).output().unwrap();
    assert!(text(&output.stderr).contains("--grep WORD looks for a text"));
    let output = logq(&[], Path::new("/nowhere/at/all")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).starts_with("logq: error: /nowhere/at/all: "));
}

#[test]
fn why_nothing_is_found_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let pods = world::write(folder.path());
    for (arguments, told) in [
        (
            ["-c", "irmgrad"].as_slice(),
            "no line of a component irmgrad; did you mean irmgard?",
        ),
        (
            &["-c", "irmgard", "-c", "typo", "--level", "trace", "-n", "photo"],
            "no line of a component typo; there are some of anonymizer, irmgard, object-store, postgres, rabbitmq\n\
             logq: no line of a namespace photo; did you mean photos?",
        ),
        (
            &["--pod", "irmgard-*", "--since", "1h"],
            "no line of a pod irmgard-* in this time",
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
            "no line found; --since -5m means 5m ago, as --since 5m does",
        ),
        (
            &["-f", "level=warn,error"],
            "level=warn,error asks for one value; for one of several write -f 'level~=^(warn|error)$'",
        ),
        (
            &["-f", "photo.id = 17|18"],
            "photo.id = 17|18 asks for one value; for one of several write -f 'photo.id~=^(17|18)$'",
        ),
        (&["--top", "*"], "no line that was found has a field *"),
        (
            &["trace", world::TRACE, "-c", "postgre"],
            "no line of a component postgre; did you mean postgres?",
        ),
        (&["--photo", "4711"], "no line of photo 4711"),
        (
            &["trace", "deadbeefdeadbeef"],
            "no line of trace deadbeefdeadbeef",
        ),
        // What irmgard uses was asked for too, so irmgard's silence is not the reason.
        (
            &["-c", "irmgard", "--with-all", "--level", "error", "--since", "1h"],
            "no line found; --explain says what was looked for, `logq doctor` whether lines arrive",
        ),
        // Each of them is there, and no line has both.
        (
            &["-c", "irmgard", "-f", "outcome=anonymized"],
            "no line found; --explain says what was looked for, `logq doctor` whether lines arrive",
        ),
    ] {
        let output = logq(arguments, &pods).output().unwrap();
        assert_eq!(text(&output.stderr), format!("logq: {told}\n"), "{arguments:?}");
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
fn names_of_fields_that_change_nothing_are_told() {
    let line = b"{\"level\":\"info\",\"msg\":\"m1\",\"who\":\"u\"}\n";
    for (arguments, told) in [
        (
            ["--fields", "levl,message"].as_slice(),
            "--fields: there is no field levl; did you mean level?",
        ),
        (
            &["--hide", "who"],
            "--hide: there is no field who; what other programs call who is fields.who",
        ),
        (&["--hide", "*_secnds"], "--hide: there is no field *_secnds"),
        (
            &["-f", "levl != info"],
            "-f levl != info: there is no field levl; did you mean level?",
        ),
        (
            &["-f", "traceid not exists"],
            "-f traceid not exists: there is no field traceid; did you mean trace_id?",
        ),
        (
            &["-f", "level!=warn,error"],
            "-f level!=warn,error: there is no level warn,error; for one of several write -f 'level!~=^(warn|error)$'",
        ),
        (
            &["--hide", "message", "-o", "raw"],
            "--hide changes nothing in -o raw",
        ),
        (
            &["--fields", "message", "--stats"],
            "--fields changes nothing in --stats",
        ),
    ] {
        let output = piped(arguments, line);
        assert_eq!(text(&output.stderr), format!("logq: {told}\n"), "{arguments:?}");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty(), "{arguments:?}");
    }
    for known in ["photo*", "fields.who", "*", "kubernetes.labels.tier", "http"] {
        let output = piped(&["--fields", known, "--hide", known], line);
        assert_eq!(text(&output.stderr), "", "{known}");
    }
}

/// A pipe that is not named is not read, and that is said where something waits in it.
#[test]
fn a_pipe_that_is_not_named_is_told() {
    let told = |arguments: &[&str], input: Stdio| {
        let output = Command::new(env!("CARGO_BIN_EXE_logq"))
            .args(arguments)
            .env("LOGQ_CONFIG", "")
            .env("LOGQ_OPENSEARCH_URL", "http://127.0.0.1:1")
            .env("LOGQ_KUBECTL", "/nowhere/kubectl")
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
    let note = "what comes by standard input was not read: logq - reads it\n";
    let (full, _open) = pipe("a line\n");
    assert!(told(&["--level", "warn"], full).starts_with(&format!("logq: {note}")));
    let (silent, _open) = pipe("");
    assert!(!told(&[], silent).contains(note));
    let (ended, open) = pipe("");
    drop(open);
    assert!(!told(&[], ended).contains(note));
    // A loop over ids.
    let (full, _open) = pipe("18\n");
    assert!(!told(&["--photo", "17"], full).contains(note));
}
