//! What a person writes: the files in `source`.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};

/// Everything that is written in `source`.
#[derive(Clone, Debug)]
pub struct Source {
    /// `pattern.toml`.
    pub pattern: Pattern,
    /// `searches.toml`.
    pub searches: Vec<Search>,
    /// `charts.toml`.
    pub charts: Vec<Chart>,
    /// `dashboards.toml`.
    pub dashboards: Vec<Dashboard>,
    /// `alerts.toml`.
    pub alerts: Vec<Alert>,
}

/// What is wrong with the source.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file that cannot be read.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file that is not as it must be.
    #[error("{}: {error}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What, and where.
        error: Box<toml::de::Error>,
    },
    /// A field that `logging/schema` does not have.
    #[error("{of}: there is no field {field:?} (docs/log-fields.md lists them)")]
    UnknownField {
        /// Where it is named.
        of: String,
        /// The name.
        field: String,
    },
    /// A chart without what its kind needs.
    #[error("chart {id}: kind {kind} needs {needs}")]
    Incomplete {
        /// The chart.
        id: String,
        /// Its kind.
        kind: &'static str,
        /// What is missing.
        needs: &'static str,
    },
    /// A panel of something that is not there.
    #[error("dashboard {id}: there is no search and no chart {object:?}")]
    UnknownObject {
        /// The dashboard.
        id: String,
        /// What the panel names.
        object: String,
    },
}

/// The index pattern.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// Id of the saved object.
    pub id: String,
    /// Which indices.
    pub title: String,
    /// By which field time is chosen.
    pub time_field: String,
    /// How values are shown, by field.
    pub formats: BTreeMap<String, Format>,
}

/// How a value is shown.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Format {
    /// A number, in the pattern of numeral.js.
    Number(String),
    /// A link to this address below `/app`; `{{value}}` is the value.
    Link(String),
}

/// A saved search.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// Id of the saved object.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// The view of `logq` that finds the same lines.
    pub view: Option<String>,
    /// Which lines, in Lucene's syntax; empty: all.
    pub query: String,
    /// What is shown of each line, beside its time.
    pub columns: Vec<String>,
    /// In what order.
    pub sort: Sort,
}

/// An order of lines.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sort {
    /// The field.
    pub by: String,
    /// The smallest or the greatest first.
    pub order: Order,
}

/// A direction.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The smallest first.
    Asc,
    /// The greatest first.
    Desc,
}

impl Order {
    /// As OpenSearch writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Asc => "asc",
            Self::Desc => "desc",
        }
    }
}

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

/// A dashboard.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dashboard {
    /// Id of the saved object.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// The beginning of the time that it opens with; its end is now.
    pub from: String,
    /// Seconds between two looks; none: it stays as it is.
    pub refresh_seconds: Option<u64>,
    /// What stands on it.
    pub panels: Vec<Panel>,
}

/// A search or a chart on a dashboard.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    /// Which.
    pub object: String,
    /// Left and top, in cells of the grid.
    pub at: [u32; 2],
    /// Width and height, in cells of the grid.
    pub size: [u32; 2],
}

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

#[derive(Deserialize)]
struct Searches {
    search: Vec<Search>,
}

#[derive(Deserialize)]
struct Charts {
    chart: Vec<Chart>,
}

#[derive(Deserialize)]
struct Dashboards {
    dashboard: Vec<Dashboard>,
}

#[derive(Deserialize)]
struct Alerts {
    alert: Vec<Alert>,
}

impl Source {
    /// Reads the folder `source` of `dashboards`.
    ///
    /// # Errors
    /// [`SourceError`], with the file and the line.
    pub fn read(folder: &Path) -> Result<Self, SourceError> {
        Ok(Self {
            pattern: read(folder, "pattern.toml")?,
            searches: read::<Searches>(folder, "searches.toml")?.search,
            charts: read::<Charts>(folder, "charts.toml")?.chart,
            dashboards: read::<Dashboards>(folder, "dashboards.toml")?.dashboard,
            alerts: read::<Alerts>(folder, "alerts.toml")?.alert,
        })
    }
}

fn read<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<T, SourceError> {
    let path = folder.join(name);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => return Err(SourceError::Unreadable { path, error }),
    };
    toml::from_str(&text).map_err(|error| SourceError::Malformed {
        path,
        error: Box::new(error),
    })
}
