//! Deletes pods of each component under load, with one pod and with three. Measures outages and checks that nothing is lost.

mod sessions;
mod target;

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

use self::{
    sessions::Sessions,
    target::{TARGETS, Target},
};
use super::{Harness, check_photos};
use crate::{
    cluster::{Cluster, Condition, Deletion, Deployment, Endpoints, Pod, wait_until},
    load::{LoadRecord, LoadSummary, Rates, RequestKind, seconds},
};

/// How long the load runs before the deletion, and after the recovery.
const STEADY_LOAD: Duration = Duration::from_secs(10);

/// Why this cluster cannot run three pods of a component, if so. The component must run with one pod.
pub(super) async fn blocker(cluster: &Cluster, name: &str) -> Result<Option<String>> {
    match TARGETS.iter().find(|target| target.name == name) {
        Some(target) => target.blocker(cluster).await,
        None => Ok(None),
    }
}

pub(super) async fn run(harness: &mut Harness) -> Result<()> {
    let rates = Rates::with_probes(harness.cluster.settings().photos_per_second);
    for (name, rate) in [
        ("photos", rates.photos),
        ("repeats", rates.repeats),
        ("statuses", rates.statuses),
        ("images", rates.images),
    ] {
        harness.report.fact(name, rate);
    }
    if !harness.cluster.settings().with_fluentd() {
        harness.report.limitation(
            "Log lines: this deployment has no Fluentd, so the lines of deleted pods are lost. With E2E_IMAGE_FLUENTD they are counted.",
        );
    }
    run_all(harness).await
}

/// Tests one pod of each component, three pods of the stateless ones, and three pods of each data service in turn.
async fn run_all(harness: &mut Harness) -> Result<()> {
    let stateless = |count| {
        Deployment::new("one")
            .replicas("irmgard", count)
            .replicas("anonymizer", count)
    };
    let all = TARGETS
        .iter()
        .filter(|target| !target.needs_fluentd || harness.cluster.settings().with_fluentd());
    let all: Vec<_> = all
        .filter(|target| harness.cluster.settings().includes(target.name))
        .collect();
    run_series(harness, &stateless(1), &all, 1).await?;
    let stateless_targets: Vec<_> = all
        .iter()
        .copied()
        .filter(|target| target.three == Some(""))
        .collect();
    run_series(harness, &stateless(3), &stateless_targets, 3).await?;
    for target in all {
        if let Some(component) = target.three.filter(|component| !component.is_empty()) {
            if let Some(reason) = target.blocker(&harness.cluster).await? {
                let reason = format!("{} with three pods: {reason}.", target.name);
                harness.step(format_args!("not tested: {reason}"));
                harness.report.limitation(reason);
                continue;
            }
            let mut deployment = Deployment::new(component).with(component);
            if target.name == "opensearch" {
                deployment = deployment.opensearch_cluster(harness.cluster.project())?;
            }
            run_series(harness, &deployment, &[target], 3).await?;
        }
    }
    Ok(())
}

async fn run_series(
    harness: &mut Harness,
    deployment: &Deployment,
    targets: &[&Target],
    count: usize,
) -> Result<()> {
    if targets.is_empty() {
        return Ok(());
    }
    harness.cluster.deploy(deployment).await?;
    let endpoints = harness.cluster.endpoints().await?;
    for target in targets {
        for how in [Deletion::Graceful, Deletion::Forced] {
            let what = describe(target, count, how);
            let result = run_trial(harness, &endpoints, target, &what, how).await;
            // The other trials still run.
            if let Err(error) = result {
                harness
                    .report
                    .require(format_args!("{what}: recovers"), false, format_args!("{error:#}"));
                // The next trial needs a healthy deployment.
                harness.cluster.delete_namespaces().await?;
                harness.cluster.deploy(deployment).await?;
            }
        }
    }
    Ok(())
}

fn describe(target: &Target, count: usize, how: Deletion) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{}, {count} pod{plural}, {}", target.name, how.name())
}

/// Deletes one pod under load.
async fn run_trial(
    harness: &mut Harness,
    endpoints: &Endpoints,
    target: &Target,
    what: &str,
    how: Deletion,
) -> Result<()> {
    let time_limit = harness.time_limit();
    harness.step(format_args!("-- {what}"));
    harness
        .cluster
        .wait_until_ready(target.kind, target.workload, time_limit)
        .await?;
    let killed = target.choose_pod(&harness.cluster, endpoints).await?;
    let name = format!("healing-{}", target.name);
    let load = harness.start_load(endpoints, &name).await?;
    sleep(STEADY_LOAD).await;

    let is_irmgard = target.name == "irmgard";
    let before = if is_irmgard {
        Some(Sessions::read(&endpoints.database, &killed.ip).await?)
    } else {
        None
    };
    harness.step(format_args!("{} is {}", killed.name, how.name()));
    let (deleted_at, start) = (load.now(), Instant::now());
    harness.cluster.delete(&killed, how).await?;
    if let Some(before) = before {
        let row = sessions::row(endpoints, what, &killed, before, start).await?;
        harness.report.row("sessions", row);
    }
    wait_until_replaced(harness, target, &killed).await?;
    let ready = start.elapsed();
    harness.step(format_args!("all pods are ready again after {}", seconds(ready)));
    sleep(STEADY_LOAD).await;
    let record = load.stop().await;
    let photo_check = check_photos(harness, endpoints, &record, what).await?;
    add_rows(
        harness,
        what,
        &record,
        deleted_at,
        ready,
        photo_check.lines_missing,
    );
    let failed = count_failures(&record, deleted_at);
    if is_irmgard && how == Deletion::Graceful {
        harness.report.require(
            format_args!("{what}: no request fails"),
            failed == 0,
            format_args!("{failed} failed"),
        );
    }
    Ok(())
}

fn count_failures(record: &LoadRecord, since: Duration) -> usize {
    let attempts = record.between(since, Duration::MAX);
    RequestKind::ALL
        .iter()
        .map(|kind| LoadSummary::new(*kind, &attempts).failures())
        .sum()
}

/// Waits until the pod is deleted and the desired number of others is ready. Reads the pods, because a workload's status is
/// older.
async fn wait_until_replaced(harness: &Harness, target: &Target, killed: &Pod) -> Result<()> {
    let time_limit = harness.time_limit();
    let desired = match harness.cluster.workload(target.kind, target.workload).await? {
        Some(workload) => workload.desired,
        None => bail!("{}/{} does not exist", target.kind, target.workload),
    };
    wait_until(&format!("{} is replaced", killed.name), time_limit, async || {
        let pods = harness.cluster.pods(target.label).await?;
        let exists = pods.iter().any(|pod| pod.uid == killed.uid);
        let ready = pods.iter().filter(|pod| target.has_ready_pod(pod)).count() as u64;
        Ok(if !exists && ready >= desired {
            Condition::Met(())
        } else {
            let old = if exists { ", the old pod still exists" } else { "" };
            Condition::Unmet(format!("{ready} of {desired} ready{old}"))
        })
    })
    .await
}

fn add_rows(
    harness: &mut Harness,
    what: &str,
    record: &LoadRecord,
    deleted_at: Duration,
    ready: Duration,
    missing: Option<usize>,
) {
    let before = record.between(Duration::ZERO, deleted_at);
    let after = record.between(deleted_at, Duration::MAX);
    let [writes, statuses, images] = RequestKind::ALL.map(|kind| LoadSummary::new(kind, &after));
    let row = vec![
        ("pod", what.to_owned()),
        ("all pods ready again", seconds(ready)),
        ("no uploads", writes.outages()),
        ("no statuses", statuses.outages()),
        ("no images", images.outages()),
        ("failed uploads", writes.failures_by_kind()),
        ("failed statuses", statuses.failures_by_kind()),
        ("failed images", images.failures_by_kind()),
        (
            "log lines lost",
            missing.map_or("not counted".to_owned(), |missing| missing.to_string()),
        ),
    ];
    harness.report.row("outages", row);
    for (when, summary) in [
        ("before", LoadSummary::new(RequestKind::Write, &before)),
        ("after", writes),
    ] {
        let row = super::request_row(&format!("{what}: {when}"), &summary);
        harness.report.row("latencies", row);
    }
}
