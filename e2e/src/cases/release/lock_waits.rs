//! Samples lock waits in the database ten times a second.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::PgPool;
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};

/// The time between two samples.
pub const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The time of each sample, and its longest wait (zero if no session waits).
type Samples = Arc<Mutex<Vec<(Duration, Duration)>>>;

/// Samples lock waits until it is dropped.
pub struct LockMonitor {
    samples: Samples,
    task: JoinHandle<()>,
}

/// The lock waits in a time range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockWaits {
    /// Samples with a waiting session.
    pub with_wait: usize,
    pub samples: usize,
    pub longest: Duration,
}

impl LockMonitor {
    /// Starts sampling. Times are since `zero`.
    pub fn start(database: PgPool, zero: Instant) -> Self {
        let samples = Samples::default();
        let shared = Arc::clone(&samples);
        let task = tokio::spawn(async move {
            let mut ticks = interval(POLL_INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                // Advisory locks are left out: a second migration waits for the first one.
                let longest = sqlx::query_scalar::<_, f64>(
                    "select coalesce(max(extract(epoch from clock_timestamp() - waitstart)), 0)::float8
                       from pg_locks where not granted and locktype <> 'advisory'",
                )
                .fetch_one(&database)
                .await;
                // Failed samples are not counted. The report has the number of samples.
                if let Ok(seconds) = longest {
                    let waited = Duration::try_from_secs_f64(seconds).unwrap_or_default();
                    shared
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((zero.elapsed(), waited));
                }
            }
        });
        Self { samples, task }
    }

    /// The lock waits in a time range.
    pub fn between(&self, from: Duration, to: Duration) -> LockWaits {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        summarize(samples.iter().filter(|(at, _)| (from..to).contains(at)))
    }
}

impl Drop for LockMonitor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn summarize<'a>(samples: impl Iterator<Item = &'a (Duration, Duration)>) -> LockWaits {
    samples.fold(LockWaits::default(), |sum, (_, waited)| LockWaits {
        with_wait: sum.with_wait + usize::from(!waited.is_zero()),
        samples: sum.samples + 1,
        longest: sum.longest.max(*waited),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_counted_and_the_longest_is_kept() {
        let samples = [0, 30, 10].map(|ms| (Duration::ZERO, Duration::from_millis(ms)));
        let expected = LockWaits {
            with_wait: 2,
            samples: 3,
            longest: Duration::from_millis(30),
        };
        assert_eq!(summarize(samples.iter()), expected);
    }
}
