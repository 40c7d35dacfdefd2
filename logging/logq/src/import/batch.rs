//! Lines that are sent together.

use chrono::Utc;
use line::{Document, Time};
use schema::{field, stream};
use serde_json::{Value, json};

use super::Imported;
use crate::opensearch::{Client, Error};

/// What is asked for, in an error's words.
const WHAT: &str = "store lines";

/// Lines that are sent together: two lines of JSON each.
#[derive(Default)]
pub struct Batch {
    items: Vec<String>,
    bytes: usize,
}

impl Batch {
    /// Adds a line.
    pub fn add(&mut self, document: Document) {
        let index = stream::data_stream(document.stream());
        let action = json!({ "create": { "_index": index, "_id": document.id() } });
        let document = with_time(document);
        let item = format!("{action}\n{}\n", document.to_json());
        self.bytes += item.len();
        self.items.push(item);
    }

    /// Bytes of the request.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether all lines are there.
    pub const fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Sends the lines once. Those that are to be sent again stay in it; after success none are left.
    ///
    /// # Errors
    /// Every error of [`Client::send_lines`], and [`Error::Busy`] where OpenSearch has not taken all lines now.
    pub async fn send(&mut self, client: &Client, imported: &mut Imported) -> Result<(), Error> {
        if self.is_empty() {
            return Ok(());
        }
        let lines = self.items.concat().into_bytes();
        let answer = client.send_lines(WHAT, "/_bulk", &[], lines).await?;
        let outcomes = answer.get("items").and_then(Value::as_array);
        let outcomes = outcomes.filter(|outcomes| outcomes.len() == self.items.len());
        let outcomes =
            outcomes.ok_or_else(|| client.strange(WHAT, "its answer has other items than were sent"))?;
        let mut busy = None;
        for (item, outcome) in std::mem::take(&mut self.items).into_iter().zip(outcomes) {
            let outcome = outcome.get("create").unwrap_or(&Value::Null);
            match Fate::of(outcome) {
                Fate::Stored => imported.stored += 1,
                Fate::Known => imported.known += 1,
                Fate::Refused => {
                    imported.refused += 1;
                    imported.reason.get_or_insert_with(|| reason(outcome));
                }
                Fate::Waits => {
                    busy.get_or_insert_with(|| reason(outcome));
                    self.items.push(item);
                }
            }
        }
        self.bytes = self.items.iter().map(String::len).sum();
        busy.map_or(Ok(()), |reason| {
            Err(Error::Busy {
                url: client.url().to_owned(),
                what: WHAT.to_owned(),
                reason,
            })
        })
    }
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It was not there, and is now.
    Stored,
    /// It was there.
    Known,
    /// Sent again it would be refused again.
    Refused,
    /// It is sent again: OpenSearch is too busy, a full disk has put a block on
    /// the index, or the answer says nothing of the line.
    Waits,
}

impl Fate {
    fn of(outcome: &Value) -> Self {
        match outcome.get("status").and_then(Value::as_u64) {
            Some(200..300) => Self::Stored,
            Some(409) => Self::Known,
            Some(400) => Self::Refused,
            _ => Self::Waits,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_never_be_taken_is_left_out() {
        for (status, fate) in [
            (201, Fate::Stored),
            (409, Fate::Known),
            (400, Fate::Refused),
            (403, Fate::Waits),
            (404, Fate::Waits),
            (429, Fate::Waits),
            (500, Fate::Waits),
            (503, Fate::Waits),
        ] {
            assert_eq!(Fate::of(&json!({ "status": status })), fate, "{status}");
        }
        assert_eq!(Fate::of(&Value::Null), Fate::Waits);
    }
}
