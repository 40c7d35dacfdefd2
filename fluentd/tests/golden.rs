//! The real Fluentd makes the expected documents of every case in `golden/`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result};
use fluentd::{folder, process, process::Fluentd, servers::Servers};
use serde_json::Value;

/// The expected documents by id, each with the name of its case.
fn expected() -> Result<BTreeMap<String, (String, Value)>> {
    let mut all = BTreeMap::new();
    for case in fs::read_dir(folder().join("golden"))? {
        let case = case?;
        let path = case.path().join("expected.jsonl");
        if !case.path().is_dir() {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        for line in text.lines() {
            let document: Value = serde_json::from_str(line)?;
            let id = document["event"]["id"].as_str().context("no id")?.to_owned();
            let name = case.file_name().to_string_lossy().into_owned();
            let before = all.insert(id, (name.clone(), document));
            assert!(before.is_none(), "{name}: two documents with one id: {line}");
        }
    }
    Ok(all)
}

/// Removes the time of a line that no container runtime wrote: it is the time of reading.
fn without_read_time(mut document: Value) -> Value {
    let is_unmatched = |tags: &Value| {
        let mut tags = tags.as_array().into_iter().flatten();
        tags.any(|tag| tag == schema::tag::UNMATCHED_CRI)
    };
    if is_unmatched(&document["tags"]) {
        let time = document
            .as_object_mut()
            .and_then(|members| members.remove("@timestamp"));
        assert!(time.is_some(), "{document}");
    }
    document
}

#[tokio::test]
async fn fluentd_makes_the_expected_document_of_each_line() -> Result<()> {
    let Some(executable) = process::executable_for("golden cases through Fluentd") else {
        return Ok(());
    };
    let expected = expected()?;
    let servers = Servers::start(&folder().join("golden/pods.json")).await?;
    let mut fluentd = Fluentd::new(executable, &folder().join("golden/*"), servers.address())?;
    fluentd.start().await?;
    // The comparison below shows what is missing.
    let _ = fluentd
        .wait("all documents", async || servers.count() >= expected.len())
        .await;

    let documents = servers.documents().into_iter().map(|document| {
        let id = document["event"]["id"].as_str().unwrap_or_default().to_owned();
        (id, without_read_time(document))
    });
    let documents: BTreeMap<String, Value> = documents.collect();
    let mut wrong = Vec::new();
    for (id, (case, document)) in &expected {
        match documents.get(id) {
            Some(found) if found == document => {}
            Some(found) => wrong.push(format!("{case}: expected {document}\n      found {found}")),
            None => wrong.push(format!("{case}: not found {document}")),
        }
    }
    let known: BTreeSet<&String> = expected.keys().collect();
    for (id, document) in &documents {
        if !known.contains(id) {
            wrong.push(format!("not expected: {document}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(fluentd.metric("fluentd_dead_letters_total").await?, 0.0);
    Ok(())
}
