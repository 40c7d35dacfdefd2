//! `charts.toml`.

use serde::Deserialize;

/// A visualization.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chart {
    /// Id of the saved object.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// What it looks like.
    pub kind: Kind,
    /// Of which lines, in Lucene's syntax; empty: all.
    #[serde(default)]
    pub query: String,
    /// What is drawn.
    pub measure: Option<Measure>,
    /// What the numbers of a table or of `numbers` are.
    #[serde(default)]
    pub measures: Vec<Measure>,
    /// What bars are stacked of.
    pub split: Option<Split>,
    /// Whether bars show parts of a hundred.
    #[serde(default)]
    pub share: bool,
    /// Whose values make the rows of a table or the slices of a pie.
    #[serde(default)]
    pub rows: Vec<Values>,
    /// Markdown.
    pub text: Option<String>,
    /// Fields whose values can be chosen.
    #[serde(default)]
    pub fields: Vec<Labelled>,
}

impl Chart {
    /// All its measures.
    pub fn all_measures(&self) -> impl Iterator<Item = &Measure> {
        self.measure.iter().chain(&self.measures)
    }
}

/// Kinds of visualizations.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Bars over time.
    Bars,
    /// A pie.
    Pie,
    /// A table.
    Table,
    /// Some numbers.
    Numbers,
    /// A text.
    Text,
    /// Lists to choose from.
    Choice,
}

/// A number about some lines.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// Which.
    pub what: What,
    /// Of which field; none for a count.
    pub field: Option<String>,
    /// Its name for people.
    pub label: String,
}

/// Kinds of numbers.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// How many lines.
    Count,
    /// How many different values.
    Unique,
    /// The greatest value.
    Max,
    /// The smallest value.
    Min,
    /// The average.
    Avg,
    /// The sum.
    Sum,
}

impl What {
    /// The aggregation's name.
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

/// What bars are stacked of.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Split {
    /// The values of a field.
    Values(Values),
    /// Lines that match.
    Filters {
        /// Each with its name.
        filters: Vec<NamedQuery>,
    },
}

/// The commonest values of a field.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Values {
    /// The field.
    pub field: String,
    /// Its name for people.
    pub label: Option<String>,
    /// How many values at most.
    pub most: u32,
    /// Which measure, from 1, says which values come first.
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
    /// For people.
    pub label: String,
    /// Lucene's syntax.
    pub query: String,
}

/// A field with a name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labelled {
    /// The field.
    pub field: String,
    /// For people.
    pub label: String,
}
