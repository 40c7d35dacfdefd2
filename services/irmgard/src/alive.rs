//! Busy, or down? A server that answers others is given more time.

use std::{
    future::Future,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// A request that gets no answer for so many time limits is given up, even if
/// the server answers others.
const PATIENCE: u32 = 6;

/// When a server last showed to anybody that it works.
#[derive(Debug)]
pub struct Alive {
    epoch: Instant,
    milliseconds: AtomicU64,
}

impl Default for Alive {
    fn default() -> Self {
        Self {
            epoch: Instant::now(),
            milliseconds: AtomicU64::new(0),
        }
    }
}

impl Alive {
    /// It does so now.
    pub fn now(&self) {
        let now = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.milliseconds.fetch_max(now, Ordering::Relaxed);
    }

    /// Until when an answer is waited for that has been due since `since`:
    /// for `limit`, and as long as others have had one within `limit`.
    #[must_use]
    pub fn deadline(&self, since: Instant, limit: Duration) -> Instant {
        let last = self.epoch + Duration::from_millis(self.milliseconds.load(Ordering::Relaxed));
        (since.max(last) + limit).min(since + limit * PATIENCE)
    }

    /// Waits for an answer until [`Alive::deadline`]; `None` when it has
    /// passed.
    pub async fn within<T>(&self, limit: Duration, answer: impl Future<Output = T>) -> Option<T> {
        let began = Instant::now();
        let given_up = async {
            loop {
                let deadline = self.deadline(began, limit);
                if Instant::now() >= deadline {
                    break;
                }
                sleep_until(deadline).await;
            }
        };
        tokio::select! {
            biased;
            answer = answer => Some(answer),
            () = given_up => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::sleep;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_waited_for_no_longer_than_the_limit() {
        let alive = Alive::default();
        sleep(LIMIT * 10).await;
        let began = Instant::now();
        assert_eq!(alive.within(LIMIT, pending::<()>()).await, None);
        assert_eq!(began.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_answers_others_is_given_more_time_but_not_all() {
        let alive = Alive::default();
        let others = async {
            loop {
                sleep(LIMIT / 3).await;
                alive.now();
            }
        };
        let mine = alive.within(LIMIT, async { sleep(LIMIT * 4).await });
        tokio::select! { answered = mine => assert!(answered.is_some()), () = others => {} }

        let others = async {
            loop {
                sleep(LIMIT / 3).await;
                alive.now();
            }
        };
        let began = Instant::now();
        let never = alive.within(LIMIT, pending::<()>());
        tokio::select! { answered = never => assert!(answered.is_none()), () = others => {} }
        assert_eq!(began.elapsed(), LIMIT * PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_runs_from_the_last_sign_of_life() {
        let alive = Alive::default();
        let dies = async {
            sleep(LIMIT / 2).await;
            alive.now();
            pending::<()>().await;
        };
        let began = Instant::now();
        tokio::select! { _ = alive.within(LIMIT, pending::<()>()) => {}, () = dies => {} }
        assert_eq!(began.elapsed(), LIMIT + LIMIT / 2);
    }
}
