//! OpenSearch: to three pods, with log lines. All lines must stay available: the first pod may restart only when the others have
//! replicas.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use chrono::Utc;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::super::{Harness, healing};
use crate::{
    cluster::{Condition, Deployment, wait_until},
    load::seconds,
};

/// Log lines that are stored before.
const LINES: u64 = 20_000;
/// How often to check the cluster's health.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
const STREAM: &str = "logs-irmgard";

pub(super) async fn run(harness: &mut Harness) -> Result<()> {
    harness.step("-- OpenSearch from one pod to three");
    // The limit on open files is read in a running pod.
    harness.cluster.deploy(&Deployment::new("growth-alone")).await?;
    if let Some(reason) = healing::blocker(&harness.cluster, "opensearch").await? {
        harness
            .report
            .limitation(format_args!("OpenSearch from one pod to three: {reason}."));
        return Ok(());
    }
    harness.cluster.deploy(&deployment(harness)?).await?;
    let endpoints = harness.cluster.endpoints().await?;
    let http = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(30))
        .build()?;
    fill(&http, &endpoints.opensearch).await?;

    let monitor = HealthMonitor::start(http.clone(), endpoints.opensearch.clone());
    let start = Instant::now();
    let deployed = harness
        .cluster
        .deploy(&deployment(harness)?.with("opensearch-three"))
        .await;
    let ready = start.elapsed();
    let time_limit = harness.time_limit();
    let green = wait_until("three nodes and all replicas", time_limit, async || {
        let health = health(&http, &endpoints.opensearch).await?;
        Ok(if health["status"] == "green" && health["number_of_nodes"] == 3 {
            Condition::Met(())
        } else {
            Condition::Unmet(health.to_string())
        })
    });
    let green = green.await.map(|()| start.elapsed());
    let health = monitor.stop();
    deployed?;
    let green = green?;
    let stored = count(&http, &endpoints.opensearch).await?;

    let report = &mut harness.report;
    report.fact("opensearch_lines", LINES);
    let row = vec![
        ("pods ready after", seconds(ready)),
        ("all replicas after", seconds(green)),
        ("red for", seconds(health.red)),
        ("no answer for", seconds(health.no_answer)),
    ];
    report.row("opensearch", row);
    report.require(
        "OpenSearch from one pod to three: all lines stay available",
        health.red.is_zero(),
        format_args!("red for {} in {} checks", seconds(health.red), health.polls),
    );
    report.require(
        "OpenSearch from one pod to three: no line is lost",
        stored == LINES,
        format_args!("{stored} of {LINES}"),
    );
    Ok(())
}

fn deployment(harness: &Harness) -> Result<Deployment> {
    Deployment::new("growth-opensearch").opensearch_cluster(harness.cluster.project())
}

async fn fill(http: &reqwest::Client, opensearch: &str) -> Result<()> {
    let mut body = String::new();
    for number in 0..LINES {
        let line = json!({ "@timestamp": Utc::now(), "message": format!("line {number}"), "component": "irmgard", "level": "info" });
        body.push_str(&format!("{{\"create\":{{}}}}\n{line}\n"));
    }
    let response = http
        .post(format!("{opensearch}/{STREAM}/_bulk?refresh=true"))
        .header("content-type", "application/x-ndjson")
        .body(body)
        .send()
        .await?
        .error_for_status()?;
    let result: Value = response.json().await?;
    ensure!(
        result["errors"] == false,
        "OpenSearch rejected lines: {}",
        result["items"][0]
    );
    Ok(())
}

async fn count(http: &reqwest::Client, opensearch: &str) -> Result<u64> {
    let response = http.get(format!("{opensearch}/{STREAM}/_count")).send().await?;
    let response: Value = response.error_for_status()?.json().await?;
    response["count"].as_u64().context("OpenSearch returned no count")
}

async fn health(http: &reqwest::Client, opensearch: &str) -> Result<Value> {
    let response = http
        .get(format!("{opensearch}/_cluster/health"))
        .timeout(Duration::from_secs(3))
        .send()
        .await?;
    Ok(response.error_for_status()?.json().await?)
}

/// The longest periods of bad health.
#[derive(Clone, Copy, Debug, Default)]
struct HealthSummary {
    red: Duration,
    no_answer: Duration,
    polls: u32,
}

/// Checks the cluster's health until it is stopped.
struct HealthMonitor {
    summary: Arc<Mutex<HealthSummary>>,
    end: CancellationToken,
}

impl HealthMonitor {
    fn start(http: reqwest::Client, opensearch: String) -> Self {
        let (summary, end) = (
            Arc::new(Mutex::new(HealthSummary::default())),
            CancellationToken::new(),
        );
        let (shared, stopped) = (Arc::clone(&summary), end.clone());
        tokio::spawn(stopped.run_until_cancelled_owned(async move {
            let (mut red, mut no_answer) = (None, None);
            loop {
                let status = health(&http, &opensearch)
                    .await
                    .ok()
                    .map(|health| health["status"].clone());
                let now = Instant::now();
                let duration = |start: &mut Option<Instant>, holds: bool| {
                    if !holds {
                        *start = None;
                        return Duration::ZERO;
                    }
                    now - *start.get_or_insert(now)
                };
                let is_red = status.as_ref().is_some_and(|status| status == "red");
                let red_for =
                    duration(&mut red, is_red) + if is_red { POLL_INTERVAL } else { Duration::ZERO };
                let no_answer_for = duration(&mut no_answer, status.is_none());
                {
                    let mut summary = shared.lock().unwrap_or_else(PoisonError::into_inner);
                    summary.red = summary.red.max(red_for);
                    summary.no_answer = summary.no_answer.max(no_answer_for);
                    summary.polls += 1;
                }
                sleep(POLL_INTERVAL).await;
            }
        }));
        Self { summary, end }
    }

    fn stop(self) -> HealthSummary {
        self.end.cancel();
        *self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
