use log_normalizer::Document;
use serde_json::{Value, json};

use super::*;

const TRACE: &str = "144e3291cc0fa94b11749363cc82bf5b";

fn entry(line: Value) -> Entry {
    Entry {
        document: Document::try_from(line).unwrap(),
        raw: None,
    }
}

/// A line with additional fields, at a number of microseconds.
fn line(component: &str, pod: &str, micros: u64, level: &str, message: &str, more: Value) -> Entry {
    let mut line = json!({
        "@timestamp": format!("2026-11-22T16:14:{:02}.{:06}000Z", micros / 1_000_000, micros % 1_000_000),
        "component": component, "level": level, "message": message, "trace_id": TRACE,
        "kubernetes": { "pod": pod },
    });
    let Value::Object(more) = more else { unreachable!() };
    line.as_object_mut().unwrap().extend(more);
    entry(line)
}

fn statement(number: u64, millis: u64, took: f64, step: &str, text: &str) -> Entry {
    line(
        "postgres",
        "postgres-0",
        millis * 1_000,
        "info",
        &format!("duration: {took} ms  {step}: {text}"),
        json!({
            "duration_seconds": took / 1e3,
            "db": { "query": { "text": text } },
            "postgresql": { "session_id": "6b02cbec.156f", "line_number": number },
        }),
    )
}

/// The lines of an upload that is accepted and then fails, as in the demo.
fn upload() -> Vec<Entry> {
    const INSERT: &str = "WITH new AS (\n  INSERT INTO photo (id, project)\n\tVALUES ($1, $2) RETURNING id)\nINSERT INTO outbox SELECT id FROM new";
    let mut broker = json!({
        "@timestamp": "2026-11-22T16:14:29.000000000Z", "component": "rabbitmq", "level": "warn",
        "message": "closing AMQP connection <0.11.0>:\nclient unexpectedly closed TCP connection",
    });
    broker["kubernetes"]["pod"] = json!("rabbitmq-0");
    vec![
        statement(1, 28_445, 0.096, "statement", "BEGIN; SET application_name = 'x'"),
        // The order within a millisecond is that of the session.
        statement(2, 28_446, 0.718, "parse sqlx_s_1", INSERT),
        statement(3, 28_446, 0.301, "bind sqlx_s_1", INSERT),
        statement(4, 28_446, 0.698, "execute sqlx_s_1", INSERT),
        statement(5, 28_455, 6.894, "statement", "COMMIT"),
        line(
            "irmgard",
            "irmgard-7d9c5-aaaaa",
            28_455_700,
            "info",
            "request answered",
            json!({
                "duration_seconds": 0.0473, "photo": { "id": 2 }, "project": "site-north", "outcome": "received",
                "http": {
                    "request": { "method": "POST" }, "route": "/projects/{project}/photos",
                    "response": { "status_code": 202 },
                },
            }),
        ),
        entry(broker),
        line(
            "anonymizer",
            "anonymizer-5b8d6-k9q2w",
            30_240_000,
            "warn",
            "the photo cannot be anonymised; its original stays",
            json!({
                "duration_seconds": 1.784, "photo": { "id": 2 }, "outcome": "failed",
                "failure": { "reason": "corrupt-image", "detail": "the picture ends after 3 of 1,463 rows, so that nobody knows whether a person was in the rest" },
                "stage": { "get_seconds": 0.004, "decode_seconds": 1.21 },
            }),
        ),
        line(
            "irmgard",
            "irmgard-7d9c5-bbbbb",
            30_246_000,
            "error",
            "a result cannot be written",
            json!({ "photo": { "id": 2 }, "error": { "message": "connection refused (os error 111)" } }),
        ),
        line(
            "postgres",
            "postgres-0",
            30_300_000,
            "error",
            "canceling statement due to statement timeout",
            json!({
                "db": { "query": { "text": "UPDATE photo\n SET status = $1" }, "response": { "status_code": "57014" } },
                "postgresql": { "session_id": "6b02cbec.2000", "line_number": 1, "hint": "try\nagain" },
            }),
        ),
    ]
}

fn drawn(entries: &[Entry], columns: usize, truncates: bool) -> String {
    let waterfall = Waterfall {
        palette: Palette::NONE,
        utc: true,
        width: OutputWidth { columns, truncates },
    };
    let mut out = Vec::new();
    waterfall.draw(entries, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn waterfall_of_an_upload_fits_the_terminal() {
    let upload = upload();
    for columns in [60, 100, 200] {
        let drawn = drawn(&upload, columns, true);
        insta::assert_snapshot!(format!("columns_{columns}"), drawn);
        for line in drawn.lines() {
            assert!(
                width(line) <= columns,
                "{columns}: {} columns: {line}",
                width(line)
            );
        }
    }
}

#[test]
fn output_for_programs_is_never_cut() {
    let drawn = drawn(&upload(), 80, false);
    insta::assert_snapshot!("pipe", drawn);
    assert!(drawn.contains("INSERT INTO outbox SELECT id FROM new\n") && !drawn.contains('…'));
}

#[test]
fn colors_have_no_width() {
    let waterfall = Waterfall {
        palette: Palette::TERMINAL,
        utc: true,
        width: OutputWidth {
            columns: 100,
            truncates: true,
        },
    };
    let mut out = Vec::new();
    waterfall.draw(&upload(), &mut out).unwrap();
    let coloured = String::from_utf8(out).unwrap();
    let bare = regex::Regex::new("\u{1b}\\[[0-9;]*m")
        .unwrap()
        .replace_all(&coloured, "");
    assert!(bare != coloured);
    assert_eq!(bare, drawn(&upload(), 100, true));
}

#[test]
fn waterfall_keeps_the_order_of_a_session() {
    let drawn = drawn(&upload(), 200, true);
    let at = |step: &str| drawn.find(step).unwrap();
    assert!(at("BEGIN") < at("parse ") && at("parse ") < at("bind ") && at("bind ") < at("execute "));
}

#[test]
fn trace_without_lines_and_with_one_line() {
    assert_eq!(drawn(&[], 80, true), "");
    assert_eq!(
        drawn(&[entry(json!({ "message": "without a time" }))], 80, true),
        ""
    );
    let alone = [line(
        "irmgard",
        "irmgard-a",
        1,
        "info",
        "irmgard started",
        json!({}),
    )];
    insta::assert_snapshot!("alone", drawn(&alone, 80, true));
    let long = [line(
        "irmgard",
        "irmgard-a",
        5_000_000,
        "info",
        "slow",
        json!({ "duration_seconds": 2.5 }),
    )];
    insta::assert_snapshot!("alone_long", drawn(&long, 80, true));
}

#[test]
fn waterfall_contains_all_lines() {
    let many: Vec<Entry> = (0..2_000)
        .map(|n| {
            line(
                "irmgard",
                "irmgard-a",
                n * 1_000,
                "info",
                &format!("m{n}"),
                json!({}),
            )
        })
        .collect();
    let drawn = drawn(&many, 100, true);
    assert_eq!(drawn.lines().count(), 2_000 + 5);
    for (n, line) in drawn.lines().skip(5).enumerate() {
        assert!(line.ends_with(&format!(" m{n}")), "{n}: {line}");
    }
}

#[test]
fn wide_and_control_characters_keep_the_columns() {
    let lines = [
        line(
            "werkstätte",
            "p",
            0,
            "info",
            "照片照片照片照片照片照片照片照片照片照片照片照片照片照片照片",
            json!({ "project": "站点" }),
        ),
        line(
            "照片",
            "p",
            10,
            "info",
            "a\u{1b}]0;x\u{7}\u{202e}b\u{9b}31m\ttab\rreturn",
            json!({}),
        ),
        line(
            "e\u{1b}[2J",
            "p\u{1b}",
            20,
            "error",
            "e\u{301}\u{1f469}\u{200d}\u{1f4bb}",
            json!({ "error": { "message": "\u{1b}[31mred\u{2028}" } }),
        ),
    ];
    for truncates in [true, false] {
        let drawn = drawn(&lines, 80, truncates);
        let acted_on = |c: char| c != '\n' && terminal::is_acted_on(c);
        assert!(!drawn.contains(acted_on), "{drawn:?}");
        // All bars start in the same column.
        let columns: Vec<usize> = drawn
            .lines()
            .filter_map(|line| Some(width(line.split_once('·')?.0)))
            .collect();
        assert_eq!(columns.len(), 3, "{drawn}");
        if truncates {
            assert!(drawn.lines().all(|line| width(line) <= 80), "{drawn}");
        }
    }
    insta::assert_snapshot!("wide", drawn(&lines, 80, true));
}

#[test]
fn trace_over_midnight_shows_both_dates() {
    let mut lines = upload();
    lines.push(entry(json!({
        "@timestamp": "2026-11-23T00:00:00.100000000Z", "component": "anonymizer", "level": "info",
        "message": "after midnight", "trace_id": TRACE,
    })));
    let drawn = drawn(&lines, 100, true);
    assert!(
        drawn.contains("began 2026-11-22 16:14:28.408Z  ended 2026-11-23 00:00:00.100Z  took 7h45m"),
        "{drawn}"
    );
}
