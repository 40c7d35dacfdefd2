//! Generates the saved objects of OpenSearch Dashboards, and the monitors of OpenSearch's Alerting plugin.
//!
//! A person edits the TOML files in `source`. [`saved_objects`] and [`monitor`] are imported. The tests build the search
//! requests that Dashboards would build from the saved objects, and send them.
//!
//! Architecture invariant: ids come from `source` and are never generated, so that an import replaces the objects of an
//! earlier one.

#![allow(missing_docs, reason = "a name that says it all needs no comment")]

mod alert;
mod chart;
mod dashboard;
mod pattern;
pub mod source;

use serde_json::{Value, json};

pub use alert::monitor;
pub use source::{DashboardSource, DashboardSourceError};

/// The name of the reference to the index pattern.
const INDEX: &str = "kibanaSavedObjectMeta.searchSourceJSON.index";

/// All saved objects. An object comes after those that it references.
///
/// # Errors
/// [`DashboardSourceError`] when a name in the source is unknown.
pub fn saved_objects(source: &DashboardSource) -> Result<Vec<Value>, DashboardSourceError> {
    let mut objects = vec![pattern::object(&source.pattern)?];
    for search in &source.searches {
        objects.push(dashboard::search_object(search, &source.pattern)?);
    }
    for chart in &source.charts {
        objects.push(chart::object(chart, &source.pattern)?);
    }
    for dashboard in &source.dashboards {
        objects.push(dashboard::object(dashboard, source)?);
    }
    Ok(objects)
}

/// The file for `POST /api/saved_objects/_import`: one object a line, and a summary as the last line.
///
/// # Errors
/// As [`saved_objects`].
pub fn import_file(source: &DashboardSource) -> Result<String, DashboardSourceError> {
    let objects = saved_objects(source)?;
    let summary = json!({ "exportedCount": objects.len(), "missingRefCount": 0, "missingReferences": [] });
    Ok(objects
        .iter()
        .chain([&summary])
        .map(|object| format!("{object}\n"))
        .collect())
}

/// JSON as a string in JSON. Dashboards stores objects in this form if it does not search in them.
fn json_string(value: &Value) -> Value {
    value.to_string().into()
}

/// A query in Lucene's syntax. OpenSearch parses it itself (`query_string`), so tests and Dashboards read it alike.
fn lucene(query: &str) -> Value {
    json!({ "query": query, "language": "lucene" })
}

fn reference(name: &str, kind: &str, id: &str) -> Value {
    json!({ "name": name, "type": kind, "id": id })
}
