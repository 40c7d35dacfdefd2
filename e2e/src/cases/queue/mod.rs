//! The queue on one node of the broker and on three: how fast it is, and what the loss of nodes does.

mod doors;
mod loss;
mod losses;
mod notes;
mod speed;
mod traffic;

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep};

use self::{
    doors::Doors,
    loss::Blow,
    losses::Losses,
    speed::{Figures, LATENCY, MANY_QUEUES, ONE_QUEUE, millis},
};
use super::{Stage, check, ledger, rabbitmq};
use crate::{
    cluster::{Deployment, Lines, Places, Seen, until},
    load::{Load, Pace, seconds},
    report::{Report, Table},
};

/// How long cameras post before the nodes go and after.
const CALM: Duration = Duration::from_secs(5);
/// For how long cameras may not be rid of a new photo while the broker has no quorum.
const NOT_TAKEN: Duration = Duration::from_secs(5);
/// What does not run while the broker is measured: the cores are few.
const OTHERS: [&str; 3] = [
    "deployment/irmgard",
    "deployment/anonymizer",
    "statefulset/opensearch",
];

fn deployment() -> Deployment {
    Deployment::new("queue")
        .replicas("irmgard", 0)
        .replicas("anonymizer", 0)
}

pub(super) async fn run(stage: &mut Stage) -> Result<()> {
    // From one node, also where this has run before.
    stage.cluster.empty().await?;
    stage.cluster.deploy(&deployment()).await?;
    let places = stage.cluster.places().await?;
    alone(stage).await?;
    cannot_show(stage);
    let speeds = begin(stage)?;
    let (mut losses, mut cameras) = (Losses::default(), Vec::new());
    let played = play(stage, &places, speeds, &mut losses, &mut cameras).await;
    losses.tell(&mut stage.report);
    tell(&mut stage.report, &cameras);
    played
}

async fn play(
    stage: &mut Stage,
    places: &Places,
    speeds: Table,
    losses: &mut Losses,
    cameras: &mut Vec<Vec<String>>,
) -> Result<()> {
    let mut doors = Doors::open(&stage.cluster, places, 1).await?;
    let settings = [LATENCY, ONE_QUEUE, MANY_QUEUES];
    let one = speed::measure(stage, &doors, &settings, speeds).await?;
    let lost = loss::trial(stage, places, &mut doors, Blow::Only, losses).await;
    stage.part(Blow::Only.name(), lost.map(drop));

    let mut doors = grow(stage, places).await?;
    let settings = [
        LATENCY,
        LATENCY.by_a_follower(),
        ONE_QUEUE,
        ONE_QUEUE.by_a_follower(),
        MANY_QUEUES,
    ];
    let three = speed::measure(stage, &doors, &settings, speeds).await?;
    explain(&mut stage.report, &one, &three);
    let lost = loss::trial(stage, places, &mut doors, Blow::One, losses).await;
    stage.part(Blow::One.name(), lost.map(drop));
    watched(stage, places, &mut doors, losses, cameras).await
}

/// Stops what is not measured.
async fn alone(stage: &Stage) -> Result<()> {
    for workload in OTHERS {
        stage.cluster.scale(workload, 0).await?;
    }
    let patience = stage.cluster.settings().patience;
    until("what is not measured is gone", patience, async || {
        let mut left = Vec::new();
        for component in ["irmgard", "anonymizer", "opensearch"] {
            let pods = stage.cluster.pods(component).await?;
            // Those of Jobs are through.
            let service = pods.into_iter().filter(|pod| pod.ready || pod.ending);
            left.extend(service.map(|pod| pod.name));
        }
        Ok(if left.is_empty() {
            Seen::Yes(())
        } else {
            Seen::NotYet(left.join(", "))
        })
    })
    .await
}

/// From one node to three, in place, and queues that have a copy on each from the beginning.
async fn grow(stage: &Stage, places: &Places) -> Result<Doors> {
    let patience = stage.cluster.settings().patience;
    stage.step("-- three nodes");
    let three = deployment().with("rabbitmq-three");
    stage.cluster.apply_only(&three, "broker").await?;
    stage.cluster.ready("statefulset", "rabbitmq", patience).await?;
    let doors = Doors::open(&stage.cluster, places, 3).await?;
    // The others get theirs meanwhile, which must not be measured.
    rabbitmq::copies(&stage.cluster, 3, patience).await?;
    Ok(doors)
}

/// Two of three nodes go while cameras post photos.
async fn watched(
    stage: &mut Stage,
    places: &Places,
    doors: &mut Doors,
    losses: &mut Losses,
    cameras: &mut Vec<Vec<String>>,
) -> Result<()> {
    let patience = stage.cluster.settings().patience;
    stage.step("irmgard and a worker, for what a camera sees");
    let with_lines = matches!(stage.cluster.lines(), Lines::OpenSearch);
    for workload in OTHERS {
        let (kind, name) = workload.split_once('/').context("kind and name")?;
        if name != "opensearch" || with_lines {
            stage.cluster.scale(workload, 1).await?;
            stage.cluster.ready(kind, name, patience).await?;
        }
    }
    rabbitmq::copies(&stage.cluster, 3, patience).await?;
    let pace = Pace::watching(stage.cluster.settings().photos_per_second);
    let load = Load::start(&places.web, "queue", pace, patience).await?;
    let began = Instant::now() - load.now();
    sleep(CALM).await;
    let blow = Blow::Two;
    let lost = loss::trial(stage, places, doors, blow, losses).await;
    sleep(CALM).await;
    let record = load.stop().await;
    let moments = lost.context(blow.name())?;
    let what = format!("{}, seen by cameras", blow.name());
    check(stage, places, &record, &what).await?;
    let (gone, freed) = (moments.gone - began, moments.freed - began);
    let away = ledger::nothing_new(&record, gone);
    let meanwhile = record
        .answers
        .acknowledged()
        .values()
        .filter(|known| (gone..freed).contains(&known.at))
        .count();
    stage.report.demand(
        format_args!(
            "{what}: new photos are taken all the time, none later than {} s after another",
            NOT_TAKEN.as_secs()
        ),
        meanwhile > 0 && away <= NOT_TAKEN,
        format_args!("{meanwhile} taken meanwhile, none for {} at most", seconds(away)),
    );
    let mut row = ledger::row(&what, &record, gone, moments.whole - moments.gone);
    row.push(moments.outbox.map_or("?".to_owned(), |jobs| jobs.to_string()));
    cameras.push(row);
    Ok(())
}

fn begin(stage: &mut Stage) -> Result<Table> {
    let size = traffic::size()?;
    let report = &mut stage.report;
    report.section("Messages in a second, and how long each is on its way");
    report.text(format_args!(
        "Durable quorum queues as `images` is one, without its policies (delivery limit, dead letters), persistent messages of {size} bytes as irmgard writes a job, its publisher with \
         confirms and its consumer (prefetch {}), each delivery acknowledged by itself and at once. *1 queue, 64*: so many messages are published and \
         not confirmed, at any time, and 64 is what irmgard has at most. Each queue has two connections of its own, to the node whose copy \
         leads, or to another. Each setting for 10 s after 2 s, three times in turns with the others; medians, least and most in \
         parentheses. Nothing else runs but PostgreSQL, MinIO and Fluentd, with nothing to do: irmgard, the anonymizer and OpenSearch are \
         scaled to none. *Cores* is what the pods of all nodes used together, each limited to one; and this program, which publishes and \
         consumes on the same machine. *The queue grows*: one consumer takes less than is published, so the time until a message is delivered \
         says only for how long it has grown.",
        traffic::PREFETCH
    ));
    Ok(report.table(&speed::HEADER, &[]))
}

/// Does 3 raise the throughput? As it was measured, and why.
fn explain(report: &mut Report, one: &[Figures], three: &[Figures]) {
    let ([latency, single, many], [latency_of_3, _, single_of_3, _, many_of_3]) = (one, three) else {
        return;
    };
    report.section("Do three nodes raise the throughput?");
    report.text(format_args!(
        "{} One queue confirms {:.0} messages in a second on one node and {:.0} on three ({}); six queues, whose leaders are spread over \
         the nodes, {:.0} and {:.0} ({}). A message alone is confirmed after {} on one node (p50) and after {} on three. The broker uses \
         {} ms of a core for a message of one queue on one node, and {} ms on three.",
        answer(single, single_of_3, many, many_of_3),
        single.confirmed,
        single_of_3.confirmed,
        percent(single, single_of_3),
        many.confirmed,
        many_of_3.confirmed,
        percent(many, many_of_3),
        millis(latency.until_confirmed[0]),
        millis(latency_of_3.until_confirmed[0]),
        cost(single),
        cost(single_of_3),
    ));
    report.text(
        "Why: a quorum queue is a Raft log. One copy leads it and puts all its messages in order, however many nodes there are; each message \
         is sent to the other two, and each of the three writes it to its disk and syncs. It is confirmed when two have it, so a confirm \
         waits for the network and a second disk. Three nodes do three times the work for the same message: they are there so that one may \
         be lost, not for speed. More queues have more leaders, and on three machines with their own cores and disks their leaders \
         share the work, though still every message is written by all three. Here the nodes share the cores and the disk of one machine \
         with the programs that measure, and the columns *cores* say how much of them each has. What irmgard needs is far below all of it: a job and a result for each photo.",
    );
}

fn answer(single: &Figures, single_of_3: &Figures, many: &Figures, many_of_3: &Figures) -> &'static str {
    let rises = |one: &Figures, three: &Figures| three.confirmed > one.confirmed * 1.1;
    match (rises(single, single_of_3), rises(many, many_of_3)) {
        (false, false) => "No.",
        (false, true) => "Not of one queue, but of several.",
        (true, false) => "Of one queue here, against what Raft lets expect; not of several.",
        (true, true) => "Here they do.",
    }
}

fn percent(one: &Figures, three: &Figures) -> String {
    if one.confirmed > 0.0 {
        format!("{:.0} %", three.confirmed / one.confirmed * 100.0)
    } else {
        "–".to_owned()
    }
}

/// Milliseconds of a core for a message.
fn cost(figures: &Figures) -> String {
    let cost = figures.cost();
    cost.map_or("–".to_owned(), |seconds| format!("{:.2}", seconds * 1_000.0))
}

fn tell(report: &mut Report, cameras: &[Vec<String>]) {
    report.section("What cameras see while the broker has no quorum");
    report.text(format_args!(
        "irmgard and one worker run again, cameras post photos, and two of three nodes are lost: the same blow as above. A photo is taken with \
         a row in the outbox; what waits there is published when the broker takes messages again. {}",
        ledger::LEGEND
    ));
    let mut header = ledger::HEADER.to_vec();
    header.push("jobs in the outbox, at last");
    report.table(&header, cameras);
}

fn cannot_show(stage: &mut Stage) {
    let report = &mut stage.report;
    report.cannot_show(
        "The loss of a machine or a zone: all pods are on one node, whose kernel closes the connections of a pod that was killed. A lost \
         machine closes none: the other nodes notice within some seconds that a leader is silent, clients after two heartbeats (10 s). \
         The case `node` shows that on three nodes.",
    );
    report.cannot_show(
        "A partition of the network, in which both sides live: it cannot be made between pods of one node without rights on it. What is \
         left alone by a loss does here what the smaller part of a partition does.",
    );
    report.cannot_show(
        "The throughput of three machines: the nodes share two cores and one disk, with the programs that publish and consume.",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_what_was_measured() {
        let figures = |confirmed| Figures {
            confirmed,
            delivered: confirmed,
            broker: 0.5,
            ..Figures::default()
        };
        let (slow, fast) = (figures(100.0), figures(200.0));
        assert_eq!(answer(&fast, &slow, &fast, &slow), "No.");
        assert_eq!(
            answer(&fast, &slow, &slow, &fast),
            "Not of one queue, but of several."
        );
        assert_eq!(
            (percent(&slow, &fast).as_str(), cost(&slow).as_str()),
            ("200 %", "5.00")
        );
        assert_eq!(percent(&Figures::default(), &slow), "–");
    }
}
