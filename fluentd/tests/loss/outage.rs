//! Kills, outages, refusals and rotations under load.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use fluentd::servers::BulkVerdict;

use super::FluentdFixture;
use super::load::LogLoad;

#[tokio::test]
async fn fluentd_is_killed_under_load() -> Result<()> {
    let Some(mut fixture) = FluentdFixture::new("kill -9 of Fluentd under load").await? else {
        return Ok(());
    };
    let mut load = LogLoad::new(&fixture)?;
    fixture.fluentd.start().await?;
    for _ in 0..3 {
        load.write(3_000, &fixture).await?;
        fixture.fluentd.kill()?;
        load.write_at_once(500)?;
        fixture.fluentd.start().await?;
    }
    load.write(2_000, &fixture).await?;

    fixture.wait_until_stored(load.len()).await?;
    load.assert_each_once(&fixture.servers.documents());
    Ok(())
}

#[tokio::test]
async fn fluentd_is_killed_while_opensearch_is_down() -> Result<()> {
    let Some(mut fixture) = FluentdFixture::new("an outage of OpenSearch with a kill -9 of Fluentd").await?
    else {
        return Ok(());
    };
    let mut load = LogLoad::new(&fixture)?;
    fixture.fluentd.start().await?;
    load.write(1_000, &fixture).await?;
    fixture.servers.stop().await;
    load.write_at_once(2_000)?;
    let is_retrying = async || {
        fixture
            .fluentd
            .metric("fluentd_output_status_retry_count")
            .await
            .unwrap_or(0.0)
            > 1.0
    };
    fixture.fluentd.wait("Fluentd to notice", is_retrying).await?;
    fixture.fluentd.kill()?;
    load.write_at_once(1_000)?;
    // Without Kubernetes, Fluentd does not start.
    fixture.servers.start_again().await?;
    fixture.fluentd.start().await?;

    fixture.wait_until_stored(load.len()).await?;
    load.assert_each_once(&fixture.servers.documents());
    Ok(())
}

#[tokio::test]
async fn opensearch_rejects_documents_for_a_while() -> Result<()> {
    let Some(mut fixture) = FluentdFixture::new("429 of OpenSearch").await? else {
        return Ok(());
    };
    let mut load = LogLoad::new(&fixture)?;
    let requests = AtomicUsize::new(0);
    // First it rejects some documents, then all.
    fixture
        .servers
        .set_verdict(move |_| match requests.fetch_add(1, Ordering::Relaxed) {
            1_000..3_000 => BulkVerdict::TooMany,
            number if number % 7 == 0 => BulkVerdict::TooMany,
            _ => BulkVerdict::Stored,
        });
    fixture.fluentd.start().await?;
    load.write(4_000, &fixture).await?;

    fixture.wait_until_stored(load.len()).await?;
    load.assert_each_once(&fixture.servers.documents());
    assert_eq!(fixture.fluentd.metric("fluentd_dead_letters_total").await?, 0.0);
    Ok(())
}

#[tokio::test]
async fn files_are_rotated_while_fluentd_is_down_and_while_it_reads() -> Result<()> {
    let Some(mut fixture) = FluentdFixture::new("rotation of log files").await? else {
        return Ok(());
    };
    let mut load = LogLoad::new(&fixture)?;
    fixture.fluentd.start().await?;
    load.write(1_000, &fixture).await?;
    fixture.fluentd.kill()?;
    for _ in 0..3 {
        load.write_at_once(1_000)?;
        load.rotate()?;
    }
    load.write_at_once(500)?;
    fixture.fluentd.start().await?;
    for _ in 0..3 {
        load.write(500, &fixture).await?;
        load.rotate()?;
    }
    load.write_at_once(500)?;

    fixture.wait_until_stored(load.len()).await?;
    load.assert_each_once(&fixture.servers.documents());
    Ok(())
}

#[tokio::test]
async fn the_buffer_is_full() -> Result<()> {
    let Some(mut fixture) = FluentdFixture::new("a full buffer").await? else {
        return Ok(());
    };
    let mut load = LogLoad::new(&fixture)?;
    fixture
        .fluentd
        .set("FLUENT_OPENSEARCH_BUFFER_CHUNK_LIMIT_SIZE", "256K");
    fixture
        .fluentd
        .set("FLUENT_OPENSEARCH_BUFFER_TOTAL_LIMIT_SIZE", "1M");
    fixture.servers.set_verdict(|_| BulkVerdict::TooMany);
    load.write_at_once(6_000)?;
    fixture.fluentd.start().await?;
    let full = async || {
        let free = fixture
            .fluentd
            .metric("fluentd_output_status_buffer_available_space_ratio")
            .await;
        // The other outputs' buffers are empty.
        let bytes = fixture
            .fluentd
            .metric("fluentd_output_status_buffer_total_bytes")
            .await;
        free.is_ok() && bytes.is_ok_and(|bytes| bytes > 900_000.0)
    };
    fixture.fluentd.wait("a full buffer", full).await?;
    fixture.servers.set_verdict(|_| BulkVerdict::Stored);

    fixture.wait_until_stored(load.len()).await?;
    load.assert_each_once(&fixture.servers.documents());
    Ok(())
}
