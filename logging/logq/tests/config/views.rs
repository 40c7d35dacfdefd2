//! Built-in and custom views.

use crate::Home;

const OWN: &str = r#"
[views.slow]
about = "half a second or more"
options = ["-c", "irmgard", "--field", "duration_seconds>=0.5", "-o", "raw"]

[views.database]
options = "-c postgres --grep 'duration: 12.5 ms'"
"#;

#[test]
fn views_are_listed_with_their_location() {
    let home = Home::with(OWN);
    let output = home.logq(&["view"]).output().unwrap();
    insta::assert_snapshot!("views", home.out(&output));
}

#[test]
fn custom_views_work_and_arguments_override_them() {
    let home = Home::with(OWN);
    let pods = home.pods.to_str().unwrap();
    let found = |arguments: &[&str]| {
        let all = [&["view"], arguments, &[pods]].concat();
        let output = home.logq(&all).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", home.errors(&output));
        home.out(&output)
    };
    assert_eq!(found(&["slow"]).lines().count(), 2);
    let typed = found(&["slow", "-o", "jsonl", "--fields", "message", "--level", "warn"]);
    assert_eq!(typed, "{\"message\":\"i3 slow request timed out\"}\n");
    assert!(found(&["database"]).contains("d1 duration: 12.5 ms"));

    let output = home.logq(&["view", "slwo"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!("view_unknown", home.errors(&output));
    let output = home.logq(&["view", "slow", "--levle", "warn"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        home.errors(&output).contains("'--level'"),
        "{}",
        home.errors(&output)
    );
}

#[test]
fn help_of_views() {
    let home = Home::with(OWN);
    for arguments in [["view", "--help"], ["view", "-h"], ["help", "view"]] {
        let output = home.logq(&arguments).output().unwrap();
        let errors = home.errors(&output);
        assert_eq!(
            (output.status.code(), errors.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
        let help = home.out(&output);
        assert!(
            help.starts_with("Search with a named set of options")
                && help.contains("Usage: logq view [NAME]"),
            "{arguments:?}: {help}"
        );
    }
    let output = home.logq(&["view", "slow", "--help"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(home.out(&output).contains("--tail"));
    let output = home.logq(&["view", "--tail", "5", "slow"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = home.errors(&output);
    assert!(
        message.contains("\"--tail\" is an option. Put the view's name first"),
        "{message}"
    );
}

#[test]
fn invalid_view_fails_when_used() {
    let home = Home::with(&format!(
        "{OWN}\n[views.bad]\nabout = 5\noptions = \"--levle warn\"\n[views.twice]\noptions = \"--limit 1 \
         --limit 2\"\n"
    ));
    let pods = home.pods.to_str().unwrap();
    for (arguments, notes) in [
        (["-c", "postgres"], ""),
        (["view", "database"], ""),
        (["view", "trouble"], "logq: 1 line without a level was left out\n"),
    ] {
        let output = home.logq(&[&arguments[..], &[pods]].concat()).output().unwrap();
        assert_eq!(
            (output.status.code(), home.errors(&output).as_str()),
            (Some(0), notes)
        );
    }
    let bad = "logq: error: HOME/.config/logq/config.toml:10: views.bad.about must be a text in quotation \
        marks, not a number\n";
    let twice = "logq: error: HOME/.config/logq/config.toml:12: views.twice: the argument '--limit <NUMBER>' \
        cannot be used multiple times\n";
    for (view, message) in [("bad", bad), ("twice", twice)] {
        let output = home.logq(&["view", view, pods]).output().unwrap();
        assert_eq!(
            (output.status.code(), home.errors(&output).as_str()),
            (Some(2), message)
        );
    }
    let output = home.logq(&["config"]).output().unwrap();
    assert_eq!(
        (output.status.code(), home.errors(&output)),
        (Some(2), format!("{bad}{twice}"))
    );
    assert!(
        home.out(&output).contains("opensearch.url"),
        "{}",
        home.out(&output)
    );
    let output = home.logq(&["view"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let listed = home.out(&output);
    let twice = listed.lines().find_map(|line| line.strip_prefix("twice "));
    assert_eq!(
        twice.unwrap().trim(),
        "invalid: `logq config` shows the error",
        "{listed}"
    );
}

/// Lines in the formats of irmgard (`api/observe.rs`, `results/consume.rs`), the anonymizer (`job/report.rs`) and the
/// broker: name and line.
const SERVICES: &[(&str, &str)] = &[
    (
        "quick",
        r#"{"@timestamp":"2026-11-22T10:00:00.000001Z","level":"info","message":"request answered","component":"irmgard","kubernetes":{"labels":{"irmgard.dev/uses-queue":"rabbitmq","irmgard.dev/uses-database":"postgres"}},"http":{"request":{"method":"POST"},"response":{"status_code":202},"route":"/photos"},"duration_seconds":0.041,"outcome":"stored"}"#,
    ),
    (
        "slow",
        r#"{"@timestamp":"2026-11-22T10:00:01.000001Z","level":"info","message":"request answered","component":"irmgard","http":{"request":{"method":"POST"},"response":{"status_code":202},"route":"/photos"},"duration_seconds":1.2,"outcome":"stored"}"#,
    ),
    (
        "job",
        r#"{"@timestamp":"2026-11-22T10:00:02.000001Z","level":"info","message":"anonymised a photo","component":"anonymizer","photo":{"id":17},"duration_seconds":2.1,"outcome":"anonymized"}"#,
    ),
    (
        "worker-failed",
        r#"{"@timestamp":"2026-11-22T10:00:03.000001Z","level":"warn","message":"the photo cannot be anonymised; its original stays","component":"anonymizer","photo":{"id":18},"duration_seconds":0.1,"failure":{"reason":"corrupt-image","detail":"x"},"outcome":"failed"}"#,
    ),
    (
        "failed",
        r#"{"@timestamp":"2026-11-22T10:00:04.000001Z","level":"warn","message":"photo failed","component":"irmgard","photo":{"id":18},"failure":{"reason":"corrupt-image","detail":"x"},"outcome":"failed"}"#,
    ),
    (
        "no-broker",
        r#"{"@timestamp":"2026-11-22T10:00:05.000001Z","level":"warn","message":"no connection to RabbitMQ: trying again","component":"anonymizer","link":"jobs","error":{"message":"refused"}}"#,
    ),
    (
        "closed",
        r#"{"time":"2026-11-22 10:00:06.000000+00:00","level":"warning","msg":"closing AMQP connection <0.9.0> (10.0.0.7:5 -> 10.0.0.8:5672): client unexpectedly closed TCP connection","pid":"<0.9.0>","domain":"rabbitmq.connection"}"#,
    ),
    (
        "accepted",
        r#"{"time":"2026-11-22 10:00:07.000000+00:00","level":"info","msg":"accepting AMQP connection <0.9.0> (10.0.0.7:5 -> 10.0.0.8:5672)","pid":"<0.9.0>","domain":"rabbitmq.connection"}"#,
    ),
    (
        "statement",
        r#"{"timestamp":"2026-11-22 10:00:08.000 UTC","error_severity":"LOG","message":"duration: 1200.5 ms  statement: COMMIT","pid":7}"#,
    ),
    (
        "poll",
        r#"{"timestamp":"2026-11-22 10:00:09.000 UTC","error_severity":"LOG","message":"duration: 0.251 ms  execute sqlx_s_1: /* poll */ WITH due AS (\n SELECT 1","pid":7}"#,
    ),
    (
        "slow-poll",
        r#"{"timestamp":"2026-11-22 10:00:10.000 UTC","error_severity":"LOG","message":"duration: 100.251 ms  execute sqlx_s_1: /* poll */ WITH due AS (","pid":7}"#,
    ),
    (
        "failed-poll",
        r#"{"timestamp":"2026-11-22 10:00:11.000 UTC","error_severity":"ERROR","message":"canceling statement","statement":"/* poll */ WITH due AS (","pid":7}"#,
    ),
];

#[test]
fn builtin_views_find_their_lines() {
    let home = Home::new();
    let file = home.path().join("services.log");
    let lines: Vec<&str> = SERVICES.iter().map(|(_, line)| *line).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    for (view, wanted) in [
        (
            "webservice-db",
            "quick slow failed statement slow-poll failed-poll",
        ),
        ("failed-photos", "worker-failed failed"),
        ("slow-requests", "slow"),
        ("slow-statements", "statement slow-poll"),
        ("broker", "worker-failed failed no-broker closed"),
        ("trouble", "worker-failed failed no-broker closed failed-poll"),
    ] {
        let output = home
            .logq(&["view", view, "-o", "raw", file.to_str().unwrap()])
            .output()
            .unwrap();
        let out = home.out(&output);
        let names = out.lines().map(|line| {
            let found = SERVICES.iter().find(|(_, known)| *known == line);
            found.map_or("?", |(name, _)| *name)
        });
        assert_eq!(names.collect::<Vec<_>>().join(" "), wanted, "{view}");
    }
}
