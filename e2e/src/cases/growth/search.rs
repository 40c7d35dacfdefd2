//! OpenSearch: to three, with lines. No line may be out of reach meanwhile: the first pod goes when the others have copies.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use chrono::Utc;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::super::{Stage, healing};
use crate::{
    cluster::{Deployment, Seen, until},
    load::seconds,
};

/// Lines that are there before.
const LINES: u64 = 20_000;
/// How often the cluster's health is looked at.
const LOOK: Duration = Duration::from_millis(250);
const STREAM: &str = "logs-irmgard";

pub(super) async fn run(stage: &mut Stage) -> Result<()> {
    stage.step("-- OpenSearch from one pod to three");
    // That a container may open enough files is seen in one that runs by itself.
    stage.cluster.deploy(&Deployment::new("growth-alone")).await?;
    if let Some(why) = healing::hindrance(&stage.cluster, "opensearch").await? {
        stage
            .report
            .cannot_show(format_args!("OpenSearch from one pod to three: {why}."));
        return Ok(());
    }
    stage.cluster.deploy(&deployment(stage)?).await?;
    let places = stage.cluster.places().await?;
    let http = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(30))
        .build()?;
    fill(&http, &places.opensearch).await?;

    let watch = Watch::start(http.clone(), places.opensearch.clone());
    let began = Instant::now();
    let grown = stage
        .cluster
        .deploy(&deployment(stage)?.with("opensearch-three"))
        .await;
    let ready = began.elapsed();
    let patience = stage.cluster.settings().patience;
    let whole = until("three nodes, and all copies", patience, async || {
        let health = health(&http, &places.opensearch).await?;
        Ok(if health["status"] == "green" && health["number_of_nodes"] == 3 {
            Seen::Yes(())
        } else {
            Seen::NotYet(health.to_string())
        })
    });
    let whole = whole.await.map(|()| began.elapsed());
    let seen = watch.stop();
    grown?;
    let whole = whole?;
    let left = count(&http, &places.opensearch).await?;

    let report = &mut stage.report;
    report.section("OpenSearch");
    report.text(format_args!(
        "`components: [opensearch-three]` over one pod with {LINES} lines, and deploy. Two pods join; when each index has a copy they are ready, and \
         only then the first one starts once more. *Red*: some line is out of reach; *no answer*: no node that is ready has answered. Both are the \
         longest time, seen by the Service."
    ));
    report.table(
        &["pods ready after", "all copies after", "red for", "no answer for"],
        &[vec![
            seconds(ready),
            seconds(whole),
            seconds(seen.red),
            seconds(seen.silent),
        ]],
    );
    report.demand(
        "OpenSearch from one pod to three: no line is out of reach",
        seen.red.is_zero(),
        format_args!("red for {} of {} looks", seconds(seen.red), seen.looks),
    );
    report.demand(
        "OpenSearch from one pod to three: every line is there",
        left == LINES,
        format_args!("{left} of {LINES}"),
    );
    Ok(())
}

fn deployment(stage: &Stage) -> Result<Deployment> {
    Deployment::new("growth-opensearch").opensearch_cluster(stage.cluster.project())
}

async fn fill(http: &reqwest::Client, opensearch: &str) -> Result<()> {
    let mut body = String::new();
    for number in 0..LINES {
        let line = json!({ "@timestamp": Utc::now(), "message": format!("line {number}"), "component": "irmgard", "level": "info" });
        body.push_str(&format!("{{\"create\":{{}}}}\n{line}\n"));
    }
    let answer = http
        .post(format!("{opensearch}/{STREAM}/_bulk?refresh=true"))
        .header("content-type", "application/x-ndjson")
        .body(body)
        .send()
        .await?
        .error_for_status()?;
    let answer: Value = answer.json().await?;
    ensure!(
        answer["errors"] == false,
        "lines were refused: {}",
        answer["items"][0]
    );
    Ok(())
}

async fn count(http: &reqwest::Client, opensearch: &str) -> Result<u64> {
    let answer = http.get(format!("{opensearch}/{STREAM}/_count")).send().await?;
    let answer: Value = answer.error_for_status()?.json().await?;
    answer["count"].as_u64().context("OpenSearch counts nothing")
}

async fn health(http: &reqwest::Client, opensearch: &str) -> Result<Value> {
    let answer = http
        .get(format!("{opensearch}/_cluster/health"))
        .timeout(Duration::from_secs(3))
        .send()
        .await?;
    Ok(answer.error_for_status()?.json().await?)
}

/// What was seen of the cluster's health: longest times.
#[derive(Clone, Copy, Debug, Default)]
struct Health {
    red: Duration,
    silent: Duration,
    looks: u32,
}

/// Looks at the health until it is stopped.
struct Watch {
    seen: Arc<Mutex<Health>>,
    end: CancellationToken,
}

impl Watch {
    fn start(http: reqwest::Client, opensearch: String) -> Self {
        let (seen, end) = (Arc::new(Mutex::new(Health::default())), CancellationToken::new());
        let (noted, stopped) = (Arc::clone(&seen), end.clone());
        tokio::spawn(stopped.run_until_cancelled_owned(async move {
            let (mut red, mut silent) = (None, None);
            loop {
                let status = health(&http, &opensearch)
                    .await
                    .ok()
                    .map(|health| health["status"].clone());
                let now = Instant::now();
                let since = |began: &mut Option<Instant>, holds: bool| {
                    if !holds {
                        *began = None;
                        return Duration::ZERO;
                    }
                    now - *began.get_or_insert(now)
                };
                let is_red = status.as_ref().is_some_and(|status| status == "red");
                let red_for = since(&mut red, is_red) + if is_red { LOOK } else { Duration::ZERO };
                let silent_for = since(&mut silent, status.is_none());
                {
                    let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
                    noted.red = noted.red.max(red_for);
                    noted.silent = noted.silent.max(silent_for);
                    noted.looks += 1;
                }
                sleep(LOOK).await;
            }
        }));
        Self { seen, end }
    }

    fn stop(self) -> Health {
        self.end.cancel();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
