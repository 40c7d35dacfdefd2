//! irmgard from two pods to five and back, the anonymizer from one to two and four, under a load that keeps it busy.

use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use tokio::time::sleep;

use super::{Stage, Verdict, check};
use crate::{
    cluster::{Deployment, Seen, until},
    load::{Kind, Load, Pace, Record, Summary, seconds},
};

/// How long each number of pods is looked at.
const LOOKED_AT: Duration = Duration::from_secs(60);

/// What a worker may use of a core: so little that four of them are less than the machine.
const WORKER_CPU: &str = "200m";

/// How much more photos twice as many workers must do, at the least.
const GAIN: f64 = 1.3;

/// A part of the load with a number of pods.
struct Phase {
    name: String,
    from: Duration,
    to: Duration,
}

pub(super) async fn run(stage: &mut Stage) -> Result<()> {
    let deployment = Deployment::new("one")
        .replicas("irmgard", 2)
        .replicas("anonymizer", 1)
        .cpu_limit("anonymizer", WORKER_CPU);
    stage.cluster.deploy(&deployment).await?;
    let places = stage.cluster.places().await?;
    // More than four workers do, so that none is ever idle.
    let photos = 2.0 * stage.cluster.settings().photos_per_second;
    let patience = stage.cluster.settings().patience;
    let load = Load::start(&places.web, "scaling", Pace::watching(photos), patience).await?;

    let mut phases = Vec::new();
    phases.push(look(stage, &load, "anonymizer 1, irmgard 2").await);
    for count in [2, 4] {
        scale(stage, "anonymizer", count).await?;
        phases.push(look(stage, &load, &format!("anonymizer {count}, irmgard 2")).await);
    }
    for count in [5, 2] {
        scale(stage, "irmgard", count).await?;
        phases.push(look(stage, &load, &format!("anonymizer 4, irmgard {count}")).await);
    }
    let record = load.stop().await;
    let verdict = check(stage, &places, &record, "under load").await?;
    tell(stage, photos, &phases, &record, &verdict)
}

async fn look(stage: &Stage, load: &Load, name: &str) -> Phase {
    stage.step(format_args!("looking at {name} for {} s", LOOKED_AT.as_secs()));
    let from = load.now();
    sleep(LOOKED_AT).await;
    Phase {
        name: name.to_owned(),
        from,
        to: load.now(),
    }
}

/// Until there are so many pods, and none that is ending.
async fn scale(stage: &Stage, deployment: &str, count: u32) -> Result<()> {
    stage.step(format_args!("scaling {deployment} to {count}"));
    let patience = stage.cluster.settings().patience;
    stage
        .cluster
        .scale(&format!("deployment/{deployment}"), count)
        .await?;
    stage.cluster.ready("deployment", deployment, patience).await?;
    let component = if deployment == "irmgard" { "web" } else { "worker" };
    until(&format!("{deployment} has {count} pods"), patience, async || {
        let mut pods = stage.cluster.pods(deployment).await?;
        pods.retain(|pod| pod.component == component);
        Ok(if pods.len() == count as usize {
            Seen::Yes(())
        } else {
            Seen::NotYet(format!("{} pods", pods.len()))
        })
    })
    .await
}

fn tell(stage: &mut Stage, photos: f64, phases: &[Phase], record: &Record, verdict: &Verdict) -> Result<()> {
    let finished = finished(record, verdict)?;
    let rate = |phase: &Phase| {
        let count = finished
            .iter()
            .filter(|&moment| (phase.from..phase.to).contains(moment))
            .count();
        count as f64 / (phase.to - phase.from).as_secs_f64()
    };
    let rows: Vec<_> = phases
        .iter()
        .map(|phase| {
            let attempts = record.between(phase.from, phase.to);
            let writes = Summary::of(Kind::Write, &attempts);
            vec![
                phase.name.clone(),
                format!("{:.2}", rate(phase)),
                format!(
                    "{:.1}",
                    writes.requests as f64 / (phase.to - phase.from).as_secs_f64()
                ),
                seconds(writes.percentile(50.0)),
                seconds(writes.percentile(95.0)),
                seconds(writes.percentile(99.0)),
                writes.failures_by_kind(),
            ]
        })
        .collect();
    let report = &mut stage.report;
    report.section("Throughput");
    report.text(format_args!(
        "{photos} new photos a second all the time, and as many questions and repeats as in every case. What the workers do not \
         manage waits in the queue. Each worker may use {WORKER_CPU} of a core."
    ));
    report.table(
        &[
            "pods",
            "photos anonymised/s",
            "posts/s",
            "p50",
            "p95",
            "p99",
            "posts that failed",
        ],
        &rows,
    );
    for pair in phases[..3].windows(2) {
        let gain = rate(&pair[1]) / rate(&pair[0]).max(f64::MIN_POSITIVE);
        report.demand(
            format_args!(
                "{} does at least {GAIN} times as much as {}",
                pair[1].name, pair[0].name
            ),
            gain >= GAIN,
            format_args!("{gain:.2} times"),
        );
    }
    report.section("All requests, also while pods came and went");
    let rows: Vec<_> = Kind::ALL
        .iter()
        .map(|kind| super::row(kind.name(), &Summary::of(*kind, &record.attempts)))
        .collect();
    report.table(&super::REQUESTS, &rows);
    let failed: usize = Kind::ALL
        .iter()
        .map(|kind| Summary::of(*kind, &record.attempts).failures())
        .sum();
    report.demand(
        "no request fails while pods come and go",
        failed == 0,
        format_args!("{failed} of {}", record.attempts.len()),
    );
    report.cannot_show(
        "How far it scales: all pods share the cores of this one node, with the data services, the cluster's own programs and the \
         load itself. The worker's limit is set so low that four of \
         them are less than a core; once all cores are at work, a further pod adds nothing.",
    );
    report.cannot_show(
        "Scaling by the load itself (components/autoscaling): it needs a metrics server. `kubectl scale` does what the autoscaler \
         does when it has decided.",
    );
    Ok(())
}

/// When each photo was anonymised, since the load began. The database's clock and ours must agree.
fn finished(record: &Record, verdict: &Verdict) -> Result<Vec<Duration>> {
    let mut moments = Vec::new();
    for photo in verdict.photos.values() {
        if let Some(text) = photo["finished_at"].as_str() {
            let at: DateTime<Utc> = text.parse().context("a photo's finished_at")?;
            moments.push((at - record.began).to_std().unwrap_or_default());
        }
    }
    Ok(moments)
}
