//! Who waits for a lock in the database, looked at many times a second.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::PgPool;
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};

/// Between two looks.
pub const LOOK: Duration = Duration::from_millis(100);

/// The longest wait at a moment; zero where nobody waits.
type Looks = Arc<Mutex<Vec<(Duration, Duration)>>>;

/// Looks until it is dropped.
pub struct Waits {
    looks: Looks,
    task: JoinHandle<()>,
}

/// What was seen in a part of the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waited {
    /// Looks at which somebody waited.
    pub with: usize,
    /// All looks.
    pub looks: usize,
    /// The longest wait.
    pub longest: Duration,
}

impl Waits {
    /// Begins to look; moments are since `zero`.
    pub fn start(database: PgPool, zero: Instant) -> Self {
        let looks = Looks::default();
        let noted = Arc::clone(&looks);
        let task = tokio::spawn(async move {
            let mut ticks = interval(LOOK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                // Advisory locks: who migrates waits for who migrates already.
                let seen = sqlx::query_scalar::<_, f64>(
                    "select coalesce(max(extract(epoch from clock_timestamp() - waitstart)), 0)::float8
                       from pg_locks where not granted and locktype <> 'advisory'",
                )
                .fetch_one(&database)
                .await;
                // A look that failed is none: the table says how many there were.
                if let Ok(seconds) = seen {
                    let waited = Duration::try_from_secs_f64(seconds).unwrap_or_default();
                    noted
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((zero.elapsed(), waited));
                }
            }
        });
        Self { looks, task }
    }

    /// What was seen in a part of the time.
    pub fn between(&self, from: Duration, to: Duration) -> Waited {
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        waited(looks.iter().filter(|(at, _)| (from..to).contains(at)))
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn waited<'a>(looks: impl Iterator<Item = &'a (Duration, Duration)>) -> Waited {
    looks.fold(Waited::default(), |seen, (_, waited)| Waited {
        with: seen.with + usize::from(!waited.is_zero()),
        looks: seen.looks + 1,
        longest: seen.longest.max(*waited),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_wait_is_told() {
        let looks = [0, 30, 10].map(|ms| (Duration::ZERO, Duration::from_millis(ms)));
        let expected = Waited {
            with: 2,
            looks: 3,
            longest: Duration::from_millis(30),
        };
        assert_eq!(waited(looks.iter()), expected);
    }
}
