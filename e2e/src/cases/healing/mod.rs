//! Pods go while photos come in, with one pod of a kind and with three: for how long there is no service, and what is lost.

mod connections;
mod patient;

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

use self::{
    connections::Connections,
    patient::{PATIENTS, Patient},
};
use super::{Stage, check};
use crate::{
    cluster::{Cluster, Deletion, Deployment, Places, Pod, Seen, until},
    load::{Kind, Load, Pace, Record, Summary, seconds},
    report::Table,
};

/// How long the load runs before the pod goes, and after all are there again.
const CALM: Duration = Duration::from_secs(10);

/// The tables of the report.
#[derive(Clone, Copy, Debug)]
struct Tables {
    outages: Table,
    connections: Table,
    latencies: Table,
}

/// Why there cannot be three of a component here, if there cannot. It must run with one.
///
/// # Errors
/// When its pod does not say.
pub(super) async fn hindrance(cluster: &Cluster, name: &str) -> Result<Option<String>> {
    match PATIENTS.iter().find(|patient| patient.name == name) {
        Some(patient) => patient.hindrance(cluster).await,
        None => Ok(None),
    }
}

pub(super) async fn run(stage: &mut Stage) -> Result<()> {
    let tables = Tables::begin(stage);
    cannot_show(stage);
    play(stage, tables).await
}

/// One of each; three of what keeps nothing; three of one data service after the other.
async fn play(stage: &mut Stage, tables: Tables) -> Result<()> {
    let stateless = |count| {
        Deployment::new("one")
            .replicas("irmgard", count)
            .replicas("anonymizer", count)
    };
    let all = PATIENTS
        .iter()
        .filter(|patient| !patient.needs_fluentd || stage.cluster.settings().with_fluentd());
    let all: Vec<_> = all
        .filter(|patient| stage.cluster.settings().wants(patient.name))
        .collect();
    series(stage, &stateless(1), &all, 1, tables).await?;
    let keepless: Vec<_> = all
        .iter()
        .copied()
        .filter(|patient| patient.three == Some(""))
        .collect();
    series(stage, &stateless(3), &keepless, 3, tables).await?;
    for patient in all {
        if let Some(component) = patient.three.filter(|component| !component.is_empty()) {
            if let Some(reason) = patient.hindrance(&stage.cluster).await? {
                let reason = format!("{} with three pods: {reason}.", patient.name);
                stage.step(format_args!("not tried: {reason}"));
                stage.report.cannot_show(reason);
                continue;
            }
            let mut deployment = Deployment::new(component).with(component);
            if patient.name == "opensearch" {
                deployment = deployment.opensearch_cluster(stage.cluster.project())?;
            }
            series(stage, &deployment, &[patient], 3, tables).await?;
        }
    }
    Ok(())
}

async fn series(
    stage: &mut Stage,
    deployment: &Deployment,
    patients: &[&Patient],
    count: usize,
    tables: Tables,
) -> Result<()> {
    if patients.is_empty() {
        return Ok(());
    }
    stage.cluster.deploy(deployment).await?;
    let places = stage.cluster.places().await?;
    for patient in patients {
        for how in [Deletion::Plain, Deletion::Forced] {
            let what = what(patient, count, how);
            let tried = trial(stage, &places, patient, &what, how, tables).await;
            // The others are worth to be seen all the same.
            if let Err(error) = tried {
                stage
                    .report
                    .demand(format_args!("{what}: it heals"), false, format_args!("{error:#}"));
                // What is broken must not be the next one's fault.
                stage.cluster.empty().await?;
                stage.cluster.deploy(deployment).await?;
            }
        }
    }
    Ok(())
}

fn what(patient: &Patient, count: usize, how: Deletion) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{}, {count} pod{plural}, {}", patient.name, how.name())
}

/// One pod goes.
async fn trial(
    stage: &mut Stage,
    places: &Places,
    patient: &Patient,
    what: &str,
    how: Deletion,
    tables: Tables,
) -> Result<()> {
    let patience = stage.cluster.settings().patience;
    stage.step(format_args!("-- {what}"));
    stage
        .cluster
        .ready(patient.kind, patient.workload, patience)
        .await?;
    let victim = patient.victim(&stage.cluster, places).await?;
    let pace = Pace::watching(stage.cluster.settings().photos_per_second);
    let load = Load::start(&places.web, &format!("healing-{}", patient.name), pace, patience).await?;
    sleep(CALM).await;

    let of_database = patient.name == "irmgard";
    let before = if of_database {
        Some(Connections::of(&places.database, &victim.ip).await?)
    } else {
        None
    };
    stage.step(format_args!("{} is {}", victim.name, how.name()));
    let (gone, began) = (load.now(), Instant::now());
    stage.cluster.delete(&victim, how).await?;
    if let Some(before) = before {
        let row = connections::row(places, what, &victim, before, began).await?;
        stage.report.row(tables.connections, row);
    }
    healed(stage, patient, &victim).await?;
    let ready = began.elapsed();
    stage.step(format_args!("all pods are ready again after {}", seconds(ready)));
    sleep(CALM).await;
    let record = load.stop().await;
    let verdict = check(stage, places, &record, what).await?;
    tables.note(stage, what, &record, gone, ready, verdict.lines_missing);
    let failed = failures(&record, gone);
    if of_database && how == Deletion::Plain {
        stage.report.demand(
            format_args!("{what}: no request fails"),
            failed == 0,
            format_args!("{failed} failed"),
        );
    }
    Ok(())
}

fn failures(record: &Record, since: Duration) -> usize {
    let attempts = record.between(since, Duration::MAX);
    Kind::ALL
        .iter()
        .map(|kind| Summary::of(*kind, &attempts).failures())
        .sum()
}

/// Until the pod is gone and as many others serve as should. The pods themselves are asked: what a workload says of them is older.
async fn healed(stage: &Stage, patient: &Patient, victim: &Pod) -> Result<()> {
    let patience = stage.cluster.settings().patience;
    let wanted = match stage.cluster.workload(patient.kind, patient.workload).await? {
        Some(workload) => workload.wanted,
        None => bail!("there is no {}/{}", patient.kind, patient.workload),
    };
    until(&format!("{} is replaced", victim.name), patience, async || {
        let pods = stage.cluster.pods(patient.label).await?;
        let there = pods.iter().any(|pod| pod.uid == victim.uid);
        let serving = pods.iter().filter(|pod| patient.serves(pod)).count() as u64;
        Ok(if !there && serving >= wanted {
            Seen::Yes(())
        } else {
            let old = if there { ", the old one is still there" } else { "" };
            Seen::NotYet(format!("{serving} of {wanted} serve{old}"))
        })
    })
    .await
}

impl Tables {
    /// With their headings, and without rows.
    fn begin(stage: &mut Stage) -> Self {
        let pace = Pace::watching(stage.cluster.settings().photos_per_second);
        let report = &mut stage.report;
        report.section("Time without service");
        report.text(format_args!(
            "From outside, by a port of the node, each request with a connection of its own: {} new photos and {} known ones posted, \
             {} questions for a photo's state, {} images fetched in a second. \"2.1 s / 3.0 s\": the longest time without service, and \
             all together; from the beginning of the first request that was not served to the answer of the first one that was. An \
             answer after more than 3 s counts as none. *deleted*: `kubectl delete pod`; *killed*: with `--grace-period=0 --force`: \
             the API forgets the pod at once, and the kubelet, which gives two seconds at the least, kills it then. What a camera is \
             not answered it posts again, until it is.",
            pace.photos, pace.repeats, pace.states, pace.images
        ));
        let outages = report.table(&OUTAGES, &[]);
        report.section("What the end of an irmgard pod means for the database");
        report.text(
            "The pod's sessions in `pg_stat_activity` (by its address), before it went, right after, and when the last one was gone. \
             When a process is killed, the kernel of its node closes its connections; the server sees that at once, or when it next \
             writes to one, rolls back what was open and frees its locks.",
        );
        let connections = report.table(&connections::HEADER, &[]);
        report.section("Posts before and after");
        let latencies = report.table(&super::REQUESTS, &[]);
        Self {
            outages,
            connections,
            latencies,
        }
    }

    fn note(
        self,
        stage: &mut Stage,
        what: &str,
        record: &Record,
        gone: Duration,
        ready: Duration,
        missing: Option<usize>,
    ) {
        let attempts = record.between(gone, Duration::MAX);
        let [writes, states, images] = Kind::ALL.map(|kind| Summary::of(kind, &attempts));
        let away = |summary: &Summary| format!("{} / {}", seconds(summary.longest), seconds(summary.total));
        let row = vec![
            what.to_owned(),
            seconds(ready),
            away(&writes),
            away(&states),
            away(&images),
            writes.failures_by_kind(),
            states.failures_by_kind(),
            images.failures_by_kind(),
            missing.map_or("not counted".to_owned(), |missing| missing.to_string()),
        ];
        stage.report.row(self.outages, row);
        let calm = record.between(Duration::ZERO, gone);
        for (when, attempts) in [("before", &calm), ("after", &attempts)] {
            let name = format!("{what}: {when}");
            let row = super::row(&name, &Summary::of(Kind::Write, attempts));
            stage.report.row(self.latencies, row);
        }
    }
}

/// The columns of the first table.
const OUTAGES: [&str; 9] = [
    "what went",
    "all pods ready again",
    "no posts",
    "no states",
    "no images",
    "failed posts",
    "failed states",
    "failed images",
    "log lines lost",
];

fn cannot_show(stage: &mut Stage) {
    stage.report.cannot_show(
        "The loss of a node or a zone: all pods are on one node. Its kernel closes the connections of a pod that was killed. A lost \
         node closes none, and its peers wait for their own limits (keep-alive, heartbeats, timeouts). The case `node` shows that on \
         three nodes.",
    );
    if !stage.cluster.settings().with_fluentd() {
        stage.report.cannot_show(
            "Log lines: there is no Fluentd in this deployment, and lines of pods that are deleted go with them. With \
             E2E_IMAGE_FLUENTD they are counted.",
        );
    }
}
