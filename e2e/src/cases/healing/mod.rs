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
    load::{Load, Rates, Record, RequestKind, Summary, seconds},
    report::Table,
};

/// How long the load runs before the deletion, and after the recovery.
const STEADY_LOAD: Duration = Duration::from_secs(10);

/// The tables of the report.
#[derive(Clone, Copy, Debug)]
struct Tables {
    outages: Table,
    sessions: Table,
    latencies: Table,
}

/// Why this cluster cannot run three pods of a component, if so. The component must run with one pod.
///
/// # Errors
/// When the check in its pod fails.
pub(super) async fn blocker(cluster: &Cluster, name: &str) -> Result<Option<String>> {
    match TARGETS.iter().find(|target| target.name == name) {
        Some(target) => target.blocker(cluster).await,
        None => Ok(None),
    }
}

pub(super) async fn run(harness: &mut Harness) -> Result<()> {
    let tables = Tables::add_to_report(harness);
    add_limitations(harness);
    run_all(harness, tables).await
}

/// Tests one pod of each component, three pods of the stateless ones, and three pods of each data service in turn.
async fn run_all(harness: &mut Harness, tables: Tables) -> Result<()> {
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
    run_series(harness, &stateless(1), &all, 1, tables).await?;
    let stateless_targets: Vec<_> = all
        .iter()
        .copied()
        .filter(|target| target.three == Some(""))
        .collect();
    run_series(harness, &stateless(3), &stateless_targets, 3, tables).await?;
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
            run_series(harness, &deployment, &[target], 3, tables).await?;
        }
    }
    Ok(())
}

async fn run_series(
    harness: &mut Harness,
    deployment: &Deployment,
    targets: &[&Target],
    count: usize,
    tables: Tables,
) -> Result<()> {
    if targets.is_empty() {
        return Ok(());
    }
    harness.cluster.deploy(deployment).await?;
    let endpoints = harness.cluster.endpoints().await?;
    for target in targets {
        for how in [Deletion::Graceful, Deletion::Forced] {
            let what = describe(target, count, how);
            let result = run_trial(harness, &endpoints, target, &what, how, tables).await;
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
    tables: Tables,
) -> Result<()> {
    let time_limit = harness.cluster.settings().time_limit;
    harness.step(format_args!("-- {what}"));
    harness
        .cluster
        .wait_until_ready(target.kind, target.workload, time_limit)
        .await?;
    let killed = target.choose_pod(&harness.cluster, endpoints).await?;
    let rates = Rates::with_probes(harness.cluster.settings().photos_per_second);
    let load = Load::start(
        &endpoints.web,
        &format!("healing-{}", target.name),
        rates,
        time_limit,
    )
    .await?;
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
        harness.report.row(tables.sessions, row);
    }
    wait_until_replaced(harness, target, &killed).await?;
    let ready = start.elapsed();
    harness.step(format_args!("all pods are ready again after {}", seconds(ready)));
    sleep(STEADY_LOAD).await;
    let record = load.stop().await;
    let photo_check = check_photos(harness, endpoints, &record, what).await?;
    tables.add_rows(
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

fn count_failures(record: &Record, since: Duration) -> usize {
    let attempts = record.between(since, Duration::MAX);
    RequestKind::ALL
        .iter()
        .map(|kind| Summary::new(*kind, &attempts).failures())
        .sum()
}

/// Waits until the pod is deleted and the desired number of others is ready. Reads the pods, because a workload's status is
/// older.
async fn wait_until_replaced(harness: &Harness, target: &Target, killed: &Pod) -> Result<()> {
    let time_limit = harness.cluster.settings().time_limit;
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

impl Tables {
    /// Adds the headings and empty tables.
    fn add_to_report(harness: &mut Harness) -> Self {
        let rates = Rates::with_probes(harness.cluster.settings().photos_per_second);
        let report = &mut harness.report;
        report.section("Outages");
        report.text(format_args!(
            "Requests per second from outside, through a node port, each on a new connection: {} uploads of new photos, {} repeated uploads, {} \
             status requests, {} images. \"2.1 s / 3.0 s\": the longest outage, and the sum of all outages. An outage lasts from the start of \
             the first request that is not served until the answer to the first that is. An answer after more than 3 s counts as not served. \
             *deleted*: `kubectl delete pod`. *killed*: with `--grace-period=0 --force`; the API forgets the pod at once, and the kubelet \
             kills it after at least two seconds. A camera repeats an upload until the answer is 2xx.",
            rates.photos, rates.repeats, rates.statuses, rates.images
        ));
        let outages = report.table(&OUTAGE_HEADER, &[]);
        report.section("Database sessions of a deleted irmgard pod");
        report.text(
            "The pod's sessions in `pg_stat_activity` (by its address) before the deletion, right after it, and the time until the last one ended. \
             When a process is killed, the kernel of its node closes its connections. The server notices that at once, or at its next write; \
             then it rolls open transactions back and releases their locks.",
        );
        let sessions = report.table(&sessions::HEADER, &[]);
        report.section("Uploads before and after");
        let latencies = report.table(&super::REQUEST_HEADER, &[]);
        Self {
            outages,
            sessions,
            latencies,
        }
    }

    fn add_rows(
        self,
        harness: &mut Harness,
        what: &str,
        record: &Record,
        deleted_at: Duration,
        ready: Duration,
        missing: Option<usize>,
    ) {
        let attempts = record.between(deleted_at, Duration::MAX);
        let [writes, statuses, images] = RequestKind::ALL.map(|kind| Summary::new(kind, &attempts));
        let row = vec![
            what.to_owned(),
            seconds(ready),
            writes.outages(),
            statuses.outages(),
            images.outages(),
            writes.failures_by_kind(),
            statuses.failures_by_kind(),
            images.failures_by_kind(),
            missing.map_or("not counted".to_owned(), |missing| missing.to_string()),
        ];
        harness.report.row(self.outages, row);
        let before = record.between(Duration::ZERO, deleted_at);
        for (when, attempts) in [("before", &before), ("after", &attempts)] {
            let name = format!("{what}: {when}");
            let row = super::request_row(&name, &Summary::new(RequestKind::Write, attempts));
            harness.report.row(self.latencies, row);
        }
    }
}

/// The columns of the first table.
const OUTAGE_HEADER: [&str; 9] = [
    "pod",
    "all pods ready again",
    "no uploads",
    "no statuses",
    "no images",
    "failed uploads",
    "failed statuses",
    "failed images",
    "log lines lost",
];

fn add_limitations(harness: &mut Harness) {
    harness.report.limitation(
        "The loss of a node or a zone: all pods are on one node, whose kernel closes the connections of a killed pod. A lost node closes \
         none, and its peers wait for their own limits (keep-alive, heartbeats, timeouts). The case `node` shows that on three nodes.",
    );
    if !harness.cluster.settings().with_fluentd() {
        harness.report.limitation(
            "Log lines: this deployment has no Fluentd, so the lines of deleted pods are lost. With E2E_IMAGE_FLUENTD they are counted.",
        );
    }
}
