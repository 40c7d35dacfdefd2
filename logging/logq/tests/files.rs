//! Files, folders and standard input, through the real program.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is how it fails")]

#[path = "support/ages.rs"]
mod ages;
#[path = "support/pipe.rs"]
mod pipe;
#[path = "support/world.rs"]
mod world;

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use flate2::{Compression, write::GzEncoder};

fn logq(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logq"));
    command
        .args(arguments)
        .arg(folder)
        .env("TZ", "UTC")
        .env("LOGQ_CONFIG", "")
        .env_remove("COLUMNS")
        .env_remove("NO_COLOR");
    command
}

fn piped(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = logq(arguments, Path::new("-"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that refuses what it is asked may be gone.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn every_question_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let pods = world::write(folder.path());
    world::ask(world::CASES, &[], |arguments| {
        logq(arguments, &pods).output().unwrap()
    });
}

#[test]
fn the_brokers_lines_of_connections_are_related_to_a_trace() {
    let folder = tempfile::tempdir().unwrap();
    let pods = world::write_with_connections(folder.path());
    for (arguments, found) in world::RELATED {
        let output = logq(&[arguments, ["-o", "jsonl", "--utc"].as_slice()].concat(), &pods)
            .output()
            .unwrap();
        let errors = text(&output.stderr);
        let expected: Vec<&str> = found.split_whitespace().collect();
        assert_eq!(world::first_words(&output), expected, "{arguments:?}: {errors}");
        for (line, word) in text(&output.stdout).lines().zip(expected) {
            let is_found = word.starts_with('c') && word != "c5" || arguments.contains(&world::OTHER_TRACE);
            let marked = is_found && word.starts_with('c');
            assert_eq!(
                line.contains(r#""tags":["related"]"#),
                marked,
                "{arguments:?}: {line}"
            );
        }
    }
    let show = |arguments: &[&str]| text(&logq(arguments, &pods).output().unwrap().stdout);
    insta::assert_snapshot!("related_waterfall", show(&["trace", world::TRACE, "--utc"]));
    let asked = ["--trace", world::TRACE, "--with-queue", "--utc"];
    insta::assert_snapshot!("related_pretty", show(&asked));
    let logfmt = show(&[asked.as_slice(), &["-o", "logfmt", "--fields", "message,tags"]].concat());
    insta::assert_snapshot!("related_logfmt", logfmt);
    assert!(show(&[asked.as_slice(), &["--stats"]].concat()).contains("rabbitmq"));
    let explained = show(&[asked.as_slice(), &["--explain"]].concat());
    assert!(
        explained.contains("from 5 s before the first line of a trace to 5 s after"),
        "{explained}"
    );
    let json = show(&[asked.as_slice(), &["-o", "json", "--level", "warn"]].concat());
    assert!(json.contains(r#""tags":["related"]"#), "{json}");
}

#[test]
fn a_pipe_tells_nothing_of_what_is_related() {
    let line = format!(
        "{{\"level\":\"info\",\"msg\":\"m\",\"trace_id\":\"{}\"}}\n",
        world::TRACE
    );
    let refused = piped(&["--trace", world::TRACE, "--with-all"], line.as_bytes());
    assert_eq!(refused.status.code(), Some(2));
    let told = text(&refused.stderr);
    assert!(
        told.contains("--with-all beside a trace or a photo needs to read several times"),
        "{told}"
    );
    let drawn = piped(&["trace", world::TRACE], line.as_bytes());
    let told = text(&drawn.stderr);
    assert!(told.contains("standard input is read once"), "{told}");
}

#[test]
fn what_is_cut_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let pods = world::write(folder.path());
    for (arguments, told) in [
        (["--limit", "3"].as_slice(), "logq: 3 of 10 lines shown\n"),
        (&["--tail", "4", "-c", "irmgard"], ""),
        (&["--tail", "3", "-c", "irmgard"], "logq: 3 of 4 lines shown\n"),
        (
            &["-c", "postgres", "--with-db"],
            "logq: --with-db: no line of these components says what they use",
        ),
    ] {
        let output = logq(arguments, &pods).output().unwrap();
        let errors = text(&output.stderr);
        assert!(
            errors.starts_with(told) && errors.is_empty() == told.is_empty(),
            "{arguments:?}: {errors}"
        );
    }
}

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
        (&["--top", "*"], "no line that was found has a field *"),
        (
            &["trace", world::TRACE, "-c", "postgre"],
            "no line of a component postgre; did you mean postgres?",
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

#[test]
fn levels_are_completed_and_read_as_people_know_them() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logq"));
    let script = command
        .args(["completions", "bash"])
        .env("LOGQ_CONFIG", "")
        .output()
        .unwrap();
    assert!(text(&script.stdout).contains("\"error warn info debug trace\""));
    let lines = b"{\"level\":\"error\",\"msg\":\"m1\"}\n{\"level\":\"warn\",\"msg\":\"m2\"}\n";
    for (level, found) in [
        ("Warning", ["m1", "m2"].as_slice()),
        ("ERR", &["m1"]),
        ("err", &["m1"]),
    ] {
        assert_eq!(
            world::first_words(&piped(&["-o", "jsonl", "--level", level], lines)),
            found,
            "{level}"
        );
    }
}

#[test]
fn help_that_cannot_be_written_is_an_error() {
    for arguments in [["--help"].as_slice(), &["view", "trouble", "--help"]] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_logq"));
        command.args(arguments).env("LOGQ_CONFIG", "");
        let whole = command.output().unwrap();
        assert_eq!(whole.status.code(), Some(0));
        assert!(text(&whole.stdout).contains("Exit status:"));
        let output = command.stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let told = text(&output.stderr);
        assert!(told.starts_with("logq: error: output: "), "{told}");
    }
}

#[test]
fn a_command_can_stand_behind_options() {
    let folder = tempfile::tempdir().unwrap();
    let pods = world::write(folder.path());
    let show = |arguments: &[&str]| {
        let output = logq(arguments, &pods).output().unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    for (typed, meant) in [
        (
            ["--utc", "-c", "trace", "-c", "*", "trace", world::TRACE].as_slice(),
            ["trace", world::TRACE, "--utc"].as_slice(),
        ),
        (
            &["--utc", "--limit", "1", "view", "trouble", "-o", "raw"],
            &["view", "trouble", "--utc", "--limit", "1", "-o", "raw"],
        ),
    ] {
        let (code, out, errors) = show(typed);
        assert_eq!((code, &out), (Some(0), &show(meant).1), "{typed:?}: {errors}");
    }
    for (typed, told) in [
        (["doctr"].as_slice(), "did you mean `logq doctor`?"),
        (&["traces", world::TRACE], "did you mean `logq trace`?"),
        (&["truoble"], "did you mean `logq view trouble`?"),
        (&["--grep", "x", "config"], "unexpected argument '--grep' found"),
    ] {
        let (code, _, errors) = show(typed);
        assert_eq!(code, Some(2), "{typed:?}");
        assert!(errors.contains(told), "{typed:?}: {errors}");
    }
    // What is there is a file, whatever its name.
    fs::write(folder.path().join("doctor"), "a line\n").unwrap();
    let mut command = logq(&["-o", "raw", "doctor"], &pods);
    let output = command.current_dir(folder.path()).output().unwrap();
    assert!(
        text(&output.stdout).contains("a line\n"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn each_trace_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let pods = world::write_with_connections(folder.path());
    let show = |arguments: &[&str]| {
        let output = logq(&[&["trace", "--utc"], arguments].concat(), &pods)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let [one, other] = [world::TRACE, world::OTHER_TRACE].map(|trace| show(&[trace]));
    assert!(
        one.contains("c4 closing") && other.contains("c5 closing"),
        "{one}\n{other}"
    );
    let both = format!("{one}\n{other}");
    assert_eq!(show(&["--photo", "17"]), one);
    assert_eq!(show(&["--photo", "17", "--photo", "18"]), both);
    assert_eq!(
        show(&["--trace", world::OTHER_TRACE, "--trace", world::TRACE]),
        both
    );
    assert_eq!(show(&["4bf92f35"]), both);
    let lines = show(&["--photo", "17", "-o", "jsonl"]);
    assert_eq!(lines.lines().count(), 4, "{lines}");
    assert!(lines.lines().all(|line| line.starts_with('{')), "{lines}");

    let none = Command::new(env!("CARGO_BIN_EXE_logq"))
        .arg("trace")
        .env("LOGQ_CONFIG", "")
        .output()
        .unwrap();
    let told = text(&none.stderr);
    assert_eq!(none.status.code(), Some(2));
    assert!(told.contains("which trace? logq trace ID"), "{told}");
    // Nobody's trace.
    let file = folder.path().join("old.jsonl");
    fs::write(&file, "{\"@timestamp\":\"2026-11-22T10:00:00Z\",\"level\":\"info\",\"message\":\"m\",\"photo\":{\"id\":5}}\n").unwrap();
    let output = logq(&["trace", "--photo", "5"], &file).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.contains("logq --photo shows them"), "{told}");
}

#[test]
fn lines_without_a_time_are_not_drawn() {
    let trace = world::TRACE;
    let timed = format!(
        "{{\"@timestamp\":\"2026-11-22T10:00:00Z\",\"level\":\"info\",\"message\":\"m1\",\"trace_id\":\"{trace}\"}}\n"
    );
    let untimed = format!("{{\"level\":\"info\",\"msg\":\"m2\",\"trace_id\":\"{trace}\"}}\n");
    let drawn = piped(&["trace", trace], format!("{timed}{untimed}").as_bytes());
    let told = text(&drawn.stderr);
    assert!(
        told.contains("1 lines without a time are not drawn: logq --trace shows them"),
        "{told}"
    );
    let out = text(&drawn.stdout);
    assert!(out.contains("m1") && !out.contains("m2"), "{out}");
}

#[test]
fn compressed_files_are_read_as_others() {
    let folder = tempfile::tempdir().unwrap();
    let lines = b"{\"level\":\"info\",\"msg\":\"m1\"}\n{\"level\":\"warn\",\"msg\":\"m2\"}\n";
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    // Two members, as when something is appended.
    gzip.write_all(&lines[..30]).unwrap();
    let mut compressed = gzip.finish().unwrap();
    let mut gzip = GzEncoder::new(&mut compressed, Compression::fast());
    gzip.write_all(&lines[30..]).unwrap();
    gzip.finish().unwrap();
    let zstd = zstd::encode_all(lines.as_slice(), 1).unwrap();
    for (name, bytes) in [
        ("a.log.gz", compressed.as_slice()),
        ("b.log.zst", &zstd),
        ("c.log", lines),
    ] {
        let file = folder.path().join(name);
        fs::write(&file, bytes).unwrap();
        let output = logq(&["-o", "jsonl"], &file).output().unwrap();
        assert_eq!(
            world::first_words(&output),
            ["m1", "m2"],
            "{name}: {}",
            text(&output.stderr)
        );
        assert_eq!(
            world::first_words(&piped(&["-o", "jsonl"], bytes)),
            ["m1", "m2"],
            "{name}"
        );
    }
    // One that breaks off gives what it has, and says so.
    let file = folder.path().join("d.log.gz");
    fs::write(&file, &compressed[..compressed.len() - 12]).unwrap();
    let output = logq(&["-o", "jsonl"], &file).output().unwrap();
    assert_eq!(
        (
            world::first_words(&output).first().unwrap().as_str(),
            output.status.code()
        ),
        ("m1", Some(2))
    );
    assert!(
        text(&output.stderr).contains("d.log.gz"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn nothing_that_a_terminal_acts_on_is_shown() {
    let evil = "{\"level\":\"info\",\"msg\":\"a\\u001b]0;x\\u0007\\u202eb\",\"k\\u001b[2J\":\"\\u009b31m\"}\n\x1b[31mred\x1b[0m \x1b]52;c;x\x07\r\n";
    for form in ["pretty", "jsonl", "json", "logfmt"] {
        let output = piped(&["-o", form, "--fields", "*"], evil.as_bytes());
        let shown = text(&output.stdout);
        let acted_on = |c: char| c != '\n' && terminal::is_acted_on(c);
        assert!(!shown.contains(acted_on), "{form}: {shown:?}");
        assert!(shown.contains("red"), "{form}: {shown:?}");
    }
    // What is not for a terminal is what was written.
    let output = piped(&["-o", "raw"], evil.as_bytes());
    assert_eq!(text(&output.stdout), evil.replace("\r\n", "\n"));
}

#[test]
fn a_pipe_that_is_closed_ends_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("long.log");
    fs::write(&file, "a line of text\n".repeat(200_000)).unwrap();
    pipe::ends_quietly_when_closed(&mut logq(&[], &file));
}

#[test]
fn a_folder_is_searched_for_files_of_lines() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str, content: &str| {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    };
    place("a.log", "a\n");
    place("deep/b.jsonl", "b\n");
    place("deep/c.log.1", "c\n");
    place(".hidden/d.log", "d\n");
    place(".e.json", "e\n");
    place("photo.jpg", "f\n");
    let output = logq(&["-o", "jsonl"], folder.path()).output().unwrap();
    assert_eq!(
        world::first_words(&output),
        ["a", "b", "c"],
        "{}",
        text(&output.stderr)
    );

    let empty = tempfile::tempdir().unwrap();
    let output = logq(&[], empty.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("no file of log lines"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn long_lines_are_cut_and_the_rest_is_read() {
    let long = [b"x".repeat(3_000_000), b"\nshort\n".to_vec()].concat();
    let output = piped(&["-o", "jsonl", "--fields", "message,truncated"], &long);
    let shown = text(&output.stdout);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].ends_with("\"truncated\":true}") && lines[0].len() < 1_100_000,
        "{}",
        lines[0].len()
    );
    assert_eq!(lines[1], "{\"message\":\"short\"}");
}

#[test]
fn fields_do_not_tear_a_text_of_several_lines() {
    let line = |message: &str, more: &str| {
        format!(
            r#"{{"@timestamp":"2026-11-22T10:00:00Z","level":"error","component":"c","message":"{message}"{more}}}"#
        )
    };
    let trace = r#","exception":{"stacktrace":"0: a\n1: b\n"}"#;
    let lines = [
        line("one line", r#","attempt":1"#),
        line(
            r"UPDATE photo\n  SET status = $1\n WHERE id = $2",
            r#","attempt":2"#,
        ),
        line(r"no\r\nfields\n", ""),
        line("one line", &format!(r#","attempt":3{trace}"#)),
        line(r"several\nlines", &format!(r#","attempt":4{trace}"#)),
        r"Traceback (most recent call last):".to_owned(),
        r#"  File "a.py", line 1"#.to_owned(),
        "ValueError: x".to_owned(),
    ];
    let shown = piped(&["--utc"], lines.map(|line| line + "\n").concat().as_bytes());
    insta::assert_snapshot!("several_lines", text(&shown.stdout));
    let coloured = [line(r"a\nb", r#","attempt":2"#), line("end", "")].join("\n");
    let shown = piped(&["--utc", "--color", "always"], coloured.as_bytes());
    insta::assert_snapshot!(
        "several_lines_colours",
        text(&shown.stdout).replace('\u{1b}', "␛")
    );
}

#[test]
fn numbers_are_told_to_people_and_to_programs() {
    let folder = tempfile::tempdir().unwrap();
    let pods = world::write(folder.path());
    let show = |arguments: &[&str], zone: &str| {
        let output = logq(arguments, &pods).env("TZ", zone).output().unwrap();
        ages::without(&text(&output.stdout))
    };
    insta::assert_snapshot!("stats", show(&["--stats"], "UTC"));
    // A component that is named has its row, one that a pattern could mean has none.
    let named = ["--stats", "-c", "irmgard", "-c", "nobody", "-c", "no*"];
    insta::assert_snapshot!("stats_named", show(&named, "Europe/Berlin"));
    assert_eq!(
        show(&[named.as_slice(), &["--utc"]].concat(), "Europe/Berlin"),
        show(&named, "UTC")
    );
    for form in ["json", "jsonl"] {
        for (summary, arguments) in [
            ("stats", ["--stats", "-c", "irmgard", "-c", "nobody"].as_slice()),
            ("histogram", &["--histogram", "-c", "irmgard"]),
            ("top", &["--top", "photo.id"]),
        ] {
            let told = show(&[arguments, &["-o", form]].concat(), "Europe/Berlin");
            insta::assert_snapshot!(format!("{summary}_{form}"), told);
            let lines: Vec<&str> = told.lines().collect();
            assert_eq!(lines.len() == 1, form == "json", "{told}");
        }
    }
    // None at all are still JSON.
    for summary in ["--stats", "--histogram"] {
        let none = logq(&[summary, "-n", "elsewhere", "-o", "json"], &pods)
            .output()
            .unwrap();
        assert_eq!(
            (text(&none.stdout).as_str(), none.status.code()),
            ("[]\n", Some(1)),
            "{summary}"
        );
    }
}

#[test]
fn a_histogram_says_where_there_is_nothing() {
    let line =
        |time: &str, level: &str| format!(r#"{{"@timestamp":"{time}","level":"{level}","message":"m"}}"#);
    let lines = [
        line("1970-01-01T00:00:00Z", "info"),
        line("2026-11-22T10:00:00Z", "warn"),
        line("2026-11-24T10:00:00Z", "info"),
        "without a time".to_owned(),
    ];
    let shown = piped(&["--histogram", "--utc"], lines.join("\n").as_bytes());
    insta::assert_snapshot!("histogram_gap", text(&shown.stdout));
}

#[test]
fn people_see_this() {
    let folder = tempfile::tempdir().unwrap();
    let pods = world::write(folder.path());
    let show = |arguments: &[&str]| text(&logq(arguments, &pods).output().unwrap().stdout);
    insta::assert_snapshot!("pretty", show(&["-c", "irmgard", "--with-db"]));
    insta::assert_snapshot!(
        "colours",
        show(&["--level", "warn", "--color", "always", "-C", "1"]).replace('\u{1b}', "␛")
    );
    insta::assert_snapshot!(
        "logfmt",
        show(&["-o", "logfmt", "--photo", "17", "--hide", "kubernetes,event"])
    );
    insta::assert_snapshot!(
        "fields",
        show(&["--fields", "photo.*,kubernetes.pod", "--photo", "18"])
    );
    insta::assert_snapshot!(
        "json",
        show(&["-o", "json", "--fields", "message,level", "--limit", "2"])
    );
    insta::assert_snapshot!("histogram", show(&["--histogram"]));
    let explained = show(&["-c", "irmgard", "--with-db", "--level", "warn", "--explain"]);
    let folder = pods.display().to_string();
    insta::assert_snapshot!("explain", explained.replace(&folder, "FOLDER"));
    let several = [
        "--photo",
        "17",
        "--photo",
        "18",
        "--trace",
        "4bf92f35,4bf92f36",
        "--explain",
    ];
    let several = show(&several);
    assert!(
        several.contains("(trace_id=4bf92f35* or trace_id=4bf92f36*) and (photo.id=17 or photo.id=18)"),
        "{several}"
    );
    insta::assert_snapshot!("trace", show(&["trace", "4bf92f35"]));
    insta::assert_snapshot!("view", show(&["view", "trouble", "--utc"]));
    insta::assert_snapshot!("top", show(&["--top", "photo.id"]));
}

#[test]
fn what_can_be_read_is_shown_where_something_cannot() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.log"), "readable\n").unwrap();
    fs::write(folder.path().join("pods.json"), "{").unwrap();
    for arguments in [[].as_slice(), &["--stats"], &["-o", "json"]] {
        let output = logq(arguments, folder.path()).output().unwrap();
        let (shown, errors) = (text(&output.stdout), text(&output.stderr));
        assert!(errors.contains("pods.json: "), "{errors}");
        assert!(shown.contains("readable") || arguments == ["--stats"], "{shown}");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    let strange = r#"{"items":[{"metadata":{"name":"x"}},5]}"#;
    fs::write(folder.path().join("pods.json"), strange).unwrap();
    let output = logq(&[], folder.path()).output().unwrap();
    let errors = text(&output.stderr);
    assert_eq!(
        errors.matches("pods.json: 2 of its items have no name").count(),
        1,
        "{errors}"
    );
    assert!(text(&output.stdout).contains("readable"));
    let link = folder.path().join("link.log");
    std::os::unix::fs::symlink("gone.log", &link).unwrap();
    let output = logq(&[], &link).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("link.log: "));
}
