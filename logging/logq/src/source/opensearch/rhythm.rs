//! Decides whether a silent component is idle or disconnected, by its earlier silences.
//!
//! This is the only place that decides it. Lines cannot distinguish an idle program from a disconnected one. But a
//! component that sent lines every minute, and then none for several times its longest silence, is missed.

use schema::field;
use serde_json::{Value, json};

use super::{IGNORE_UNAVAILABLE, streams};
use crate::opensearch::{Client, Method, Result};

const LOOKBACK: &str = "now-24h";

/// Resolution, seconds.
const STEP_SECONDS: f64 = 60.0;

/// Minimum duration of a known rhythm, seconds.
const MIN_SPAN_SECONDS: f64 = 600.0;

/// A component is missed after this multiple of its longest silence.
const SILENCE_FACTOR: f64 = 3.0;

/// When lines of the last day arrived, by OpenSearch's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rhythm {
    /// When the newest arrived, seconds since 1970.
    pub newest: f64,
    /// The longest interval between two lines, seconds, in whole minutes.
    pub longest: f64,
    /// From the first to the newest, seconds.
    pub span: f64,
}

impl Rhythm {
    /// Fetches the rhythm of the lines of a query, and OpenSearch's time; None without a line in the last day.
    ///
    /// # Errors
    /// Every error of [`Client::ask`].
    pub async fn ask(client: &Client, query: Value) -> Result<Option<(Self, f64)>> {
        let since = |since: &str| json!({ "range": { field::EVENT_INGESTED: { "gte": since } } });
        let taken = field::EVENT_INGESTED;
        let body = json!({
            "size": 0,
            "track_total_hits": false,
            "query": { "bool": { "filter": [since(LOOKBACK), query] } },
            "aggs": {
                "minutes": { "date_histogram": { "field": taken, "fixed_interval": "1m", "min_doc_count": 1 } },
                "newest": { "max": { "field": taken } },
                "now": { "date_range": { "field": taken, "ranges": [{ "from": "now" }] } },
            },
        });
        let path = format!("/{}/_search", streams());
        let what = "report when lines arrived";
        let answer = client
            .ask(what, Method::Post, &path, &IGNORE_UNAVAILABLE, Some(&body))
            .await?;
        Ok(Self::read(&answer))
    }

    fn read(answer: &Value) -> Option<(Self, f64)> {
        let seconds = |value: &Value| Some(value.as_f64()? / 1_000.0);
        let minutes = answer.pointer("/aggregations/minutes/buckets")?.as_array()?;
        let rhythm = Self::from_minutes(minutes.iter().filter_map(|minute| seconds(minute.get("key")?)))?;
        let newest = seconds(answer.pointer("/aggregations/newest/value")?)?;
        let now = seconds(answer.pointer("/aggregations/now/buckets/0/from")?)?;
        Some((Self { newest, ..rhythm }, now))
    }

    /// From the minutes with lines, in order.
    fn from_minutes(minutes: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut minutes = minutes.into_iter();
        let first = minutes.next()?;
        let mut rhythm = Self {
            newest: first,
            ..Self::default()
        };
        for minute in minutes {
            rhythm.longest = rhythm.longest.max(minute - rhythm.newest);
            rhythm.newest = minute;
        }
        rhythm.span = rhythm.newest - first;
        Some(rhythm)
    }

    #[must_use]
    pub fn is_known(&self) -> bool {
        self.span >= MIN_SPAN_SECONDS && self.span >= SILENCE_FACTOR * self.longest
    }

    /// Whether lines are overdue at this time, seconds since 1970.
    #[must_use]
    pub fn is_broken(&self, now: f64) -> bool {
        self.is_known() && now - self.newest > SILENCE_FACTOR * self.longest.max(STEP_SECONDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line every `minutes` minutes, until `until` minutes ago.
    fn every(minutes: u32, until: u32) -> Rhythm {
        let times = (until..1_440).rev().step_by(minutes as usize);
        Rhythm::from_minutes(times.map(|ago| 100_000.0 - 60.0 * f64::from(ago))).unwrap()
    }

    #[test]
    fn unusual_silence_is_reported() {
        for (step, silent, broken) in [
            (1, 2, false),
            (1, 4, true),
            (5, 10, false),
            (5, 20, true),
            (120, 300, false),
            (120, 600, true),
        ] {
            let rhythm = every(step, 0);
            let now = rhythm.newest + 60.0 * f64::from(silent);
            assert_eq!(rhythm.is_broken(now), broken, "{step} {silent}");
        }
    }

    #[test]
    fn burst_is_not_a_rhythm() {
        let burst = Rhythm::from_minutes([0.0, 60.0, 120.0]).unwrap();
        assert!(!burst.is_broken(86_400.0));
        // Neither do two bursts, an hour apart.
        let two = Rhythm::from_minutes([0.0, 60.0, 3_600.0, 3_660.0]).unwrap();
        assert!(!two.is_broken(86_400.0));
        assert_eq!(Rhythm::from_minutes([]), None);
        // An hour of work does.
        let hour = Rhythm::from_minutes((0..60).map(|minute| 60.0 * f64::from(minute))).unwrap();
        assert!(hour.is_broken(hour.newest + 400.0));
    }
}
