//! Commits that wait for a standby for ever.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::PgConnection;

use super::Pool;

/// How long a commit may wait for its standby before no other is begun beside
/// it.
const LONG: Duration = Duration::from_secs(1);

/// Keeps writers from beginning commits that nobody will answer.
///
/// Where a commit must wait for a standby and there is none, it waits in the
/// server also when its client has given it up: PostgreSQL does not look there
/// for the client (`SyncRepWaitForLSN`). Who went on trying would leave one
/// backend after the other, until there is no connection left to read with.
/// So after a write that was given up others look first whether commits of
/// ours still wait. Clones share it.
#[derive(Clone, Debug)]
pub struct Commits {
    pool: Pool,
    given_up: Arc<AtomicBool>,
}

impl Commits {
    /// They are looked for on a connection of this pool.
    #[must_use]
    pub(super) fn new(pool: Pool) -> Self {
        Self {
            pool,
            given_up: Arc::default(),
        }
    }

    /// A write had no answer in time.
    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    /// Whether one was, and nobody has looked since.
    #[must_use]
    pub fn in_doubt(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// Looks whether commits of ours wait.
    ///
    /// # Errors
    /// The server's.
    pub async fn wait(&self, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let wait: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_stat_activity
              WHERE usename = current_user AND wait_event = 'SyncRep' AND state_change < now() - $1::float8 * interval '1 s')",
        )
        .bind(LONG.as_secs_f64())
        .fetch_one(connection)
        .await?;
        self.given_up.store(wait, Ordering::Relaxed);
        Ok(wait)
    }

    /// A piece of background work that writes, with a limit on its time.
    ///
    /// # Errors
    /// The work's, or [`sqlx::Error::Io`] when it takes too long, or would;
    /// its outcome is unknown then.
    pub async fn limited<T>(
        &self,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let work = async {
            if self.in_doubt() && self.wait(&mut *self.pool.acquire().await?).await? {
                return Err(timed_out());
            }
            work.await
        };
        let outcome = self.pool.limited(work).await;
        if matches!(&outcome, Err(sqlx::Error::Io(error)) if error.kind() == std::io::ErrorKind::TimedOut) {
            self.give_up();
        }
        outcome
    }
}

fn timed_out() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(
        std::io::ErrorKind::TimedOut,
        "commits wait for a standby, and none answers: nothing is written until one does",
    ))
}
