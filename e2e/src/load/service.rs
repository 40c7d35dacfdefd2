//! From requests to figures: for how long there was no service, how long
//! answers took.

use std::{collections::BTreeMap, time::Duration};

use super::{Attempt, Kind, Outcome};

/// A request whose answer takes longer was not served, for whom waits.
pub const IN_TIME: Duration = Duration::from_secs(3);

/// A time without service: from the beginning of the first request that was not served, to the answer of the first one that was
/// and that began no earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Since the load began.
    pub from: Duration,
    /// Since the load began.
    pub to: Duration,
}

impl Outage {
    /// How long it was.
    #[must_use]
    pub fn lasted(&self) -> Duration {
        self.to.saturating_sub(self.from)
    }
}

/// Times without service. They are as exact as the requests are frequent; where none was served any more, the last one ends
/// with the last request.
#[must_use]
pub fn outages(attempts: &[Attempt]) -> Vec<Outage> {
    let mut sorted: Vec<&Attempt> = attempts.iter().collect();
    sorted.sort_by_key(|attempt| attempt.began);
    let last = sorted
        .iter()
        .map(|attempt| attempt.ended())
        .max()
        .unwrap_or_default();
    // The earliest answer of those that are served from here on.
    let mut next_served = vec![None; sorted.len()];
    let mut earliest: Option<Duration> = None;
    for (place, attempt) in sorted.iter().enumerate().rev() {
        if served(attempt) {
            let ended = attempt.ended();
            earliest = Some(earliest.map_or(ended, |known| known.min(ended)));
        }
        next_served[place] = earliest;
    }
    let mut found: Vec<Outage> = Vec::new();
    for (attempt, next) in sorted.iter().zip(next_served) {
        let known = found.last().is_some_and(|outage| attempt.began < outage.to);
        if !served(attempt) && !known {
            found.push(Outage {
                from: attempt.began,
                to: next.unwrap_or(last),
            });
        }
    }
    found
}

fn served(attempt: &Attempt) -> bool {
    attempt.outcome.is_success() && attempt.took <= IN_TIME
}

/// The figures of all requests of a kind.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How many.
    pub requests: usize,
    /// Those that did not end with 2xx, by how they did end.
    pub failed: BTreeMap<Outcome, usize>,
    /// Answered with 2xx, but later than [`IN_TIME`].
    pub late: usize,
    /// The longest time without service.
    pub longest: Duration,
    /// All times without service together.
    pub total: Duration,
    /// How long answers with 2xx took, ascending.
    took: Vec<Duration>,
}

impl Summary {
    /// Of the requests of a kind among these.
    #[must_use]
    pub fn of(kind: Kind, attempts: &[Attempt]) -> Self {
        let attempts: Vec<Attempt> = attempts
            .iter()
            .copied()
            .filter(|attempt| attempt.kind == kind)
            .collect();
        let mut summary = Self {
            requests: attempts.len(),
            ..Self::default()
        };
        for attempt in &attempts {
            if attempt.outcome.is_success() {
                summary.took.push(attempt.took);
                summary.late += usize::from(!served(attempt));
            } else {
                *summary.failed.entry(attempt.outcome).or_default() += 1;
            }
        }
        summary.took.sort_unstable();
        for outage in outages(&attempts) {
            summary.longest = summary.longest.max(outage.lasted());
            summary.total += outage.lasted();
        }
        summary
    }

    /// Requests that did not end with 2xx.
    #[must_use]
    pub fn failures(&self) -> usize {
        self.failed.values().sum()
    }

    /// Failures by kind, for people.
    #[must_use]
    pub fn failures_by_kind(&self) -> String {
        let kinds: Vec<_> = self
            .failed
            .iter()
            .map(|(outcome, count)| format!("{}: {count}", outcome.name()))
            .collect();
        if kinds.is_empty() {
            "none".to_owned()
        } else {
            kinds.join(", ")
        }
    }

    /// How long answers with 2xx took: the smallest time that so many of a hundred did not exceed.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> Duration {
        percentile(&self.took, percent)
    }
}

/// The smallest of these times, in ascending order, that so many of a hundred did not exceed.
#[must_use]
pub fn percentile(ascending: &[Duration], percent: f64) -> Duration {
    let rank = (percent / 100.0 * ascending.len() as f64).ceil() as usize;
    let place = rank.clamp(1, ascending.len().max(1)) - 1;
    ascending.get(place).copied().unwrap_or_default()
}

/// How many of these moments lie in each window of time, from 0 on to the last window that holds one.
#[must_use]
pub fn over_time(moments: &[Duration], window: Duration) -> Vec<usize> {
    let mut counts = Vec::new();
    for moment in moments {
        let place = (moment.as_secs_f64() / window.as_secs_f64()) as usize;
        if counts.len() <= place {
            counts.resize(place + 1, 0);
        }
        counts[place] += 1;
    }
    counts
}

/// Seconds, as they stand in reports: `0.42 s`.
#[must_use]
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

    fn attempt(began: u64, took: u64, outcome: Outcome) -> Attempt {
        Attempt {
            kind: Kind::Write,
            began: ms(began),
            took: ms(took),
            outcome,
        }
    }

    const OK: Outcome = Outcome::Status(202);
    const BUSY: Outcome = Outcome::Status(503);

    #[test]
    fn an_outage_lasts_to_the_answer_of_the_next_that_is_served() {
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
    fn one_that_fails_beside_others_that_are_served_is_short() {
        // It hangs for ten seconds, while others are served.
        let attempts = [
            attempt(0, 10_000, Outcome::TimedOut),
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
    fn two_outages_are_two_and_the_order_of_the_records_does_not_matter() {
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
        let summary = Summary::of(Kind::Write, &attempts);
        assert_eq!((summary.longest, summary.total), (ms(110), ms(220)));
        assert_eq!(summary.failures_by_kind(), "503: 2");
    }

    #[test]
    fn a_late_answer_is_no_service_but_no_failure() {
        let attempts = [
            attempt(0, 4_000, OK),
            attempt(1_000, 3_500, OK),
            attempt(5_000, 10, OK),
        ];
        let summary = Summary::of(Kind::Write, &attempts);
        assert_eq!((summary.failures(), summary.late), (0, 2));
        assert_eq!(summary.longest, ms(5_010));
    }

    #[test]
    fn what_never_comes_back_is_away_to_the_end() {
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
    fn percentiles_are_times_that_were_measured() {
        let attempts: Vec<_> = (1..=100).rev().map(|took| attempt(took, took, OK)).collect();
        let summary = Summary::of(Kind::Write, &attempts);
        for (percent, expected) in [(50.0, 50), (95.0, 95), (99.0, 99), (100.0, 100), (0.0, 1)] {
            assert_eq!(summary.percentile(percent), ms(expected), "{percent}");
        }
        let none = Summary::of(Kind::Image, &attempts);
        assert_eq!((none.requests, none.percentile(99.0)), (0, Duration::ZERO));
    }

    #[test]
    fn moments_are_counted_by_window() {
        let moments = [ms(0), ms(900), ms(1_000), ms(3_500)];
        assert_eq!(over_time(&moments, ms(1_000)), [2, 1, 0, 1]);
    }
}
