//! Summaries that OpenSearch counts equal those of the lines, or logq reads the lines.

use std::collections::BTreeMap;

use log_normalizer::{Document, Time};
use logq::{
    filter::{Filter, push_down},
    opensearch::{Client, OpenSearchSettings},
    render::{OutputFormat, OutputWidth},
    source::opensearch::OpenSearchSource,
    summary::{Histogram, Summary, SummaryFormat, Top},
};
use schema::{FIELDS, FieldKind};
use serde_json::Value;

use crate::{
    log_store::LogStore,
    pushdown::{OTHERS, all_documents, questions},
};

/// The summary as text and as JSON.
fn written(summary: &Summary) -> String {
    let mut out = Vec::new();
    for output in [OutputFormat::Pretty, OutputFormat::Jsonl] {
        let shape = SummaryFormat {
            output,
            utc: true,
            width: OutputWidth {
                columns: 100,
                truncates: false,
            },
            now: Time::from_nanos(0),
        };
        summary.write(&shape, &mut out).unwrap();
    }
    String::from_utf8(out).unwrap()
}

/// Compares the summary of a filter; returns whether OpenSearch could count it.
fn compare(lines: &OpenSearchSource, documents: &[Document], filter: &Filter, empty: &Summary) -> bool {
    let mut counted = empty.clone();
    let Some(found) = lines.fill_summary(filter, &mut counted).unwrap() else {
        assert_eq!(written(&counted), written(empty), "{filter}");
        return false;
    };
    let mut plain = empty.clone();
    let wanted = documents.iter().filter(|document| filter.matches(*document));
    let wanted: Vec<&Document> = wanted.collect();
    wanted.iter().for_each(|document| plain.add(document));
    assert_eq!(written(&counted), written(&plain), "{filter}");
    assert_eq!(found, wanted.len() as u64, "{filter}");
    true
}

fn top(field: &str) -> Summary {
    Summary::Top(Top::new(field.to_owned(), None))
}

fn compare_all(lines: &OpenSearchSource, all: &BTreeMap<String, Value>) {
    let documents: Vec<Document> = all
        .values()
        .map(|document| Document::try_from(document.clone()).unwrap())
        .collect();
    let histogram = Summary::Histogram(Histogram::default());
    let every = Filter::EVERYTHING;
    for summary in [Summary::stats(), histogram.clone()] {
        let message = compare(lines, &documents, &every, &summary);
        assert!(message);
    }
    let schema_fields = FIELDS.iter().map(|field| (field.name, Some(field.kind)));
    for (field, kind) in schema_fields.chain(OTHERS.map(|field| (field, None))) {
        let message = compare(lines, &documents, &every, &top(field));
        let can = matches!(
            kind,
            Some(FieldKind::Keyword | FieldKind::Long | FieldKind::Boolean)
        );
        assert!(message == can || kind.is_none(), "{field}");
    }
    let questions = questions(all);
    let exact = questions.iter().filter(|question| push_down(question).is_exact());
    for (number, question) in exact.step_by(7).enumerate() {
        let summary = match number % 3 {
            0 => Summary::stats(),
            1 => histogram.clone(),
            _ => top("component"),
        };
        let message = compare(lines, &documents, question, &summary);
        assert!(message, "{question}");
    }
    let uncertain = questions.iter().find(|question| !push_down(question).is_exact());
    assert!(!compare(lines, &documents, uncertain.unwrap(), &Summary::stats()));
}

#[tokio::test]
async fn counts_equal_those_of_the_lines() {
    let Some(store) = LogStore::empty("summaries that OpenSearch counts").await else {
        return;
    };
    store.bootstrap().await;
    // First without any document.
    for some in [BTreeMap::new(), all_documents()] {
        let documents: Vec<_> = some.values().cloned().collect();
        let results = store.create(&documents).await;
        assert!(results.iter().all(|(status, _)| *status == 201), "{results:?}");
        let documents = some
            .into_iter()
            .map(|(id, (_, _, text))| (id, serde_json::from_str(&text).unwrap()))
            .collect();
        on_thread(move |lines| compare_all(lines, &documents)).await;
    }

    // Another shipper stores this number as text: it is in the line, but not in the index.
    let unusual = r#"{"@timestamp":"2026-11-22T10:00:00Z","message":"m","attempt":"many"}"#;
    let unusual = ("logs-other".to_owned(), "unusual".to_owned(), unusual.to_owned());
    assert_eq!(store.create(&[unusual]).await[0].0, 201);
    on_thread(|lines| {
        assert!(!compare(lines, &[], &Filter::EVERYTHING, &top("attempt")));
        let mut others = top("count");
        assert!(
            lines
                .fill_summary(&Filter::EVERYTHING, &mut others)
                .unwrap()
                .is_some()
        );
    })
    .await;
}

/// Runs `query` on a thread that may block. A connection belongs to the runtime that created it.
async fn on_thread(query: impl FnOnce(&OpenSearchSource) + Send + 'static) {
    let task = tokio::task::spawn_blocking(move || {
        let settings = OpenSearchSettings::read(&|name| std::env::var(name).ok()).unwrap();
        query(&OpenSearchSource::new(Client::new(&settings).unwrap()).unwrap());
    });
    task.await.unwrap();
}
