//! Guards against commits that wait for a standby for ever.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::PgConnection;

use super::Pool;

/// A commit that waits for its standby for longer counts as stuck: no other write begins then.
const STUCK_AFTER: Duration = Duration::from_secs(1);

/// Stops writers from beginning commits that nobody will answer.
///
/// If a commit must wait for a standby and there is none, it waits in the server, even after its client has
/// gone: PostgreSQL does not check the client there (`SyncRepWaitForLSN`). Retrying writers would fill one
/// backend after the other, until no connection is left for reads. So after a write timed out, the next write
/// first checks whether commits of this role still wait. Clones share the state.
#[derive(Clone, Debug)]
pub struct CommitGuard {
    pool: Pool,
    timed_out_write: Arc<AtomicBool>,
}

impl CommitGuard {
    /// Checks use a connection of this pool.
    #[must_use]
    pub(super) fn new(pool: Pool) -> Self {
        Self {
            pool,
            timed_out_write: Arc::default(),
        }
    }

    /// Records that a write had no answer in time.
    pub fn record_timeout(&self) {
        self.timed_out_write.store(true, Ordering::Relaxed);
    }

    /// Whether a write timed out since the last check.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.timed_out_write.load(Ordering::Relaxed)
    }

    /// Checks whether commits of this role wait for a standby.
    pub async fn commits_are_waiting(&self, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let waiting: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_stat_activity
              WHERE usename = current_user AND wait_event = 'SyncRep' AND state_change < now() - $1::float8 * interval '1 s')",
        )
        .bind(STUCK_AFTER.as_secs_f64())
        .fetch_one(connection)
        .await?;
        self.timed_out_write.store(waiting, Ordering::Relaxed);
        Ok(waiting)
    }

    /// Runs background work that writes, with a time limit.
    ///
    /// # Errors
    /// The work's error, or [`sqlx::Error::Io`] if it takes too long or other commits are stuck. The outcome
    /// is unknown then.
    pub async fn run_limited<T>(
        &self,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let work = async {
            if self.is_in_doubt() && self.commits_are_waiting(&mut *self.pool.acquire().await?).await? {
                return Err(commits_stuck());
            }
            work.await
        };
        let outcome = self.pool.run_limited(work).await;
        if matches!(&outcome, Err(sqlx::Error::Io(error)) if error.kind() == std::io::ErrorKind::TimedOut) {
            self.record_timeout();
        }
        outcome
    }
}

fn commits_stuck() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(
        std::io::ErrorKind::TimedOut,
        "commits wait for a standby and none answers: writes stop until one does",
    ))
}
