//! Waits for a condition, not for a time.

use std::fmt::Display;

use tokio::time::{Duration, Instant, sleep};

/// How long a condition may take on a busy machine.
pub const TIME_LIMIT: Duration = Duration::from_secs(60);

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The result of one check. A value ends the wait; the text says what is missing.
pub trait Condition {
    type Value;

    /// # Errors
    /// Why the condition does not hold yet.
    fn check(self) -> Result<Self::Value, String>;
}

impl Condition for bool {
    type Value = ();

    fn check(self) -> Result<(), String> {
        self.then_some(()).ok_or_else(|| "it does not hold".into())
    }
}

impl<T> Condition for Option<T> {
    type Value = T;

    fn check(self) -> Result<T, String> {
        self.ok_or_else(|| "there is no value".into())
    }
}

impl<T, E: Display> Condition for Result<T, E> {
    type Value = T;

    fn check(self) -> Result<T, String> {
        self.map_err(|error| format!("{error:#}"))
    }
}

/// Waits until a condition holds, at most [`TIME_LIMIT`], and returns its value.
///
/// # Panics
/// When it does not hold in time, with the last error.
pub async fn eventually<C: Condition>(what: &str, condition: impl AsyncFnMut() -> C) -> C::Value {
    eventually_within(TIME_LIMIT, what, condition).await
}

/// As [`eventually`], with another limit.
///
/// # Panics
/// When the condition does not hold in time, with the last error.
#[expect(clippy::panic, reason = "a test fails by panicking")]
pub async fn eventually_within<C: Condition>(
    limit: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> C,
) -> C::Value {
    let deadline = Instant::now() + limit;
    loop {
        match condition().await.check() {
            Ok(value) => return value,
            Err(error) if Instant::now() >= deadline => panic!("not within {limit:?}: {what}: {error}"),
            Err(_) => sleep(POLL_INTERVAL).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_returns_the_value_of_the_first_check_that_holds() {
        let mut checks = 0;
        let value = eventually("three checks", async || {
            checks += 1;
            (checks == 3).then_some(checks)
        });
        assert_eq!(value.await, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "not within 50ms: an answer: refused 1")]
    async fn it_fails_with_the_last_error() {
        let limit = Duration::from_millis(50);
        eventually_within(limit, "an answer", async || Err::<(), _>("refused 1")).await;
    }
}
