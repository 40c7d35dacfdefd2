//! Lines that were deleted before they were read.
//!
//! Lines are deleted with the index that holds them: by retention, or with
//! their stream. What has not been read yet is in the index that was written
//! to when it was looked last, or in a later one. If all of these are there
//! still, nothing is missing.

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

/// So often it is looked.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// An index of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Index {
    /// The stream's how-manieth.
    number: u64,
    /// Another index of the same name has another one.
    id: String,
}

/// The indices of each stream, the oldest first; the last is written to.
type Streams = BTreeMap<String, Vec<Index>>;

/// What was there when it was looked last.
#[derive(Default)]
pub struct Gaps {
    previous: Streams,
    last_check: Option<Instant>,
    /// Streams of which lines may be missing, and since when: not told yet.
    found: BTreeMap<String, Millis>,
}

impl Gaps {
    /// Whether it is time to look again.
    pub fn is_due(&self) -> bool {
        self.last_check
            .is_none_or(|last_check| last_check.elapsed() >= CHECK_INTERVAL)
    }

    /// Looks.
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

    /// What a person should know, once: from when to when lines may be
    /// missing, by OpenSearch's clock.
    pub fn take_notes(&mut self, now: Option<Millis>) -> Vec<String> {
        let until = now.map_or_else(|| "now".to_owned(), format_millis);
        let found = std::mem::take(&mut self.found).into_iter();
        found
            .map(|(stream, read)| {
                format!(
                    "lines of {stream} may be missing, of those that OpenSearch took from {} to {until}: it has deleted \
                     the index that held them (retention, or the whole stream) before they were read",
                    format_millis(read)
                )
            })
            .collect()
    }
}

/// The streams of which an index is gone that may have held lines that were
/// not read.
fn streams_with_gaps(previous: &Streams, present: &Streams) -> Vec<String> {
    let lost = previous.iter().filter(|(name, before)| {
        let Some(written) = before.last() else {
            return false;
        };
        let now = present.get(*name).map(Vec::as_slice).unwrap_or_default();
        let Some(at) = now.iter().position(|index| index == written) else {
            return true;
        };
        // Those after it, one by one.
        let after = now.get(at..).unwrap_or_default();
        after
            .iter()
            .zip(written.number..)
            .any(|(index, number)| index.number != number)
    });
    lost.map(|(name, _)| name.clone()).collect()
}

/// OpenSearch's time, for people who look for it there.
fn format_millis(time: Millis) -> String {
    DateTime::from_timestamp_millis(time)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

impl OpenSearchSource {
    fn indices(&self) -> Result<Streams> {
        let what = "list the data streams";
        // One that is missing would be an error by its name.
        let answer = self.ask(what, Method::Get, "/_data_stream/logs-*", &[], None)?;
        let known = streams();
        let all = answer.get("data_streams").and_then(Value::as_array);
        let all = all.ok_or_else(|| self.client.unexpected(what, "its answer has no data_streams"))?;
        let ours = all.iter().filter_map(|stream| {
            let name = stream.get("name")?.as_str()?;
            known.split(',').any(|own| own == name).then_some(())?;
            let indices = stream.get("indices")?.as_array()?;
            let indices = indices.iter().filter_map(|index| {
                let number = index.get("index_name")?.as_str()?.rsplit('-').next()?;
                Some(Index {
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

    /// Indices as `number` and the letter of their ids.
    fn streams(indices: &[(u64, &str)]) -> Streams {
        let indices = indices.iter().map(|(number, id)| Index {
            number: *number,
            id: (*id).to_owned(),
        });
        Streams::from([("logs-irmgard".to_owned(), indices.collect())])
    }

    fn is_missing(seen: &[(u64, &str)], present: &[(u64, &str)]) -> bool {
        !streams_with_gaps(&streams(seen), &streams(present)).is_empty()
    }

    #[test]
    fn what_was_read_may_go_and_what_was_not_may_not() {
        // Rolled over, and what was full deleted.
        assert!(!is_missing(&[(1, "a"), (2, "b")], &[(2, "b"), (3, "c")]));
        assert!(!is_missing(&[], &[(1, "a")]));
        // The one that was written to is gone.
        assert!(is_missing(&[(1, "a"), (2, "b")], &[(3, "c")]));
        // One that came and went meanwhile.
        assert!(is_missing(&[(2, "b")], &[(2, "b"), (4, "d")]));
        // Another stream of the same name, or none.
        assert!(is_missing(&[(1, "a")], &[(1, "x")]));
        assert!(is_missing(&[(1, "a")], &[]));
        assert_eq!(
            streams_with_gaps(&streams(&[(1, "a")]), &Streams::new()),
            ["logs-irmgard"]
        );
    }
}
