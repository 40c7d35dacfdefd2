//! Detects lines that were deleted before they were read.
//!
//! Retention deletes whole indices. Unread lines are in the write index of the last check, or in later ones. If all of
//! these still exist, nothing is missing.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use chrono::{DateTime, SecondsFormat};
use serde_json::Value;

use super::cursor::{FeedCursor, Millis};
use crate::{
    opensearch::{Method, Result},
    source::opensearch::{OpenSearchSource, streams},
};

const CHECK_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, PartialEq, Eq)]
struct ObservedIndex {
    /// The generation of the index in its stream.
    number: u64,
    /// Differs if an index of the same name was recreated.
    id: String,
}

/// The indices of each stream, oldest first; the last one is the write index.
type Streams = BTreeMap<String, Vec<ObservedIndex>>;

/// Compares the indices with those of the last check.
#[derive(Default)]
pub struct Gaps {
    previous: Streams,
    last_check: Option<Instant>,
    /// Streams with a gap and its start, not yet reported.
    found: BTreeMap<String, Millis>,
}

impl Gaps {
    pub fn is_due(&self) -> bool {
        self.last_check
            .is_none_or(|last_check| last_check.elapsed() >= CHECK_INTERVAL)
    }

    /// Lists the indices, and records gaps.
    ///
    /// # Errors
    /// Every error of [`crate::opensearch::Client::ask`].
    pub fn check(&mut self, store: &OpenSearchSource, cursor: &FeedCursor) -> Result<()> {
        let present = store.indices()?;
        if let Some(read) = cursor.last_round() {
            for stream in streams_with_gaps(&self.previous, &present) {
                self.found.entry(stream).or_insert(read);
            }
        }
        self.previous = present;
        self.last_check = Some(Instant::now());
        Ok(())
    }

    /// Takes the notes about gaps: the affected times, by OpenSearch's clock.
    pub fn take_notes(&mut self, now: Option<Millis>) -> Vec<String> {
        let until = now.map_or_else(|| "now".to_owned(), format_millis);
        let found = std::mem::take(&mut self.found).into_iter();
        found
            .map(|(stream, read)| {
                format!(
                    "lines of {stream} that OpenSearch stored from {} to {until} may be missing: their index \
                     was deleted (by retention, or with the stream) before logq read them",
                    format_millis(read)
                )
            })
            .collect()
    }
}

/// The streams that lost an index with possibly unread lines.
fn streams_with_gaps(previous: &Streams, present: &Streams) -> Vec<String> {
    let lost = previous.iter().filter(|(name, before)| {
        let Some(written) = before.last() else {
            return false;
        };
        let now = present.get(*name).map(Vec::as_slice).unwrap_or_default();
        let Some(at) = now.iter().position(|index| index == written) else {
            return true;
        };
        // Later generations must be consecutive.
        let after = now.get(at..).unwrap_or_default();
        after
            .iter()
            .zip(written.number..)
            .any(|(index, number)| index.number != number)
    });
    lost.map(|(name, _)| name.clone()).collect()
}

/// Formats a time as OpenSearch shows it.
fn format_millis(time: Millis) -> String {
    DateTime::from_timestamp_millis(time)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

impl OpenSearchSource {
    fn indices(&self) -> Result<Streams> {
        let what = "list the data streams";
        // A wildcard avoids an error for a missing stream.
        let answer = self.ask(what, Method::Get, "/_data_stream/logs-*", &[], None)?;
        let our_streams = streams();
        let all = answer.get("data_streams").and_then(Value::as_array);
        let all = all.ok_or_else(|| self.client.unexpected(what, "the response has no data_streams"))?;
        let ours = all.iter().filter_map(|stream| {
            let name = stream.get("name")?.as_str()?;
            our_streams
                .split(',')
                .any(|our_stream| our_stream == name)
                .then_some(())?;
            let indices = stream.get("indices")?.as_array()?;
            let indices = indices.iter().filter_map(|index| {
                let number = index.get("index_name")?.as_str()?.rsplit('-').next()?;
                Some(ObservedIndex {
                    number: number.parse().ok()?,
                    id: index.get("index_uuid")?.as_str()?.to_owned(),
                })
            });
            Some((name.to_owned(), indices.collect()))
        });
        Ok(ours.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Indices with a number and an id.
    fn streams(indices: &[(u64, &str)]) -> Streams {
        let indices = indices.iter().map(|(number, id)| ObservedIndex {
            number: *number,
            id: (*id).to_owned(),
        });
        Streams::from([("logs-irmgard".to_owned(), indices.collect())])
    }

    fn is_missing(seen: &[(u64, &str)], present: &[(u64, &str)]) -> bool {
        !streams_with_gaps(&streams(seen), &streams(present)).is_empty()
    }

    #[test]
    fn only_unread_deleted_indices_are_a_gap() {
        // After a rollover and deletion of a full index.
        assert!(!is_missing(&[(1, "a"), (2, "b")], &[(2, "b"), (3, "c")]));
        assert!(!is_missing(&[], &[(1, "a")]));
        // The write index is gone.
        assert!(is_missing(&[(1, "a"), (2, "b")], &[(3, "c")]));
        // An index was created and deleted meanwhile.
        assert!(is_missing(&[(2, "b")], &[(2, "b"), (4, "d")]));
        // The stream was recreated or deleted.
        assert!(is_missing(&[(1, "a")], &[(1, "x")]));
        assert!(is_missing(&[(1, "a")], &[]));
        assert_eq!(
            streams_with_gaps(&streams(&[(1, "a")]), &Streams::new()),
            ["logs-irmgard"]
        );
    }
}
