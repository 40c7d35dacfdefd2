//! Fluentd keeps the parts of an incomplete long line or stack trace.

use std::fs;

use anyhow::Result;
use fluentd::kubelet::KubeletLog;
use serde_json::{Value, json};

use super::FluentdFixture;

const POD: &str = "shop_job-abc_00000008-0000-4000-8000-000000000008";

impl FluentdFixture {
    async fn has_pending_lines(&self) -> Result<()> {
        let directory = self.fluentd.state().join("pending");
        let any = async || fs::read_dir(&directory).is_ok_and(|entries| entries.count() > 0);
        self.fluentd.wait("pending lines", any).await
    }

    fn messages(&self) -> Vec<String> {
        let documents = self.servers.documents();
        let mut messages: Vec<String> = documents
            .iter()
            .map(|document| document["message"].as_str().unwrap_or_default().to_owned())
            .collect();
        messages.sort();
        messages
    }
}

#[tokio::test]
async fn a_line_is_joined_across_a_kill() -> Result<()> {
    let Some(mut fixture) = FluentdFixture::new("kill -9 of Fluentd within a line").await? else {
        return Ok(());
    };
    let mut log = KubeletLog::new(fixture.logs.path(), POD, "importer")?;
    fixture.fluentd.start().await?;
    log.part(b"one ", false)?;
    log.part(b"two ", false)?;
    fixture.has_pending_lines().await?;
    fixture.fluentd.kill()?;
    log.part(b"three", true)?;
    log.line("next")?;
    fixture.fluentd.start().await?;

    fixture.wait_until_stored(2).await?;
    assert_eq!(fixture.messages(), ["next", "one two three"]);
    Ok(())
}

#[tokio::test]
async fn a_stack_trace_is_joined_across_a_kill() -> Result<()> {
    let Some(mut fixture) = FluentdFixture::new("kill -9 of Fluentd within a stack trace").await? else {
        return Ok(());
    };
    let mut log = KubeletLog::new(fixture.logs.path(), POD, "importer")?;
    fixture.fluentd.start().await?;
    log.line("Traceback (most recent call last):")?;
    fixture.has_pending_lines().await?;
    fixture.fluentd.kill()?;
    log.line("  File \"a.py\", line 1")?;
    log.line("ValueError: x")?;
    log.line("next")?;
    fixture.fluentd.start().await?;

    fixture.wait_until_stored(2).await?;
    assert_eq!(
        fixture.messages(),
        [
            "Traceback (most recent call last):\n  File \"a.py\", line 1\nValueError: x",
            "next"
        ]
    );
    Ok(())
}

/// No line follows.
#[tokio::test]
async fn incomplete_lines_are_sent_after_a_while() -> Result<()> {
    let Some(mut fixture) = FluentdFixture::new("lines without an end").await? else {
        return Ok(());
    };
    let mut log = KubeletLog::new(fixture.logs.path(), POD, "importer")?;
    fixture.fluentd.start().await?;
    log.line("panic: boom")?;
    fixture.wait_until_stored(1).await?;
    log.part(b"no end", false)?;
    fixture.wait_until_stored(2).await?;
    assert_eq!(fixture.messages(), ["no end", "panic: boom"]);
    Ok(())
}

#[tokio::test]
async fn a_missing_pod_is_not_requested_for_each_line() -> Result<()> {
    let Some(mut fixture) = FluentdFixture::new("lines of a pod that is gone").await? else {
        return Ok(());
    };
    let mut log = KubeletLog::new(
        fixture.logs.path(),
        "shop_gone-1_00000063-0000-4000-8000-000000000063",
        "app",
    )?;
    let mut lines =
        |from: usize| (from..from + 500).try_for_each(|number| log.line(&format!("line {number}")));
    lines(0)?;
    fixture.fluentd.set("FLUENT_KUBERNETES_ANSWER_TTL", "5s");
    fixture.fluentd.start().await?;
    fixture.wait_until_stored(500).await?;
    assert_eq!(fixture.servers.pod_requests(), 1);

    // When the pod appears, its lines get its labels. Fluentd still does not request it for each line.
    let labels = json!({"app.kubernetes.io/name": "found"});
    fixture.servers.add_pod(json!({
        "metadata": {"name": "gone-1", "namespace": "shop", "uid": "00000063-0000-4000-8000-000000000063", "labels": labels},
        "spec": {"nodeName": "node-1"}, "status": {},
    }));
    let mut written = 500;
    let is_found = |document: &Value| document["component"] == "found";
    while !fixture.servers.documents().iter().any(is_found) {
        lines(written)?;
        written += 500;
        fixture.wait_until_stored(written).await?;
    }
    let requests = fixture.servers.pod_requests();
    assert!(
        requests < written / 500 + 2,
        "{requests} requests for {written} lines"
    );
    Ok(())
}

/// Fluentd keeps the first 1 MiB of a line.
#[tokio::test]
async fn a_line_of_many_parts_is_cut() -> Result<()> {
    let Some(mut fixture) = FluentdFixture::new("lines over 1 MiB").await? else {
        return Ok(());
    };
    let mut log = KubeletLog::new(fixture.logs.path(), POD, "importer")?;
    // A character of three bytes crosses the limit.
    log.line(&format!("x{}", "☃".repeat(500_000)))?;
    fixture.fluentd.start().await?;
    fixture.wait_until_stored(1).await?;
    let documents = fixture.servers.documents();
    let message = documents[0]["message"].as_str().unwrap_or_default();
    assert_eq!(message, format!("x{}", "☃".repeat((1024 * 1024 - 1) / 3)));
    assert_eq!(documents[0]["tags"], serde_json::json!(["cut"]));
    assert_eq!(documents[0]["truncated"], true);
    Ok(())
}
