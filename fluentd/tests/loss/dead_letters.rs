//! Documents that OpenSearch will never take are counted, kept, and can be
//! sent again.

use std::fs;

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
        dead > 0.0 && dead + f64::from(stored) >= 600.0
    };
    stand
        .fluentd
        .wait("all lines to be stored or dead", settled)
        .await?;
    let dead = stand.fluentd.metric("fluentd_dead_letters_total").await?;
    let stored = stand.servers.count();
    assert!(dead > 100.0 && stored < 600, "{dead} dead, {stored} stored");

    // What an operator does once the reason is gone.
    let letters = stand.fluentd.state().join("dead-letters");
    let kept = || -> usize {
        let files = fs::read_dir(&letters).into_iter().flatten().flatten();
        files
            .map(|file| {
                fs::read_to_string(file.path())
                    .unwrap_or_default()
                    .lines()
                    .count()
            })
            .sum()
    };
    stand
        .fluentd
        .wait("the dead letters", async || {
            f64::from(u32::try_from(kept()).unwrap_or(0)) >= dead
        })
        .await?;
    stand.servers.judge(|_| Verdict::Stored);
    let again = stand.fluentd.state().join("again");
    fs::create_dir_all(&again)?;
    for file in fs::read_dir(&letters)? {
        let file = file?;
        fs::rename(file.path(), again.join(file.file_name()))?;
    }

    stand.stored(load.len()).await?;
    load.assert_each_once(&stand.servers.documents());
    Ok(())
}
