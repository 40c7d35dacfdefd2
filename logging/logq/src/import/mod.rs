//! Lines from files to OpenSearch, where no Fluentd brings them.
//!
//! The ids are those that Fluentd gives, and lines are created, never
//! overwritten: to import again changes nothing.

use std::{path::PathBuf, time::Duration};

use chrono::Utc;
use line::{Document, Time};
use schema::{field, stream};
use serde_json::{Value, json};

use crate::{
    filter::Filter,
    opensearch::{Client, Error},
    source::files::{self, FileError},
};

/// Bytes of one request.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Waits before a request is sent again that OpenSearch was too busy for.
const WAITS: [Duration; 6] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// Why lines were not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// OpenSearch.
    #[error(transparent)]
    OpenSearch(#[from] Error),
}

/// What became of the lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Lines that are there now and were not before.
    pub stored: u64,
    /// Lines that were there.
    pub known: u64,
    /// Lines that OpenSearch does not take.
    pub refused: u64,
    /// Why it does not take the first of them.
    pub reason: Option<String>,
    /// Files that could not be read to their end.
    pub errors: Vec<String>,
}

/// Brings all lines of these files and folders to OpenSearch.
///
/// # Errors
/// [`ImportError`]; what was stored before stays, and importing again goes on.
pub async fn import(client: &Client, paths: &[PathBuf]) -> Result<Imported, ImportError> {
    let mut imported = Imported::default();
    let mut batch = Batch::default();
    for entry in files::open(paths, &Filter::EVERYTHING)? {
        match entry {
            Ok(entry) => {
                batch.add(entry.document);
                if batch.bytes() >= BATCH_BYTES {
                    std::mem::take(&mut batch).send(client, &mut imported).await?;
                }
            }
            Err(error) => imported.errors.push(error.to_string()),
        }
    }
    batch.send(client, &mut imported).await?;
    Ok(imported)
}

/// Lines that are sent together: two lines of JSON each.
#[derive(Default)]
struct Batch {
    items: Vec<String>,
    bytes: usize,
}

impl Batch {
    fn add(&mut self, document: Document) {
        let index = stream::data_stream(document.stream());
        let action = json!({ "create": { "_index": index, "_id": document.id() } });
        let document = with_time(document);
        let item = format!("{action}\n{}\n", document.to_json());
        self.bytes += item.len();
        self.items.push(item);
    }

    const fn bytes(&self) -> usize {
        self.bytes
    }

    async fn send(self, client: &Client, imported: &mut Imported) -> Result<(), Error> {
        let mut items = self.items;
        let mut waits = WAITS.iter();
        while !items.is_empty() {
            let sent = client
                .send_lines("store lines", "/_bulk", &[], items.concat().into_bytes())
                .await;
            let busy = match sent {
                Ok(answer) => sort_out(client, &answer, std::mem::take(&mut items), imported)?,
                Err(error) if error.is_passing() => (std::mem::take(&mut items), error),
                Err(error) => return Err(error),
            };
            let (left, error) = busy;
            items = left;
            if items.is_empty() {
                break;
            }
            match waits.next() {
                Some(wait) => tokio::time::sleep(*wait).await,
                None => return Err(error),
            }
        }
        Ok(())
    }
}

/// A data stream takes no line without a time: such a line has that of its
/// import.
fn with_time(document: Document) -> Document {
    if document.timestamp().is_some() {
        return document;
    }
    let now = Time::from_nanos(Utc::now().timestamp_nanos_opt().unwrap_or_default());
    let mut members = document.into_members();
    members.insert(field::TIMESTAMP.to_owned(), now.to_string().into());
    members.into()
}

/// Counts what became of each line; returns those that are to be sent again.
fn sort_out(
    client: &Client,
    answer: &Value,
    items: Vec<String>,
    imported: &mut Imported,
) -> Result<(Vec<String>, Error), Error> {
    let what = "store lines";
    let outcomes = answer.get("items").and_then(Value::as_array);
    let outcomes = outcomes.filter(|outcomes| outcomes.len() == items.len());
    let outcomes =
        outcomes.ok_or_else(|| client.strange(what, "its answer has other items than were sent"))?;
    let mut again = Vec::new();
    for (item, outcome) in items.into_iter().zip(outcomes) {
        let outcome = outcome.get("create").unwrap_or(&Value::Null);
        match outcome.get("status").and_then(Value::as_u64) {
            Some(200..300) => imported.stored += 1,
            Some(409) => imported.known += 1,
            Some(429 | 503) => again.push(item),
            _ => {
                imported.refused += 1;
                if imported.reason.is_none() {
                    imported.reason = Some(reason(outcome));
                }
            }
        }
    }
    Ok((again, client.strange(what, "it stays too busy to take them")))
}

/// The innermost reason: the outer one only says that a field cannot be read.
fn reason(outcome: &Value) -> String {
    let mut error = outcome.get("error").unwrap_or(&Value::Null);
    while let Some(cause) = error.get("caused_by") {
        error = cause;
    }
    error
        .get("reason")
        .and_then(Value::as_str)
        .map_or_else(|| outcome.to_string(), str::to_owned)
}
