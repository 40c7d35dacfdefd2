//! What Fluentd holds while a line or a stack trace is not complete.

use std::fs;

use anyhow::Result;
use fluentd::kubelet::Log;
use serde_json::{Value, json};

use super::Stand;

const POD: &str = "shop_job-abc_00000008-0000-4000-8000-000000000008";

impl Stand {
    async fn holds(&self) -> Result<()> {
        let directory = self.fluentd.state().join("held");
        let any = async || fs::read_dir(&directory).is_ok_and(|entries| entries.count() > 0);
        self.fluentd.wait("something to be held", any).await
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
    let Some(mut stand) = Stand::new("kill -9 of Fluentd within a line").await? else {
        return Ok(());
    };
    let mut log = Log::new(stand.logs.path(), POD, "importer")?;
    stand.fluentd.start().await?;
    log.part(b"one ", false)?;
    log.part(b"two ", false)?;
    stand.holds().await?;
    stand.fluentd.kill()?;
    log.part(b"three", true)?;
    log.line("next")?;
    stand.fluentd.start().await?;

    stand.stored(2).await?;
    assert_eq!(stand.messages(), ["next", "one two three"]);
    Ok(())
}

#[tokio::test]
async fn a_stack_trace_is_joined_across_a_kill() -> Result<()> {
    let Some(mut stand) = Stand::new("kill -9 of Fluentd within a stack trace").await? else {
        return Ok(());
    };
    let mut log = Log::new(stand.logs.path(), POD, "importer")?;
    stand.fluentd.start().await?;
    log.line("Traceback (most recent call last):")?;
    stand.holds().await?;
    stand.fluentd.kill()?;
    log.line("  File \"a.py\", line 1")?;
    log.line("ValueError: x")?;
    log.line("next")?;
    stand.fluentd.start().await?;

    stand.stored(2).await?;
    assert_eq!(
        stand.messages(),
        [
            "Traceback (most recent call last):\n  File \"a.py\", line 1\nValueError: x",
            "next"
        ]
    );
    Ok(())
}

/// Nothing follows: what is there is given away by itself.
#[tokio::test]
async fn what_has_no_end_is_not_kept_for_ever() -> Result<()> {
    let Some(mut stand) = Stand::new("lines without an end").await? else {
        return Ok(());
    };
    let mut log = Log::new(stand.logs.path(), POD, "importer")?;
    stand.fluentd.start().await?;
    log.line("panic: boom")?;
    stand.stored(1).await?;
    log.part(b"no end", false)?;
    stand.stored(2).await?;
    assert_eq!(stand.messages(), ["no end", "panic: boom"]);
    Ok(())
}

/// The API server is not asked for each line of a pod that is gone.
#[tokio::test]
async fn a_pod_that_is_gone_is_not_asked_for_with_each_line() -> Result<()> {
    let Some(mut stand) = Stand::new("lines of a pod that is gone").await? else {
        return Ok(());
    };
    let mut log = Log::new(
        stand.logs.path(),
        "shop_gone-1_00000063-0000-4000-8000-000000000063",
        "app",
    )?;
    let mut lines =
        |from: usize| (from..from + 500).try_for_each(|number| log.line(&format!("line {number}")));
    lines(0)?;
    stand.fluentd.set("FLUENT_KUBERNETES_ANSWER_TTL", "5s");
    stand.fluentd.start().await?;
    stand.stored(500).await?;
    assert_eq!(stand.servers.pods_asked_for(), 1);

    // It is known later: its lines say so, and it is not asked for each of them either.
    let labels = json!({"app.kubernetes.io/name": "found"});
    stand.servers.add_pod(json!({
        "metadata": {"name": "gone-1", "namespace": "shop", "uid": "00000063-0000-4000-8000-000000000063", "labels": labels},
        "spec": {"nodeName": "node-1"}, "status": {},
    }));
    let mut written = 500;
    let is_found = |document: &Value| document["component"] == "found";
    while !stand.servers.documents().iter().any(is_found) {
        lines(written)?;
        written += 500;
        stand.stored(written).await?;
    }
    let asked = stand.servers.pods_asked_for();
    assert!(
        asked < written / 500 + 2,
        "asked {asked} times for {written} lines"
    );
    Ok(())
}

/// 1 MiB is kept of a longer line.
#[tokio::test]
async fn a_line_of_many_parts_is_cut() -> Result<()> {
    let Some(mut stand) = Stand::new("lines over 1 MiB").await? else {
        return Ok(());
    };
    let mut log = Log::new(stand.logs.path(), POD, "importer")?;
    // A character of three bytes lies across the limit.
    log.line(&format!("x{}", "☃".repeat(500_000)))?;
    stand.fluentd.start().await?;
    stand.stored(1).await?;
    let documents = stand.servers.documents();
    let message = documents[0]["message"].as_str().unwrap_or_default();
    assert_eq!(message, format!("x{}", "☃".repeat((1024 * 1024 - 1) / 3)));
    assert_eq!(documents[0]["tags"], serde_json::json!(["cut"]));
    assert_eq!(documents[0]["truncated"], true);
    Ok(())
}
