//! Records of all messages of a traffic run, and statistics about them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{cases::availability::longest_gap, load::percentile};

/// One message. All times are since the start of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageRecord {
    /// The index of the route.
    pub route: usize,
    /// The time of publication.
    pub published: Duration,
    /// The time of the broker's confirm.
    pub confirmed: Option<Duration>,
    /// The time of the first delivery.
    pub delivered: Option<Duration>,
    /// The number of deliveries.
    pub deliveries: u32,
}

/// A log of messages, shared by publishers and consumers.
#[derive(Debug)]
pub struct MessageLog {
    start: Instant,
    records: Mutex<MessageRecords>,
}

/// All messages by number, and the errors of unconfirmed ones.
#[derive(Clone, Debug, Default)]
pub struct MessageRecords {
    /// By number.
    pub messages: Vec<MessageRecord>,
    /// The number of publish errors by text.
    pub publish_errors: BTreeMap<String, usize>,
}

impl Default for MessageLog {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            records: Mutex::default(),
        }
    }
}

impl MessageLog {
    /// The time since the start.
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Records a publication on a route. Returns the message's number.
    pub fn record_publish(&self, route: usize) -> usize {
        let published = self.now();
        let mut records = self.records();
        records.messages.push(MessageRecord {
            route,
            published,
            ..MessageRecord::default()
        });
        records.messages.len() - 1
    }

    /// Records a confirm.
    pub fn record_confirm(&self, number: usize) {
        let now = self.now();
        if let Some(message) = self.records().messages.get_mut(number) {
            message.confirmed = Some(now);
        }
    }

    /// Records a publish error.
    pub fn record_error(&self, error: String) {
        *self.records().publish_errors.entry(error).or_default() += 1;
    }

    /// Records a delivery.
    pub fn record_delivery(&self, number: usize) {
        let now = self.now();
        if let Some(message) = self.records().messages.get_mut(number) {
            message.deliveries += 1;
            message.delivered.get_or_insert(now);
        }
    }

    /// The number of confirmed messages without a delivery.
    pub fn missing(&self) -> usize {
        self.records().missing()
    }

    /// A copy of all records so far.
    pub fn snapshot(&self) -> MessageRecords {
        self.records().clone()
    }

    fn records(&self) -> MutexGuard<'_, MessageRecords> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MessageRecords {
    /// The number of confirmed messages without a delivery.
    pub fn missing(&self) -> usize {
        let is_missing =
            |message: &&MessageRecord| message.confirmed.is_some() && message.delivered.is_none();
        self.messages.iter().filter(is_missing).count()
    }

    /// The messages of one route.
    pub fn of_route(&self, route: usize) -> Self {
        let messages = self.messages.iter().filter(|message| message.route == route);
        Self {
            messages: messages.copied().collect(),
            publish_errors: BTreeMap::new(),
        }
    }

    /// The times of all confirms.
    pub fn confirms(&self) -> impl Iterator<Item = Duration> {
        self.messages.iter().filter_map(|message| message.confirmed)
    }

    /// The times of all first deliveries.
    pub fn deliveries(&self) -> impl Iterator<Item = Duration> {
        self.messages.iter().filter_map(|message| message.delivered)
    }

    /// The number of repeated deliveries.
    pub fn redeliveries(&self) -> u32 {
        let redeliveries = self
            .messages
            .iter()
            .map(|message| message.deliveries.saturating_sub(1));
        redeliveries.sum()
    }

    /// The number of unconfirmed messages, and of those that were delivered all the same.
    pub fn unconfirmed(&self) -> (usize, usize) {
        let unconfirmed = || self.messages.iter().filter(|message| message.confirmed.is_none());
        let delivered = unconfirmed().filter(|message| message.delivered.is_some());
        (unconfirmed().count(), delivered.count())
    }

    /// The confirm latencies of messages published in a time range, ascending.
    pub fn confirm_latencies(&self, from: Duration, to: Duration) -> Vec<Duration> {
        self.latencies(from, to, |message| message.confirmed)
    }

    /// The delivery latencies of messages published in a time range, ascending.
    pub fn delivery_latencies(&self, from: Duration, to: Duration) -> Vec<Duration> {
        self.latencies(from, to, |message| message.delivered)
    }

    fn latencies(
        &self,
        from: Duration,
        to: Duration,
        event_time: impl Fn(&MessageRecord) -> Option<Duration>,
    ) -> Vec<Duration> {
        let published = self
            .messages
            .iter()
            .filter(|message| (from..to).contains(&message.published));
        let mut latencies: Vec<_> = published
            .filter_map(|message| Some(event_time(message)?.saturating_sub(message.published)))
            .collect();
        latencies.sort_unstable();
        latencies
    }
}

/// The number of these times per second of a time range.
pub fn rate(times: impl Iterator<Item = Duration>, from: Duration, to: Duration) -> f64 {
    let count = times.filter(|time| (from..to).contains(time)).count();
    count as f64 / to.saturating_sub(from).as_secs_f64()
}

/// p50, p95 and p99 of ascending times.
pub fn percentiles(sorted: &[Duration]) -> [Duration; 3] {
    [50.0, 95.0, 99.0].map(|percent| percentile(sorted, percent))
}

/// The longest gap between these times that ends after `from`. The gap after the last one ends with `end`.
pub fn longest_without(times: impl Iterator<Item = Duration>, from: Duration, end: Duration) -> Duration {
    longest_gap(times.chain([end]).collect(), from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn message(
        published: u64,
        confirmed: Option<u64>,
        delivered: Option<u64>,
        deliveries: u32,
    ) -> MessageRecord {
        MessageRecord {
            route: 0,
            published: ms(published),
            confirmed: confirmed.map(ms),
            delivered: delivered.map(ms),
            deliveries,
        }
    }

    fn records() -> MessageRecords {
        MessageRecords {
            messages: vec![
                message(0, Some(10), Some(5), 1),
                message(100, Some(130), Some(140), 3),
                message(200, None, Some(300), 1),
                message(300, None, None, 0),
                message(400, Some(450), None, 0),
            ],
            publish_errors: BTreeMap::new(),
        }
    }

    #[test]
    fn a_confirmed_message_without_delivery_is_missing() {
        let records = records();
        assert_eq!(records.missing(), 1);
        assert_eq!(records.redeliveries(), 2);
        assert_eq!(records.unconfirmed(), (2, 1));
    }

    #[test]
    fn latencies_are_of_messages_published_in_the_range() {
        let records = records();
        assert_eq!(records.confirm_latencies(ms(0), ms(400)), [ms(10), ms(30)]);
        assert_eq!(records.delivery_latencies(ms(100), ms(500)), [ms(40), ms(100)]);
        let twice_in_a_fifth = rate(records.confirms(), ms(0), ms(200));
        assert!((twice_in_a_fifth - 10.0).abs() < 1e-9, "{twice_in_a_fifth}");
        assert_eq!(percentiles(&[ms(1), ms(2)]), [ms(1), ms(2), ms(2)]);
    }

    #[test]
    fn the_last_gap_ends_with_the_end() {
        let records = records();
        assert_eq!(longest_without(records.confirms(), ms(20), ms(500)), ms(320));
        assert_eq!(longest_without(records.confirms(), ms(460), ms(2_000)), ms(1_550));
    }

    #[test]
    fn a_message_is_identified_by_its_number() {
        let log = MessageLog::default();
        let (first, second) = (log.record_publish(0), log.record_publish(1));
        log.record_confirm(second);
        assert_eq!(log.missing(), 1);
        log.record_delivery(second);
        log.record_delivery(second);
        log.record_delivery(99);
        log.record_error("unavailable".to_owned());
        let records = log.snapshot();
        assert_eq!((records.missing(), records.redeliveries(), first), (0, 1, 0));
        assert_eq!(records.of_route(1).messages, [records.messages[second]]);
        assert_eq!(records.publish_errors["unavailable"], 1);
    }
}
