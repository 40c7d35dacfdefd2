//! `alerts.toml`.

use serde::Deserialize;

/// A rule that says when a person must look.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// Its name in file names and links.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// Minutes between two looks.
    pub every_minutes: u64,
    /// From 1, the gravest, to 5.
    pub severity: u8,
    /// What whoever is called reads.
    pub message: String,
    /// When it fires.
    pub fires: Fires,
}

/// When a rule fires. Time is that of the lines' arrival, by OpenSearch's
/// clock: a line that was held back on its way is still seen.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Fires {
    /// More than so many lines match.
    Lines {
        /// Which lines, in Lucene's syntax.
        query: String,
        /// Within how many minutes up to now. More than the interval, so
        /// that no line falls between two looks.
        minutes: u64,
        /// How many are in order.
        more_than: u64,
    },
    /// A value of a field, known before, has stopped coming.
    Silence {
        /// The field.
        field: String,
        /// Of which lines, in Lucene's syntax.
        query: String,
        /// For how long it is known after its last line, minutes.
        known_minutes: u64,
        /// For how long it may be silent, minutes.
        quiet_minutes: u64,
    },
}
