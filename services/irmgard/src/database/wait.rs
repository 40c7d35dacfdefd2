//! Waits for a database that is not ready yet: for the server, and for its schema.

use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::time::sleep;

use super::{Database, SchemaError, SchemaState, run_limited};

/// Delay between attempts.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Interval of the warnings about the same wait.
const WARNING_INTERVAL: Duration = Duration::from_secs(30);

/// Waits until a connection succeeds, for up to `max_wait`. Retries after every error: in a new installation the
/// server comes first, then its roles, then the database.
///
/// # Errors
/// The last error.
pub async fn wait_until_reachable(options: &PgConnectOptions, max_wait: Duration) -> Result<(), sqlx::Error> {
    let start = Instant::now();
    let mut warned = false;
    loop {
        let reached = run_limited(async { PgConnection::connect_with(options).await?.close().await });
        match reached.await {
            Ok(()) => return Ok(()),
            Err(error) if start.elapsed() >= max_wait => return Err(error),
            Err(error) => {
                if !warned {
                    tracing::warn!(%error, "waiting for PostgreSQL");
                    warned = true;
                }
            }
        }
        sleep(RETRY_DELAY).await;
    }
}

/// Waits until PostgreSQL has a schema that fits this program.
///
/// In a cluster, `irmgard serve` and `irmgard migrate` start at the same time. If `serve` exited meanwhile, its
/// restart would come after a pause that is longer than the migration. A missing schema is noticed anyway: the
/// process does not become ready, which stops a rollout, and it logs what it waits for.
///
/// # Errors
/// [`SchemaError::TooNew`]: waiting does not help.
pub async fn wait_for_schema(database: &Database) -> Result<SchemaState, SchemaError> {
    let mut schedule = WarningSchedule::default();
    loop {
        let (message, error) = match database.check_schema().await {
            // `Denied` is temporary: the grants come after the tables.
            Err(error @ (SchemaError::TooOld { .. } | SchemaError::Denied)) => {
                ("waiting for `irmgard migrate`", error)
            }
            Err(error @ (SchemaError::Unavailable(_) | SchemaError::Other(_))) => {
                ("waiting for PostgreSQL", error)
            }
            final_result => return final_result,
        };
        if schedule.is_due(message, Instant::now()) {
            tracing::warn!(%error, "{message}");
        }
        sleep(RETRY_DELAY).await;
    }
}

/// The last warning and its time.
#[derive(Default)]
struct WarningSchedule(Option<(&'static str, Instant)>);

impl WarningSchedule {
    /// Whether to warn now: at once if the message changed, otherwise once per interval.
    fn is_due(&mut self, message: &'static str, now: Instant) -> bool {
        let due = self
            .0
            .is_none_or(|(last, at)| last != message || now.duration_since(at) >= WARNING_INTERVAL);
        if due {
            self.0 = Some((message, now));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_due_at_once_and_every_half_minute() {
        let mut schedule = WarningSchedule::default();
        let start = Instant::now();
        for (second, message, due) in [
            (0, "PostgreSQL", true),
            (1, "PostgreSQL", false),
            (2, "migrate", true),
            (31, "migrate", false),
            (32, "migrate", true),
            (33, "migrate", false),
            (62, "migrate", true),
        ] {
            let now = start + Duration::from_secs(second);
            assert_eq!(schedule.is_due(message, now), due, "{message} after {second} s");
        }
    }
}
