//! Warns about jobs that wait too long in the outbox. A log line reaches the person on call; a gauge needs a viewer.

use std::time::Duration;

use crate::reminder::Reminder;

/// Warns once a minute while the oldest job in the outbox is too old.
#[derive(Debug)]
pub struct AgeWarning {
    limit: Duration,
    reminder: Reminder,
}

impl AgeWarning {
    /// `limit` is the maximum age of a job.
    #[must_use]
    pub const fn new(limit: Duration) -> Self {
        Self {
            limit,
            reminder: Reminder::every(Duration::from_secs(60)),
        }
    }

    /// Updates the number of jobs and the age of the oldest.
    pub fn update(&mut self, rows: i64, oldest_seconds: f64) {
        if self.reminder.is_due(self.is_too_old(oldest_seconds)) {
            tracing::warn!(
                count = rows,
                outbox.oldest_age_seconds = oldest_seconds,
                "jobs wait too long in the outbox"
            );
        }
    }

    const fn is_too_old(&self, oldest_seconds: f64) -> bool {
        oldest_seconds > self.limit.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_may_be_as_old_as_the_limit() {
        let warning = AgeWarning::new(Duration::from_secs(60));
        for (seconds, too_old) in [(0.0, false), (60.0, false), (60.1, true)] {
            assert_eq!(warning.is_too_old(seconds), too_old, "{seconds} s");
        }
    }
}
