//! The photos of a load, and what was answered for them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta};
use sha2::{Digest, Sha256};

use crate::photos::{Base, numbered};

/// A photo that a camera has taken.
#[derive(Clone, Debug)]
pub struct Shot {
    /// Distinguishes the photos of a load.
    pub number: u64,
    /// The file; no other shot has the same bytes.
    pub file: Bytes,
}

impl Shot {
    /// The photo with this number, of one of these pictures in turn.
    #[must_use]
    pub fn new(bases: &[Base], number: u64) -> Self {
        let base = usize::try_from(number).unwrap_or(0) % bases.len();
        Self {
            number,
            file: numbered(&bases[base].file, number).into(),
        }
    }

    /// When it was taken, RFC 3339: a second after the one before. With the bytes it makes attempts with the same photo one
    /// photo.
    #[must_use]
    pub fn taken_at(&self) -> String {
        let seconds = TimeDelta::seconds(i64::try_from(self.number).unwrap_or(0));
        (DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + seconds).to_rfc3339_opts(SecondsFormat::Secs, true)
    }

    /// SHA-256 of the file, hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        hex::encode(Sha256::digest(&self.file))
    }
}

/// What was answered for the photos of a load.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// The photos that were answered with 2xx, by the ids that were answered.
    acknowledged: BTreeMap<i64, Acknowledged>,
    /// All ids that were ever answered for a shot.
    ids: BTreeMap<u64, BTreeSet<i64>>,
    /// Shots that were refused for good: number, status.
    refused: Vec<(u64, u16)>,
    /// Shots that no answer came for as long as the camera was patient.
    given_up: Vec<u64>,
}

/// A photo that was answered with 2xx.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    /// Which shot.
    pub number: u64,
    /// SHA-256 of its file, hexadecimal.
    pub sha256: String,
    /// When, since the load began.
    pub at: Duration,
}

impl Answers {
    /// Notes that a shot was answered with this id.
    pub fn acknowledge(&mut self, id: i64, shot: &Shot, at: Duration) {
        self.ids.entry(shot.number).or_default().insert(id);
        self.acknowledged.entry(id).or_insert_with(|| Acknowledged {
            number: shot.number,
            sha256: shot.sha256(),
            at,
        });
    }

    /// Notes that a shot was refused for good.
    pub fn refuse(&mut self, number: u64, status: u16) {
        self.refused.push((number, status));
    }

    /// Notes that a camera gave up.
    pub fn give_up(&mut self, number: u64) {
        self.given_up.push(number);
    }

    /// What was answered with 2xx, by id.
    #[must_use]
    pub const fn acknowledged(&self) -> &BTreeMap<i64, Acknowledged> {
        &self.acknowledged
    }

    /// Shots that were answered with different ids, or share one.
    #[must_use]
    pub fn twice(&self) -> usize {
        let more: usize = self.ids.values().map(|ids| ids.len() - 1).sum();
        let pairs: usize = self.ids.values().map(BTreeSet::len).sum();
        more + (pairs - self.acknowledged.len())
    }

    /// Shots that were never answered with 2xx.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.refused.len() + self.given_up.len()
    }

    /// Shots that were refused, for people.
    #[must_use]
    pub fn refusals(&self) -> String {
        let refused: Vec<_> = self
            .refused
            .iter()
            .map(|(number, status)| format!("photo {number}: {status}"))
            .collect();
        refused.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shot(number: u64) -> Shot {
        Shot {
            number,
            file: number.to_string().into(),
        }
    }

    #[test]
    fn shots_of_a_load_are_different_photos() {
        assert_eq!(shot(0).taken_at(), "2024-10-04T00:00:00Z");
        assert_eq!(shot(86_399).taken_at(), "2024-10-04T23:59:59Z");
        assert_ne!(shot(1).sha256(), shot(2).sha256());
    }

    #[test]
    fn a_photo_with_two_ids_and_an_id_of_two_photos_are_seen() {
        let mut answers = Answers::default();
        answers.acknowledge(7, &shot(1), Duration::ZERO);
        answers.acknowledge(7, &shot(1), Duration::ZERO);
        answers.acknowledge(8, &shot(2), Duration::ZERO);
        assert_eq!((answers.twice(), answers.acknowledged().len()), (0, 2));
        answers.acknowledge(9, &shot(1), Duration::ZERO);
        assert_eq!(answers.twice(), 1);
        answers.acknowledge(8, &shot(3), Duration::ZERO);
        assert_eq!(answers.twice(), 2);
    }
}
