//! When to warn of a trouble that lasts.

use std::time::{Duration, Instant};

/// Says when to warn: at once when a trouble begins, and again after each
/// interval while it lasts.
#[derive(Debug)]
pub struct Reminder {
    interval: Duration,
    warned: Option<Instant>,
}

impl Reminder {
    /// A reminder with this interval.
    #[must_use]
    pub const fn every(interval: Duration) -> Self {
        Self {
            interval,
            warned: None,
        }
    }

    /// Whether to warn now.
    pub fn is_due(&mut self, in_trouble: bool) -> bool {
        self.is_due_at(in_trouble, Instant::now())
    }

    fn is_due_at(&mut self, in_trouble: bool, now: Instant) -> bool {
        if !in_trouble {
            self.warned = None;
            return false;
        }
        let due = self
            .warned
            .is_none_or(|warned| now.duration_since(warned) >= self.interval);
        if due {
            self.warned = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_at_once_then_once_an_interval_and_anew_when_the_trouble_comes_back() {
        let mut reminder = Reminder::every(Duration::from_secs(60));
        let start = Instant::now();
        let looks = [
            (0, false, false),
            (10, true, true),
            (15, true, false),
            (69, true, false),
            (70, true, true),
            (75, false, false),
            (80, true, true),
            (85, true, false),
        ];
        for (second, in_trouble, due) in looks {
            let now = start + Duration::from_secs(second);
            assert_eq!(reminder.is_due_at(in_trouble, now), due, "after {second} s");
        }
    }
}
