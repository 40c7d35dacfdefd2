//! `irmgard serve` waits until the database's schema fits.
//!
//! In a cluster it starts at the same time as `irmgard migrate`: to end
//! meanwhile, and to be started again after ever longer pauses, would delay
//! it by more than the migration takes. A schema that never comes is seen all
//! the same: the process never becomes ready, so that a rollout stops, and it
//! tells what it waits for.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::database::{Database, SchemaError, SchemaState};

/// Wait between attempts to ask for the schema.
const REST: Duration = Duration::from_secs(1);
/// Time between two lines about the same wait.
const TELL: Duration = Duration::from_secs(30);

/// Waits until PostgreSQL has told a schema that fits.
///
/// # Errors
/// [`SchemaError::TooNew`]: waiting makes no schema older.
pub async fn until_schema_fits(database: &Database) -> Result<SchemaState, SchemaError> {
    let mut told = Told::default();
    loop {
        let (what, error) = match database.check_schema().await {
            // Not allowed yet: the grants come after the tables.
            Err(error @ (SchemaError::TooOld { .. } | SchemaError::Denied)) => {
                ("waiting for `irmgard migrate`", error)
            }
            Err(error @ (SchemaError::Unavailable(_) | SchemaError::Other(_))) => {
                ("waiting for PostgreSQL", error)
            }
            decided => return decided,
        };
        if told.is_due(what, Instant::now()) {
            tracing::warn!(%error, "{what}");
        }
        sleep(REST).await;
    }
}

/// What was told last, and when.
#[derive(Default)]
struct Told(Option<(&'static str, Instant)>);

impl Told {
    /// At once where the reason is another, else from time to time.
    fn is_due(&mut self, what: &'static str, now: Instant) -> bool {
        let due = self
            .0
            .is_none_or(|(before, at)| before != what || now.duration_since(at) >= TELL);
        if due {
            self.0 = Some((what, now));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_at_once_and_every_half_minute() {
        let mut told = Told::default();
        let start = Instant::now();
        for (second, what, due) in [
            (0, "PostgreSQL", true),
            (1, "PostgreSQL", false),
            (2, "migrate", true),
            (31, "migrate", false),
            (32, "migrate", true),
            (33, "migrate", false),
            (62, "migrate", true),
        ] {
            let now = start + Duration::from_secs(second);
            assert_eq!(told.is_due(what, now), due, "{what} after {second} s");
        }
    }
}
