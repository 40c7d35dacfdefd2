//! Input formats and output.

use std::{fs, io::Write, process::Command};

use flate2::{Compression, write::GzEncoder};

use super::{logq, pipe, piped, text, world};

#[test]
fn each_trace_has_a_waterfall() {
    let folder = tempfile::tempdir().unwrap();
    let pods = world::write_with_connections(folder.path());
    let show = |arguments: &[&str]| {
        let output = logq(&[&["trace", "--utc", "--with-queue"], arguments].concat(), &pods)
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
    assert_eq!(lines.lines().count(), 9, "{lines}");
    assert!(lines.lines().all(|line| line.starts_with('{')), "{lines}");

    let none = Command::new(env!("CARGO_BIN_EXE_logq"))
        .arg("trace")
        .env("LOGQ_CONFIG", "")
        .output()
        .unwrap();
    let expected = text(&none.stderr);
    assert_eq!(none.status.code(), Some(2));
    assert!(
        expected.contains("no trace given: use `logq trace ID`"),
        "{expected}"
    );
    // A trace without any line.
    let file = folder.path().join("old.jsonl");
    fs::write(&file, "{\"@timestamp\":\"2026-11-22T10:00:00Z\",\"level\":\"info\",\"message\":\"m\",\"photo\":{\"id\":5}}\n").unwrap();
    let output = logq(&["trace", "--photo", "5"], &file).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let expected = text(&output.stderr);
    assert!(expected.contains("`logq --photo ID` shows them"), "{expected}");
}

#[test]
fn lines_without_a_time_are_not_in_the_waterfall() {
    let trace = world::TRACE;
    let timed = format!(
        "{{\"@timestamp\":\"2026-11-22T10:00:00Z\",\"level\":\"info\",\"message\":\"m1\",\"trace_id\":\"{trace}\"}}\n"
    );
    let untimed = format!("{{\"level\":\"info\",\"msg\":\"m2\",\"trace_id\":\"{trace}\"}}\n");
    let drawn = piped(&["trace", trace], format!("{timed}{untimed}").as_bytes());
    let expected = text(&drawn.stderr);
    assert!(
        expected.contains("1 lines without a time are not in the waterfall; `logq --trace ID` shows them"),
        "{expected}"
    );
    let out = text(&drawn.stdout);
    assert!(out.contains("m1") && !out.contains("m2"), "{out}");
}

#[test]
fn hidden_fields_are_not_shown() {
    let line = format!(
        "{{\"@timestamp\":\"2026-11-22T10:00:00Z\",\"level\":\"warn\",\"message\":\"m1\\nm2\",\"component\":\"c\",\
         \"photo\":{{\"id\":17}},\"trace_id\":\"{}\",\"exception\":{{\"stacktrace\":\"at x\"}}}}\n",
        world::TRACE
    );
    let traced = format!("WARN  c          trace_id={}\n", world::TRACE);
    for (hidden, shown) in [
        (
            "trace_id",
            "2026-11-22 10:00:00.000 WARN  c          m1\n    │ m2\n      photo.id=17\n    │ at x\n",
        ),
        (
            "trace_id,message",
            "2026-11-22 10:00:00.000 WARN  c          photo.id=17\n    │ at x\n",
        ),
        (
            "mess*,trace*,exception",
            "2026-11-22 10:00:00.000 WARN  c          photo.id=17\n",
        ),
        ("@timestamp,message,exception,photo", traced.as_str()),
        (
            "level,trace_id,exception,message",
            "2026-11-22 10:00:00.000 c          photo.id=17\n",
        ),
        (
            "component,trace_id,exception,message",
            "2026-11-22 10:00:00.000 WARN  photo.id=17\n",
        ),
        (
            "@timestamp,level,component,photo,trace_id,exception",
            "m1\n    │ m2\n",
        ),
    ] {
        for more in [[].as_slice(), &["--tail", "1"], &["--reverse"]] {
            let arguments = [&["--utc", "--hide", hidden], more].concat();
            let output = piped(&arguments, line.as_bytes());
            assert_eq!(text(&output.stdout), shown, "{arguments:?}");
            assert_eq!(text(&output.stderr), "", "{arguments:?}");
        }
    }
}

#[test]
fn blank_line_of_a_text_is_kept() {
    let lines = "first\n\n \t\nlast\n\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text.log");
    fs::write(&file, lines).unwrap();
    for arguments in [
        ["-o", "raw"].as_slice(),
        &["-o", "raw", "--tail", "9"],
        &["-o", "raw", "-g", "first", "-A", "9"],
    ] {
        let output = logq(arguments, &file).output().unwrap();
        assert_eq!(text(&output.stdout), lines, "{arguments:?}");
        let output = piped(arguments, lines.as_bytes());
        assert_eq!(text(&output.stdout), lines, "{arguments:?}");
    }
    // This line is part of the stack trace.
    let panic = "before\npanic: boom\n\ngoroutine 1 [running]:\nmain.main()\n\tmain.go:3 +0x1\n\nafter\n";
    assert_eq!(text(&piped(&["-o", "raw"], panic.as_bytes()).stdout), panic);
    let counted = text(&piped(&["--stats", "-o", "json"], panic.as_bytes()).stdout);
    assert!(counted.contains("\"lines\":3"), "{counted}");
}

#[test]
fn compressed_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let lines = b"{\"level\":\"info\",\"msg\":\"m1\"}\n{\"level\":\"warn\",\"msg\":\"m2\"}\n";
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    // Two gzip members, as after appending.
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
    // A truncated file yields its readable part and an error.
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
fn control_characters_are_escaped() {
    let evil = "{\"level\":\"info\",\"msg\":\"a\\u001b]0;x\\u0007\\u202eb\",\"k\\u001b[2J\":\"\\u009b31m\"}\n\x1b[31mred\x1b[0m \x1b]52;c;x\x07\r\n";
    for form in ["pretty", "jsonl", "json", "logfmt"] {
        let output = piped(&["-o", form, "--fields", "*"], evil.as_bytes());
        let shown = text(&output.stdout);
        let acted_on = |c: char| c != '\n' && terminal::is_acted_on(c);
        assert!(!shown.contains(acted_on), "{form}: {shown:?}");
        assert!(shown.contains("red"), "{form}: {shown:?}");
    }
    // Raw output to a pipe is unchanged.
    let output = piped(&["-o", "raw"], evil.as_bytes());
    assert_eq!(text(&output.stdout), evil.replace("\r\n", "\n"));
}

#[test]
fn closed_pipe_ends_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("long.log");
    fs::write(&file, "a line of text\n".repeat(200_000)).unwrap();
    pipe::ends_quietly_when_closed(&mut logq(&[], &file));
}

#[test]
fn folder_is_searched_for_log_files() {
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
fn long_lines_are_cut() {
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
fn fields_follow_a_multiline_text() {
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
fn summaries_have_text_and_json_forms() {
    let folder = tempfile::tempdir().unwrap();
    let pods = world::write(folder.path());
    let show = |arguments: &[&str], zone: &str| {
        let output = logq(arguments, &pods).env("TZ", zone).output().unwrap();
        world::without_ages(&text(&output.stdout))
    };
    insta::assert_snapshot!("stats", show(&["--stats"], "UTC"));
    // A named component has a row even without lines; a pattern has none.
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
            let expected = show(&[arguments, &["-o", form]].concat(), "Europe/Berlin");
            insta::assert_snapshot!(format!("{summary}_{form}"), expected);
            let lines: Vec<&str> = expected.lines().collect();
            assert_eq!(lines.len() == 1, form == "json", "{expected}");
        }
    }
    // An empty result is still valid JSON.
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
fn histogram_marks_gaps() {
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
fn pretty_output_with_colors() {
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
fn unreadable_files_do_not_hide_others() {
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
    let unusual = r#"{"items":[{"metadata":{"name":"x"}},5]}"#;
    fs::write(folder.path().join("pods.json"), unusual).unwrap();
    let output = logq(&[], folder.path()).output().unwrap();
    let errors = text(&output.stderr);
    assert_eq!(
        errors
            .matches("pods.json: skipped 2 items without a name")
            .count(),
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
