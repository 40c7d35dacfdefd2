//! The tables about the loss of nodes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context, Result};

use super::{
    broker_endpoints::{BrokerEndpoints, QUEUES},
    message_log::{MessageRecords, longest_without},
    node_loss::BrokerFailure,
};
use crate::{load::seconds, report::ReportRow};

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
pub fn serving_queues(messages: &MessageRecords, from: Duration, to: Duration) -> usize {
    let is_in_range = |time: Duration| (from..to).contains(&time);
    let queues = (0..QUEUES).filter(|route| {
        let messages = messages.of_route(*route);
        messages.confirms().any(is_in_range) && messages.deliveries().any(is_in_range)
    });
    queues.count()
}

/// The time from the release of the nodes until the first confirm.
pub fn time_to_first_confirm(messages: &MessageRecords, timeline: LossTimeline) -> Duration {
    let after = messages.confirms().filter(|time| *time >= timeline.released_at);
    after
        .min()
        .unwrap_or(timeline.end)
        .saturating_sub(timeline.released_at)
}

/// The table row about a failure. `restored`: from the release of the nodes until all replicas were online.
pub fn row(
    failure: BrokerFailure,
    messages: &MessageRecords,
    timeline: LossTimeline,
    restored: Duration,
) -> ReportRow {
    let last = messages
        .confirms()
        .filter(|time| (timeline.killed_at..timeline.released_at).contains(time))
        .max();
    let last = last
        .filter(|_| !failure.has_quorum())
        .map_or("–".to_owned(), |last| seconds(last - timeline.killed_at));
    let first = if failure.has_quorum() {
        "no interruption".to_owned()
    } else {
        seconds(time_to_first_confirm(messages, timeline))
    };
    let published = format!("{}, {}", messages.messages.len(), messages.confirms().count());
    let (unconfirmed, delivered) = messages.unconfirmed();
    let uncertain = format!("{unconfirmed}, {delivered}; {}", messages.redeliveries());
    let [confirm_gap, delivery_gap] = longest_gaps(messages, timeline);
    vec![
        ("failure", failure.name().to_owned()),
        ("published, confirmed", published),
        ("no confirm for", confirm_gap),
        ("no delivery for", delivery_gap),
        ("last confirm after the failure", last),
        ("first confirm after the nodes could restart", first),
        ("all replicas online again", seconds(restored)),
        ("confirmed and not delivered", messages.missing().to_string()),
        ("not confirmed, of them delivered; delivered again", uncertain),
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
pub fn queue_rows(
    broker: &BrokerEndpoints,
    messages: &MessageRecords,
    timeline: LossTimeline,
    connections: &BTreeMap<String, String>,
    lost: &BTreeSet<String>,
) -> Result<Vec<ReportRow>> {
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
        let clients = format!(
            "{}, {}",
            pod_of_connection(&queue, "publisher")?,
            pod_of_connection(&queue, &format!("consumer of {queue}"))?
        );
        Ok(vec![
            ("queue", queue),
            (
                "leader",
                mark_lost(&format!("rabbitmq-{}", broker.leader(number))),
            ),
            ("publisher and consumer at", clients),
            ("no confirm for", confirm_gap),
            ("no delivery for", delivery_gap),
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
        let cells = |failure| -> Vec<String> {
            let row = row(failure, &messages, TIMELINE, secs(9));
            row.into_iter().map(|(_, cell)| cell).collect()
        };
        assert_eq!(
            cells(BrokerFailure::TwoOfThree)[1..],
            [
                "5, 4", "33.0 s", "33.0 s", "4.00 s", "7.00 s", "9.00 s", "0", "1, 0; 0"
            ]
        );
        assert_eq!(cells(BrokerFailure::OneOfThree)[4..6], ["–", "no interruption"]);
    }
}
