//! Kills, outages, refusals and rotations under load.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use fluentd::servers::Verdict;

use super::Stand;
use super::load::Load;

#[tokio::test]
async fn killed_under_load() -> Result<()> {
    let Some(mut stand) = Stand::new("kill -9 of Fluentd under load").await? else {
        return Ok(());
    };
    let mut load = Load::new(&stand)?;
    stand.fluentd.start().await?;
    for _ in 0..3 {
        load.write(3_000, &stand).await?;
        stand.fluentd.kill()?;
        load.write_at_once(500)?;
        stand.fluentd.start().await?;
    }
    load.write(2_000, &stand).await?;

    stand.stored(load.len()).await?;
    load.assert_each_once(&stand.servers.documents());
    Ok(())
}

#[tokio::test]
async fn opensearch_is_away_and_fluentd_is_killed_meanwhile() -> Result<()> {
    let Some(mut stand) = Stand::new("an outage of OpenSearch with a kill -9 of Fluentd").await? else {
        return Ok(());
    };
    let mut load = Load::new(&stand)?;
    stand.fluentd.start().await?;
    load.write(1_000, &stand).await?;
    stand.servers.go_away().await;
    load.write_at_once(2_000)?;
    let held = async || {
        stand
            .fluentd
            .metric("fluentd_output_status_retry_count")
            .await
            .unwrap_or(0.0)
            > 1.0
    };
    stand.fluentd.wait("Fluentd to notice", held).await?;
    stand.fluentd.kill()?;
    load.write_at_once(1_000)?;
    // Where Kubernetes is away as well, Fluentd does not start.
    stand.servers.come_back().await?;
    stand.fluentd.start().await?;

    stand.stored(load.len()).await?;
    load.assert_each_once(&stand.servers.documents());
    Ok(())
}

#[tokio::test]
async fn documents_and_whole_requests_are_put_off() -> Result<()> {
    let Some(mut stand) = Stand::new("429 of OpenSearch").await? else {
        return Ok(());
    };
    let mut load = Load::new(&stand)?;
    let asked = AtomicUsize::new(0);
    // Now and then one of them, and for a while all.
    stand
        .servers
        .judge(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
            1_000..3_000 => Verdict::TooMany,
            number if number % 7 == 0 => Verdict::TooMany,
            _ => Verdict::Stored,
        });
    stand.fluentd.start().await?;
    load.write(4_000, &stand).await?;

    stand.stored(load.len()).await?;
    load.assert_each_once(&stand.servers.documents());
    assert_eq!(stand.fluentd.metric("fluentd_dead_letters_total").await?, 0.0);
    Ok(())
}

#[tokio::test]
async fn rotated_while_fluentd_is_down_and_while_it_reads() -> Result<()> {
    let Some(mut stand) = Stand::new("rotation of log files").await? else {
        return Ok(());
    };
    let mut load = Load::new(&stand)?;
    stand.fluentd.start().await?;
    load.write(1_000, &stand).await?;
    stand.fluentd.kill()?;
    for _ in 0..3 {
        load.write_at_once(1_000)?;
        load.rotate()?;
    }
    load.write_at_once(500)?;
    stand.fluentd.start().await?;
    for _ in 0..3 {
        load.write(500, &stand).await?;
        load.rotate()?;
    }
    load.write_at_once(500)?;

    stand.stored(load.len()).await?;
    load.assert_each_once(&stand.servers.documents());
    Ok(())
}

#[tokio::test]
async fn the_buffer_is_full() -> Result<()> {
    let Some(mut stand) = Stand::new("a full buffer").await? else {
        return Ok(());
    };
    let mut load = Load::new(&stand)?;
    stand
        .fluentd
        .set("FLUENT_OPENSEARCH_BUFFER_CHUNK_LIMIT_SIZE", "256K");
    stand
        .fluentd
        .set("FLUENT_OPENSEARCH_BUFFER_TOTAL_LIMIT_SIZE", "1M");
    stand.servers.judge(|_| Verdict::TooMany);
    load.write_at_once(6_000)?;
    stand.fluentd.start().await?;
    let full = async || {
        let free = stand
            .fluentd
            .metric("fluentd_output_status_buffer_available_space_ratio")
            .await;
        // The other outputs' buffers are empty.
        let bytes = stand
            .fluentd
            .metric("fluentd_output_status_buffer_total_bytes")
            .await;
        free.is_ok() && bytes.is_ok_and(|bytes| bytes > 900_000.0)
    };
    stand.fluentd.wait("a full buffer", full).await?;
    stand.servers.judge(|_| Verdict::Stored);

    stand.stored(load.len()).await?;
    load.assert_each_once(&stand.servers.documents());
    Ok(())
}
