//! Tells a busy server from one that is down: while it answers other requests, a request may wait longer.

use std::{
    future::Future,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// A request gives up after this many time limits, even if the server answers others.
const MAX_TIMEOUTS: u32 = 6;

/// When a server last answered any request.
#[derive(Debug)]
pub struct Liveness {
    epoch: Instant,
    last_answer_ms: AtomicU64,
}

impl Default for Liveness {
    fn default() -> Self {
        Self {
            epoch: Instant::now(),
            last_answer_ms: AtomicU64::new(0),
        }
    }
}

impl Liveness {
    /// Records that the server answers now.
    pub fn record_answer(&self) {
        let now = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_answer_ms.fetch_max(now, Ordering::Relaxed);
    }

    /// Deadline of an answer that is due since `since`. It is `limit` after the server's last answer to any
    /// request, but at most [`MAX_TIMEOUTS`] limits after `since`.
    #[must_use]
    pub fn deadline(&self, since: Instant, limit: Duration) -> Instant {
        let last = self.epoch + Duration::from_millis(self.last_answer_ms.load(Ordering::Relaxed));
        (since.max(last) + limit).min(since + limit * MAX_TIMEOUTS)
    }

    /// Waits for an answer until [`Liveness::deadline`]; `None` after that.
    pub async fn wait_for_answer<T>(&self, limit: Duration, answer: impl Future<Output = T>) -> Option<T> {
        let started = Instant::now();
        let timed_out = async {
            loop {
                let deadline = self.deadline(started, limit);
                if Instant::now() >= deadline {
                    break;
                }
                sleep_until(deadline).await;
            }
        };
        tokio::select! {
            biased;
            answer = answer => Some(answer),
            () = timed_out => None,
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
    async fn a_silent_server_gets_no_more_than_the_limit() {
        let liveness = Liveness::default();
        sleep(LIMIT * 10).await;
        let started = Instant::now();
        assert_eq!(liveness.wait_for_answer(LIMIT, pending::<()>()).await, None);
        assert_eq!(started.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_answers_others_gets_more_time_up_to_a_maximum() {
        let liveness = Liveness::default();
        let other_answers = async {
            loop {
                sleep(LIMIT / 3).await;
                liveness.record_answer();
            }
        };
        let request = liveness.wait_for_answer(LIMIT, async { sleep(LIMIT * 4).await });
        tokio::select! { answered = request => assert!(answered.is_some()), () = other_answers => {} }

        let other_answers = async {
            loop {
                sleep(LIMIT / 3).await;
                liveness.record_answer();
            }
        };
        let started = Instant::now();
        let unanswered = liveness.wait_for_answer(LIMIT, pending::<()>());
        tokio::select! { answered = unanswered => assert!(answered.is_none()), () = other_answers => {} }
        assert_eq!(started.elapsed(), LIMIT * MAX_TIMEOUTS);
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_counts_from_the_last_answer() {
        let liveness = Liveness::default();
        let dies = async {
            sleep(LIMIT / 2).await;
            liveness.record_answer();
            pending::<()>().await;
        };
        let started = Instant::now();
        tokio::select! { _ = liveness.wait_for_answer(LIMIT, pending::<()>()) => {}, () = dies => {} }
        assert_eq!(started.elapsed(), LIMIT + LIMIT / 2);
    }
}
