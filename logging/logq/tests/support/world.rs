//! Test data for all sources: a few pods with their lines.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use serde_json::{Value, json};

/// A pod: name, component, node, more labels.
type PodFixture = (
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

const PODS: [PodFixture; 6] = [
    (
        "irmgard-a",
        "irmgard",
        "node-1",
        &[
            ("irmgard.dev/uses-database", "postgres"),
            ("irmgard.dev/uses-queue", "rabbitmq"),
            ("irmgard.dev/uses-store", "object-store"),
            ("tier", "web"),
        ],
    ),
    (
        "irmgard-b",
        "irmgard",
        "node-2",
        &[("irmgard.dev/uses-database", "postgres"), ("tier", "web")],
    ),
    (
        "anonymizer-a",
        "anonymizer",
        "node-2",
        &[("irmgard.dev/uses-queue", "rabbitmq"), ("tier", "work")],
    ),
    ("postgres-0", "postgres", "node-1", &[("tier", "data")]),
    ("rabbitmq-0", "rabbitmq", "node-2", &[("tier", "data")]),
    ("object-store-0", "object-store", "node-1", &[("tier", "data")]),
];

/// The trace of the upload of photo 17, and another trace.
pub const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
pub const OTHER_TRACE: &str = "4bf92f3599999999a3ce929d0e0e4736";

/// All lines by pod in time order: seconds after 10:00, and the text.
fn lines() -> Vec<(&'static str, u32, String)> {
    let ours = |second: u32, component: &str, level: &str, message: &str, more: Value| {
        let mut line = json!({
            "@timestamp": format!("2026-11-22T10:00:{second:02}.000001Z"),
            "level": level, "message": message, "component": component,
        });
        if let (Some(line), Value::Object(more)) = (line.as_object_mut(), more) {
            line.extend(more);
        }
        line.to_string()
    };
    let postgres = |second: u32, severity: &str, message: &str, trace: &str| {
        json!({
            "timestamp": format!("2026-11-22 10:00:{second:02}.000 UTC"), "error_severity": severity,
            "message": message, "application_name": format!("irmgard {trace}"), "pid": 7,
        })
        .to_string()
    };
    vec![
        ("rabbitmq-0", 1, r#"{"time":"2026-11-22 10:00:01.000000+00:00","level":"notice","msg":"q1 ready","pid":"<0.1.0>","domain":"rabbitmq"}"#.to_owned()),
        ("irmgard-a", 2, ours(2, "irmgard", "info", "i1 stored original", json!({"photo": {"id": 17}, "trace_id": TRACE, "duration_seconds": 0.25}))),
        ("postgres-0", 3, postgres(3, "LOG", "d1 duration: 12.5 ms  statement: COMMIT", TRACE)),
        ("irmgard-a", 4, ours(4, "irmgard", "info", "i2 request", json!({"trace_id": TRACE, "http": {"response": {"status_code": 202}}, "duration_seconds": 0.5}))),
        ("anonymizer-a", 5, ours(5, "anonymizer", "info", "a1 photo anonymized", json!({"photo": {"id": 17}, "trace_id": TRACE, "outcome": "anonymized"}))),
        ("irmgard-b", 6, ours(6, "irmgard", "warn", "i3 slow request timed out", json!({"photo": {"id": 18}, "trace_id": OTHER_TRACE, "duration_seconds": 7.0}))),
        ("postgres-0", 7, postgres(7, "ERROR", "d2 canceling statement due to timeout", OTHER_TRACE)),
        ("object-store-0", 8, "s1 plain text of the store".to_owned()),
        ("anonymizer-a", 9, ours(9, "anonymizer", "error", "a2 photo failed", json!({"photo": {"id": 18}, "trace_id": OTHER_TRACE, "failure": {"reason": "corrupt-image"}, "error": {"message": "timed out"}}))),
        ("irmgard-b", 10, ours(10, "irmgard", "debug", "i4 detail", json!({}))),
    ]
}

/// Arguments, and the first words of the expected lines in order.
pub const CASES: &[(&[&str], &str)] = &[
    (&[], "q1 i1 d1 i2 a1 i3 d2 s1 a2 i4"),
    (&["-c", "irmgard"], "i1 i2 i3 i4"),
    (&["-c", "irmgard", "-c", "anonymizer"], "i1 i2 a1 i3 a2 i4"),
    (&["-c", "irmgard, anonymizer"], "i1 i2 a1 i3 a2 i4"),
    (&["-c", "*r*", "--level", "info"], "q1 i1 d1 i2 a1 i3 d2 a2"),
    (&["-c", "irmgard", "--with-db"], "i1 d1 i2 i3 d2 i4"),
    (&["-c", "irmgard", "--with-queue"], "q1 i1 i2 i3 i4"),
    (
        &["-c", "irmgard", "--with-store", "--with-db"],
        "i1 d1 i2 i3 d2 s1 i4",
    ),
    (&["-c", "irmgard", "--with-all"], "q1 i1 d1 i2 i3 d2 s1 i4"),
    (&["-c", "anonymizer", "--with-all"], "q1 a1 a2"),
    (&["-n", "photos", "--pod", "irmgard-?"], "i1 i2 i3 i4"),
    (&["-n", "elsewhere"], ""),
    (&["--pod", "irmgard-b"], "i3 i4"),
    (&["--container", "postgres"], "d1 d2"),
    (&["--node", "node-2"], "q1 a1 i3 a2 i4"),
    (&["-l", "tier=data"], "q1 d1 d2 s1"),
    (
        &["-l", "tier in (web,work),app.kubernetes.io/name!=anonymizer"],
        "i1 i2 i3 i4",
    ),
    (&["-l", "!irmgard.dev/uses-queue,tier"], "q1 d1 i3 d2 s1 i4"),
    (&["--level", "warn"], "i3 d2 a2"),
    (&["--level", "DEBUG"], "q1 i1 d1 i2 a1 i3 d2 a2 i4"),
    (&["--grep", "time(d out|out)"], "i3 d2 a2"),
    (&["--grep", "photo", "--exclude", "failed"], "a1"),
    (&["--grep", "^s1 .*store$"], "s1"),
    (&["-f", "photo.id=17"], "i1 a1"),
    (&["-f", "photo.id exists", "-f", "photo.id!=17"], "i3 a2"),
    (&["-f", "duration_seconds>=0.5"], "i2 i3"),
    (&["-f", "duration_seconds<500ms"], "i1"),
    (&["-f", "failure.reason~=^corrupt"], "a2"),
    (&["-f", "message~=^d"], "d1 d2"),
    (&["-f", "trace_id not exists"], "q1 s1 i4"),
    (&["-f", "nothing.of.this=1"], ""),
    (&["-f", "  photo.id  =  17  "], "i1 a1"),
    (&["-f", "photo.id == 17"], "i1 a1"),
    (&["-f", "level != info"], "i3 d2 s1 a2 i4"),
    (&["-f", "photo.id exists", "-f", "photo.id != 17 "], "i3 a2"),
    (&["-f", "outcome = \"anonymized\""], "a1"),
    (&["-f", "outcome = ' anonymized'"], ""),
    (&["-f", "duration_seconds >= 0.5"], "i2 i3"),
    (&["-f", "duration_seconds < 500ms"], "i1"),
    (&["-f", "failure.reason ~= ^corrupt"], "a2"),
    (&["-f", "message !~= ^[diqs]"], "a1 a2"),
    (&["-f", "level~=^(warn|error)$"], "i3 d2 a2"),
    (&["-f", "\ttrace_id  not  exists "], "q1 s1 i4"),
    (&["-f", "@timestamp > 2026-11-22T12:00:08.5+0200"], "a2 i4"),
    (&["-f", "@timestamp>2026-11-22T10:00:08.5Z"], "a2 i4"),
    (
        &["-f", "@timestamp>2026-11-22 10:00:08.5", "-f", "@timestamp<now"],
        "a2 i4",
    ),
    // No line in this time range has irmgard's dependency labels.
    (
        &[
            "-c",
            "irmgard",
            "--with-db",
            "--since",
            "2026-11-22T10:00:07Z",
            "--until",
            "2026-11-22T10:00:08Z",
        ],
        "d2",
    ),
    (
        &[
            "-c",
            "irmgard",
            "--with-all",
            "--until",
            "2026-11-22T12:00:01.5+02:00",
        ],
        "q1",
    ),
    (&["--photo", "17"], "i1 d1 i2 a1"),
    (&["--photo", " 17"], "i1 d1 i2 a1"),
    (&["--photo", "17", "-c", "irmgard"], "i1 i2"),
    (&["--photo", "18", "--level", "error"], "d2 a2"),
    (
        &["--photo", "17", "--photo", "18", "--level", "info"],
        "i1 d1 i2 a1 i3 d2 a2",
    ),
    (&["--photo", "18,19", "-c", "irmgard"], "i3"),
    (&["--trace", TRACE], "i1 d1 i2 a1"),
    (
        &["--trace", TRACE, "--trace", "4BF92F3599", "--pod", "*-a"],
        "i1 i2 a1 a2",
    ),
    (
        &["--trace", "4BF92F35", "-c", "irmgard", "--with-db"],
        "i1 d1 i2 i3 d2",
    ),
    (
        &[
            "--since",
            "2026-11-22T10:00:05Z",
            "--until",
            "2026-11-22 10:00:07",
        ],
        "a1 i3 d2",
    ),
    (
        &["--around", "2026-11-22 10:00:04", "--since", "2s"],
        "i1 d1 i2 a1",
    ),
    (&["--limit", "3"], "q1 i1 d1"),
    (&["--tail", "2"], "a2 i4"),
    (&["--reverse", "-c", "postgres"], "d2 d1"),
    (&["--reverse", "--limit", "2"], "i4 a2"),
    (&["--reverse", "--tail", "2", "-c", "irmgard"], "i4 i3"),
    (&["--grep", "d2", "-C", "1"], "i3 d2 s1"),
    (
        &["--grep", "d[12]", "-A", "1", "-c", "postgres", "-c", "irmgard"],
        "d1 i2 d2 i4",
    ),
];

/// Compares context options, limits and their combinations with a simple implementation, including the separators of
/// gaps.
pub fn check_context(more: &[&str], logq: impl Fn(&[&str]) -> Output) {
    const WORDS: [&str; 10] = ["q1", "i1", "d1", "i2", "a1", "i3", "d2", "s1", "a2", "i4"];
    let found = |line: &usize| ["i1", "d2", "a2"].contains(&WORDS[*line]);
    let parts = [
        None,
        Some(("--limit", 1)),
        Some(("--limit", 2)),
        Some(("--tail", 1)),
        Some(("--tail", 2)),
    ];
    for ((part, is_reverse), (before, after)) in parts
        .into_iter()
        .flat_map(|part| [(part, false), (part, true)])
        .flat_map(|part| [(0, 0), (0, 3), (1, 1), (4, 0), (1, 2)].map(|around| (part, around)))
    {
        let matches: Vec<usize> = (0..WORDS.len()).filter(found).collect();
        let most = part.map_or(matches.len(), |(_, most)| most);
        let is_last = is_reverse || part.is_some_and(|(option, _)| option == "--tail");
        let selected = if is_last {
            &matches[matches.len() - most..]
        } else {
            &matches[..most]
        };
        let is_around = |line: usize, one: usize| one <= line + before && line <= one + after;
        let mut shown: Vec<usize> = (0..WORDS.len())
            .filter(|line| selected.iter().any(|one| is_around(*line, *one)))
            .collect();
        if is_reverse {
            shown.reverse();
        }
        let mut expected = Vec::new();
        for (at, line) in shown.iter().enumerate() {
            let is_gap = at > 0 && shown[at - 1].abs_diff(*line) > 1;
            expected.extend((is_gap && before + after > 0).then_some("--"));
            expected.push(WORDS[*line]);
        }
        let mut arguments = vec!["--grep", "^(i1|d2|a2)", "--utc"];
        let [before, after, most] = [before, after, most].map(|number| number.to_string());
        arguments.extend(["-B", &before, "-A", &after]);
        arguments.extend(is_reverse.then_some("--reverse"));
        arguments.extend(part.iter().flat_map(|(option, _)| [option, most.as_str()]));
        arguments.extend(more);
        let output = logq(&arguments);
        assert_eq!(
            pretty_words(&output),
            expected,
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// The first word of each message in pretty output, and `--` for a gap.
pub fn pretty_words(output: &Output) -> Vec<String> {
    let lines = String::from_utf8(output.stdout.clone()).unwrap();
    let word = |line: &str| line.split_whitespace().nth(4).unwrap_or(line).to_owned();
    lines.lines().map(word).collect()
}

/// RabbitMQ's lines about connections, for a separate data set: time and message.
const CONNECTIONS: [(&str, &str, &str); 8] = [
    (
        "08:00:00.0",
        "info",
        "c1 connection <0.11.0> (10.0.0.1:1001 -> 10.0.0.9:5672) has a client-provided name: irmgard irmgard-a relay",
    ),
    (
        "08:00:01.0",
        "info",
        "c2 connection <0.12.0> (10.0.0.2:1002 -> 10.0.0.9:5672) has a client-provided name: irmgard irmgard-b relay",
    ),
    (
        "09:59:58.0",
        "info",
        "c3 connection <0.13.0> (10.0.0.3:1003 -> 10.0.0.9:5672) has a client-provided name: anonymizer anonymizer-a worker",
    ),
    ("10:00:01.0", "notice", "q1 ready"),
    (
        "10:00:03.5",
        "warning",
        "c4 closing AMQP connection <0.11.0> (10.0.0.1:1001 -> 10.0.0.9:5672):\nclient unexpectedly closed TCP connection",
    ),
    (
        "10:00:03.6",
        "warning",
        "c5 closing AMQP connection <0.12.0> (10.0.0.2:1002 -> 10.0.0.9:5672):\nclient unexpectedly closed TCP connection",
    ),
    (
        "10:00:03.7",
        "warning",
        "c6 closing AMQP connection <0.14.0> (10.0.0.4:1004 -> 10.0.0.9:5672):\nclient unexpectedly closed TCP connection",
    ),
    (
        "10:00:10.5",
        "info",
        "c7 closing AMQP connection <0.13.0> (10.0.0.3:1003 -> 10.0.0.9:5672, vhost: '/', user: 'irmgard')",
    ),
];

/// Arguments for the data set with connections, and the expected lines.
pub const BROKER_CASES: &[(&[&str], &str)] = &[
    (&["--trace", TRACE, "--with-queue"], "c3 q1 i1 d1 c4 c5 c6 i2 a1"),
    (&["--photo", "17", "--with-all"], "c3 q1 i1 d1 c4 c5 c6 i2 a1"),
    (&["--trace", OTHER_TRACE, "--with-queue"], "c4 c5 c6 i3 d2 a2 c7"),
    (&["--trace", TRACE], "i1 d1 i2 a1"),
    (&["--trace", TRACE, "--with-db"], "i1 d1 i2 a1"),
    (&["--trace", TRACE, "--with-queue", "--level", "warn"], "c4 c5 c6"),
    (
        &["--trace", TRACE, "--with-queue", "-c", "irmgard"],
        "c3 q1 i1 c4 c5 c6 i2",
    ),
    (&["--trace", TRACE, "--with-queue", "--pod", "irmgard-a"], "i1 i2"),
    (
        &[
            "--trace",
            TRACE,
            "--with-queue",
            "--since",
            "2026-11-22T10:00:03Z",
        ],
        "d1 c4 c5 c6 i2 a1",
    ),
    (
        &["--trace", TRACE, "--with-queue", "-g", "closing", "-C", "1"],
        "d1 c4 c5 c6 i2",
    ),
    (&["--trace", TRACE, "--with-queue", "--limit", "2"], "c3 q1"),
    (&["--trace", TRACE, "--with-queue", "--tail", "3"], "c6 i2 a1"),
    (
        &["--photo", "17", "--with-queue", "--reverse"],
        "a1 i2 c6 c5 c4 d1 i1 q1 c3",
    ),
    (&["--photo", "99", "--with-queue"], ""),
];

/// Writes the same data set with RabbitMQ's lines about connections.
pub fn write_with_connections(folder: &Path) -> PathBuf {
    let pods = write(folder);
    let pod = "rabbitmq-0";
    let lines = CONNECTIONS.map(|(time, level, message)| {
        let line = json!({
            "time": format!("2026-11-22 {time}00000+00:00"), "level": level, "msg": message,
            "domain": "rabbitmq.connection", "pid": "<0.1.0>",
        });
        format!("2026-11-22T{time}00000000Z stdout F {line}\n")
    });
    let log = format!("photos_{pod}_{}/rabbitmq/0.log", uid(pod));
    fs::write(pods.join(log), lines.concat()).unwrap();
    pods
}

/// Writes the data in the kubelet's format with the list of pods; returns the folder.
pub fn write(folder: &Path) -> PathBuf {
    let pods: Vec<Value> = PODS
        .iter()
        .map(|(name, component, node, labels)| {
            let mut all =
                serde_json::Map::from_iter([("app.kubernetes.io/name".to_owned(), json!(component))]);
            all.extend(
                labels
                    .iter()
                    .map(|(label, value)| ((*label).to_owned(), json!(value))),
            );
            json!({
                "metadata": { "name": name, "namespace": "photos", "uid": uid(name), "labels": all },
                "spec": { "nodeName": node, "containers": [{ "name": component }] },
            })
        })
        .collect();
    let list = json!({ "apiVersion": "v1", "kind": "PodList", "items": pods });
    fs::write(folder.join("pods.json"), list.to_string()).unwrap();
    for (name, component, ..) in PODS {
        let container = folder.join(format!("pods/photos_{name}_{}/{component}", uid(name)));
        fs::create_dir_all(&container).unwrap();
        let lines = lines()
            .into_iter()
            .filter(|(pod, ..)| *pod == name)
            .map(|(_, second, line)| format!("2026-11-22T10:00:{second:02}.500000000Z stdout F {line}\n"));
        fs::write(container.join("0.log"), lines.collect::<String>()).unwrap();
    }
    folder.join("pods")
}

fn uid(pod: &str) -> String {
    format!(
        "00000000-0000-4000-8000-{:>012}",
        pod.bytes().map(u64::from).sum::<u64>()
    )
}

/// Runs each case with more options, and compares the lines.
pub fn check_cases(cases: &[(&[&str], &str)], more: &[&str], logq: impl Fn(&[&str]) -> Output) {
    for (arguments, found) in cases {
        let arguments = [arguments, more, ["-o", "jsonl", "--utc"].as_slice()].concat();
        let output = logq(&arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            first_words(&output),
            found.split_whitespace().collect::<Vec<_>>(),
            "{arguments:?}: {errors}"
        );
        let code = i32::from(found.is_empty());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
    }
}

/// The first word of each message in JSON output.
pub fn first_words(output: &Output) -> Vec<String> {
    let lines = String::from_utf8(output.stdout.clone()).unwrap();
    let first = |line: &str| {
        let document: Value = serde_json::from_str(line).unwrap();
        let message = document["message"].as_str().unwrap();
        message.split(' ').next().unwrap().to_owned()
    };
    lines.lines().map(first).collect()
}

/// The output of `--stats` without the ages of the newest lines, which change.
pub fn without_ages(text: &str) -> String {
    let age = regex::Regex::new(r#"(?m) +(age|\d+[dhm]\d\d[hms])$|"age_seconds":[0-9.]+,"#).unwrap();
    age.replace_all(text, "").into_owned()
}
