//! What was seen of the loss of nodes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context, Result};

use super::{
    super::witness,
    doors::{Doors, QUEUES},
    loss::Blow,
    notes::{Notes, longest_without},
};
use crate::{load::seconds, report::Report};

/// The columns of the first table.
const HEADER: [&str; 9] = [
    "what happened",
    "published, confirmed",
    "no confirm for",
    "no delivery for",
    "last confirm after the blow",
    "first confirm after the nodes may come back",
    "all copies there again",
    "confirmed and not delivered",
    "not confirmed, of them delivered; delivered again",
];
/// Of the second.
const QUEUE_HEADER: [&str; 5] = [
    "queue",
    "leader",
    "publisher and consumer at",
    "no confirm for",
    "no delivery for",
];

/// What was seen, for the report.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    blows: Vec<Vec<String>>,
    refusals: Vec<Vec<String>>,
    /// Of each queue, when one of three is lost: the cells of [`of_queues`].
    pub queues: Vec<Vec<String>>,
}

impl Losses {
    /// Notes what a blow did, and how long it took until all copies were there, since they might come back.
    pub fn note(&mut self, blow: Blow, notes: &Notes, span: Span, whole: Duration) {
        self.blows.push(row(blow, notes, span, whole));
        let told = witness::list(&notes.refusals, 5);
        self.refusals.push(vec![blow.name().to_owned(), told]);
    }

    /// Tells it.
    pub fn tell(&self, report: &mut Report) {
        report.section("The loss of nodes");
        report.text(
            "Numbered messages to six queues, two at once to each with 20 ms between, and their consumers, by the Service that leads to any node that \
             serves. *Lost*: nodes are killed one after the other (SIGTERM, and 2 s later SIGKILL, before a shutdown is through), and nothing is \
             made in their place until 30 s after the first blow. Whoever is refused, or not answered within 5 s, publishes another message; a \
             message that was not confirmed may have been stored all the same. With one node left of three, that one knows that it is the smaller \
             part, closes its connections and takes none (`pause_minority`), and comes back by itself with the second.",
        );
        report.table(&HEADER, &self.blows);
        report.text("What those who publish are told meanwhile:");
        report.table(&["what happened", "answers"], &self.refusals);
        report.text(
            "One of three, for each queue. A queue whose leader is lost elects another; who was connected to the lost node connects to another.",
        );
        report.table(&QUEUE_HEADER, &self.queues);
    }
}

/// Times since the notes were begun.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The nodes were killed.
    pub gone: Duration,
    /// They might come back.
    pub freed: Duration,
    /// The last message was published.
    pub ended: Duration,
}

/// How many queues confirmed and delivered in a part of the time.
#[must_use]
pub fn served(notes: &Notes, from: Duration, to: Duration) -> usize {
    let is_in = |moment: Duration| (from..to).contains(&moment);
    let queues = (0..QUEUES).filter(|lane| {
        let notes = notes.of(*lane);
        notes.confirms().any(is_in) && notes.deliveries().any(is_in)
    });
    queues.count()
}

/// From when the nodes might come back to the first confirm.
#[must_use]
pub fn first(notes: &Notes, span: Span) -> Duration {
    let after = notes.confirms().filter(|moment| *moment >= span.freed);
    after.min().unwrap_or(span.ended).saturating_sub(span.freed)
}

fn row(blow: Blow, notes: &Notes, span: Span, whole: Duration) -> Vec<String> {
    let last = notes
        .confirms()
        .filter(|moment| (span.gone..span.freed).contains(moment))
        .max();
    let (unconfirmed, arrived) = notes.unconfirmed();
    let first = if blow.has_quorum() {
        "it went on".to_owned()
    } else {
        seconds(first(notes, span))
    };
    vec![
        blow.name().to_owned(),
        format!("{}, {}", notes.messages.len(), notes.confirms().count()),
        seconds(longest_without(notes.confirms(), span.gone, span.ended)),
        seconds(longest_without(notes.deliveries(), span.gone, span.ended)),
        last.filter(|_| !blow.has_quorum())
            .map_or("–".to_owned(), |last| seconds(last - span.gone)),
        first,
        seconds(whole),
        notes.missing().to_string(),
        format!("{unconfirmed}, {arrived}; {}", notes.again()),
    ]
}

/// For each queue: who led it, where its connections were, and for how long it was away.
///
/// # Errors
/// When the broker did not know a connection.
pub fn of_queues(
    doors: &Doors,
    notes: &Notes,
    span: Span,
    connections: &BTreeMap<String, String>,
    lost: &BTreeSet<String>,
) -> Result<Vec<Vec<String>>> {
    let told = |pod: &String| {
        if lost.contains(pod) {
            format!("{pod} (lost)")
        } else {
            pod.clone()
        }
    };
    let at = |queue: &str, role: &str| -> Result<String> {
        let name = format!("{queue} {role}");
        let pod = connections.get(&name);
        let pod = pod.with_context(|| format!("the broker knows no connection of {name}"))?;
        Ok(told(pod))
    };
    let rows = (0..QUEUES).map(|number| {
        let (queue, notes) = (doors.queue(number), notes.of(number));
        Ok(vec![
            queue.clone(),
            told(&format!("rabbitmq-{}", doors.leader(number))),
            format!(
                "{}, {}",
                at(&queue, "publisher")?,
                at(&queue, &format!("consumer of {queue}"))?
            ),
            seconds(longest_without(notes.confirms(), span.gone, span.ended)),
            seconds(longest_without(notes.deliveries(), span.gone, span.ended)),
        ])
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::{super::notes::Note, *};

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Of one lane: confirmed and delivered at once, at these seconds.
    fn notes(lane: usize, moments: &[u64]) -> Vec<Note> {
        let note = |second: &u64| Note {
            lane,
            sent: at(*second),
            confirmed: Some(at(*second)),
            delivered: Some(at(*second)),
            deliveries: 1,
        };
        moments.iter().map(note).collect()
    }

    const SPAN: Span = Span {
        gone: at(10),
        freed: at(40),
        ended: at(60),
    };

    #[test]
    fn a_queue_serves_that_confirms_and_delivers() {
        let mut messages = notes(0, &[12, 39]);
        messages.extend(notes(1, &[12, 45]));
        let mut stuck = notes(2, &[38]);
        stuck[0].delivered = None;
        messages.extend(stuck);
        let notes = Notes {
            messages,
            ..Notes::default()
        };
        assert_eq!(served(&notes, at(35), at(40)), 1);
        assert_eq!(served(&notes, at(10), at(40)), 2);
    }

    #[test]
    fn a_row_tells_when_the_last_was_confirmed_and_when_the_first_again() {
        let mut messages = notes(0, &[9, 14, 47, 50]);
        messages.push(Note {
            sent: at(20),
            ..Note::default()
        });
        let notes = Notes {
            messages,
            ..Notes::default()
        };
        assert_eq!(first(&notes, SPAN), at(7));
        let cells = row(Blow::Two, &notes, SPAN, at(9));
        assert_eq!(
            cells[1..],
            [
                "5, 4", "33.0 s", "33.0 s", "4.00 s", "7.00 s", "9.00 s", "0", "1, 0; 0"
            ]
        );
        assert_eq!(row(Blow::One, &notes, SPAN, at(9))[4..6], ["–", "it went on"]);
    }
}
