//! Waiting for a condition.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

const LOOK: Duration = Duration::from_millis(200);

/// What a look at a condition found.
#[derive(Debug)]
pub enum Seen<T> {
    /// It holds.
    Yes(T),
    /// It does not yet; what was seen instead.
    NotYet(String),
}

/// Looks five times a second until a condition holds. That a look fails is no reason to stop: what is looked at may be away.
///
/// # Errors
/// When it does not hold after `patience`; with what was seen last.
pub async fn until<T>(
    what: &str,
    patience: Duration,
    mut look: impl AsyncFnMut() -> Result<Seen<T>>,
) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        let last = match look().await {
            Ok(Seen::Yes(value)) => return Ok(value),
            Ok(Seen::NotYet(seen)) => seen,
            Err(error) => format!("{error:#}"),
        };
        if Instant::now() >= deadline {
            bail!("{what}: not after {} s; last seen: {last}", patience.as_secs());
        }
        sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_goes_on_after_failures_and_tells_what_it_saw_last() {
        let mut looks = 0;
        let found = until("pods", Duration::from_secs(5), async || {
            looks += 1;
            match looks {
                1 => bail!("the API is away"),
                2 => Ok(Seen::NotYet("1 of 2".to_owned())),
                _ => Ok(Seen::Yes(looks)),
            }
        });
        assert_eq!(found.await.unwrap(), 3);

        let never = until::<()>("pods", Duration::from_millis(300), async || bail!("refused"));
        let error = never.await.unwrap_err().to_string();
        assert_eq!(error, "pods: not after 0 s; last seen: refused");
    }
}
