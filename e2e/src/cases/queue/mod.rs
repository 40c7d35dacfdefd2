//! The queue on one node of the broker and on three: throughput, and the loss of nodes.

mod broker_endpoints;
mod loss_report;
mod message_log;
mod node_loss;
mod throughput;
mod traffic;

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep};

use self::{
    broker_endpoints::BrokerEndpoints,
    node_loss::BrokerFailure,
    throughput::{LATENCY, MANY_QUEUES, Measurement, ONE_QUEUE, millis},
};
use super::{Harness, availability, check_photos, rabbitmq};
use crate::{
    cluster::{Condition, Deployment, Endpoints, LogSource, wait_until},
    load::seconds,
    report::Report,
};

/// How long cameras upload before and after the loss.
const STEADY_LOAD: Duration = Duration::from_secs(5);
/// The limit for the gap between new photos while the broker has no quorum.
const UPLOAD_GAP_LIMIT: Duration = Duration::from_secs(5);
/// Workloads that are stopped during the measurements, because there are few cores.
const STOPPED_WORKLOADS: [&str; 3] = [
    "deployment/irmgard",
    "deployment/anonymizer",
    "statefulset/opensearch",
];

fn deployment() -> Deployment {
    Deployment::new("queue")
        .replicas("irmgard", 0)
        .replicas("anonymizer", 0)
}

pub(super) async fn run(harness: &mut Harness) -> Result<()> {
    // Starts with one node, even after an earlier run.
    harness.cluster.delete_namespaces().await?;
    harness.cluster.deploy(&deployment()).await?;
    let endpoints = &harness.cluster.endpoints().await?;
    stop_other_workloads(harness).await?;
    harness.report.fact("message_bytes", traffic::body_size()?);
    harness.report.fact("prefetch", traffic::PREFETCH);
    let mut broker = BrokerEndpoints::create(&harness.cluster, endpoints, 1).await?;
    let profiles = [LATENCY, ONE_QUEUE, MANY_QUEUES];
    let one_node = throughput::measure(harness, &broker, &profiles).await?;
    let result = node_loss::run_trial(harness, endpoints, &mut broker, BrokerFailure::OnlyNode).await;
    harness.require_completion(BrokerFailure::OnlyNode.name(), result.map(drop));

    let mut broker = grow(harness, endpoints).await?;
    let profiles = [
        LATENCY,
        LATENCY.through_follower(),
        ONE_QUEUE,
        ONE_QUEUE.through_follower(),
        MANY_QUEUES,
    ];
    let three_nodes = throughput::measure(harness, &broker, &profiles).await?;
    compare_throughput(&mut harness.report, &one_node, &three_nodes);
    let result = node_loss::run_trial(harness, endpoints, &mut broker, BrokerFailure::OneOfThree).await;
    harness.require_completion(BrokerFailure::OneOfThree.name(), result.map(drop));
    lose_two_nodes_under_load(harness, endpoints, &mut broker).await
}

/// Stops the workloads that are not measured.
async fn stop_other_workloads(harness: &Harness) -> Result<()> {
    for workload in STOPPED_WORKLOADS {
        harness.cluster.scale(workload, 0).await?;
    }
    let time_limit = harness.time_limit();
    wait_until("the other workloads have stopped", time_limit, async || {
        let mut remaining = Vec::new();
        for component in ["irmgard", "anonymizer", "opensearch"] {
            let pods = harness.cluster.pods(component).await?;
            // Pods of completed Jobs are not ready.
            let service = pods.into_iter().filter(|pod| pod.ready || pod.terminating);
            remaining.extend(service.map(|pod| pod.name));
        }
        Ok(if remaining.is_empty() {
            Condition::Met(())
        } else {
            Condition::Unmet(remaining.join(", "))
        })
    })
    .await
}

/// Grows the broker to three nodes in place, and creates queues with replicas on all of them.
async fn grow(harness: &Harness, endpoints: &Endpoints) -> Result<BrokerEndpoints> {
    let time_limit = harness.time_limit();
    harness.step("-- three nodes");
    let three = deployment().with("rabbitmq-three");
    harness.cluster.apply_only(&three, "broker").await?;
    harness
        .cluster
        .wait_until_ready("statefulset", "rabbitmq", time_limit)
        .await?;
    let broker = BrokerEndpoints::create(&harness.cluster, endpoints, 3).await?;
    // The replication of other queues must not disturb the measurement.
    rabbitmq::wait_for_replicas(&harness.cluster, 3, time_limit).await?;
    Ok(broker)
}

/// Kills two of three nodes while cameras upload photos.
async fn lose_two_nodes_under_load(
    harness: &mut Harness,
    endpoints: &Endpoints,
    broker: &mut BrokerEndpoints,
) -> Result<()> {
    let time_limit = harness.time_limit();
    harness.step("starting irmgard and a worker");
    let with_lines = matches!(harness.cluster.log_source(), LogSource::OpenSearch);
    for workload in STOPPED_WORKLOADS {
        let (kind, name) = workload
            .split_once('/')
            .context("a workload needs kind and name")?;
        if name != "opensearch" || with_lines {
            harness.cluster.scale(workload, 1).await?;
            harness.cluster.wait_until_ready(kind, name, time_limit).await?;
        }
    }
    rabbitmq::wait_for_replicas(&harness.cluster, 3, time_limit).await?;
    let load = harness.start_load(endpoints, "queue").await?;
    let start = Instant::now() - load.now();
    sleep(STEADY_LOAD).await;
    let failure = BrokerFailure::TwoOfThree;
    let result = node_loss::run_trial(harness, endpoints, broker, failure).await;
    sleep(STEADY_LOAD).await;
    let record = load.stop().await;
    let times = result.context(failure.name())?;
    let what = format!("{}, with cameras", failure.name());
    check_photos(harness, endpoints, &record, &what).await?;
    let (killed_at, released_at) = (times.killed_at - start, times.released_at - start);
    let gap = availability::longest_upload_gap(&record, killed_at);
    let meanwhile = record
        .acknowledgements
        .acknowledged()
        .values()
        .filter(|photo| (killed_at..released_at).contains(&photo.at))
        .count();
    harness.report.require(
        format_args!(
            "{what}: new photos are accepted throughout, with gaps of at most {} s",
            UPLOAD_GAP_LIMIT.as_secs()
        ),
        meanwhile > 0 && gap <= UPLOAD_GAP_LIMIT,
        format_args!("{meanwhile} accepted meanwhile, longest gap {}", seconds(gap)),
    );
    let mut row = availability::row(&what, &record, killed_at, times.restored_at - times.killed_at);
    let outbox = times.outbox.map_or("?".to_owned(), |jobs| jobs.to_string());
    row.push(("jobs in the outbox at the end", outbox));
    harness.report.row("cameras", row);
    Ok(())
}

/// Reports whether three nodes raise the throughput.
fn compare_throughput(report: &mut Report, one: &[Measurement], three: &[Measurement]) {
    let ([latency, single, many], [latency_of_3, _, single_of_3, _, many_of_3]) = (one, three) else {
        return;
    };
    report.fact("answer", answer(single, single_of_3, many, many_of_3));
    let confirmed = |measurement: &Measurement| format!("{:.0}", measurement.confirmed);
    let confirm_latency = |measurement: &Measurement| millis(measurement.confirm_latency[0]);
    for (what, one, three, change) in [
        (
            "one queue, confirmed/s",
            confirmed(single),
            confirmed(single_of_3),
            percent(single, single_of_3),
        ),
        (
            "six queues with leaders on all nodes, confirmed/s",
            confirmed(many),
            confirmed(many_of_3),
            percent(many, many_of_3),
        ),
        (
            "a single message, until confirmed (p50)",
            confirm_latency(latency),
            confirm_latency(latency_of_3),
            "–".to_owned(),
        ),
        (
            "one queue, the broker's CPU ms per message",
            cpu_millis_per_message(single),
            cpu_millis_per_message(single_of_3),
            "–".to_owned(),
        ),
    ] {
        let row = vec![
            ("measurement", what.to_owned()),
            ("one node", one),
            ("three nodes", three),
            ("three of one", change),
        ];
        report.row("comparison", row);
    }
}

fn answer(
    single: &Measurement,
    single_of_3: &Measurement,
    many: &Measurement,
    many_of_3: &Measurement,
) -> &'static str {
    let rises = |one: &Measurement, three: &Measurement| three.confirmed > one.confirmed * 1.1;
    match (rises(single, single_of_3), rises(many, many_of_3)) {
        (false, false) => "No.",
        (false, true) => "Not for one queue, but for several.",
        (true, false) => "For one queue here, contrary to what Raft implies; not for several.",
        (true, true) => "Yes, in this environment.",
    }
}

fn percent(one: &Measurement, three: &Measurement) -> String {
    if one.confirmed > 0.0 {
        format!("{:.0} %", three.confirmed / one.confirmed * 100.0)
    } else {
        "–".to_owned()
    }
}

/// The broker's CPU milliseconds per message.
fn cpu_millis_per_message(measurement: &Measurement) -> String {
    let seconds = measurement.cpu_seconds_per_message();
    seconds.map_or("–".to_owned(), |seconds| format!("{:.2}", seconds * 1_000.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_follows_from_the_measurements() {
        let measurement = |confirmed| Measurement {
            confirmed,
            delivered: confirmed,
            broker_cores: 0.5,
            ..Measurement::default()
        };
        let (slow, fast) = (measurement(100.0), measurement(200.0));
        assert_eq!(answer(&fast, &slow, &fast, &slow), "No.");
        assert_eq!(
            answer(&fast, &slow, &slow, &fast),
            "Not for one queue, but for several."
        );
        assert_eq!(
            (
                percent(&slow, &fast).as_str(),
                cpu_millis_per_message(&slow).as_str()
            ),
            ("200 %", "5.00")
        );
        assert_eq!(percent(&Measurement::default(), &slow), "–");
    }
}
