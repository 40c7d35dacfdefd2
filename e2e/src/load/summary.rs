//! Computes outages, failures and latencies from the requests of a load.

use std::{collections::BTreeMap, time::Duration};

use super::{AttemptResult, RequestAttempt, RequestKind};

/// A request with a later answer counts as not served.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// An outage: from the start of the first request that was not served, until the answer to the first later request that was
/// served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Since the start of the load.
    pub from: Duration,
    /// Since the start of the load.
    pub to: Duration,
}

impl Outage {
    pub fn duration(&self) -> Duration {
        self.to.saturating_sub(self.from)
    }
}

/// The outages among these requests. Their precision is the interval of the requests. An outage without a later served request
/// ends with the last request.
pub fn outages(attempts: &[RequestAttempt]) -> Vec<Outage> {
    let mut sorted: Vec<&RequestAttempt> = attempts.iter().collect();
    sorted.sort_by_key(|attempt| attempt.start);
    let last = sorted
        .iter()
        .map(|attempt| attempt.end())
        .max()
        .unwrap_or_default();
    // The earliest answer of the served requests from here on.
    let mut next_served = vec![None; sorted.len()];
    let mut earliest: Option<Duration> = None;
    for (index, attempt) in sorted.iter().enumerate().rev() {
        if is_served(attempt) {
            let end = attempt.end();
            earliest = Some(earliest.map_or(end, |other| other.min(end)));
        }
        next_served[index] = earliest;
    }
    let mut found: Vec<Outage> = Vec::new();
    for (attempt, next) in sorted.iter().zip(next_served) {
        let is_covered = found.last().is_some_and(|outage| attempt.start < outage.to);
        if !is_served(attempt) && !is_covered {
            found.push(Outage {
                from: attempt.start,
                to: next.unwrap_or(last),
            });
        }
    }
    found
}

fn is_served(attempt: &RequestAttempt) -> bool {
    attempt.result.is_success() && attempt.duration <= ANSWER_LIMIT
}

/// A summary of all requests of a kind.
#[derive(Clone, Debug, Default)]
pub struct LoadSummary {
    pub requests: usize,
    /// Requests without 2xx, by result.
    pub failed: BTreeMap<AttemptResult, usize>,
    /// Requests answered with 2xx after more than [`ANSWER_LIMIT`].
    pub late: usize,
    pub longest_outage: Duration,
    /// The sum of all outages.
    pub total_outage: Duration,
    /// Latencies of answers with 2xx, ascending.
    latencies: Vec<Duration>,
}

impl LoadSummary {
    /// The longest outage and the sum of all, as text: "2.1 s / 3.0 s".
    pub fn outages(&self) -> String {
        format!(
            "{} / {}",
            seconds(self.longest_outage),
            seconds(self.total_outage)
        )
    }

    /// Summarises the requests of a kind.
    pub fn new(kind: RequestKind, attempts: &[RequestAttempt]) -> Self {
        let attempts: Vec<RequestAttempt> = attempts
            .iter()
            .copied()
            .filter(|attempt| attempt.kind == kind)
            .collect();
        let mut summary = Self {
            requests: attempts.len(),
            ..Self::default()
        };
        for attempt in &attempts {
            if attempt.result.is_success() {
                summary.latencies.push(attempt.duration);
                summary.late += usize::from(!is_served(attempt));
            } else {
                *summary.failed.entry(attempt.result).or_default() += 1;
            }
        }
        summary.latencies.sort_unstable();
        for outage in outages(&attempts) {
            summary.longest_outage = summary.longest_outage.max(outage.duration());
            summary.total_outage += outage.duration();
        }
        summary
    }

    /// The number of requests without 2xx.
    pub fn failures(&self) -> usize {
        self.failed.values().sum()
    }

    /// The failures by result, for reports.
    pub fn failures_by_kind(&self) -> String {
        let kinds: Vec<_> = self
            .failed
            .iter()
            .map(|(result, count)| format!("{}: {count}", result.name()))
            .collect();
        if kinds.is_empty() {
            "none".to_owned()
        } else {
            kinds.join(", ")
        }
    }

    /// A percentile of the latencies of answers with 2xx (nearest rank).
    pub fn percentile(&self, percent: f64) -> Duration {
        percentile(&self.latencies, percent)
    }
}

/// A percentile of ascending times (nearest rank).
pub fn percentile(ascending: &[Duration], percent: f64) -> Duration {
    let rank = (percent / 100.0 * ascending.len() as f64).ceil() as usize;
    let index = rank.clamp(1, ascending.len().max(1)) - 1;
    ascending.get(index).copied().unwrap_or_default()
}

/// Seconds in the format of the reports: `0.42 s`.
pub fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if duration.is_zero() {
        "0".to_owned()
    } else if seconds < 10.0 {
        format!("{seconds:.2} s")
    } else {
        format!("{seconds:.1} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn attempt(start: u64, duration: u64, result: AttemptResult) -> RequestAttempt {
        RequestAttempt {
            kind: RequestKind::Write,
            start: ms(start),
            duration: ms(duration),
            result,
        }
    }

    const OK: AttemptResult = AttemptResult::Status(202);
    const BUSY: AttemptResult = AttemptResult::Status(503);

    #[test]
    fn an_outage_ends_with_the_answer_to_the_next_served_request() {
        let attempts = [
            attempt(0, 20, OK),
            attempt(1_000, 5, BUSY),
            attempt(2_000, 5, BUSY),
            attempt(3_000, 100, OK),
            attempt(4_000, 20, OK),
        ];
        let expected = Outage {
            from: ms(1_000),
            to: ms(3_100),
        };
        assert_eq!(outages(&attempts), [expected]);
    }

    #[test]
    fn a_failure_beside_served_requests_is_a_short_outage() {
        // One request hangs for ten seconds while others are served.
        let attempts = [
            attempt(0, 10_000, AttemptResult::TimedOut),
            attempt(200, 20, OK),
            attempt(400, 20, OK),
        ];
        assert_eq!(
            outages(&attempts),
            [Outage {
                from: ms(0),
                to: ms(220)
            }]
        );
    }

    #[test]
    fn separate_outages_are_found_in_any_order_of_the_requests() {
        let mut attempts = [
            attempt(0, 5, BUSY),
            attempt(100, 10, OK),
            attempt(200, 10, OK),
            attempt(300, 5, BUSY),
            attempt(400, 10, OK),
        ];
        let expected = [
            Outage {
                from: ms(0),
                to: ms(110),
            },
            Outage {
                from: ms(300),
                to: ms(410),
            },
        ];
        assert_eq!(outages(&attempts), expected);
        attempts.reverse();
        assert_eq!(outages(&attempts), expected);
        let summary = LoadSummary::new(RequestKind::Write, &attempts);
        assert_eq!((summary.longest_outage, summary.total_outage), (ms(110), ms(220)));
        assert_eq!(summary.failures_by_kind(), "503: 2");
    }

    #[test]
    fn a_late_answer_is_an_outage_but_no_failure() {
        let attempts = [
            attempt(0, 4_000, OK),
            attempt(1_000, 3_500, OK),
            attempt(5_000, 10, OK),
        ];
        let summary = LoadSummary::new(RequestKind::Write, &attempts);
        assert_eq!((summary.failures(), summary.late), (0, 2));
        assert_eq!(summary.longest_outage, ms(5_010));
    }

    #[test]
    fn an_outage_without_recovery_ends_with_the_last_request() {
        let attempts = [attempt(0, 5, OK), attempt(100, 5, BUSY), attempt(900, 100, BUSY)];
        assert_eq!(
            outages(&attempts),
            [Outage {
                from: ms(100),
                to: ms(1_000)
            }]
        );
    }

    #[test]
    fn percentiles_are_measured_times() {
        let attempts: Vec<_> = (1..=100).rev().map(|time| attempt(time, time, OK)).collect();
        let summary = LoadSummary::new(RequestKind::Write, &attempts);
        for (percent, expected) in [(50.0, 50), (95.0, 95), (99.0, 99), (100.0, 100), (0.0, 1)] {
            assert_eq!(summary.percentile(percent), ms(expected), "{percent}");
        }
        let none = LoadSummary::new(RequestKind::Image, &attempts);
        assert_eq!((none.requests, none.percentile(99.0)), (0, Duration::ZERO));
    }
}
