//! Warns if the sweep failed, is overdue or left objects.

use std::time::Duration;

use super::LatestRun;
use crate::reminder::Reminder;

/// Warns once an hour while the sweep fails, leaves objects that it should delete, or does not run.
#[derive(Debug)]
pub struct SweepWarning {
    /// Maximum time since the latest run; zero: no run is expected.
    limit: Duration,
    reminder: Reminder,
}

impl SweepWarning {
    /// `limit` is the maximum time since the latest run; zero: no run is expected.
    #[must_use]
    pub const fn new(limit: Duration) -> Self {
        Self {
            limit,
            reminder: Reminder::every(Duration::from_secs(3600)),
        }
    }

    /// Updates the latest run.
    pub fn update(&mut self, run: &LatestRun) {
        let problem = self.problem(run);
        if !self.reminder.is_due(problem.is_some()) {
            return;
        }
        let what = match problem {
            Some("sweep-failed") => "failed",
            Some("sweep-overdue") => "is overdue",
            _ => "left objects that --delete would delete",
        };
        tracing::warn!(
            reason = problem,
            count = run.deletable(),
            sweep.age_seconds = run.age_seconds,
            error = run.error,
            "irmgard sweep {what}; see docs/runbooks/sweep.md"
        );
    }

    fn problem(&self, run: &LatestRun) -> Option<&'static str> {
        let is_overdue = !self.limit.is_zero() && run.age_seconds > self.limit.as_secs_f64();
        if run.error.is_some() {
            Some("sweep-failed")
        } else if is_overdue {
            Some("sweep-overdue")
        } else {
            (run.deletable() > 0).then_some("objects-left")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sqlx::types::Json;

    use super::*;

    #[test]
    fn a_failed_overdue_or_incomplete_sweep_is_a_problem() {
        let day = Duration::from_secs(86_400);
        let run = |age_seconds: f64, error: Option<&str>, left: &[(&str, i64)]| LatestRun {
            at: None,
            age_seconds,
            error: error.map(str::to_owned),
            left_over: Json(BTreeMap::from_iter(
                left.iter().map(|(kind, count)| ((*kind).to_owned(), *count)),
            )),
        };
        for (limit, run, expected) in [
            (day, run(86_400.0, None, &[]), None),
            (day, run(86_401.0, None, &[]), Some("sweep-overdue")),
            (Duration::ZERO, run(1e9, None, &[]), None),
            (
                day,
                run(1.0, Some("refused"), &[("no-photo", 1)]),
                Some("sweep-failed"),
            ),
            (day, run(1.0, None, &[("no-photo", 1)]), Some("objects-left")),
            (
                day,
                run(1.0, None, &[("unfinished-upload", 2)]),
                Some("objects-left"),
            ),
            // Kinds that --delete does not delete, and a kind of a newer program.
            (
                day,
                run(
                    1.0,
                    None,
                    &[("lost-photo", 3), ("foreign-key", 1), ("new-kind", 9)],
                ),
                None,
            ),
        ] {
            assert_eq!(SweepWarning::new(limit).problem(&run), expected, "{run:?}");
        }
    }
}
