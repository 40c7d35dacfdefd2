//! Pods go while photos come in, with one pod of a kind and with three: for how long there is no service, and what is lost.

mod connections;
mod patient;

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep};

use self::{
    connections::Connections,
    patient::{PATIENTS, Patient},
};
use super::{Stage, check};
use crate::{
    cluster::{Deletion, Deployment, Places, Pod, Seen, until},
    load::{Kind, Load, Pace, Record, Summary, seconds},
};

/// How long the load runs before the pod goes, and after all are there again.
const CALM: Duration = Duration::from_secs(10);

/// The tables of the report.
#[derive(Default)]
struct Figures {
    outages: Vec<Vec<String>>,
    latencies: Vec<Vec<String>>,
    connections: Vec<Vec<String>>,
}

pub(super) async fn run(stage: &mut Stage) -> Result<()> {
    let mut figures = Figures::default();
    let played = play(stage, &mut figures).await;
    // What was measured until something broke is worth to be read.
    tell(stage, &figures);
    played
}

/// One of each; three of what keeps nothing; three of one data service after the other.
async fn play(stage: &mut Stage, figures: &mut Figures) -> Result<()> {
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
    series(stage, &stateless(1), &all, 1, figures).await?;
    let keepless: Vec<_> = all
        .iter()
        .copied()
        .filter(|patient| patient.three == Some(""))
        .collect();
    series(stage, &stateless(3), &keepless, 3, figures).await?;
    for patient in all {
        if let Some(component) = patient.three.filter(|component| !component.is_empty()) {
            let deployment = Deployment::new(component).with(component);
            series(stage, &deployment, &[patient], 3, figures).await?;
        }
    }
    Ok(())
}

async fn series(
    stage: &mut Stage,
    deployment: &Deployment,
    patients: &[&Patient],
    count: usize,
    figures: &mut Figures,
) -> Result<()> {
    if patients.is_empty() {
        return Ok(());
    }
    stage.cluster.deploy(deployment).await?;
    let places = stage.cluster.places().await?;
    for patient in patients {
        for how in [Deletion::Plain, Deletion::Forced] {
            trial(stage, &places, patient, count, how, figures)
                .await
                .with_context(|| format!("{}, {count} pods, {}", patient.name, how.name()))?;
        }
    }
    Ok(())
}

/// One pod goes.
async fn trial(
    stage: &mut Stage,
    places: &Places,
    patient: &Patient,
    count: usize,
    how: Deletion,
    figures: &mut Figures,
) -> Result<()> {
    let patience = stage.cluster.settings().patience;
    let what = format!(
        "{}, {count} pod{}, {}",
        patient.name,
        if count == 1 { "" } else { "s" },
        how.name()
    );
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
        let row = connections::row(places, &what, &victim, before, began).await?;
        figures.connections.push(row);
    }
    healed(stage, patient, &victim).await?;
    let ready = began.elapsed();
    stage.step(format_args!("all pods are ready again after {}", seconds(ready)));
    sleep(CALM).await;
    let record = load.stop().await;
    let verdict = check(stage, places, &record, &what).await?;
    figures.note(&what, &record, gone, ready, verdict.lines_missing);
    let failed = failures(&record, gone);
    if patient.name == "irmgard" && count > 1 && how == Deletion::Plain {
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

/// Until the pod is gone and as many serve as should.
async fn healed(stage: &Stage, patient: &Patient, victim: &Pod) -> Result<()> {
    let patience = stage.cluster.settings().patience;
    until(&format!("{} is gone", victim.name), patience, async || {
        let pods = stage.cluster.pods(patient.label).await?;
        let there = pods.iter().any(|pod| pod.uid == victim.uid);
        Ok(if there {
            Seen::NotYet("it is still there".to_owned())
        } else {
            Seen::Yes(())
        })
    })
    .await?;
    stage
        .cluster
        .ready(patient.kind, patient.workload, patience)
        .await
}

impl Figures {
    fn note(&mut self, what: &str, record: &Record, gone: Duration, ready: Duration, missing: Option<usize>) {
        let attempts = record.between(gone, Duration::MAX);
        let [writes, states, images] = Kind::ALL.map(|kind| Summary::of(kind, &attempts));
        let away = |summary: &Summary| format!("{} / {}", seconds(summary.longest), seconds(summary.total));
        self.outages.push(vec![
            what.to_owned(),
            seconds(ready),
            away(&writes),
            away(&states),
            away(&images),
            writes.failures_by_kind(),
            format!(
                "states: {}, images: {}",
                states.failures_by_kind(),
                images.failures_by_kind()
            ),
            missing.map_or("not counted".to_owned(), |missing| missing.to_string()),
        ]);
        let calm = record.between(Duration::ZERO, gone);
        for (when, attempts) in [("before", &calm), ("after", &attempts)] {
            let name = format!("{what}: {when}");
            self.latencies
                .push(super::row(&name, &Summary::of(Kind::Write, attempts)));
        }
    }
}

fn tell(stage: &mut Stage, figures: &Figures) {
    let pace = Pace::watching(stage.cluster.settings().photos_per_second);
    let report = &mut stage.report;
    report.section("Time without service");
    report.text(format_args!(
        "From outside, by a port of the node, each request with a connection of its own: {} new photos and {} known ones posted, {} \
         questions for a photo's state, {} images fetched in a second. \"2.1 s / 3.0 s\": the longest time without service, and all \
         together; from the beginning of the first request that was not served to the answer of the first one that was. An answer \
         after more than 3 s counts as none. *deleted*: `kubectl delete pod`; *killed*: with `--grace-period=0 --force`. What a \
         camera is not answered it posts again, until it is.",
        pace.photos, pace.repeats, pace.states, pace.images
    ));
    report.table(
        &[
            "what went",
            "all pods ready again",
            "no posts",
            "no states",
            "no images",
            "failed posts",
            "failed reads",
            "log lines lost",
        ],
        &figures.outages,
    );
    if !figures.connections.is_empty() {
        report.section("What the end of an irmgard pod means for the database");
        report.text(
            "The pod's sessions in `pg_stat_activity` (by its address), before it went, right after, and when the last one was gone. \
             Killed, the kernel of the node closes its connections; the server sees that at once, or when it next writes to one, rolls \
             back what was open and frees its locks.",
        );
        report.table(&connections::HEADER, &figures.connections);
    }
    report.section("Posts before and after");
    report.table(&super::REQUESTS, &figures.latencies);
    report.cannot_show(
        "The loss of a node or a zone: all pods are on one node. Its kernel is there to close the connections of a pod that was \
         killed; of a node that is gone nobody does, and the others wait for their own limits (keep-alive, heartbeats, timeouts). To be \
         shown on three nodes: `kubectl drain` as the orderly way, power off as the other.",
    );
    if !stage.cluster.settings().with_fluentd() {
        report.cannot_show(
            "Log lines: there is no Fluentd in this deployment, and lines of pods that are deleted go with them. With \
             E2E_IMAGE_FLUENTD they are counted.",
        );
    }
}
