//! From the files in `source` to what OpenSearch Dashboards imports, and to
//! the monitors of OpenSearch's Alerting plugin.
//!
//! The way: `source` (TOML, as a person writes it) → [`saved_objects`] and
//! [`monitor`] (what is imported). The tests make of the saved objects the
//! searches that Dashboards makes of them, and try these.
//!
//! Architecture invariant: ids are written in `source` and never made up, so
//! that an import replaces what an earlier one has made.

mod alert;
mod board;
mod chart;
mod pattern;
mod search;
pub mod source;

use serde_json::{Value, json};

pub use alert::monitor;
pub use source::{Source, SourceError};

/// Name of the reference to the index pattern.
const INDEX: &str = "kibanaSavedObjectMeta.searchSourceJSON.index";

/// All saved objects, in the order of the file: what is referred to first.
///
/// # Errors
/// [`SourceError`] when a name in the source stands for nothing.
pub fn saved_objects(source: &Source) -> Result<Vec<Value>, SourceError> {
    let mut objects = vec![pattern::object(&source.pattern)?];
    for search in &source.searches {
        objects.push(search::object(search, &source.pattern)?);
    }
    for chart in &source.charts {
        objects.push(chart::object(chart, &source.pattern)?);
    }
    for board in &source.dashboards {
        objects.push(board::object(board, source)?);
    }
    Ok(objects)
}

/// The file for `POST /api/saved_objects/_import`: one object a line, and last
/// what an export says about itself.
///
/// # Errors
/// As [`saved_objects`].
pub fn import_file(source: &Source) -> Result<String, SourceError> {
    let objects = saved_objects(source)?;
    let about = json!({ "exportedCount": objects.len(), "missingRefCount": 0, "missingReferences": [] });
    Ok(objects
        .iter()
        .chain([&about])
        .map(|object| format!("{object}\n"))
        .collect())
}

/// JSON as a text in JSON, as Dashboards keeps what it does not search.
fn text_of(value: &Value) -> Value {
    value.to_string().into()
}

/// What lines an object is about: Lucene's syntax, which OpenSearch reads
/// itself (`query_string`), so that it means the same here and there.
fn lucene(query: &str) -> Value {
    json!({ "query": query, "language": "lucene" })
}

fn reference(name: &str, kind: &str, id: &str) -> Value {
    json!({ "name": name, "type": kind, "id": id })
}
