//! The photos of a load, and their acknowledgements.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta};
use sha2::{Digest, Sha256};

use crate::photos::{BasePhoto, with_comment};

/// A photo for an upload.
#[derive(Clone, Debug)]
pub struct Shot {
    /// Distinguishes the photos of a load.
    pub number: u64,
    /// The file. No other shot has the same bytes.
    pub file: Bytes,
}

impl Shot {
    /// The photo with this number, made from one of these pictures.
    pub fn new(bases: &[BasePhoto], number: u64) -> Self {
        let base = usize::try_from(number).unwrap_or(0) % bases.len();
        Self {
            number,
            file: with_comment(&bases[base].file, number).into(),
        }
    }

    /// The time of the photo (RFC 3339), one second after the previous one. Together with the bytes it identifies the photo.
    pub fn taken_at(&self) -> String {
        let seconds = TimeDelta::seconds(i64::try_from(self.number).unwrap_or(0));
        (DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + seconds).to_rfc3339_opts(SecondsFormat::Secs, true)
    }

    /// SHA-256 of the file, hexadecimal.
    pub fn sha256(&self) -> String {
        hex::encode(Sha256::digest(&self.file))
    }
}

/// The service's answers to the uploads of a load.
#[derive(Clone, Debug, Default)]
pub struct Acknowledgements {
    /// Photos answered with 2xx, by id.
    acknowledged: BTreeMap<i64, AcknowledgedPhoto>,
    /// All ids that the service returned for each shot.
    ids: BTreeMap<u64, BTreeSet<i64>>,
    /// Shots with a permanent refusal: number, status.
    refused: Vec<(u64, u16)>,
    /// Shots without a 2xx before the time limit.
    given_up: Vec<u64>,
}

/// A photo answered with 2xx.
#[derive(Clone, Debug)]
pub struct AcknowledgedPhoto {
    /// The number of the shot.
    pub number: u64,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// The time of the answer, since the start of the load.
    pub at: Duration,
}

impl Acknowledgements {
    /// Records an acknowledgement with this id.
    pub fn acknowledge(&mut self, id: i64, shot: &Shot, at: Duration) {
        self.ids.entry(shot.number).or_default().insert(id);
        self.acknowledged.entry(id).or_insert_with(|| AcknowledgedPhoto {
            number: shot.number,
            sha256: shot.sha256(),
            at,
        });
    }

    /// Records a permanent refusal.
    pub fn refuse(&mut self, number: u64, status: u16) {
        self.refused.push((number, status));
    }

    /// Records that a camera has given up.
    pub fn give_up(&mut self, number: u64) {
        self.given_up.push(number);
    }

    /// The photos answered with 2xx, by id.
    pub const fn acknowledged(&self) -> &BTreeMap<i64, AcknowledgedPhoto> {
        &self.acknowledged
    }

    /// The number of shots with several ids, or with the id of another shot.
    pub fn duplicates(&self) -> usize {
        let extra_ids: usize = self.ids.values().map(|ids| ids.len() - 1).sum();
        let pairs: usize = self.ids.values().map(BTreeSet::len).sum();
        extra_ids + (pairs - self.acknowledged.len())
    }

    /// The number of shots without a 2xx.
    pub fn unanswered(&self) -> usize {
        self.refused.len() + self.given_up.len()
    }

    /// The permanent refusals, for reports.
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
    fn two_ids_for_a_photo_and_two_photos_with_an_id_are_duplicates() {
        let mut acknowledgements = Acknowledgements::default();
        acknowledgements.acknowledge(7, &shot(1), Duration::ZERO);
        acknowledgements.acknowledge(7, &shot(1), Duration::ZERO);
        acknowledgements.acknowledge(8, &shot(2), Duration::ZERO);
        assert_eq!(
            (
                acknowledgements.duplicates(),
                acknowledgements.acknowledged().len()
            ),
            (0, 2)
        );
        acknowledgements.acknowledge(9, &shot(1), Duration::ZERO);
        assert_eq!(acknowledgements.duplicates(), 1);
        acknowledgements.acknowledge(8, &shot(3), Duration::ZERO);
        assert_eq!(acknowledgements.duplicates(), 2);
    }
}
