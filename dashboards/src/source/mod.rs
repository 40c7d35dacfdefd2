//! The files in `source`, which a person edits.

mod alert;
mod chart;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};

pub use self::{
    alert::{Alert, Trigger},
    chart::{Chart, ChartKind, Labelled, Measure, MeasureKind, NamedQuery, Split, TopValues},
};

/// All files of `source`.
#[derive(Clone, Debug)]
pub struct DashboardSource {
    pub pattern: IndexPattern,
    pub searches: Vec<SavedSearch>,
    pub charts: Vec<Chart>,
    pub dashboards: Vec<Dashboard>,
    pub alerts: Vec<Alert>,
}

/// An error in the source.
#[derive(Debug, thiserror::Error)]
pub enum DashboardSourceError {
    #[error("{}: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{}: {error}", path.display())]
    Malformed {
        path: PathBuf,
        /// The message, with its position.
        error: Box<toml::de::Error>,
    },
    /// `logging/schema` does not have this field.
    #[error("{location}: unknown field {field:?} (docs/log-fields.md lists all fields)")]
    UnknownField {
        /// The object that names it.
        location: String,
        field: String,
    },
    /// A chart lacks something that its kind needs.
    #[error("chart {id}: kind {kind} needs {needs}")]
    Incomplete {
        id: String,
        kind: &'static str,
        needs: &'static str,
    },
    /// A dashboard shows an unknown object.
    #[error("dashboard {id}: no search or chart has the id {object:?}")]
    UnknownObject { id: String, object: String },
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexPattern {
    pub id: String,
    pub title: String,
    /// The field for the time range.
    pub time_field: String,
    /// Formats by field.
    pub formats: BTreeMap<String, ValueFormat>,
}

/// The format of a value.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum ValueFormat {
    /// A number, as a pattern of numeral.js.
    Number(String),
    /// A link to this address below `/app`. `{{value}}` stands for the value.
    Link(String),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedSearch {
    pub id: String,
    pub title: String,
    pub description: String,
    /// The view of `logq` that finds the same lines.
    pub view: Option<String>,
    /// Lucene's syntax; empty: all lines.
    pub query: String,
    /// The fields that it shows, besides the time.
    pub columns: Vec<String>,
    pub sort: Sort,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sort {
    pub by: String,
    pub order: SortOrder,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum SortOrder {
    Asc,
    Desc,
}

impl SortOrder {
    /// OpenSearch's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Asc => "asc",
            Self::Desc => "desc",
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dashboard {
    pub id: String,
    pub title: String,
    pub description: String,
    /// The start of the initial time range, which ends now.
    pub from: String,
    /// The refresh interval. `None`: no refresh.
    pub refresh_seconds: Option<u64>,
    pub panels: Vec<Panel>,
}

/// A search or chart on a dashboard.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    /// The id of the search or chart.
    pub object: String,
    /// Left and top, in cells of the grid.
    pub at: [u32; 2],
    /// Width and height, in cells of the grid.
    pub size: [u32; 2],
}

#[derive(Deserialize)]
struct Searches {
    search: Vec<SavedSearch>,
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

impl DashboardSource {
    /// Reads the folder `source` of `dashboards`.
    ///
    /// # Errors
    /// [`DashboardSourceError`], with the file and the line.
    pub fn read(folder: &Path) -> Result<Self, DashboardSourceError> {
        Ok(Self {
            pattern: read(folder, "pattern.toml")?,
            searches: read::<Searches>(folder, "searches.toml")?.search,
            charts: read::<Charts>(folder, "charts.toml")?.chart,
            dashboards: read::<Dashboards>(folder, "dashboards.toml")?.dashboard,
            alerts: read::<Alerts>(folder, "alerts.toml")?.alert,
        })
    }
}

fn read<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<T, DashboardSourceError> {
    let path = folder.join(name);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => return Err(DashboardSourceError::Unreadable { path, error }),
    };
    toml::from_str(&text).map_err(|error| DashboardSourceError::Malformed {
        path,
        error: Box::new(error),
    })
}
