//! When to repeat a warning about a problem that lasts.

use std::time::{Duration, Instant};

/// Schedules warnings: one when a problem begins, then one per interval while it lasts.
#[derive(Debug)]
pub struct Reminder {
    interval: Duration,
    last_warning: Option<Instant>,
}

impl Reminder {
    #[must_use]
    pub const fn every(interval: Duration) -> Self {
        Self {
            interval,
            last_warning: None,
        }
    }

    /// Whether to warn now. `has_problem` says whether the problem exists at this moment.
    pub fn is_due(&mut self, has_problem: bool) -> bool {
        self.is_due_at(has_problem, Instant::now())
    }

    fn is_due_at(&mut self, has_problem: bool, now: Instant) -> bool {
        if !has_problem {
            self.last_warning = None;
            return false;
        }
        let due = self
            .last_warning
            .is_none_or(|last_warning| now.duration_since(last_warning) >= self.interval);
        if due {
            self.last_warning = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_at_once_then_per_interval_and_again_when_the_problem_returns() {
        let mut reminder = Reminder::every(Duration::from_secs(60));
        let start = Instant::now();
        let checks = [
            (0, false, false),
            (10, true, true),
            (15, true, false),
            (69, true, false),
            (70, true, true),
            (75, false, false),
            (80, true, true),
            (85, true, false),
        ];
        for (second, has_problem, due) in checks {
            let now = start + Duration::from_secs(second);
            assert_eq!(reminder.is_due_at(has_problem, now), due, "after {second} s");
        }
    }
}
