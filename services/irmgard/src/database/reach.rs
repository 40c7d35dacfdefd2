//! Waiting for a PostgreSQL that is still to come.

use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::time::sleep;

use super::limited;

/// Wait between attempts.
const REST: Duration = Duration::from_secs(1);

/// Waits until somebody can connect so, for `patience` at most. Every refusal
/// is waited out: in a new installation the server comes first, then its
/// roles, then the database.
///
/// # Errors
/// The last refusal.
pub async fn until_reachable(options: &PgConnectOptions, patience: Duration) -> Result<(), sqlx::Error> {
    let start = Instant::now();
    let mut told = false;
    loop {
        let reached = limited(async { PgConnection::connect_with(options).await?.close().await });
        match reached.await {
            Ok(()) => return Ok(()),
            Err(error) if start.elapsed() >= patience => return Err(error),
            Err(error) => {
                if !told {
                    tracing::warn!(%error, "waiting for PostgreSQL");
                    told = true;
                }
            }
        }
        sleep(REST).await;
    }
}
