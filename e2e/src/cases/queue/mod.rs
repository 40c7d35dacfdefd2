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
    loss_report::LossReport,
    node_loss::BrokerFailure,
    throughput::{LATENCY, MANY_QUEUES, Measurement, ONE_QUEUE, millis},
};
use super::{Harness, availability, check_photos, rabbitmq};
use crate::{
    cluster::{Condition, Deployment, Endpoints, LogSource, wait_until},
    load::{Load, Rates, seconds},
    report::{Report, Table},
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
    let endpoints = harness.cluster.endpoints().await?;
    stop_other_workloads(harness).await?;
    add_limitations(harness);
    let throughput_table = add_throughput_table(harness)?;
    let (mut loss_report, mut camera_rows) = (LossReport::default(), Vec::new());
    let result = run_all(
        harness,
        &endpoints,
        throughput_table,
        &mut loss_report,
        &mut camera_rows,
    )
    .await;
    loss_report.write(&mut harness.report);
    write_camera_table(&mut harness.report, &camera_rows);
    result
}

async fn run_all(
    harness: &mut Harness,
    endpoints: &Endpoints,
    throughput_table: Table,
    loss_report: &mut LossReport,
    camera_rows: &mut Vec<Vec<String>>,
) -> Result<()> {
    let mut broker = BrokerEndpoints::create(&harness.cluster, endpoints, 1).await?;
    let profiles = [LATENCY, ONE_QUEUE, MANY_QUEUES];
    let one_node = throughput::measure(harness, &broker, &profiles, throughput_table).await?;
    let result = node_loss::run_trial(
        harness,
        endpoints,
        &mut broker,
        BrokerFailure::OnlyNode,
        loss_report,
    )
    .await;
    harness.require_completion(BrokerFailure::OnlyNode.name(), result.map(drop));

    let mut broker = grow(harness, endpoints).await?;
    let profiles = [
        LATENCY,
        LATENCY.through_follower(),
        ONE_QUEUE,
        ONE_QUEUE.through_follower(),
        MANY_QUEUES,
    ];
    let three_nodes = throughput::measure(harness, &broker, &profiles, throughput_table).await?;
    explain_throughput(&mut harness.report, &one_node, &three_nodes);
    let result = node_loss::run_trial(
        harness,
        endpoints,
        &mut broker,
        BrokerFailure::OneOfThree,
        loss_report,
    )
    .await;
    harness.require_completion(BrokerFailure::OneOfThree.name(), result.map(drop));
    lose_two_nodes_under_load(harness, endpoints, &mut broker, loss_report, camera_rows).await
}

/// Stops the workloads that are not measured.
async fn stop_other_workloads(harness: &Harness) -> Result<()> {
    for workload in STOPPED_WORKLOADS {
        harness.cluster.scale(workload, 0).await?;
    }
    let time_limit = harness.cluster.settings().time_limit;
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
    let time_limit = harness.cluster.settings().time_limit;
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
    loss_report: &mut LossReport,
    camera_rows: &mut Vec<Vec<String>>,
) -> Result<()> {
    let time_limit = harness.cluster.settings().time_limit;
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
    let rates = Rates::with_probes(harness.cluster.settings().photos_per_second);
    let load = Load::start(&endpoints.web, "queue", rates, time_limit).await?;
    let start = Instant::now() - load.now();
    sleep(STEADY_LOAD).await;
    let failure = BrokerFailure::TwoOfThree;
    let result = node_loss::run_trial(harness, endpoints, broker, failure, loss_report).await;
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
    row.push(times.outbox.map_or("?".to_owned(), |jobs| jobs.to_string()));
    camera_rows.push(row);
    Ok(())
}

fn add_throughput_table(harness: &mut Harness) -> Result<Table> {
    let size = traffic::body_size()?;
    let report = &mut harness.report;
    report.section("Throughput and latency");
    report.text(format_args!(
        "Durable quorum queues like `images`, without its policies (delivery limit, dead letters). Persistent messages of {size} bytes, like \
         irmgard's jobs. A publisher with confirms, and a consumer (prefetch {}) that acknowledges each delivery at once. *1 queue, 64*: \
         at any time 64 messages are published and not confirmed, which is irmgard's maximum. Each queue has two connections, to its leader or \
         to another node. Each measurement takes 10 s after a warm-up of 2 s; three rounds in turns. The table has medians, with minimum \
         and maximum in parentheses. irmgard, the anonymizer and OpenSearch are scaled to zero; PostgreSQL, MinIO and Fluentd are idle. \
         *Cores*: the CPU use of all pods of the broker, each limited to one core, and of this program, which publishes and consumes on the \
         same machine. *The queue grows*: the consumer is slower than the publisher, so the delivery latency only shows how long the queue has \
         grown.",
        traffic::PREFETCH
    ));
    Ok(report.table(&throughput::HEADER, &[]))
}

/// Answers from the measurements whether three nodes raise the throughput, and explains why.
fn explain_throughput(report: &mut Report, one: &[Measurement], three: &[Measurement]) {
    let ([latency, single, many], [latency_of_3, _, single_of_3, _, many_of_3]) = (one, three) else {
        return;
    };
    report.section("Do three nodes raise the throughput?");
    report.text(format_args!(
        "{} One queue confirms {:.0} messages per second on one node and {:.0} on three ({}). Six queues, with leaders on all nodes, confirm \
         {:.0} and {:.0} ({}). A single message is confirmed after {} on one node (p50) and after {} on three. The broker uses {} ms of \
         CPU time for a message of one queue on one node, and {} ms on three.",
        answer(single, single_of_3, many, many_of_3),
        single.confirmed,
        single_of_3.confirmed,
        percent(single, single_of_3),
        many.confirmed,
        many_of_3.confirmed,
        percent(many, many_of_3),
        millis(latency.confirm_latency[0]),
        millis(latency_of_3.confirm_latency[0]),
        cpu_millis_per_message(single),
        cpu_millis_per_message(single_of_3),
    ));
    report.text(
        "The reason: a quorum queue is a Raft log. Its leader orders all messages, regardless of the number of nodes. It sends each message to \
         the two followers, and all three write it to disk and sync. A message is confirmed when two nodes have it, so a confirm waits for the \
         network and a second disk. Three nodes do three times the work for each message: their purpose is the tolerance of a loss, not \
         throughput. On three machines, the leaders of several queues share the work, although all three still write every message. Here the \
         nodes share the cores and the disk of one machine with the measuring program; the columns *cores* show their shares. irmgard needs far \
         less: one job and one result for each photo.",
    );
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

fn write_camera_table(report: &mut Report, camera_rows: &[Vec<String>]) {
    report.section("Uploads while the broker has no quorum");
    report.text(format_args!(
        "irmgard and one worker run again, cameras upload photos, and two of three nodes are lost, as above. irmgard accepts a photo with a row in \
         the outbox, and publishes the job when the broker accepts messages again. {}",
        availability::LEGEND
    ));
    let mut header = availability::HEADER.to_vec();
    header.push("jobs in the outbox at the end");
    report.table(&header, camera_rows);
}

fn add_limitations(harness: &mut Harness) {
    let report = &mut harness.report;
    report.limitation(
        "The loss of a machine or a zone: all pods are on one node, whose kernel closes the connections of a killed pod. A lost machine closes \
         none: the other nodes detect a silent leader within some seconds, clients after two heartbeats (10 s). The case `node` shows that \
         on three nodes.",
    );
    report.limitation(
        "A network partition with two live sides: between pods of one node it needs permissions on that node. The node that remains after a loss \
         behaves like the minority of a partition.",
    );
    report.limitation(
        "The throughput of three machines: the nodes share two cores and one disk, with the programs that publish and consume.",
    );
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
