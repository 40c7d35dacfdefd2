//! Waits for conditions.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The result of one check of a condition.
#[derive(Debug)]
pub enum Condition<T> {
    Met(T),
    /// What the check observed instead.
    Unmet(String),
}

/// Checks a condition five times a second until it is met. An error of `check` does not end the wait, because the server may
/// be unavailable.
///
/// # Errors
/// When the condition is not met after `time_limit`; with the last observation.
pub async fn wait_until<T>(
    what: &str,
    time_limit: Duration,
    mut check: impl AsyncFnMut() -> Result<Condition<T>>,
) -> Result<T> {
    let deadline = Instant::now() + time_limit;
    loop {
        let last = match check().await {
            Ok(Condition::Met(value)) => return Ok(value),
            Ok(Condition::Unmet(observed)) => observed,
            Err(error) => format!("{error:#}"),
        };
        if Instant::now() >= deadline {
            bail!(
                "{what}: not after {} s; last observed: {last}",
                time_limit.as_secs()
            );
        }
        sleep(POLL_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_continues_after_errors_and_reports_the_last_observation() {
        let mut checks = 0;
        let met = wait_until("pods", Duration::from_secs(5), async || {
            checks += 1;
            match checks {
                1 => bail!("the API is unavailable"),
                2 => Ok(Condition::Unmet("1 of 2".to_owned())),
                _ => Ok(Condition::Met(checks)),
            }
        });
        assert_eq!(met.await.unwrap(), 3);

        let never = wait_until::<()>("pods", Duration::from_millis(300), async || bail!("refused"));
        let error = never.await.unwrap_err().to_string();
        assert_eq!(error, "pods: not after 0 s; last observed: refused");
    }
}
