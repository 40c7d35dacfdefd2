//! The query for OpenSearch never misses a matching line, except for values that are too long for a keyword index.

use std::collections::{BTreeMap, BTreeSet};

use log_normalizer::{Document, Origin};
use logq::filter::{Comparison, DslQuery, Filter, Glob, Literal, Pattern, push_down};
use schema::{FIELDS, FieldKind, MAX_TERM_BYTES, field, level};
use serde_json::{Value, json};

use crate::documents::{golden_documents, hostile, normalized};
use crate::log_store::LogStore;

/// Fields outside of the schema: labels, members of flat objects, unknown ones.
pub const OTHERS: [&str; 12] = [
    "kubernetes.labels.app.kubernetes.io/name",
    "kubernetes.labels.app.kubernetes.io/nobody-knows",
    "kubernetes.labels.irmgard.dev/uses-database",
    "kubernetes.other_labels.tier",
    "kubernetes.other_labels.app",
    "fields.a",
    "fields.logger",
    "fields.tags",
    "unknown",
    "unknown.k",
    "kubernetes",
    "service",
];

fn every_text(document: &Value, name: &str, found: &mut BTreeSet<String>) {
    let document = Document::try_from(document.clone()).unwrap();
    match document.get(name) {
        Some(Value::String(text)) => {
            found.insert(text.clone());
        }
        Some(Value::Array(values)) => {
            found.extend(values.iter().filter_map(Value::as_str).map(str::to_owned))
        }
        Some(value @ (Value::Number(_) | Value::Bool(_))) => {
            found.insert(value.to_string());
        }
        _ => {}
    }
}

/// A short value, a medium one and a long one.
fn picked(all: BTreeSet<String>) -> Vec<String> {
    let mut all: Vec<String> = all.into_iter().collect();
    all.sort_by_key(String::len);
    let middle = all.len() / 2;
    let last = all.pop();
    all.into_iter().skip(middle).take(1).chain(last).collect()
}

/// Whether a keyword value is too long for the index.
pub fn has_unindexed(document: &Value) -> bool {
    let keywords = FIELDS.iter().filter(|field| field.kind == FieldKind::Keyword);
    keywords.into_iter().any(|field| {
        let mut texts = BTreeSet::new();
        every_text(document, field.name, &mut texts);
        texts.iter().any(|text| text.len() > MAX_TERM_BYTES)
    })
}

/// The characters `from..to`, as far as they exist.
fn part(text: &str, from: usize, to: usize) -> String {
    text.chars().skip(from).take(to - from).collect()
}

pub fn questions(documents: &BTreeMap<String, Value>) -> Vec<Filter> {
    let mut questions: Vec<Filter> = level::ALL.into_iter().map(Filter::Level).collect();
    // The arrival time of these lines is unknown.
    let schema_fields = FIELDS
        .iter()
        .filter(|field| field.name != field::EVENT_INGESTED)
        .map(|field| (field.name, Some(field.kind)));
    for (name, kind) in schema_fields.chain(OTHERS.map(|name| (name, None))) {
        let mut values = BTreeSet::new();
        for document in documents.values() {
            every_text(document, name, &mut values);
        }
        questions.push(Filter::Exists(name.to_owned()));
        for value in picked(values).into_iter().chain(["1".to_owned()]) {
            questions.push(Filter::Equals(name.to_owned(), Literal::new(&value)));
            for comparison in [Comparison::Less, Comparison::AtLeast] {
                questions.push(Filter::Compare(name.to_owned(), comparison, Literal::new(&value)));
            }
            for pattern in [
                format!("{}*", part(&value, 0, 3)),
                format!("?{}", part(&value, 1, 5_000)),
            ] {
                questions.push(Filter::Glob(name.to_owned(), Glob::new(&pattern).unwrap()));
            }
            let pattern = Pattern::new(&regex::escape(&part(&value, 1, 8))).unwrap();
            questions.push(Filter::Matches(name.to_owned(), pattern.clone()));
            if kind == Some(FieldKind::Text) {
                questions.push(Filter::Text(pattern));
            }
        }
    }
    for pattern in [
        "(?i)ERROR",
        "duration: \\d+",
        "^$",
        "fail|time.?out",
        "\\x1b",
        "漢{4}",
        "a*",
        "C:\\\\",
        "\\?x",
    ] {
        questions.push(Filter::Text(Pattern::new(pattern).unwrap()));
    }
    // Each filter alone, negated, and combined with another one.
    let negated: Vec<Filter> = questions.iter().cloned().map(Filter::negated).collect();
    let beside = questions.iter().zip(negated.iter().rev()).enumerate();
    let pairs: Vec<Filter> = beside
        .map(|(at, (one, other))| {
            let pair = vec![one.clone(), other.clone()];
            match at % 3 {
                0 => Filter::All(pair),
                1 => Filter::Any(pair),
                _ => Filter::Any(pair).negated(),
            }
        })
        .collect();
    questions.into_iter().chain(pairs).collect()
}

/// The ids of the lines that match each query.
async fn found(store: &LogStore, queries: &[DslQuery]) -> Vec<BTreeSet<String>> {
    let mut found = Vec::new();
    for some in queries.chunks(200) {
        let mut body = String::new();
        for query in some {
            let question = json!({ "size": 10_000, "_source": false, "query": query.clone().into_dsl() });
            body.push_str(&format!("{{\"index\":\"logs-*\"}}\n{question}\n"));
        }
        let answer = store
            .client
            .send_lines("ask", "/_msearch", &[], body.into_bytes())
            .await
            .unwrap();
        for (response, query) in answer["responses"].as_array().unwrap().iter().zip(some) {
            let hits = response["hits"]["hits"].as_array();
            let hits = hits.unwrap_or_else(|| panic!("{query:?}: {}", response["error"]["root_cause"][0]));
            found.push(
                hits.iter()
                    .map(|hit| hit["_id"].as_str().unwrap().to_owned())
                    .collect(),
            );
        }
    }
    found
}

/// Golden and hostile lines as documents by id, with all fields indexed.
pub fn all_documents() -> BTreeMap<String, (String, String, String)> {
    // Longer values add nothing here, and are slow to test.
    let hostile = hostile()
        .into_iter()
        .filter(|line| line.len() < 100_000)
        .map(|line| normalized(&line, &Origin::Source("test".into())));
    golden_documents()
        .into_iter()
        .chain(hostile)
        .filter(|(_, _, text)| !has_unindexed(&serde_json::from_str(text).unwrap()))
        .map(|document| (document.1.clone(), document))
        .collect()
}

#[tokio::test]
async fn pushdown_finds_all_matches_and_exact_ones_only_those() {
    let Some(store) = LogStore::empty("the pushed-down queries").await else {
        return;
    };
    store.bootstrap().await;
    let all = all_documents();
    let documents: Vec<_> = all.values().cloned().collect();
    let results = store.create(&documents).await;
    assert!(results.iter().all(|(status, _)| *status == 201));
    let all: BTreeMap<String, Value> = all
        .into_iter()
        .map(|(id, (_, _, text))| (id, serde_json::from_str(&text).unwrap()))
        .collect();

    let questions = questions(&all);
    let bounds: Vec<_> = questions.iter().map(push_down).collect();
    let uppers: Vec<DslQuery> = bounds.iter().map(|bounds| bounds.upper.clone()).collect();
    let lowers: Vec<DslQuery> = bounds.iter().map(|bounds| bounds.lower.clone()).collect();
    let (uppers, lowers) = (found(&store, &uppers).await, found(&store, &lowers).await);
    let lines: Vec<(&String, Document)> = all
        .iter()
        .map(|(id, document)| (id, Document::try_from(document.clone()).unwrap()))
        .collect();
    let mut wrong = Vec::new();
    let (mut narrowed, mut exact) = (0, 0);
    for (((question, bounds), upper), lower) in questions.iter().zip(&bounds).zip(&uppers).zip(&lowers) {
        let wanted: BTreeSet<String> = lines
            .iter()
            .filter(|(_, document)| question.matches(document))
            .map(|(id, _)| (*id).clone())
            .collect();
        narrowed += usize::from(upper.len() < all.len());
        exact += usize::from(bounds.is_exact());
        for id in wanted.difference(upper).take(1) {
            wrong.push(format!(
                "left out: {}\n{}",
                part(&question.to_string(), 0, 200),
                part(&all[id].to_string(), 0, 300)
            ));
        }
        for id in lower.difference(&wanted).take(1) {
            wrong.push(format!(
                "not wanted: {}\n{}",
                part(&question.to_string(), 0, 200),
                part(&all[id].to_string(), 0, 300)
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        questions.len(),
        wrong.join("\n")
    );
    // Checks that the filters are selective.
    assert!(
        narrowed * 2 > questions.len(),
        "{narrowed} of {}",
        questions.len()
    );
    assert!(exact * 4 > questions.len(), "{exact} of {}", questions.len());
}
