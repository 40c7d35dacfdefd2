//! What became of each message, and the figures of it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{cases::ledger::longest_gap, load::percentile};

/// A message. All times since the notes were begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// The lane, by its place.
    pub lane: usize,
    /// When it was published.
    pub sent: Duration,
    /// When the broker confirmed it.
    pub confirmed: Option<Duration>,
    /// When it was delivered for the first time.
    pub delivered: Option<Duration>,
    /// How often it was.
    pub deliveries: u32,
}

/// Notes that are being taken.
#[derive(Debug)]
pub struct Notebook {
    began: Instant,
    inner: Mutex<Notes>,
}

/// All messages by their number, and what was said for those that were not confirmed.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// By number.
    pub messages: Vec<Note>,
    /// Refusals, and how many of each.
    pub refusals: BTreeMap<String, usize>,
}

impl Default for Notebook {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            inner: Mutex::default(),
        }
    }
}

impl Notebook {
    /// Time since it was begun.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// A message is published now on a lane: its number.
    #[must_use]
    pub fn send(&self, lane: usize) -> usize {
        let sent = self.now();
        let mut notes = self.inner();
        notes.messages.push(Note {
            lane,
            sent,
            ..Note::default()
        });
        notes.messages.len() - 1
    }

    /// It is confirmed.
    pub fn confirm(&self, number: usize) {
        let now = self.now();
        if let Some(note) = self.inner().messages.get_mut(number) {
            note.confirmed = Some(now);
        }
    }

    /// It is not.
    pub fn refuse(&self, why: String) {
        *self.inner().refusals.entry(why).or_default() += 1;
    }

    /// It is delivered.
    pub fn deliver(&self, number: usize) {
        let now = self.now();
        if let Some(note) = self.inner().messages.get_mut(number) {
            note.deliveries += 1;
            note.delivered.get_or_insert(now);
        }
    }

    /// Messages that were confirmed and have not been delivered.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.inner().missing()
    }

    /// All of them until now.
    #[must_use]
    pub fn all(&self) -> Notes {
        self.inner().clone()
    }

    fn inner(&self) -> MutexGuard<'_, Notes> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    /// Messages that were confirmed and have not been delivered.
    #[must_use]
    pub fn missing(&self) -> usize {
        let is_missing = |note: &&Note| note.confirmed.is_some() && note.delivered.is_none();
        self.messages.iter().filter(is_missing).count()
    }

    /// Those of a lane alone.
    #[must_use]
    pub fn of(&self, lane: usize) -> Self {
        let messages = self.messages.iter().filter(|note| note.lane == lane);
        Self {
            messages: messages.copied().collect(),
            refusals: BTreeMap::new(),
        }
    }

    /// When messages were confirmed.
    pub fn confirms(&self) -> impl Iterator<Item = Duration> {
        self.messages.iter().filter_map(|note| note.confirmed)
    }

    /// When messages were delivered for the first time.
    pub fn deliveries(&self) -> impl Iterator<Item = Duration> {
        self.messages.iter().filter_map(|note| note.delivered)
    }

    /// Deliveries of messages that had been delivered before.
    #[must_use]
    pub fn again(&self) -> u32 {
        let again = self.messages.iter().map(|note| note.deliveries.saturating_sub(1));
        again.sum()
    }

    /// Messages that were not confirmed, and how many of them were delivered all the same.
    #[must_use]
    pub fn unconfirmed(&self) -> (usize, usize) {
        let unconfirmed = || self.messages.iter().filter(|note| note.confirmed.is_none());
        let delivered = unconfirmed().filter(|note| note.delivered.is_some());
        (unconfirmed().count(), delivered.count())
    }

    /// How long after being published messages were confirmed, of those that were published in a part of the time; ascending.
    #[must_use]
    pub fn confirmed_after(&self, from: Duration, to: Duration) -> Vec<Duration> {
        self.after(from, to, |note| note.confirmed)
    }

    /// And delivered.
    #[must_use]
    pub fn delivered_after(&self, from: Duration, to: Duration) -> Vec<Duration> {
        self.after(from, to, |note| note.delivered)
    }

    fn after(
        &self,
        from: Duration,
        to: Duration,
        moment: impl Fn(&Note) -> Option<Duration>,
    ) -> Vec<Duration> {
        let sent = self
            .messages
            .iter()
            .filter(|note| (from..to).contains(&note.sent));
        let mut took: Vec<_> = sent
            .filter_map(|note| Some(moment(note)?.saturating_sub(note.sent)))
            .collect();
        took.sort_unstable();
        took
    }
}

/// How many of these moments lie in a part of the time, in a second of it.
#[must_use]
pub fn rate(moments: impl Iterator<Item = Duration>, from: Duration, to: Duration) -> f64 {
    let count = moments.filter(|moment| (from..to).contains(moment)).count();
    count as f64 / to.saturating_sub(from).as_secs_f64()
}

/// p50, p95 and p99 of times in ascending order.
#[must_use]
pub fn percentiles(sorted: &[Duration]) -> [Duration; 3] {
    [50.0, 95.0, 99.0].map(|percent| percentile(sorted, percent))
}

/// The longest time without one of these moments, of those that end after `from`; to the end where none came any more.
#[must_use]
pub fn longest_without(moments: impl Iterator<Item = Duration>, from: Duration, end: Duration) -> Duration {
    longest_gap(moments.chain([end]).collect(), from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn note(sent: u64, confirmed: Option<u64>, delivered: Option<u64>, deliveries: u32) -> Note {
        Note {
            lane: 0,
            sent: ms(sent),
            confirmed: confirmed.map(ms),
            delivered: delivered.map(ms),
            deliveries,
        }
    }

    fn notes() -> Notes {
        Notes {
            messages: vec![
                note(0, Some(10), Some(5), 1),
                note(100, Some(130), Some(140), 3),
                note(200, None, Some(300), 1),
                note(300, None, None, 0),
                note(400, Some(450), None, 0),
            ],
            refusals: BTreeMap::new(),
        }
    }

    #[test]
    fn what_was_confirmed_and_not_delivered_is_missing() {
        let notes = notes();
        assert_eq!(notes.missing(), 1);
        assert_eq!(notes.again(), 2);
        assert_eq!(notes.unconfirmed(), (2, 1));
    }

    #[test]
    fn times_are_of_what_was_published_in_the_part() {
        let notes = notes();
        assert_eq!(notes.confirmed_after(ms(0), ms(400)), [ms(10), ms(30)]);
        assert_eq!(notes.delivered_after(ms(100), ms(500)), [ms(40), ms(100)]);
        let twice_in_a_fifth = rate(notes.confirms(), ms(0), ms(200));
        assert!((twice_in_a_fifth - 10.0).abs() < 1e-9, "{twice_in_a_fifth}");
        assert_eq!(percentiles(&[ms(1), ms(2)]), [ms(1), ms(2), ms(2)]);
    }

    #[test]
    fn a_gap_reaches_to_the_end_where_nothing_came_any_more() {
        let notes = notes();
        assert_eq!(longest_without(notes.confirms(), ms(20), ms(500)), ms(320));
        assert_eq!(longest_without(notes.confirms(), ms(460), ms(2_000)), ms(1_550));
    }

    #[test]
    fn a_message_is_known_by_its_number() {
        let book = Notebook::default();
        let (first, second) = (book.send(0), book.send(1));
        book.confirm(second);
        assert_eq!(book.missing(), 1);
        book.deliver(second);
        book.deliver(second);
        book.deliver(99);
        book.refuse("away".to_owned());
        let notes = book.all();
        assert_eq!((notes.missing(), notes.again(), first), (0, 1, 0));
        assert_eq!(notes.of(1).messages, [notes.messages[second]]);
        assert_eq!(notes.refusals["away"], 1);
    }
}
