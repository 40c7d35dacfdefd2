//! The queries of [`world`] with a real OpenSearch.

use std::{
    path::Path,
    process::{Command, Output},
};

use logq::opensearch::Method;
use serde_json::{Value, json};

use crate::{api_server::ApiServer, follow::line, log_store::LogStore, running, world};

pub fn logq(store: &LogStore, arguments: &[&str]) -> Output {
    command(store, arguments).output().unwrap()
}

fn command(store: &LogStore, arguments: &[&str]) -> Command {
    let mut command = running::search_command(store.url(), arguments);
    command.env("LOGQ_SOURCE", "opensearch");
    command
}

/// The same, with the pods of a folder as a second source.
fn with_pods(store: &LogStore, folder: &Path, arguments: &[&str]) -> Output {
    let mut command = command(store, arguments);
    let server = ApiServer::start(folder);
    server.configure(&mut command);
    command.output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn all_cases_return_the_same_lines_as_files() {
    let Some(store) = LogStore::empty("search in OpenSearch").await else {
        return;
    };
    store.bootstrap().await;
    let folder = tempfile::tempdir().unwrap();
    let pods = world::write(folder.path());
    let pods = pods.to_str().unwrap();

    let first = logq(&store, &["import", pods]);
    assert_eq!(
        text(&first.stderr),
        "logq: 10 lines stored, 0 already in OpenSearch\n"
    );
    let again = logq(&store, &["import", pods]);
    assert_eq!(
        text(&again.stderr),
        "logq: 0 lines stored, 10 already in OpenSearch\n"
    );
    store.ask(Method::Post, "/logs-*/_refresh", None).await;

    for source in ["opensearch", "both"] {
        world::check_cases(world::CASES, &["--source", source], |arguments| {
            with_pods(&store, folder.path(), arguments)
        });
        world::check_context(&["--source", source], |arguments| {
            with_pods(&store, folder.path(), arguments)
        });
    }

    for (arguments, message) in [
        (["--tail", "3"].as_slice(), "logq: 3 of 10 lines shown\n"),
        (
            &["--tail", "2", "--grep", "."],
            "logq: 2 lines shown; the total was not counted\n",
        ),
        (&["--tail", "20"], ""),
        (&["--limit", "4"], "logq: 4 of 10 lines shown\n"),
        (&["--limit", "10"], ""),
        (&["--reverse", "--limit", "1"], "logq: 1 of 10 lines shown\n"),
    ] {
        assert_eq!(text(&logq(&store, arguments).stderr), message, "{arguments:?}");
    }

    let explained = logq(&store, &["-c", "irmgard", "--with-db", "-g", "x", "--explain"]);
    let explained = text(&explained.stdout);
    for part in [
        "component=postgres",
        "\"component\": \"irmgard\"",
        "tests the rest",
    ] {
        assert!(explained.contains(part), "{part} is missing in {explained}");
    }

    // OpenSearch counts, unless logq must test a condition.
    let message = "OpenSearch counts these lines; logq reads none.";
    for (arguments, is_counted) in [
        (["--stats"].as_slice(), true),
        (&["--top", "photo.id", "--level", "warn"], true),
        (&["--histogram", "-c", "irmgard", "--with-db"], true),
        (&["--stats", "-g", "x"], false),
        (&["--top", "message"], false),
        (&["-c", "irmgard"], false),
    ] {
        let explained = logq(&store, &[arguments, &["--explain"]].concat());
        assert_eq!(
            text(&explained.stdout).contains(message),
            is_counted,
            "{arguments:?}"
        );
        let output = text(&logq(&store, arguments).stdout);
        let read = text(&logq(&store, &[arguments, &["-g", ""]].concat()).stdout);
        assert_eq!(
            world::without_ages(&output),
            world::without_ages(&read),
            "{arguments:?}"
        );
    }

    let trace = logq(&store, &["trace", world::TRACE, "--utc"]);
    let trace = text(&trace.stdout);
    assert!(
        trace.starts_with(&format!("trace {}  photo 17\n", world::TRACE)),
        "{trace}"
    );
    // Three lines of the whole trace, two headers, one row for each line.
    assert_eq!(trace.lines().count(), 9, "{trace}");
}

#[tokio::test]
async fn lines_without_a_level_are_counted() {
    let Some(store) = LogStore::with_streams("lines without a level").await else {
        return;
    };
    let without_level = |id: &str, component: &str| {
        let (stream, id, document) = line(id, component, 1.0, json!({ "message": id }));
        let mut document: Value = serde_json::from_str(&document).unwrap();
        document.as_object_mut().unwrap().remove("level");
        (stream, id, document.to_string())
    };
    let lines = [
        without_level("first", "irmgard"),
        without_level("second", "irmgard"),
        without_level("third", "anonymizer"),
    ];
    store.store_lines(&lines).await;
    let two = "logq: 2 lines without a level were left out";
    let one = "logq: 1 line without a level was left out";
    for (arguments, expected) in [
        (["--level", "info", "-c", "irmgard"].as_slice(), Some(two)),
        (&["--level", "info", "-g", "f.rst|begin"], Some(one)),
        (&["--level", "info", "--stats", "-c", "irmgard"], Some(two)),
        (&["-c", "irmgard"], None),
    ] {
        let output = logq(&store, arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        let notes = text(&output.stderr);
        let note = notes.lines().find(|note| note.contains("without a level"));
        assert_eq!(note, expected, "{arguments:?}");
    }
}

#[tokio::test]
async fn broker_lines_equal_those_of_files() {
    let Some(store) = LogStore::empty("search of broker lines").await else {
        return;
    };
    store.bootstrap().await;
    let folder = tempfile::tempdir().unwrap();
    let pods = world::write_with_connections(folder.path());
    logq(&store, &["import", pods.to_str().unwrap()]);
    store.ask(Method::Post, "/logs-*/_refresh", None).await;
    for source in ["opensearch", "both"] {
        world::check_cases(world::BROKER_CASES, &["--source", source], |arguments| {
            with_pods(&store, folder.path(), arguments)
        });
    }
    let trace = text(&logq(&store, &["trace", world::TRACE, "--with-queue", "--utc"]).stdout);
    let broker = trace.lines().filter(|line| line.contains("rabbitmq  "));
    assert_eq!(broker.count(), 5, "{trace}");
}

#[tokio::test]
async fn lines_of_both_sources_are_shown_once() {
    let Some(store) = LogStore::empty("search in OpenSearch and in pods").await else {
        return;
    };
    store.bootstrap().await;
    let folder = tempfile::tempdir().unwrap();
    let pods = world::write(folder.path());
    logq(&store, &["import", pods.to_str().unwrap()]);
    store.ask(Method::Post, "/logs-*/_refresh", None).await;
    // One pod was deleted, and another one has written since.
    let json = std::fs::read_to_string(folder.path().join("pods.json")).unwrap();
    let mut list: Value = serde_json::from_str(&json).unwrap();
    let items = list["items"].as_array_mut().unwrap();
    items.retain(|pod| pod["metadata"]["name"] != "anonymizer-a");
    std::fs::write(folder.path().join("pods.json"), list.to_string()).unwrap();
    let log = walkdir::WalkDir::new(&pods)
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .find(|file| file.ends_with("object-store/0.log"))
        .unwrap();
    let more = "2026-11-22T10:00:30Z stdout F s2 new\n2026-11-22T10:00:31Z stdout F s3 \
        new\n2026-11-22T10:00:00Z stdout F s4 the clock goes back\n";
    let before = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, before + more).unwrap();

    let output = with_pods(&store, folder.path(), &["--source", "both", "-o", "jsonl"]);
    let lines = text(&output.stdout);
    assert_eq!(
        world::first_words(&output).join(" "),
        "q1 i1 d1 i2 a1 i3 d2 s1 a2 i4 s2 s3 s4"
    );
    assert_eq!(
        text(&output.stderr),
        "logq: 2 lines only in OpenSearch, 3 only in the pods\n"
    );
    assert_eq!(output.status.code(), Some(0));
    // The document of OpenSearch has more fields.
    assert!(lines.lines().next().unwrap().contains("\"ingested\""), "{lines}");

    // An unreadable pod is reported; its lines are not counted.
    let mut list: Value = serde_json::from_str(&json).unwrap();
    list["items"][3]["metadata"]["annotations"] = serde_json::json!({ "test/fault": "unread" });
    std::fs::write(folder.path().join("pods.json"), list.to_string()).unwrap();
    let output = with_pods(&store, folder.path(), &["--source", "both", "-o", "jsonl"]);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert_eq!(text(&output.stdout).lines().count(), 13);
    assert!(
        message.contains("photos/postgres-0") && !message.contains("only in"),
        "{message}"
    );
}

#[tokio::test]
async fn line_stored_again_after_a_rollover_is_shown_once() {
    let Some(store) = LogStore::empty("search after a rollover").await else {
        return;
    };
    store.bootstrap().await;
    let folder = tempfile::tempdir().unwrap();
    let pods = world::write(folder.path());
    let pods = pods.to_str().unwrap();
    logq(&store, &["import", pods]);
    store.ask(Method::Post, "/logs-irmgard/_rollover", None).await;
    logq(&store, &["import", pods]);
    store.ask(Method::Post, "/logs-*/_refresh", None).await;
    assert_eq!(
        store
            .count("logs-*", &serde_json::json!({ "match_all": {} }))
            .await,
        14
    );
    for more in [
        ["--since", "2026-11-22"].as_slice(),
        &["--since", "2026-11-22", "--reverse"],
    ] {
        let output = logq(&store, &[more, &["-o", "raw"]].concat());
        assert_eq!(
            text(&output.stdout).lines().count(),
            10,
            "{}",
            text(&output.stdout)
        );
    }
}

#[tokio::test]
async fn age_of_the_newest_line_is_reported() {
    let Some(store) = LogStore::empty("the note about silent components").await else {
        return;
    };
    store.bootstrap().await;
    let arrived = |component: &str, seconds: i64| {
        let time = chrono::Utc::now() - chrono::TimeDelta::seconds(seconds);
        let time = time.to_rfc3339_opts(chrono::SecondsFormat::Nanos, true);
        let line = serde_json::json!({
            "@timestamp": time, "level": "info", "message": "x", "component": component,
            "event": { "id": format!("{component}{seconds}"), "ingested": time },
            "kubernetes": { "namespace": "photos", "labels": { "irmgard_dev/uses-database": "postgres" } },
        });
        let id = format!("{component}{seconds}");
        (format!("logs-{component}"), id, line.to_string())
    };
    let lines = ["irmgard", "anonymizer", "postgres"].map(|name| arrived(name, 90));
    store.create_with_arrival(&lines).await;
    let note = |arguments: &[&str]| text(&logq(&store, arguments).stderr);
    let auto = |arguments: &[&str]| note(&[arguments, &["--source", "auto", "--since", "1h"]].concat());
    for (arguments, name) in [
        (["-c", "irmgard"].as_slice(), "irmgard"),
        (&["-c", "anon*", "--stats"], "anon*"),
        (&["-n", "photos"], "the query"),
    ] {
        let message = auto(arguments);
        let expected = format!("logq: the newest line of {name} arrived ");
        assert!(
            message.starts_with(&expected)
                && message.ends_with(" s ago; `logq doctor` checks whether lines arrive\n"),
            "{message}"
        );
    }
    let both = auto(&["-c", "irmgard", "--with-db"]);
    assert!(
        both.contains("line of irmgard ") && both.contains("line of postgres "),
        "{both}"
    );
    assert!(auto(&["-c", "none"]).starts_with("logq: no lines of component none"));
    for silent in [
        [
            "-c",
            "postgres",
            "--until",
            "2026-11-22T11:00:00Z",
            "--source",
            "auto",
        ]
        .as_slice(),
        &["-c", "postgres", "--explain", "--source", "auto"],
        &["-c", "postgres", "--source", "opensearch"],
    ] {
        assert!(!note(silent).contains("the newest line"), "{silent:?}");
    }
    // Another component is active.
    store.create_with_arrival(&[arrived("opensearch", 1)]).await;
    assert!(auto(&["-c", "irmgard"]).contains("the newest line of irmgard arrived "));
    assert_eq!(auto(&["-c", "opensearch"]), "");
    assert_eq!(auto(&["-n", "photos"]), "");
}

/// Documents may come from other programs.
#[tokio::test]
async fn documents_are_escaped_for_the_terminal() {
    let Some(store) = LogStore::empty("documents with escapes").await else {
        return;
    };
    store.bootstrap().await;
    let evil = "\u{1b}]52;c;aGk=\u{7}\u{9b}2J\u{202e}\r\n\u{1b}[31mred";
    let line = serde_json::json!({
        "@timestamp": "2026-11-22T10:00:00.000000000Z", "trace_id": world::TRACE, "level": evil,
        "message": evil, "component": evil, "project": evil, "outcome": evil, "tags": [evil], "duration_seconds": 1,
        "service": { "name": evil }, "target": evil, "http": { "route": evil, "request": { "method": evil } },
        "kubernetes": { "pod": evil, "namespace": evil, "node": evil, "labels": { evil: evil } },
        "error": { "message": evil, "type": evil }, "exception": { "stacktrace": evil },
        "failure": { "reason": evil, "detail": evil }, "db": { "query": { "text": evil } }, "fields": { evil: evil },
        "event": { "id": "evil", "ingested": "2026-11-22T10:00:00.000000000Z" }, "photo": { "id": 17 },
    });
    store
        .create_with_arrival(&[("logs-other".to_owned(), "evil".to_owned(), line.to_string())])
        .await;
    let colours = regex::Regex::new("\u{1b}\\[[0-9;]+m").unwrap();
    for arguments in [
        [].as_slice(),
        &["--fields", "*"],
        &["--color", "always"],
        &["-o", "logfmt"],
        &["-o", "jsonl"],
        &["-o", "json"],
        &["-o", "raw"],
        &["trace", world::TRACE],
        &["trace", "--photo", "17"],
        &["--stats"],
        &["--histogram"],
        &["--top", "level"],
        &["--top", "component"],
        &["-c", "*red", "-f", "level=x"],
    ] {
        let output = logq(&store, arguments);
        for shown in [&output.stdout, &output.stderr] {
            // Only logq's own escape sequences remain.
            let shown = text(shown);
            let shown = colours.replace_all(&shown, "");
            let is_raw = arguments.contains(&"raw");
            let acted_on = |c: char| c != '\n' && terminal::is_acted_on(c);
            assert!(is_raw || !shown.contains(acted_on), "{arguments:?}: {shown:?}");
        }
        assert!(
            output.status.code().is_some_and(|code| code < 2),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
    }
}

#[test]
fn unreachable_opensearch_is_reported() {
    let output = Command::new(env!("CARGO_BIN_EXE_logq"))
        .args(["--source", "opensearch"])
        .env("LOGQ_CONFIG", "")
        .env("LOGQ_OPENSEARCH_URL", "http://127.0.0.1:1")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = text(&output.stderr);
    assert!(
        message.starts_with("logq: error: OpenSearch at http://127.0.0.1:1/ is unreachable"),
        "{message}"
    );
}
