//! A bulk request.

use chrono::Utc;
use log_normalizer::{Document, Time};
use schema::{field, stream};
use serde_json::{Value, json};

use super::ImportStats;
use crate::opensearch::{Client, Error};

const OPERATION: &str = "store lines";

/// The lines of one bulk request, each as two lines of JSON.
#[derive(Default)]
pub struct Batch {
    items: Vec<String>,
    bytes: usize,
}

impl Batch {
    pub fn add(&mut self, document: Document) {
        let index = stream::data_stream(document.stream());
        let action = json!({ "create": { "_index": index, "_id": document.id() } });
        let document = ensure_time(document);
        let item = format!("{action}\n{}\n", document.to_json());
        self.bytes += item.len();
        self.items.push(item);
    }

    /// Size of the request.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    pub const fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Sends the lines once. Removes finished lines; the rest must be sent again.
    ///
    /// # Errors
    /// Every error of [`Client::send_lines`], and [`Error::Busy`] if OpenSearch did not accept all lines.
    pub async fn send(&mut self, client: &Client, stats: &mut ImportStats) -> Result<(), Error> {
        if self.is_empty() {
            return Ok(());
        }
        let lines = self.items.concat().into_bytes();
        let answer = client.send_lines(OPERATION, "/_bulk", &[], lines).await?;
        let responses = answer.get("items").and_then(Value::as_array);
        let responses = responses.filter(|responses| responses.len() == self.items.len());
        let responses = responses
            .ok_or_else(|| client.unexpected(OPERATION, "the response has other items than the request"))?;
        let mut busy = None;
        for (item, response) in std::mem::take(&mut self.items).into_iter().zip(responses) {
            let response = response.get("create").unwrap_or(&Value::Null);
            match ItemStatus::from_response(response) {
                ItemStatus::Stored => stats.stored += 1,
                ItemStatus::Duplicate => stats.duplicates += 1,
                ItemStatus::Refused => {
                    stats.refused += 1;
                    stats.reason.get_or_insert_with(|| reason(response));
                }
                ItemStatus::Retry => {
                    busy.get_or_insert_with(|| reason(response));
                    self.items.push(item);
                }
            }
        }
        self.bytes = self.items.iter().map(String::len).sum();
        busy.map_or(Ok(()), |reason| {
            Err(Error::Busy {
                url: client.url().to_owned(),
                what: OPERATION.to_owned(),
                reason,
            })
        })
    }
}

/// The result for one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ItemStatus {
    Stored,
    Duplicate,
    /// OpenSearch would refuse it again.
    Refused,
    /// OpenSearch is busy, a full disk blocks the index, or the response lacks the line.
    Retry,
}

impl ItemStatus {
    fn from_response(response: &Value) -> Self {
        match response.get("status").and_then(Value::as_u64) {
            Some(200..300) => Self::Stored,
            Some(409) => Self::Duplicate,
            Some(400) => Self::Refused,
            _ => Self::Retry,
        }
    }
}

/// A data stream requires a time: such a line gets the time of its import.
fn ensure_time(document: Document) -> Document {
    if document.timestamp().is_some() {
        return document;
    }
    let now = Time::from_nanos(Utc::now().timestamp_nanos_opt().unwrap_or_default());
    let mut members = document.into_members();
    members.insert(field::TIMESTAMP.to_owned(), now.to_string().into());
    members.into()
}

/// The innermost reason; outer ones only name a field.
fn reason(response: &Value) -> String {
    let mut error = response.get("error").unwrap_or(&Value::Null);
    while let Some(cause) = error.get("caused_by") {
        error = cause;
    }
    error
        .get("reason")
        .and_then(Value::as_str)
        .map_or_else(|| response.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_permanent_rejections_are_skipped() {
        for (status, expected) in [
            (201, ItemStatus::Stored),
            (409, ItemStatus::Duplicate),
            (400, ItemStatus::Refused),
            (403, ItemStatus::Retry),
            (404, ItemStatus::Retry),
            (429, ItemStatus::Retry),
            (500, ItemStatus::Retry),
            (503, ItemStatus::Retry),
        ] {
            assert_eq!(
                ItemStatus::from_response(&json!({ "status": status })),
                expected,
                "{status}"
            );
        }
        assert_eq!(ItemStatus::from_response(&Value::Null), ItemStatus::Retry);
    }
}
