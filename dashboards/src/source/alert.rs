//! `alerts.toml`.

use serde::Deserialize;

/// A rule that calls a person.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// The name in file names and links.
    pub id: String,
    pub title: String,
    /// The interval between two checks.
    pub every_minutes: u64,
    /// From 1 (most severe) to 5.
    pub severity: u8,
    pub message: String,
    #[serde(rename = "fires")]
    pub trigger: Trigger,
}

/// The condition of a rule. Time means the arrival of lines, by OpenSearch's clock, so a delayed line still counts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Trigger {
    /// More than `more_than` lines match.
    Lines {
        /// Lucene's syntax.
        query: String,
        /// The time window up to now. It is longer than the interval, so that windows overlap.
        minutes: u64,
        more_than: u64,
    },
    /// A value of a field occurred before, and is now missing.
    Silence {
        field: String,
        /// The lines that count, in Lucene's syntax.
        query: String,
        /// How long a value counts as present after its last line.
        known_minutes: u64,
        /// How long a value may be missing.
        quiet_minutes: u64,
    },
}
