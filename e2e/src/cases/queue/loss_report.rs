//! The report about the loss of nodes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context, Result};

use super::{
    super::upload_probe,
    broker_endpoints::{BrokerEndpoints, QUEUES},
    message_log::{MessageRecords, longest_without},
    node_loss::BrokerFailure,
};
use crate::{load::seconds, report::Report};

/// The columns of the first table.
const HEADER: [&str; 9] = [
    "failure",
    "published, confirmed",
    "no confirm for",
    "no delivery for",
    "last confirm after the failure",
    "first confirm after the nodes could restart",
    "all replicas online again",
    "confirmed and not delivered",
    "not confirmed, of them delivered; delivered again",
];
/// The columns of the second table.
const QUEUE_HEADER: [&str; 5] = [
    "queue",
    "leader",
    "publisher and consumer at",
    "no confirm for",
    "no delivery for",
];

/// The rows of the report.
#[derive(Clone, Debug, Default)]
pub struct LossReport {
    failures: Vec<Vec<String>>,
    publish_errors: Vec<Vec<String>>,
    /// See [`queue_rows`], for the loss of one of three nodes.
    pub queues: Vec<Vec<String>>,
}

impl LossReport {
    /// Adds the result of a failure. `restored`: from the release of the nodes until all replicas were online.
    pub fn add(
        &mut self,
        failure: BrokerFailure,
        messages: &MessageRecords,
        timeline: LossTimeline,
        restored: Duration,
    ) {
        self.failures.push(row(failure, messages, timeline, restored));
        let errors = upload_probe::format_counts(&messages.publish_errors, 5);
        self.publish_errors.push(vec![failure.name().to_owned(), errors]);
    }

    /// Writes the tables.
    pub fn write(&self, report: &mut Report) {
        report.section("The loss of nodes");
        report.text(
            "Numbered messages to six queues, two concurrent ones per queue with a pause of 20 ms, and their consumers, through the Service of all \
             ready nodes. *Lost*: nodes are killed one after the other (SIGTERM, and SIGKILL 2 s later, before a shutdown completes), and no \
             replacement starts until 30 s after the first. A publisher whose message is rejected, or not confirmed within 5 s, publishes another \
             message; the broker may have stored an unconfirmed message all the same. The last of three nodes detects that it is a minority, closes \
             its connections and accepts none (`pause_minority`), and resumes automatically with the second.",
        );
        report.table(&HEADER, &self.failures);
        report.text("The publishers' errors meanwhile:");
        report.table(&["failure", "errors"], &self.publish_errors);
        report.text(
            "The loss of one of three nodes, for each queue. A queue with a lost leader elects another. Clients of the lost node connect to another.",
        );
        report.table(&QUEUE_HEADER, &self.queues);
    }
}

/// The times of a failure, since the start of the traffic.
#[derive(Clone, Copy, Debug)]
pub struct LossTimeline {
    pub killed_at: Duration,
    /// The killed nodes could restart.
    pub released_at: Duration,
    /// The last message was published.
    pub end: Duration,
}

/// The number of queues that confirmed and delivered messages in a time range.
#[must_use]
pub fn serving_queues(messages: &MessageRecords, from: Duration, to: Duration) -> usize {
    let is_in_range = |time: Duration| (from..to).contains(&time);
    let queues = (0..QUEUES).filter(|route| {
        let messages = messages.of_route(*route);
        messages.confirms().any(is_in_range) && messages.deliveries().any(is_in_range)
    });
    queues.count()
}

/// The time from the release of the nodes until the first confirm.
#[must_use]
pub fn time_to_first_confirm(messages: &MessageRecords, timeline: LossTimeline) -> Duration {
    let after = messages.confirms().filter(|time| *time >= timeline.released_at);
    after
        .min()
        .unwrap_or(timeline.end)
        .saturating_sub(timeline.released_at)
}

fn row(
    failure: BrokerFailure,
    messages: &MessageRecords,
    timeline: LossTimeline,
    restored: Duration,
) -> Vec<String> {
    let last = messages
        .confirms()
        .filter(|time| (timeline.killed_at..timeline.released_at).contains(time))
        .max();
    let (unconfirmed, delivered) = messages.unconfirmed();
    let [confirm_gap, delivery_gap] = longest_gaps(messages, timeline);
    let first = if failure.has_quorum() {
        "no interruption".to_owned()
    } else {
        seconds(time_to_first_confirm(messages, timeline))
    };
    vec![
        failure.name().to_owned(),
        format!("{}, {}", messages.messages.len(), messages.confirms().count()),
        confirm_gap,
        delivery_gap,
        last.filter(|_| !failure.has_quorum())
            .map_or("–".to_owned(), |last| seconds(last - timeline.killed_at)),
        first,
        seconds(restored),
        messages.missing().to_string(),
        format!("{unconfirmed}, {delivered}; {}", messages.redeliveries()),
    ]
}

/// The longest times without a confirm and without a delivery, from the kill to the end.
fn longest_gaps(messages: &MessageRecords, timeline: LossTimeline) -> [String; 2] {
    let (from, end) = (timeline.killed_at, timeline.end);
    [
        seconds(longest_without(messages.confirms(), from, end)),
        seconds(longest_without(messages.deliveries(), from, end)),
    ]
}

/// A table row for each queue: its leader, its connections, and its outages.
///
/// # Errors
/// When the broker does not list a connection.
pub fn queue_rows(
    broker: &BrokerEndpoints,
    messages: &MessageRecords,
    timeline: LossTimeline,
    connections: &BTreeMap<String, String>,
    lost: &BTreeSet<String>,
) -> Result<Vec<Vec<String>>> {
    let mark_lost = |pod: &String| {
        if lost.contains(pod) {
            format!("{pod} (lost)")
        } else {
            pod.clone()
        }
    };
    let pod_of_connection = |queue: &str, role: &str| -> Result<String> {
        let name = format!("{queue} {role}");
        let pod = connections.get(&name);
        let pod = pod.with_context(|| format!("the broker lists no connection {name}"))?;
        Ok(mark_lost(pod))
    };
    let rows = (0..QUEUES).map(|number| {
        let (queue, messages) = (broker.queue(number), messages.of_route(number));
        let [confirm_gap, delivery_gap] = longest_gaps(&messages, timeline);
        Ok(vec![
            queue.clone(),
            mark_lost(&format!("rabbitmq-{}", broker.leader(number))),
            format!(
                "{}, {}",
                pod_of_connection(&queue, "publisher")?,
                pod_of_connection(&queue, &format!("consumer of {queue}"))?
            ),
            confirm_gap,
            delivery_gap,
        ])
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::{super::message_log::MessageRecord, *};

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Messages of one route, confirmed and delivered at these seconds.
    fn delivered_messages(route: usize, times: &[u64]) -> Vec<MessageRecord> {
        let record = |second: &u64| MessageRecord {
            route,
            published: secs(*second),
            confirmed: Some(secs(*second)),
            delivered: Some(secs(*second)),
            deliveries: 1,
        };
        times.iter().map(record).collect()
    }

    const TIMELINE: LossTimeline = LossTimeline {
        killed_at: secs(10),
        released_at: secs(40),
        end: secs(60),
    };

    #[test]
    fn a_serving_queue_confirms_and_delivers() {
        let mut messages = delivered_messages(0, &[12, 39]);
        messages.extend(delivered_messages(1, &[12, 45]));
        let mut stuck = delivered_messages(2, &[38]);
        stuck[0].delivered = None;
        messages.extend(stuck);
        let messages = MessageRecords {
            messages,
            ..MessageRecords::default()
        };
        assert_eq!(serving_queues(&messages, secs(35), secs(40)), 1);
        assert_eq!(serving_queues(&messages, secs(10), secs(40)), 2);
    }

    #[test]
    fn a_row_contains_the_last_and_the_first_confirm() {
        let mut messages = delivered_messages(0, &[9, 14, 47, 50]);
        messages.push(MessageRecord {
            published: secs(20),
            ..MessageRecord::default()
        });
        let messages = MessageRecords {
            messages,
            ..MessageRecords::default()
        };
        assert_eq!(time_to_first_confirm(&messages, TIMELINE), secs(7));
        let cells = row(BrokerFailure::TwoOfThree, &messages, TIMELINE, secs(9));
        assert_eq!(
            cells[1..],
            [
                "5, 4", "33.0 s", "33.0 s", "4.00 s", "7.00 s", "9.00 s", "0", "1, 0; 0"
            ]
        );
        assert_eq!(
            row(BrokerFailure::OneOfThree, &messages, TIMELINE, secs(9))[4..6],
            ["–", "no interruption"]
        );
    }
}
