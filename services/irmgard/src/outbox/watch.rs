//! Jobs that wait too long: for whoever is called, not only for a gauge that
//! somebody may look at.

use std::time::{Duration, Instant};

/// Time between two lines about the same trouble.
const REST: Duration = Duration::from_secs(60);

/// Tells when the oldest job of the outbox is older than it should be.
#[derive(Debug)]
pub struct Watch {
    limit: Duration,
    told: Option<Instant>,
}

impl Watch {
    /// One that is content with jobs of up to this age.
    #[must_use]
    pub const fn new(limit: Duration) -> Self {
        Self { limit, told: None }
    }

    /// Takes the number of jobs and the age of the oldest, and tells of it
    /// where that is too much: at most once a minute, and at once when it
    /// begins anew.
    pub fn saw(&mut self, rows: i64, oldest_seconds: f64) {
        if self.is_due(oldest_seconds, Instant::now()) {
            tracing::warn!(
                count = rows,
                outbox.oldest_age_seconds = oldest_seconds,
                "jobs wait too long in the outbox"
            );
        }
    }

    fn is_due(&mut self, oldest_seconds: f64, now: Instant) -> bool {
        if oldest_seconds <= self.limit.as_secs_f64() {
            self.told = None;
            return false;
        }
        let due = self.told.is_none_or(|told| now.duration_since(told) >= REST);
        if due {
            self.told = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_once_a_minute_and_anew_when_it_comes_back() {
        let mut watch = Watch::new(Duration::from_secs(60));
        let start = Instant::now();
        let looks = [
            (0, 0.0, false),
            (5, 60.0, false),
            (10, 60.1, true),
            (15, 65.1, false),
            (69, 119.0, false),
            (70, 120.1, true),
            (75, 0.0, false),
            (80, 61.0, true),
            (85, 66.0, false),
        ];
        for (second, oldest, due) in looks {
            let now = start + Duration::from_secs(second);
            assert_eq!(watch.is_due(oldest, now), due, "after {second} s, {oldest} s old");
        }
    }
}
