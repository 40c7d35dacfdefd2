//! `charts.toml`.

use serde::Deserialize;

/// A visualization.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chart {
    pub id: String,
    pub title: String,
    pub kind: ChartKind,
    /// The lines that count, in Lucene's syntax; empty: all.
    #[serde(default)]
    pub query: String,
    pub measure: Option<Measure>,
    /// The numbers of a table or of `numbers`.
    #[serde(default)]
    pub measures: Vec<Measure>,
    /// The parts of stacked bars.
    pub split: Option<Split>,
    /// Whether bars show percentages.
    #[serde(default)]
    pub share: bool,
    /// The field whose values are the rows of a table or the slices of a pie.
    #[serde(default)]
    pub rows: Vec<TopValues>,
    /// Markdown.
    pub text: Option<String>,
    /// Fields for lists of choices.
    #[serde(default)]
    pub fields: Vec<Labelled>,
}

impl Chart {
    pub fn all_measures(&self) -> impl Iterator<Item = &Measure> {
        self.measure.iter().chain(&self.measures)
    }
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ChartKind {
    /// Bars over time.
    Bars,
    Pie,
    Table,
    Numbers,
    /// Markdown.
    Text,
    /// Lists to choose from.
    Choice,
}

/// A number that is computed from lines.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    pub what: MeasureKind,
    /// `None` for a count.
    pub field: Option<String>,
    pub label: String,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum MeasureKind {
    Count,
    Unique,
    Max,
    Min,
    Avg,
    Sum,
}

impl MeasureKind {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Unique => "cardinality",
            Self::Max => "max",
            Self::Min => "min",
            Self::Avg => "avg",
            Self::Sum => "sum",
        }
    }
}

/// The parts of stacked bars.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Split {
    /// By the values of a field.
    Values(TopValues),
    /// By queries.
    Filters { filters: Vec<NamedQuery> },
}

/// The most frequent values of a field.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopValues {
    pub field: String,
    pub label: Option<String>,
    /// The maximum number of values.
    pub most: u32,
    /// The number of the measure, from 1, that orders the values.
    #[serde(default = "first")]
    pub by: usize,
}

const fn first() -> usize {
    1
}

/// A query with a name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedQuery {
    pub label: String,
    /// Lucene's syntax.
    pub query: String,
}

/// A field with a name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labelled {
    pub field: String,
    pub label: String,
}
