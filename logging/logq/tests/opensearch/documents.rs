//! Documents of log-normalizer in a real OpenSearch: all are stored, and all fields can be found.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::log_store::LogStore;
use log_normalizer::{ContainerRef, Origin, PodList, RawLine, normalize};
use logq::opensearch::Method;
use schema::{FIELDS, FieldKind, MAX_TERM_BYTES, field, stream};
use serde_json::{Value, json};

const WHAT: &str = "storing every line in OpenSearch";

fn golden() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fluentd/golden")
}

/// The expected documents of the golden cases: stream, id, document.
pub fn golden_documents() -> Vec<(String, String, String)> {
    let mut documents = BTreeMap::new();
    for case in fs::read_dir(golden()).unwrap() {
        let Ok(text) = fs::read_to_string(case.unwrap().path().join("expected.jsonl")) else {
            continue;
        };
        for line in text.lines() {
            let mut document: Value = serde_json::from_str(line).unwrap();
            let members = document.as_object_mut().unwrap();
            let stream = members.remove("_stream").unwrap();
            // A line without the kubelet's time has its time of reading.
            members
                .entry("@timestamp")
                .or_insert("2026-11-22T10:00:00.000000000Z".into());
            let id = get(&document, field::EVENT_ID).unwrap().as_str().unwrap();
            let stream = stream::data_stream(stream.as_str().unwrap());
            documents.insert(id.to_owned(), (stream, id.to_owned(), document.to_string()));
        }
    }
    documents.into_values().collect()
}

fn get<'a>(document: &'a Value, name: &str) -> Option<&'a Value> {
    name.split('.').try_fold(document, |value, part| value.get(part))
}

#[tokio::test]
async fn golden_documents_are_stored_and_found() {
    let Some(store) = LogStore::from_environment(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    let bulk = golden_documents();
    assert!(bulk.len() > 400, "{}", bulk.len());
    let documents: BTreeMap<String, (String, Value)> = bulk
        .iter()
        .map(|(stream, id, text)| (id.clone(), (stream.clone(), serde_json::from_str(text).unwrap())))
        .collect();
    for ((status, error), (_, id, document)) in store.create(&bulk).await.iter().zip(&bulk) {
        // An external server may have it from an earlier run.
        assert!(matches!(status, 201 | 409), "{id}: {status} {error}\n{document}");
    }

    // Search by each schema field of a document.
    for (id, (stream, document)) in &documents {
        let mut terms = vec![json!({ "term": { field::EVENT_ID: id } })];
        for field in FIELDS {
            let Some(value) = get(document, field.name) else {
                continue;
            };
            let long = value
                .as_str()
                .is_some_and(|text| text.encode_utf16().count() > MAX_TERM_BYTES);
            match field.kind {
                FieldKind::Keyword | FieldKind::Long | FieldKind::Double | FieldKind::Boolean if !long => {
                    terms.push(json!({ "term": { field.name: value } }));
                }
                FieldKind::DateNanos => {
                    terms.push(json!({ "range": { field.name: { "gte": value, "lte": value } } }));
                }
                FieldKind::Keywords => terms.push(json!({ "terms": { field.name: value } })),
                FieldKind::KeywordMap | FieldKind::FlatObject
                    if value.as_object().is_some_and(|o| !o.is_empty()) =>
                {
                    for (name, value) in value.as_object().unwrap() {
                        let indexed = field.kind == FieldKind::FlatObject
                            || schema::label::ALL
                                .iter()
                                .any(|label| schema::label::stored(label).as_ref() == Some(name));
                        if indexed && value.is_string() {
                            let path = format!("{}.{name}", field.name);
                            terms.push(json!({ "term": { path: value } }));
                        }
                    }
                }
                _ => {}
            }
        }
        let query = json!({ "bool": { "filter": terms } });
        assert_eq!(store.count(stream, &query).await, 1, "{query}\n{document}");
    }

    // No value is missing in the index, except too long ones.
    let ids: Vec<_> = documents.keys().collect();
    let body = json!({ "size": 1000, "stored_fields": ["_ignored"], "query": { "bool": { "filter": [
        { "exists": { "field": "_ignored" } }, { "ids": { "values": ids } },
    ] } } });
    let ignored = store.ask(Method::Post, "/logs-*/_search", Some(&body)).await;
    assert_eq!(ignored["hits"]["total"]["value"], 0, "{ignored}");
}

#[tokio::test]
async fn part_of_a_long_message_is_found() {
    let Some(store) = LogStore::from_environment(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    let unique = format!("{:?}", std::time::SystemTime::now());
    let short = format!("{unique} upload FAILED: (os error 104)");
    let long = format!("{unique} {} FAILED: (os error 104)", "x y ".repeat(200_000));
    let wide = format!("{unique} {} FAILED: (os error 104)", "漢".repeat(MAX_TERM_BYTES));
    let documents: Vec<_> = [&short, &long, &wide]
        .iter()
        .map(|message| normalized(message.as_bytes(), &Origin::Source("test".into())))
        .collect();
    let results = store.create(&documents).await;
    assert!(results.iter().all(|(status, _)| *status == 201), "{results:?}");
    let found = |query: Value| {
        let store = &store;
        let unique = json!({ "match_phrase": { "message": unique.clone() } });
        async move {
            store
                .count("logs-*", &json!({ "bool": { "filter": [unique, query] } }))
                .await
        }
    };
    let wildcard = json!({ "wildcard": { "message.wildcard": "*FAILED: (os err*" } });
    let regexp = json!({ "regexp": { "message.wildcard": ".*FAILED: \\(os error [0-9]+\\)" } });
    let beyond = json!({ "bool": { "must_not": { "exists": { "field": "message.wildcard" } } } });
    assert_eq!(found(wildcard.clone()).await, 1);
    assert_eq!(found(regexp).await, 1);
    // A too long text has no subfield, and a query can select that; logq then tests the lines.
    assert_eq!(found(beyond.clone()).await, 2);
    assert_eq!(
        found(json!({ "bool": { "should": [wildcard, beyond] } })).await,
        3
    );
}

/// The document of a line: stream, id, document.
pub fn normalized(bytes: &[u8], origin: &Origin) -> (String, String, String) {
    let mut document = normalize(&RawLine::plain(bytes, 0), origin).into_members();
    document
        .entry(field::TIMESTAMP)
        .or_insert("2026-11-22T10:00:00.000000000Z".into());
    let document = Value::Object(document);
    let component = get(&document, field::COMPONENT)
        .and_then(Value::as_str)
        .unwrap_or_default();
    let id = get(&document, field::EVENT_ID).unwrap().as_str().unwrap();
    (
        stream::data_stream(stream::of(component)),
        id.to_owned(),
        document.to_string(),
    )
}

/// A line of our services with more members.
fn ours(members: &str) -> Vec<u8> {
    format!("{{\"@timestamp\":\"2026-11-22T10:00:00Z\",\"level\":\"info\",\"message\":\"m\",{members}}}")
        .into_bytes()
}

/// Lines that OpenSearch would reject without normalization.
pub fn hostile() -> Vec<Vec<u8>> {
    let nested =
        |open: &str, close: &str, depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
    let text = |bytes: usize| "x".repeat(bytes);
    vec![
        ours("\"photo\":17"),
        ours("\"photo\":[1,{\"id\":2}],\"photo.id\":\"x\""),
        ours("\"photo\":{\"id\":{\"a\":1}}"),
        ours("\"photo.id.deeper\":1,\"photo\":{\"id\":1}"),
        ours("\"level\":{\"a\":1},\"component\":[1]"),
        ours("\"event\":\"scalar\""),
        ours("\"event\":{\"id\":1,\"ingested\":\"never\"},\"event.ingested\":{}"),
        ours("\"fields\":1"),
        ours("\"fields\":[1,\"a\",{\"b\":null}]"),
        ours("\"kubernetes\":1"),
        ours("\"kubernetes\":{\"labels\":{\"app\":\"x\",\"app.kubernetes.io/name\":{\"a\":1}},\"other_labels\":3}"),
        ours("\"truncated\":\"maybe\",\"duration_seconds\":\"NaN\",\"count\":1e300,\"attempt\":true"),
        ours("\"http\":{\"request\":\"GET\"},\"http.request.method\":\"GET\""),
        ours("\"\":1,\".\":2,\"..\":3,\"a..b\":4,\".a\":5,\"a.\":6,\" \":7,\"a. .b\":8"),
        ours("\"service\":{\"\":1,\"name.\":2,\".name\":3,\"a..b\":{\"\":{}}}"),
        ours("\"_id\":\"x\",\"_source\":1,\"_index\":\"y\",\"_routing\":{},\"_field_names\":1,\"_ignored\":1"),
        ours("\"message\":\"twice\",\"tags\":{\"a\":1},\"log\":5,\"log.iostream\":{}"),
        ours(&format!("\"fields\":{{\"a\":\"{}\"}}", text(40_000))),
        ours(&format!("\"trace_id\":\"{}\",\"target\":\"{}\"", text(40_000), "漢".repeat(20_000))),
        ours(&format!("\"{}\":1,\"fields\":{{\"{}\":\"{}\"}}", text(40_000), text(40_000), text(40_000))),
        ours(&format!("\"fields\":{{{}}}", (0..2_000).map(|n| format!("\"k{n}\":{n}")).collect::<Vec<_>>().join(","))),
        ours(&(0..2_000).map(|n| format!("\"k{n}\":{n}")).collect::<Vec<_>>().join(",")),
        ours(&format!("\"fields\":{}", nested("{\"k\":", "}", 100))),
        ours(&format!("\"unknown\":{}", nested("{\"k\":", "}", 100))),
        ours(&format!("\"unknown\":{}", nested("[", "]", 100))),
        ours(&format!("\"{}\":1", vec!["k"; 500].join("."))),
        ours(&format!("\"fields\":{{\"{}\":1}}", vec!["k"; 500].join("."))),
        ours("\"fields\":{\"a\":1,\"a.b\":2,\"a.b.c\":{\"d\":[null,[null,{}]]}}"),
        ours("\"postgresql\":{\"line_number\":\"99999999999999999999\",\"user\":null}"),
        nested("{\"k\":", "}", 120).into_bytes(),
        nested("{\"k\":", "}", 5_000).into_bytes(),
        b"{\"level\":\"info\",\"msg\":{\"a\":1},\"time\":\"0001-01-01T00:00:00Z\",\"app\":\"x\",\"app.kubernetes.io/name\":\"y\"}".to_vec(),
        b"{\"@timestamp\":\"2262-12-31T00:00:00Z\",\"level\":\"info\",\"message\":\"m\"}".to_vec(),
        b"{\"@timestamp\":\"1969-12-31T00:00:00Z\",\"level\":\"info\",\"message\":\"m\"}".to_vec(),
        b"{\"timestamp\":\"x\",\"error_severity\":\"LOG\",\"message\":\"duration: 1e9 \
            ms\",\"pid\":{},\"dbname\":[1],\"txid\":\"a\"}".to_vec(),
        b"{\"time\":\"x\",\"level\":\"info\",\"msg\":\"m\",\"pid\":\"<0.1.0>\",\"line\":\"x\",\"mfa\":{},\"file\":1}".to_vec(),
        b"\x00\x01\x1b[31m\xff\xfe plain".to_vec(),
        b"".to_vec(),
        text(2_000_000).into_bytes(),
        "é".repeat(700_000).into_bytes(),
        format!("{} {}", text(33_000), "漢".repeat(11_000)).into_bytes(),
    ]
}

/// Each field with a value of each type.
fn contradictions() -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    for field in FIELDS {
        for value in [
            "1",
            "-1.5",
            "1e308",
            "\"text\"",
            "true",
            "null",
            "[]",
            "{}",
            "[{\"a\":1}]",
            "{\"a\":{\"b\":1}}",
        ] {
            lines.push(ours(&format!("\"{}\":{value}", field.name)));
        }
    }
    lines
}

#[tokio::test]
async fn no_line_is_rejected() {
    let Some(store) = LogStore::from_environment(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    let pods = PodList::read(&fs::read(golden().join("pods.json")).unwrap()).unwrap();
    let place = ContainerRef {
        namespace: "photos".into(),
        pod: "nobody-knows".into(),
        uid: "1".into(),
        container: "irmgard".into(),
    };
    let run = format!("{:?}", std::time::SystemTime::now());
    for origin in [
        Origin::Source(run.clone()),
        pods.origin(ContainerRef { uid: run, ..place }),
    ] {
        let mut documents: BTreeMap<String, (String, String, String)> = BTreeMap::new();
        for line in hostile().into_iter().chain(contradictions()) {
            let document = normalized(&line, &origin);
            documents.insert(document.1.clone(), document);
        }
        let documents: Vec<_> = documents.into_values().collect();
        let results = store.create(&documents).await;
        for ((status, error), (_, _, document)) in results.iter().zip(&documents) {
            let beginning: String = document.chars().take(300).collect();
            assert_eq!(*status, 201, "{error}\n{beginning}");
        }
    }
}

/// In OpenSearch, `app` cannot be both a text and an object with `kubernetes.io/name`; the dots are replaced.
#[tokio::test]
async fn conflicting_labels_are_stored() {
    let Some(store) = LogStore::from_environment(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    let pods = json!({ "kind": "PodList", "apiVersion": "v1", "items": [{
        "metadata": { "name": "p", "namespace": "n", "uid": "u", "labels": {
            "app": "one", "app.kubernetes.io/name": "two", "app.kubernetes.io": "three", "k8s-app": "four",
            "irmgard.dev/uses-database": "postgres", "irmgard.dev/unknown": "five",
        } },
        "spec": { "nodeName": "node", "containers": [{ "name": "c" }] }, "status": {},
    }] });
    let pods = PodList::read(pods.to_string().as_bytes()).unwrap();
    let origin = pods.origin(ContainerRef {
        namespace: "n".into(),
        pod: "p".into(),
        uid: "u".into(),
        container: "c".into(),
    });
    let unique = format!("{:?}", std::time::SystemTime::now());
    let results = store.create(&[normalized(unique.as_bytes(), &origin)]).await;
    assert_eq!(results[0].0, 201, "{results:?}");
    let query = json!({ "bool": { "filter": [
        { "match_phrase": { "message": unique } },
        { "term": { "kubernetes.labels.app_kubernetes_io/name": "two" } },
        { "term": { "kubernetes.labels.irmgard_dev/uses-database": "postgres" } },
        { "term": { "kubernetes.other_labels.app": "one" } },
        { "term": { "kubernetes.other_labels.app.kubernetes.io": "three" } },
        { "term": { "kubernetes.other_labels.k8s-app": "four" } },
    ] } });
    assert_eq!(store.count("logs-*", &query).await, 1);
}
