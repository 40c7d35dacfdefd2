//! Scales irmgard from two pods to five and back, and the anonymizer from one to two and four, under a load that keeps it busy.

use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use tokio::time::sleep;

use super::{Harness, PhotoCheck, check_photos};
use crate::{
    cluster::{Condition, Deployment, wait_until},
    load::{Load, LoadRecord, LoadSummary, Rates, RequestKind, seconds},
};

/// How long each number of pods is measured.
const PHASE_DURATION: Duration = Duration::from_secs(60);

/// A worker's CPU limit. It is so low that four workers use less than one core.
const WORKER_CPU: &str = "200m";

/// The minimum increase of throughput with twice as many workers.
const MIN_GAIN: f64 = 1.3;

/// A period with a constant number of pods.
struct Phase {
    name: String,
    from: Duration,
    to: Duration,
}

pub(super) async fn run(harness: &mut Harness) -> Result<()> {
    let deployment = Deployment::new("one")
        .replicas("irmgard", 2)
        .replicas("anonymizer", 1)
        .cpu_limit("anonymizer", WORKER_CPU);
    harness.cluster.deploy(&deployment).await?;
    let endpoints = harness.cluster.endpoints().await?;
    // More than four workers can anonymise, so that none is idle.
    let photos = 2.0 * harness.cluster.settings().photos_per_second;
    let time_limit = harness.time_limit();
    let load = Load::start(&endpoints.web, "scaling", Rates::with_probes(photos), time_limit).await?;

    let mut phases = Vec::new();
    phases.push(measure_phase(harness, &load, "anonymizer 1, irmgard 2").await);
    for count in [2, 4] {
        scale(harness, "anonymizer", count).await?;
        phases.push(measure_phase(harness, &load, &format!("anonymizer {count}, irmgard 2")).await);
    }
    for count in [5, 2] {
        scale(harness, "irmgard", count).await?;
        phases.push(measure_phase(harness, &load, &format!("anonymizer 4, irmgard {count}")).await);
    }
    let record = load.stop().await;
    let photo_check = check_photos(harness, &endpoints, &record, "under load").await?;
    write_report(harness, photos, &phases, &record, &photo_check)
}

async fn measure_phase(harness: &Harness, load: &Load, name: &str) -> Phase {
    harness.step(format_args!(
        "measuring {name} for {} s",
        PHASE_DURATION.as_secs()
    ));
    let from = load.now();
    sleep(PHASE_DURATION).await;
    Phase {
        name: name.to_owned(),
        from,
        to: load.now(),
    }
}

/// Scales a Deployment and waits until it has exactly this number of pods.
async fn scale(harness: &Harness, deployment: &str, count: u32) -> Result<()> {
    harness.step(format_args!("scaling {deployment} to {count}"));
    let time_limit = harness.time_limit();
    harness
        .cluster
        .scale(&format!("deployment/{deployment}"), count)
        .await?;
    harness
        .cluster
        .wait_until_ready("deployment", deployment, time_limit)
        .await?;
    let component = if deployment == "irmgard" { "web" } else { "worker" };
    wait_until(
        &format!("{deployment} has {count} pods"),
        time_limit,
        async || {
            let mut pods = harness.cluster.pods(deployment).await?;
            pods.retain(|pod| pod.component == component);
            Ok(if pods.len() == count as usize {
                Condition::Met(())
            } else {
                Condition::Unmet(format!("{} pods", pods.len()))
            })
        },
    )
    .await
}

fn write_report(
    harness: &mut Harness,
    photos: f64,
    phases: &[Phase],
    record: &LoadRecord,
    photo_check: &PhotoCheck,
) -> Result<()> {
    let finish_times = finish_times(record, photo_check)?;
    let rate = |phase: &Phase| {
        let count = finish_times
            .iter()
            .filter(|&time| (phase.from..phase.to).contains(time))
            .count();
        count as f64 / (phase.to - phase.from).as_secs_f64()
    };
    let report = &mut harness.report;
    report.fact("photos_per_second", photos);
    report.fact("worker_cpu", WORKER_CPU);
    for phase in phases {
        let attempts = record.between(phase.from, phase.to);
        let writes = LoadSummary::new(RequestKind::Write, &attempts);
        let uploads = writes.requests as f64 / (phase.to - phase.from).as_secs_f64();
        let row = vec![
            ("pods", phase.name.clone()),
            ("photos anonymised/s", format!("{:.2}", rate(phase))),
            ("uploads/s", format!("{uploads:.1}")),
            ("p50", seconds(writes.percentile(50.0))),
            ("p95", seconds(writes.percentile(95.0))),
            ("p99", seconds(writes.percentile(99.0))),
            ("failed uploads", writes.failures_by_kind()),
        ];
        report.row("throughput", row);
    }
    for pair in phases[..3].windows(2) {
        let gain = rate(&pair[1]) / rate(&pair[0]).max(f64::MIN_POSITIVE);
        report.require(
            format_args!(
                "{} anonymises at least {MIN_GAIN} times as many photos as {}",
                pair[1].name, pair[0].name
            ),
            gain >= MIN_GAIN,
            format_args!("{gain:.2} times"),
        );
    }
    let (failed, _) = super::report_requests(report, record);
    report.require(
        "no request fails during the scaling",
        failed == 0,
        format_args!("{failed} of {}", record.attempts.len()),
    );
    Ok(())
}

/// The finish time of each photo, since the start of the load. Needs the same clock in the database and here.
fn finish_times(record: &LoadRecord, photo_check: &PhotoCheck) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    for photo in photo_check.photos.values() {
        if let Some(text) = photo["finished_at"].as_str() {
            let at: DateTime<Utc> = text.parse().context("a photo's finished_at")?;
            times.push((at - record.start).to_std().unwrap_or_default());
        }
    }
    Ok(times)
}
