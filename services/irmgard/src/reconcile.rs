//! The reconciler: queues again what was lost on the way, throws away what
//! has served its time, and logs what people did to failed photos.
//!
//! Whether the original is still there is for the worker to find out, who has
//! to look anyway: original present, it is anonymised; gone with the output
//! present, the lost result is answered again; both gone, the verdict is
//! `failed: original-missing`. Each of the three ends the photo's waiting; a
//! reconciler that left out the latter two would leave it `queued` for ever.

use std::{sync::Arc, time::Duration};

use chassis::broker::Publisher;
use contract::queues::Queues;
use tokio::{sync::Notify, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{
    database::{Commits, Pool},
    failed::log_uses,
    metrics::Metrics,
    outbox::{heal_received, restore_lost},
};

/// One reconciler works at a time, in whichever irmgard (`reconcil` as a
/// number).
const LOCK: i64 = 0x7265_636f_6e63_696c;
/// Photos that are queued again in one pass.
const AT_ONCE: i64 = 500;
/// Keys of repeated uploads that are forgotten in one pass.
const KEYS_AT_ONCE: i64 = 10_000;

/// Uses of failed photos that are logged in one pass.
const USES_AT_ONCE: i64 = 1_000;

/// When the reconciler works, and on what.
#[derive(Clone, Debug)]
pub struct ReconcileSettings {
    /// Time between passes.
    pub interval: Duration,
    /// A photo that is `queued` for longer may be lost. Longer than a worker
    /// holds a job through an outage.
    pub after: Duration,
    /// How long an `Idempotency-Key` is remembered.
    pub idempotency_key_age: Duration,
    /// The queues.
    pub queues: Queues,
}

/// What one pass did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// Photos that were queued again.
    pub queued_again: Vec<i64>,
    /// Photos that got the outbox row which they lacked.
    pub healed: Vec<i64>,
    /// Keys of repeated uploads that were forgotten.
    pub keys_forgotten: u64,
    /// Uses of failed photos that were logged.
    pub uses_logged: usize,
}

/// The reconciler of this process.
#[derive(Debug)]
pub struct Reconciler {
    pool: Pool,
    commits: Commits,
    publisher: Publisher,
    wake: Arc<Notify>,
    settings: ReconcileSettings,
    metrics: Metrics,
}

impl Reconciler {
    /// A reconciler that wakes the relay through `wake`.
    #[must_use]
    pub const fn new(
        pool: Pool,
        commits: Commits,
        publisher: Publisher,
        wake: Arc<Notify>,
        settings: ReconcileSettings,
        metrics: Metrics,
    ) -> Self {
        Self {
            pool,
            commits,
            publisher,
            wake,
            settings,
            metrics,
        }
    }

    /// Works until `end` is cancelled.
    pub async fn run(self, end: CancellationToken) {
        let mut ticks = tokio::time::interval(self.settings.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = end.cancelled() => return,
                _ = ticks.tick() => {}
            }
            match self.commits.limited(self.pass()).await {
                Ok(Some(pass)) if !pass.queued_again.is_empty() || !pass.healed.is_empty() => {
                    self.wake.notify_one();
                    let count = pass.queued_again.len() + pass.healed.len();
                    self.metrics
                        .reconciled
                        .inc_by(u64::try_from(count).unwrap_or(u64::MAX));
                    for id in pass.queued_again.iter().chain(&pass.healed) {
                        tracing::warn!(photo.id = id, "the photo's job was lost: queued again");
                    }
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "lost photos cannot be looked for"),
            }
        }
    }

    /// One pass; `None` where another irmgard is at it.
    ///
    /// # Errors
    /// The database's.
    pub async fn pass(&self) -> Result<Option<Pass>, sqlx::Error> {
        // Closing the connection gives the lock up, if nothing else does.
        let mut lock = self.pool.acquire().await?;
        lock.close_on_drop();
        let mine: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
            .bind(LOCK)
            .fetch_one(&mut *lock)
            .await?;
        if !mine {
            return Ok(None);
        }
        let pass = Pass {
            queued_again: self.restore_lost().await?,
            healed: heal_received(&self.pool, AT_ONCE).await?,
            keys_forgotten: self.forget_keys().await?,
            uses_logged: log_uses(&self.pool, USES_AT_ONCE).await?,
        };
        // Expressly: the server notices a closed connection some time later,
        // and until then the next pass would find itself locked out.
        sqlx::query("SELECT pg_advisory_unlock($1)")
            .bind(LOCK)
            .execute(&mut *lock)
            .await?;
        Ok(Some(pass))
    }

    async fn restore_lost(&self) -> Result<Vec<i64>, sqlx::Error> {
        let queues = &self.settings.queues;
        let jobs = self.publisher.messages_ready(&queues.jobs).await;
        let results = self.publisher.messages_ready(&queues.results).await;
        match (jobs, results) {
            // After an outage of the database the verdicts may all be waiting.
            (Ok(jobs), Ok(results)) => {
                restore_lost(
                    &self.pool,
                    self.settings.after,
                    jobs == 0 && results == 0,
                    AT_ONCE,
                )
                .await
            }
            (Err(error), _) | (_, Err(error)) => {
                // Nothing could be published now anyway.
                tracing::debug!(%error, "the queues cannot be looked at");
                Ok(Vec::new())
            }
        }
    }

    async fn forget_keys(&self) -> Result<u64, sqlx::Error> {
        let forgotten = sqlx::query(
            "DELETE FROM idempotency_key WHERE ctid IN (
                 SELECT ctid FROM idempotency_key
                  WHERE created_at < now() - make_interval(secs => $1) LIMIT $2)",
        )
        .bind(self.settings.idempotency_key_age.as_secs_f64())
        .bind(KEYS_AT_ONCE)
        .execute(&self.pool)
        .await?;
        Ok(forgotten.rows_affected())
    }
}
