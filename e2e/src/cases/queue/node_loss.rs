//! Kills nodes of the broker while messages are published and consumed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::Result;
use tokio::time::{Instant, sleep};

use super::{
    super::{Harness, rabbitmq, upload_probe},
    broker_endpoints::{BrokerEndpoints, QUEUES},
    loss_report::{self, LossTimeline, queue_rows, serving_queues, time_to_first_confirm},
    message_log::MessageRecords,
    traffic::Traffic,
};
use crate::{
    cluster::{Condition, Endpoints, Pod, wait_until},
    load::seconds,
};

/// Concurrent messages per queue.
const CONCURRENCY: usize = 2;
/// The pause after each message.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the traffic runs before and after the failure.
const STEADY_LOAD: Duration = Duration::from_secs(5);
/// How long killed nodes are held.
const OUTAGE: Duration = Duration::from_secs(30);
/// Until a killed node has ended and the remaining node has detected it.
const DETECTION_TIME: Duration = Duration::from_secs(12);
/// The period at the end of the outage in which messages must be confirmed.
const FINAL_PERIOD: Duration = Duration::from_secs(5);

/// The loss of nodes of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerFailure {
    OnlyNode,
    OneOfThree,
    TwoOfThree,
}

impl BrokerFailure {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OnlyNode => "the only node lost for 30 s",
            Self::OneOfThree => "one of three lost for 30 s",
            Self::TwoOfThree => "two of three lost for 30 s",
        }
    }

    /// The pods to kill: those with the most connections.
    fn pods_to_kill(self, pods: &[Pod], connections: &BTreeMap<String, String>) -> Vec<Pod> {
        let mut sorted = pods.to_vec();
        let count = |pod: &Pod| connections.values().filter(|to| **to == pod.name).count();
        sorted.sort_by_key(|pod| std::cmp::Reverse(count(pod)));
        sorted.truncate(match self {
            Self::OnlyNode | Self::OneOfThree => 1,
            Self::TwoOfThree => 2,
        });
        sorted
    }

    /// Whether the remaining nodes are a majority.
    pub const fn has_quorum(self) -> bool {
        matches!(self, Self::OneOfThree)
    }
}

/// The times of a failure.
#[derive(Clone, Copy, Debug)]
pub struct FailureTimes {
    pub killed_at: Instant,
    /// The killed nodes could restart.
    pub released_at: Instant,
    /// All replicas of all queues were online again.
    pub restored_at: Instant,
    /// Jobs in irmgard's outbox at the end of the outage.
    pub outbox: Option<i64>,
}

/// Kills and holds nodes under traffic, releases them, and waits until the broker has recovered.
pub async fn run_trial(
    harness: &mut Harness,
    endpoints: &Endpoints,
    broker: &mut BrokerEndpoints,
    failure: BrokerFailure,
) -> Result<FailureTimes> {
    let time_limit = harness.time_limit();
    let what = failure.name();
    harness.step(format_args!("-- {what}"));
    broker.refresh_leaders(&harness.cluster).await?;
    let traffic = Traffic::start(&broker.routes_by_service(), CONCURRENCY, PAUSE).await?;
    let start = Instant::now() - traffic.now();
    sleep(STEADY_LOAD).await;
    let connections = rabbitmq::connections(&harness.cluster).await?;
    let mut pods = harness.cluster.pods("rabbitmq").await?;
    pods.retain(|pod| pod.component == "broker");
    let pods_to_kill = failure.pods_to_kill(&pods, &connections);
    let lost: BTreeSet<String> = pods_to_kill.iter().map(|pod| pod.name.clone()).collect();
    harness.step(format_args!("{what}: {lost:?}"));
    let killed_at = Instant::now();
    let killed = harness.cluster.kill_and_hold(&pods_to_kill).await;
    if killed.is_ok() {
        sleep(OUTAGE.saturating_sub(killed_at.elapsed())).await;
    }
    let outbox = endpoints.outbox_length().await.ok();
    let released_at = Instant::now();
    // Even after an error: a held pod would block the deletion of the namespace.
    harness.cluster.release_pods(&pods_to_kill).await?;
    killed?;
    harness
        .cluster
        .wait_until_ready("statefulset", "rabbitmq", time_limit)
        .await?;
    rabbitmq::wait_for_replicas(&harness.cluster, broker.nodes(), time_limit).await?;
    let restored_at = Instant::now();
    harness.step(format_args!(
        "all replicas are online again after {}",
        seconds(restored_at - killed_at)
    ));
    let released_after = released_at - start;
    let recovered = wait_until(
        "every queue confirms and delivers again",
        time_limit,
        async || {
            let messages = traffic.messages();
            let serving = serving_queues(&messages, released_after, Duration::MAX);
            Ok(if serving == QUEUES {
                Condition::Met(())
            } else {
                Condition::Unmet(format!("{serving} of {QUEUES} do"))
            })
        },
    )
    .await;
    sleep(STEADY_LOAD).await;
    let end = traffic.now();
    let messages = traffic.stop().await;
    let timeline = LossTimeline {
        killed_at: killed_at - start,
        released_at: released_after,
        end,
    };
    require_delivery(harness, failure, &messages, timeline, recovered);
    let report = &mut harness.report;
    let row = loss_report::row(failure, &messages, timeline, restored_at - released_at);
    report.row("losses", row);
    let errors = upload_probe::format_counts(&messages.publish_errors, 5);
    report.row(
        "publish_errors",
        vec![("failure", what.to_owned()), ("errors", errors)],
    );
    if failure == BrokerFailure::OneOfThree {
        for row in queue_rows(broker, &messages, timeline, &connections, &lost)? {
            report.row("lost_leaders", row);
        }
    }
    Ok(FailureTimes {
        killed_at,
        released_at,
        restored_at,
        outbox,
    })
}

/// Requires that every confirmed message is delivered, and that the queues recover.
fn require_delivery(
    harness: &mut Harness,
    failure: BrokerFailure,
    messages: &MessageRecords,
    timeline: LossTimeline,
    recovered: Result<()>,
) {
    let (what, report) = (failure.name(), &mut harness.report);
    let confirmed = messages.confirms().count();
    report.require(
        format_args!("{what}: every confirmed message is delivered"),
        confirmed > 0 && messages.missing() == 0,
        format_args!("{confirmed} confirmed, {} not delivered", messages.missing()),
    );
    if failure.has_quorum() {
        let serving = serving_queues(
            messages,
            timeline.released_at.saturating_sub(FINAL_PERIOD),
            timeline.released_at,
        );
        report.require(
            format_args!("{what}: every queue confirms and delivers without the node"),
            serving == QUEUES,
            format_args!(
                "{serving} of {QUEUES}, in the last {} s of the outage",
                FINAL_PERIOD.as_secs()
            ),
        );
    } else {
        let outage = timeline.killed_at + DETECTION_TIME..timeline.released_at;
        let confirmed_meanwhile = messages.confirms().filter(|time| outage.contains(time)).count();
        report.require(
            format_args!("{what}: no message is confirmed during the outage"),
            confirmed_meanwhile == 0,
            format_args!(
                "{confirmed_meanwhile} messages, from {} s after the failure on",
                DETECTION_TIME.as_secs()
            ),
        );
    }
    report.require(
        format_args!("{what}: every queue confirms and delivers again without intervention"),
        recovered.is_ok(),
        match recovered {
            Ok(()) if failure.has_quorum() => "without interruption".to_owned(),
            Ok(()) => format!(
                "the first confirm {} after the nodes could restart",
                seconds(time_to_first_confirm(messages, timeline))
            ),
            Err(error) => format!("{error:#}"),
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pods_with_the_most_connections_are_killed() {
        let pods = ["rabbitmq-0", "rabbitmq-1", "rabbitmq-2"]
            .map(|name| Pod::from(&serde_json::json!({ "metadata": { "name": name } })));
        let connections = [("a", "rabbitmq-2"), ("b", "rabbitmq-1"), ("c", "rabbitmq-2")]
            .map(|(name, pod)| (name.to_owned(), pod.to_owned()))
            .into();
        let names = |failure: BrokerFailure| -> Vec<String> {
            let killed = failure.pods_to_kill(&pods, &connections);
            killed.into_iter().map(|pod| pod.name).collect()
        };
        assert_eq!(names(BrokerFailure::OneOfThree), ["rabbitmq-2"]);
        assert_eq!(names(BrokerFailure::TwoOfThree), ["rabbitmq-2", "rabbitmq-1"]);
    }
}
