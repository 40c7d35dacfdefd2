//! Documents that OpenSearch rejects for good are counted and stored in files, and can be sent again.

use std::fs;
use std::path::Path;

use anyhow::Result;
use fluentd::servers::BulkVerdict;
use serde_json::Value;

use super::FluentdFixture;
use super::load::LogLoad;

#[tokio::test]
async fn rejected_documents_are_counted_and_can_be_sent_again() -> Result<()> {
    let Some(mut fixture) = FluentdFixture::new("dead letters").await? else {
        return Ok(());
    };
    let mut load = LogLoad::new(&fixture)?;
    let third = |document: &Value| document["photo"]["id"].as_u64().is_some_and(|id| id % 3 == 0);
    fixture.servers.set_verdict(move |document| {
        if third(document) {
            BulkVerdict::Rejected
        } else {
            BulkVerdict::Stored
        }
    });
    fixture.fluentd.start().await?;
    load.write(600, &fixture).await?;
    let settled = async || {
        let dead = fixture
            .fluentd
            .metric("fluentd_dead_letters_total")
            .await
            .unwrap_or(0.0);
        let stored = u32::try_from(fixture.servers.count()).unwrap_or(0);
        // The notice may be among the stored documents.
        dead > 0.0 && dead + f64::from(stored) >= 601.0
    };
    fixture
        .fluentd
        .wait("all lines to be stored or dead", settled)
        .await?;
    let dead = fixture.fluentd.metric("fluentd_dead_letters_total").await?;
    let stored = fixture.servers.count();
    assert!(dead > 100.0 && stored < 600, "{dead} dead, {stored} stored");

    // There is one notice so far.
    let notices = || -> Vec<Value> {
        let documents = fixture.servers.documents().into_iter();
        documents
            .filter(|document| document["kind"] == "dead-letters")
            .collect()
    };
    fixture
        .fluentd
        .wait("the notice", async || !notices().is_empty())
        .await?;
    let found = notices();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["_stream"], "fluentd");
    assert_eq!(
        (&found[0]["component"], &found[0]["level"]),
        (&"fluentd".into(), &"error".into())
    );
    let count = found[0]["count"].as_f64().unwrap_or(0.0);
    assert!(count > 0.0 && count <= dead, "{count} of {dead}");

    // An operator sends them again when OpenSearch accepts them.
    let letters = fixture.fluentd.state().join("dead-letters");
    fixture
        .fluentd
        .wait("the dead letters", async || {
            f64::from(u32::try_from(lines_in(&letters)).unwrap_or(0)) >= dead
        })
        .await?;
    fixture.servers.set_verdict(|_| BulkVerdict::Stored);
    move_to_again(&fixture, "dead-letters")?;

    fixture.wait_until_stored(load.len() + 1).await?;
    let documents: Vec<Value> = fixture.servers.documents();
    let (found, written): (Vec<_>, Vec<_>) = documents
        .into_iter()
        .partition(|document| document["kind"] == "dead-letters");
    assert_eq!(found.len(), 1);
    load.assert_each_once(&written);
    Ok(())
}

/// Lines in the finished files of a directory.
fn lines_in(directory: &Path) -> usize {
    let files = fs::read_dir(directory).into_iter().flatten().flatten();
    files
        .filter(|file| {
            file.path()
                .extension()
                .is_some_and(|extension| extension == "log")
        })
        .map(|file| {
            fs::read_to_string(file.path())
                .unwrap_or_default()
                .lines()
                .count()
        })
        .sum()
}

/// Follows fluentd/README.md.
fn move_to_again(fixture: &FluentdFixture, from: &str) -> Result<()> {
    let again = fixture.fluentd.state().join("again");
    fs::create_dir_all(&again)?;
    for file in fs::read_dir(fixture.fluentd.state().join(from))? {
        let file = file?;
        fs::rename(file.path(), again.join(file.file_name()))?;
    }
    Ok(())
}

/// Fluentd's secondary output takes them.
#[tokio::test]
async fn lines_that_were_not_sent_for_too_long_can_be_sent_again() -> Result<()> {
    let Some(mut fixture) = FluentdFixture::new("the secondary").await? else {
        return Ok(());
    };
    let mut load = LogLoad::new(&fixture)?;
    fixture
        .fluentd
        .set("FLUENT_OPENSEARCH_BUFFER_RETRY_TIMEOUT", "3s");
    fixture.fluentd.start().await?;
    load.write(300, &fixture).await?;
    fixture.wait_until_stored(load.len()).await?;
    fixture.servers.stop().await;
    load.write_at_once(700)?;
    let missing = load.len() - fixture.servers.count();
    let directory = fixture.fluentd.state().join("secondary");
    fixture
        .fluentd
        .wait("all lines in the secondary's files", async || {
            lines_in(&directory) >= missing
        })
        .await?;
    assert_eq!(lines_in(&directory), missing);
    let message = "lines could not be sent in time and were written to a file";
    assert!(fixture.fluentd.output().contains(message));
    fixture.servers.start_again().await?;
    load.write(200, &fixture).await?;
    fixture.wait_until_stored(load.len() - missing).await?;

    move_to_again(&fixture, "secondary")?;
    fixture.wait_until_stored(load.len()).await?;
    load.assert_each_once(&fixture.servers.documents());
    Ok(())
}
