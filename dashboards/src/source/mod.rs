//! What a person writes: the files in `source`.

mod alert;
mod chart;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};

pub use self::{
    alert::{Alert, Fires},
    chart::{Chart, Kind, Labelled, Measure, NamedQuery, Split, Values, What},
};

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
