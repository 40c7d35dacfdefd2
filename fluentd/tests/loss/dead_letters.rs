//! Documents that OpenSearch will never take are counted, kept, and can be
//! sent again.

use std::fs;
use std::path::Path;

use anyhow::Result;
use fluentd::servers::Verdict;
use serde_json::Value;

use super::Stand;
use super::load::Load;

#[tokio::test]
async fn refused_documents_are_counted_and_can_be_sent_again() -> Result<()> {
    let Some(mut stand) = Stand::new("dead letters").await? else {
        return Ok(());
    };
    let mut load = Load::new(&stand)?;
    let third = |document: &Value| document["photo"]["id"].as_u64().is_some_and(|id| id % 3 == 0);
    stand.servers.judge(move |document| {
        if third(document) {
            Verdict::Refused
        } else {
            Verdict::Stored
        }
    });
    stand.fluentd.start().await?;
    load.write(600, &stand).await?;
    let settled = async || {
        let dead = stand
            .fluentd
            .metric("fluentd_dead_letters_total")
            .await
            .unwrap_or(0.0);
        let stored = u32::try_from(stand.servers.count()).unwrap_or(0);
        // One of those that are stored may be the line about the others.
        dead > 0.0 && dead + f64::from(stored) >= 601.0
    };
    stand
        .fluentd
        .wait("all lines to be stored or dead", settled)
        .await?;
    let dead = stand.fluentd.metric("fluentd_dead_letters_total").await?;
    let stored = stand.servers.count();
    assert!(dead > 100.0 && stored < 600, "{dead} dead, {stored} stored");

    // A line tells of it, once for now.
    let telling = || -> Vec<Value> {
        let documents = stand.servers.documents().into_iter();
        documents
            .filter(|document| document["kind"] == "dead-letters")
            .collect()
    };
    stand
        .fluentd
        .wait("the line about it", async || !telling().is_empty())
        .await?;
    let told = telling();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["_stream"], "fluentd");
    assert_eq!(
        (&told[0]["component"], &told[0]["level"]),
        (&"fluentd".into(), &"error".into())
    );
    let count = told[0]["count"].as_f64().unwrap_or(0.0);
    assert!(count > 0.0 && count <= dead, "{count} of {dead}");

    // What an operator does once the reason is gone.
    let letters = stand.fluentd.state().join("dead-letters");
    stand
        .fluentd
        .wait("the dead letters", async || {
            f64::from(u32::try_from(lines_in(&letters)).unwrap_or(0)) >= dead
        })
        .await?;
    stand.servers.judge(|_| Verdict::Stored);
    move_to_again(&stand, "dead-letters")?;

    stand.stored(load.len() + 1).await?;
    let documents: Vec<Value> = stand.servers.documents();
    let (told, written): (Vec<_>, Vec<_>) = documents
        .into_iter()
        .partition(|document| document["kind"] == "dead-letters");
    assert_eq!(told.len(), 1);
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

/// As fluentd/README.md says.
fn move_to_again(stand: &Stand, from: &str) -> Result<()> {
    let again = stand.fluentd.state().join("again");
    fs::create_dir_all(&again)?;
    for file in fs::read_dir(stand.fluentd.state().join(from))? {
        let file = file?;
        fs::rename(file.path(), again.join(file.file_name()))?;
    }
    Ok(())
}

/// What OpenSearch did not take for too long is kept in files, and comes back as dead letters do.
#[tokio::test]
async fn what_could_not_be_sent_for_too_long_can_be_sent_again() -> Result<()> {
    let Some(mut stand) = Stand::new("the secondary").await? else {
        return Ok(());
    };
    let mut load = Load::new(&stand)?;
    stand.fluentd.set("FLUENT_OPENSEARCH_BUFFER_RETRY_TIMEOUT", "3s");
    stand.fluentd.start().await?;
    load.write(300, &stand).await?;
    stand.stored(load.len()).await?;
    stand.servers.go_away().await;
    load.write_at_once(700)?;
    let missing = load.len() - stand.servers.count();
    let directory = stand.fluentd.state().join("secondary");
    stand
        .fluentd
        .wait("all lines in the secondary's files", async || {
            lines_in(&directory) >= missing
        })
        .await?;
    assert_eq!(lines_in(&directory), missing);
    let told = "lines could not be sent for too long and are kept in a file";
    assert!(stand.fluentd.output().contains(told));
    stand.servers.come_back().await?;
    load.write(200, &stand).await?;
    stand.stored(load.len() - missing).await?;

    move_to_again(&stand, "secondary")?;
    stand.stored(load.len()).await?;
    load.assert_each_once(&stand.servers.documents());
    Ok(())
}
