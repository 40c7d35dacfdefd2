//! Queries on files, and their diagnostics.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{logq, piped, text, world};

#[test]
fn all_cases_return_the_expected_lines() {
    let folder = tempfile::tempdir().unwrap();
    let pods = world::write(folder.path());
    world::check_cases(world::CASES, &[], |arguments| {
        logq(arguments, &pods).output().unwrap()
    });
    world::check_context(&[], |arguments| logq(arguments, &pods).output().unwrap());
}

#[test]
fn dependencies_of_a_silent_component_come_from_the_pod_list() {
    let folder = tempfile::tempdir().unwrap();
    let pods = world::write(folder.path());
    for entry in fs::read_dir(&pods).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains("irmgard-") {
            fs::remove_dir_all(path).unwrap();
        }
    }
    let output = logq(&["-c", "irmgard", "--with-db", "-o", "jsonl"], &pods)
        .output()
        .unwrap();
    assert_eq!(
        world::first_words(&output),
        ["d1", "d2"],
        "{}",
        text(&output.stderr)
    );
}

/// The path of a test input.
fn input(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/files/input")
        .join(name)
}

#[test]
fn context_lines_equal_those_of_grep() {
    for (file, options, shown) in [
        ("a.jsonl", "--limit 1 -A 3", "two three four five"),
        ("a.jsonl", "--tail 1 -A 2", "five six seven"),
        ("a.jsonl", "--tail 1 -B 3", "two three four five"),
        ("a.jsonl", "--reverse -C 1", "six five four three two one"),
        ("gap.jsonl", "-C 1", "one two three -- four five six"),
        ("gap.jsonl", "--limit 1 -A 2", "two three four"),
        ("gap.jsonl", "--reverse -C 1", "six five four -- three two one"),
        ("gap.jsonl", "--reverse --limit 1 -A 1", "six five"),
        ("gap.jsonl", "-C 1 -A 0", "one two -- four five"),
    ] {
        let arguments: Vec<&str> = options
            .split(' ')
            .chain(["-f", "level = error", "--utc"])
            .collect();
        let output = logq(&arguments, &input(file)).output().unwrap();
        let message = text(&output.stderr);
        assert_eq!(
            world::pretty_words(&output).join(" "),
            shown,
            "{file}, {options}: {message}"
        );
    }
}

/// In this zone, 2026-10-25 02:30 occurs twice and 2026-03-29 02:30 never.
#[test]
fn ambiguous_and_skipped_local_times_are_resolved() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dst.jsonl");
    let more = "{\"@timestamp\":\"2026-03-29T00:59:59Z\",\"message\":\"01:59 CET\"}\n\
                {\"@timestamp\":\"2026-03-29T01:10:00Z\",\"message\":\"03:10 CEST\"}\n";
    let lines = fs::read_to_string(input("dst.jsonl")).unwrap();
    fs::write(&file, format!("{lines}{more}")).unwrap();
    let october = ["02:30 CEST first", "02:30 CET second", "03:30 CET"];
    let is_there = |zone: &&str| zone.contains(',') || Path::new("/usr/share/zoneinfo").join(zone).exists();
    for zone in ["CET-1CEST,M3.5.0,M10.5.0/3", "Europe/Berlin"]
        .into_iter()
        .filter(is_there)
    {
        for (options, shown) in [
            (["--since", "2026-10-25 02:30"].as_slice(), october.as_slice()),
            (
                &["--since", "2026-10-25 02:30", "--until", "2026-10-25 02:30"],
                &october[..2],
            ),
            (
                &["--since", "2026-10-25", "--until", "2026-10-25 02:30"],
                &october[..2],
            ),
            (&["--since", "2026-10-25 02:31"], &october[1..]),
            (
                &["--since", "2026-10-25", "--until", "2026-10-25 02:29"],
                &october[..1],
            ),
            (&["--around", "2026-10-25 02:30", "--since", "1s"], &october[..2]),
            (&["-f", "@timestamp >= 2026-10-25 02:30"], &october),
            (
                &["-f", "@timestamp<=2026-10-25 02:30", "--since", "2026-10-25"],
                &october[..2],
            ),
            (&["--since", "2026-10-25 02:30+01:00"], &october[1..]),
            (&["--since", "2026-10-25T02:30:00+0100"], &october[1..]),
            (&["--since", "2026-10-25 02:30:00 +02"], &october),
            (
                &["--since", "2026-10-25 01:00 UTC", "--until", "2026-10-25T01:30Z"],
                &october[1..2],
            ),
            (
                &["--since", "2026-03-29 02:30", "--until", "2026-03-30"],
                &["03:30 CEST", "03:10 CEST"],
            ),
            (
                &["--since", "2026-03-29", "--until", "2026-03-29 02:30"],
                &["01:30 CET", "01:59 CET"],
            ),
        ] {
            let options = [options, &["-o", "jsonl", "--fields", "message"]].concat();
            let output = logq(&options, &file).env("TZ", zone).output().unwrap();
            let expected: String = shown
                .iter()
                .map(|message| format!("{{\"message\":\"{message}\"}}\n"))
                .collect();
            let message = text(&output.stderr);
            assert_eq!(text(&output.stdout), expected, "{zone}, {options:?}: {message}");
        }
    }
}

#[test]
fn broker_lines_in_the_time_of_a_trace_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let pods = world::write_with_connections(folder.path());
    world::check_cases(world::BROKER_CASES, &[], |arguments| {
        logq(arguments, &pods).output().unwrap()
    });
    let show = |arguments: &[&str]| text(&logq(arguments, &pods).output().unwrap().stdout);
    let waterfall = ["trace", world::TRACE, "--with-queue", "--utc"];
    insta::assert_snapshot!("broker_waterfall", show(&waterfall));
    assert!(!show(&["trace", world::TRACE, "--utc"]).contains("rabbitmq"));
    let arguments = ["--trace", world::TRACE, "--with-queue", "--utc"];
    let message = text(&logq(&arguments, &pods).output().unwrap().stderr);
    assert!(
        message
            .contains("--with-queue shows all lines of the broker from 5 s before a trace to 5 s after it"),
        "{message}"
    );
    assert!(show(&[arguments.as_slice(), &["--stats"]].concat()).contains("rabbitmq"));
    let explained = show(&[arguments.as_slice(), &["--explain"]].concat());
    assert!(
        explained.contains("from 5 s before the first line of a trace to 5 s after"),
        "{explained}"
    );
}

#[test]
fn pipe_has_no_broker_lines_beside_a_trace() {
    let line = format!(
        "{{\"level\":\"info\",\"msg\":\"m\",\"trace_id\":\"{}\"}}\n",
        world::TRACE
    );
    let refused = piped(&["--trace", world::TRACE, "--with-all"], line.as_bytes());
    assert_eq!(refused.status.code(), Some(2));
    let message = text(&refused.stderr);
    assert!(
        message.contains("--with-all with a trace or a photo needs several passes over the lines"),
        "{message}"
    );
}

#[test]
fn truncation_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let pods = world::write(folder.path());
    for (arguments, message) in [
        (["--limit", "3"].as_slice(), "logq: 3 of 10 lines shown\n"),
        (&["--tail", "4", "-c", "irmgard"], ""),
        (&["--tail", "3", "-c", "irmgard"], "logq: 3 of 4 lines shown\n"),
        (
            &["-c", "postgres", "--with-db"],
            "logq: --with-db: the dependencies of these components are unknown",
        ),
    ] {
        let output = logq(arguments, &pods).output().unwrap();
        let errors = text(&output.stderr);
        assert!(
            errors.starts_with(message) && errors.is_empty() == message.is_empty(),
            "{arguments:?}: {errors}"
        );
    }
}

#[test]
fn levels_have_completions_and_aliases() {
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
fn each_command_has_a_man_page() {
    let folder = tempfile::tempdir().unwrap();
    let run = |folder: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_logq"));
        command
            .arg("man")
            .arg(folder)
            .env("LOGQ_CONFIG", "")
            .output()
            .unwrap()
    };
    let output = run(folder.path());
    assert!(output.status.success(), "{output:?}");
    for (page, content) in [
        ("logq.1", r"\-\-with\-db"),
        ("logq-trace.1", "Show a trace as a waterfall"),
        ("logq-admin-retain.1", "logq-admin-retain"),
    ] {
        let text = fs::read_to_string(folder.path().join(page)).unwrap();
        assert!(text.contains(content), "{page}: {text}");
    }
    assert!(!folder.path().join("logq-man.1").exists());

    let output = run(Path::new("/nonexistent"));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn unwritable_help_is_an_error() {
    for arguments in [["--help"].as_slice(), &["view", "trouble", "--help"]] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_logq"));
        command.args(arguments).env("LOGQ_CONFIG", "");
        let whole = command.output().unwrap();
        assert_eq!(whole.status.code(), Some(0));
        assert!(text(&whole.stdout).contains("Exit status:"));
        let output = command.stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let message = text(&output.stderr);
        assert!(message.starts_with("logq: error: output: "), "{message}");
    }
}

#[test]
fn command_may_follow_options() {
    let folder = tempfile::tempdir().unwrap();
    let pods = world::write(folder.path());
    let show = |arguments: &[&str]| {
        let output = logq(arguments, &pods).output().unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    for (typed, suggestion) in [
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
        assert_eq!(
            (code, &out),
            (Some(0), &show(suggestion).1),
            "{typed:?}: {errors}"
        );
    }
    for (typed, message) in [
        (["doctr"].as_slice(), "did you mean `logq doctor`?"),
        (&["traces", world::TRACE], "did you mean `logq trace`?"),
        (&["truoble"], "did you mean `logq view trouble`?"),
        (&["--grep", "x", "config"], "unexpected argument '--grep' found"),
    ] {
        let (code, _, errors) = show(typed);
        assert_eq!(code, Some(2), "{typed:?}");
        assert!(errors.contains(message), "{typed:?}: {errors}");
    }
    // An existing file is a file, even with the name of a command.
    fs::write(folder.path().join("doctor"), "a line\n").unwrap();
    let mut command = logq(&["-o", "raw", "doctor"], &pods);
    let output = command.current_dir(folder.path()).output().unwrap();
    assert!(
        text(&output.stdout).contains("a line\n"),
        "{}",
        text(&output.stderr)
    );
}

/// Two folders, each with its own pod list.
#[test]
fn each_folder_has_its_own_pod_list() {
    let folders = ["irmgard", "postgres"].map(|name| {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join(format!("photos_{name}-0_uid/main"));
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("0.log"), "2026-11-22T10:00:00Z stdout F hello\n").unwrap();
        let pod = serde_json::json!({
            "metadata": { "namespace": "photos", "name": format!("{name}-0"), "labels": { "app.kubernetes.io/name": name } },
        });
        let list = serde_json::json!({ "items": [pod] });
        fs::write(folder.path().join("pods.json"), list.to_string()).unwrap();
        folder
    });
    let [irmgard, postgres] = &folders;
    for (first, second) in [(irmgard, postgres), (postgres, irmgard)] {
        let output = logq(&["-o", "jsonl", "--fields", "component"], first.path())
            .arg(second.path())
            .output()
            .unwrap();
        let shown = text(&output.stdout);
        let mut components: Vec<&str> = shown.lines().collect();
        components.sort_unstable();
        assert_eq!(
            components,
            [r#"{"component":"irmgard"}"#, r#"{"component":"postgres"}"#],
            "{}",
            text(&output.stderr)
        );
    }
}
