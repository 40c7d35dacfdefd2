//! Every rule fires exactly when it must, also at the limits of its time window. The distribution for tests does not have the
//! Alerting plugin. The tests insert the time of the check; OpenSearch runs the search and the condition's Painless.

use std::{fs, path::Path};

use logq::opensearch::Method;
use serde_json::{Value, json};

use super::{
    lines::{document, ours},
    log_store::LogStore,
};

const WHAT: &str = "when the alert rules fire";
const MINUTE: i64 = 60_000;

fn monitor(rule: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("alerts/{rule}.json"));
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

impl LogStore {
    /// Stores a line. Returns its time of arrival in milliseconds since 1970.
    async fn arrives(&self, component: &str, line: &str) -> i64 {
        let document = document(component, line);
        let id = document.1.clone();
        self.create(&[document]).await;
        let body = json!({
            "query": { "ids": { "values": [id] } },
            "docvalue_fields": [{ "field": "event.ingested", "format": "epoch_millis" }],
        });
        let answer = self.search(&body).await;
        let when = &answer["hits"]["hits"][0]["fields"]["event.ingested"][0];
        when.as_str().unwrap().parse().unwrap()
    }

    /// Whether a rule fires at this time, and the search response.
    async fn fires(&self, rule: &str, look: i64) -> (bool, Value) {
        let monitor = monitor(rule);
        let search = monitor["inputs"][0]["search"]["query"].to_string();
        let search = serde_json::from_str(&search.replace("{{period_end}}", &look.to_string())).unwrap();
        let answer = self.search(&search).await;
        let condition = &monitor["triggers"][0]["query_level_trigger"]["condition"]["script"];
        let source = format!(
            "def ctx = params.ctx; return {};",
            condition["source"].as_str().unwrap()
        );
        let body = json!({ "script": {
            "lang": condition["lang"], "source": source, "params": { "ctx": { "results": [answer] } },
        } });
        let result = self
            .ask(Method::Post, "/_scripts/painless/_execute", Some(&body))
            .await;
        (result["result"] == "true", answer)
    }

    /// The message for a search response.
    async fn message(&self, rule: &str, answer: &Value) -> String {
        let monitor = monitor(rule);
        let action = &monitor["triggers"][0]["query_level_trigger"]["actions"][0];
        let body = json!({
            "source": { "said": action["message_template"]["source"] }, "params": { "ctx": { "results": [answer] } },
        });
        let rendered = self.ask(Method::Post, "/_render/template", Some(&body)).await;
        rendered["template_output"]["said"].as_str().unwrap().to_owned()
    }
}

/// A component, and the fields of its line besides time, level and message.
type LineFields = &'static [(&'static str, &'static str)];

/// Rules that fire at the first matching line: lines that must not match, and lines that must.
const OF_LINES: &[(&str, LineFields, LineFields)] = &[
    (
        "failed-photos",
        &[
            ("anonymizer", r#"{"outcome":"anonymized"}"#),
            ("irmgard", r#"{"outcome":"repeated","reason":"corrupt-image"}"#),
        ],
        &[
            (
                "irmgard",
                r#"{"outcome":"failed","failure":{"reason":"corrupt-image"}}"#,
            ),
            (
                "anonymizer",
                r#"{"outcome":"failed","failure":{"reason":"processing-error"}}"#,
            ),
        ],
    ),
    (
        "dead-letters",
        &[
            ("fluentd", r#"{"count":3}"#),
            ("irmgard", r#"{"kind":"dead-letters","count":1}"#),
        ],
        &[("fluentd", r#"{"kind":"dead-letters","count":1}"#)],
    ),
    (
        "parked-messages",
        &[
            (
                "irmgard",
                r#"{"messaging":{"destination":{"name":"images.results"}}}"#,
            ),
            (
                "anonymizer",
                r#"{"outcome":"failed","failure":{"reason":"corrupt-image"}}"#,
            ),
        ],
        &[
            (
                "irmgard",
                r#"{"reason":"no photo","messaging":{"destination":{"name":"images.parked"}}}"#,
            ),
            (
                "anonymizer",
                r#"{"outcome":"parked","failure":{"detail":"no photo"}}"#,
            ),
            (
                "irmgard",
                r#"{"outcome":"failed","failure":{"reason":"delivery-limit"}}"#,
            ),
        ],
    ),
    (
        "sweep",
        &[
            (
                "irmgard",
                r#"{"kind":"no photo","object":{"location":"s3://input/photos/a/2026-01-02/7.jpg"}}"#,
            ),
            ("shop", r#"{"sweep":{"age_seconds":9.5}}"#),
        ],
        &[(
            "irmgard",
            r#"{"count":2,"reason":"objects-left","sweep":{"age_seconds":61.5}}"#,
        )],
    ),
    (
        "outbox-age",
        &[("irmgard", r#"{"count":3,"reason":"jobs were not published"}"#)],
        &[("irmgard", r#"{"count":3,"outbox":{"oldest_age_seconds":61.5}}"#)],
    ),
];

fn line(number: usize, fields: &str) -> String {
    let number = u32::try_from(number).unwrap();
    ours(
        number,
        "error",
        "a line of a test",
        serde_json::from_str(fields).unwrap(),
    )
}

#[tokio::test]
async fn a_rule_fires_for_each_of_its_lines_and_no_other() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    for (rule, others, these) in OF_LINES {
        let mut number = 0;
        for (component, fields) in *these {
            store.delete_lines().await;
            let mut last = 0;
            for (component, fields) in *others {
                number += 1;
                last = store.arrives(component, &line(number, fields)).await;
            }
            let (fires, answer) = store.fires(rule, last).await;
            assert!(!fires, "{rule}: {answer}");

            number += 1;
            let when = store.arrives(component, &line(number, fields)).await;
            for (look, expected) in [
                (when - 1, false),
                (when, true),
                (when + MINUTE, true),
                (when + 5 * MINUTE, true),
                (when + 5 * MINUTE + 1, false),
            ] {
                let (fires, answer) = store.fires(rule, look).await;
                assert_eq!(
                    fires,
                    expected,
                    "{rule}, {} ms after {fields}: {answer}",
                    look - when
                );
                if fires {
                    let said = store.message(rule, &answer).await;
                    let whole =
                        said.ends_with(&format!("docs/runbooks/{rule}.md")) && !said.contains(['{', '}']);
                    assert!(whole && !said.contains("( lines)"), "{rule}: {said}");
                }
            }
        }
    }
}

/// The time windows of two checks leave no gap.
#[test]
fn checks_overlap() {
    for (rule, ..) in OF_LINES {
        let monitor = monitor(rule);
        let every = monitor["schedule"]["period"]["interval"].as_u64().unwrap();
        let query = monitor["inputs"][0]["search"]["query"].to_string();
        let minutes = query.split("||-").nth(1).unwrap().split('m').next().unwrap();
        assert!(minutes.parse::<u64>().unwrap() > every, "{rule}");
    }
}

#[tokio::test]
async fn a_component_with_lines_of_the_last_day_is_reported_as_silent() {
    let rule = "silent-component";
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    let (fires, answer) = store.fires(rule, 1_795_341_600_000).await;
    assert!(!fires, "nobody was ever heard: {answer}");

    let text = |name: &str| ours(1, "info", name, json!({}));
    let first = store.arrives("irmgard", &text("first")).await;
    let other = store.arrives("shop", &text("somebody else's")).await;
    let last = store.arrives("irmgard", &text("last")).await;
    let silent = |answer: &Value| -> Vec<String> {
        let buckets = answer["aggregations"]["silent"]["buckets"].as_array().unwrap();
        buckets
            .iter()
            .map(|bucket| bucket["key"].as_str().unwrap().to_owned())
            .collect()
    };
    let day = 24 * 60 * MINUTE;
    for (look, expected) in [
        (last, None),
        (last + 5 * MINUTE, None),
        (last + 5 * MINUTE + 1, Some("irmgard")),
        (first.max(other) + day, Some("irmgard")),
        (last + day, Some("irmgard")),
        (last + day + 1, None),
    ] {
        let (fires, answer) = store.fires(rule, look).await;
        assert_eq!(fires, expected.is_some(), "{} ms after: {answer}", look - last);
        assert_eq!(
            silent(&answer),
            Vec::from_iter(expected),
            "{} ms after",
            look - last
        );
    }

    // With a second component, the message names only the silent one.
    let moved = last + 10 * MINUTE;
    let later = store.arrives("anonymizer", &text("alive")).await;
    let (fires, answer) = store.fires(rule, moved.max(later)).await;
    assert!(fires, "{answer}");
    assert!(silent(&answer).contains(&"irmgard".to_owned()), "{answer}");
    let said = store.message(rule, &answer).await;
    assert!(
        said.contains("five minutes from: irmgard") && said.ends_with("docs/runbooks/silent-component.md"),
        "{said}"
    );
    let (_, answer) = store.fires(rule, later + 1).await;
    assert_eq!(silent(&answer), Vec::<String>::new(), "{answer}");
}
