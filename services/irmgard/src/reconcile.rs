//! The reconciler queues photos again whose job was lost, deletes old idempotency keys, and logs uses of failed photos.
//!
//! It does not check whether the original exists; the worker does that anyway:
//! - original present: the worker anonymises it;
//! - original gone, output present: the worker sends the lost result again;
//! - both gone: the worker's verdict is `failed: original-missing`.
//!
//! In each case the photo leaves `queued`. A check here would leave the last two cases `queued` for ever.

use std::{sync::Arc, time::Duration};

use contract::queues::Queues;
use service_runtime::broker::Publisher;
use tokio::{sync::Notify, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{
    audit::log_audit_entries,
    database::{CommitGuard, Pool},
    metrics::Metrics,
    outbox::{add_missing_outbox_rows, requeue_lost},
};

/// Advisory lock: one reconciler works at a time in all irmgard processes (`reconcil` as a number).
const LOCK_ID: i64 = 0x7265_636f_6e63_696c;
/// Maximum number of photos queued again in one pass.
const MAX_PHOTOS_PER_PASS: i64 = 500;
/// Maximum number of idempotency keys deleted in one pass.
const MAX_KEYS_PER_PASS: i64 = 10_000;

/// Maximum number of uses of failed photos logged in one pass.
const MAX_USES_PER_PASS: i64 = 1_000;

#[derive(Clone, Debug)]
pub struct ReconcileSettings {
    pub interval: Duration,
    /// A photo that is `queued` for longer may be lost. Must be longer than a worker holds a job in an outage.
    pub after: Duration,
    pub idempotency_key_age: Duration,
    pub queues: Queues,
}

/// What one pass changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReconcilePass {
    pub requeued: Vec<i64>,
    /// Photos that were `received` without an outbox row and got a new one.
    pub outbox_rows_added: Vec<i64>,
    pub keys_deleted: u64,
    pub uses_logged: usize,
}

#[derive(Debug)]
pub struct Reconciler {
    pool: Pool,
    commit_guard: CommitGuard,
    publisher: Publisher,
    wake: Arc<Notify>,
    settings: ReconcileSettings,
    metrics: Metrics,
}

impl Reconciler {
    /// `wake` wakes the relay after photos were queued again.
    #[must_use]
    pub const fn new(
        pool: Pool,
        commit_guard: CommitGuard,
        publisher: Publisher,
        wake: Arc<Notify>,
        settings: ReconcileSettings,
        metrics: Metrics,
    ) -> Self {
        Self {
            pool,
            commit_guard,
            publisher,
            wake,
            settings,
            metrics,
        }
    }

    /// Runs a pass per interval until `end` is cancelled.
    pub async fn run(self, end: CancellationToken) {
        let mut ticks = tokio::time::interval(self.settings.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = end.cancelled() => return,
                _ = ticks.tick() => {}
            }
            match self.commit_guard.run_limited(self.pass()).await {
                Ok(Some(pass)) if !pass.requeued.is_empty() || !pass.outbox_rows_added.is_empty() => {
                    self.wake.notify_one();
                    let count = pass.requeued.len() + pass.outbox_rows_added.len();
                    self.metrics
                        .reconciled
                        .inc_by(u64::try_from(count).unwrap_or(u64::MAX));
                    for id in pass.requeued.iter().chain(&pass.outbox_rows_added) {
                        tracing::warn!(photo.id = id, "the photo's job was lost: queued again");
                    }
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "the reconciler cannot look for lost photos"),
            }
        }
    }

    /// Runs one pass; `None` if another process holds the lock.
    pub async fn pass(&self) -> Result<Option<ReconcilePass>, sqlx::Error> {
        // Closing the connection releases the lock if the pass fails.
        let mut lock = self.pool.acquire().await?;
        lock.close_on_drop();
        let locked: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
            .bind(LOCK_ID)
            .fetch_one(&mut *lock)
            .await?;
        if !locked {
            return Ok(None);
        }
        let pass = ReconcilePass {
            requeued: self.requeue_lost().await?,
            outbox_rows_added: add_missing_outbox_rows(&self.pool, MAX_PHOTOS_PER_PASS).await?,
            keys_deleted: self.delete_old_keys().await?,
            uses_logged: log_audit_entries(&self.pool, MAX_USES_PER_PASS).await?,
        };
        // Release the lock explicitly: PostgreSQL notices a closed connection later, and until then the next
        // pass would be locked out.
        sqlx::query("SELECT pg_advisory_unlock($1)")
            .bind(LOCK_ID)
            .execute(&mut *lock)
            .await?;
        Ok(Some(pass))
    }

    async fn requeue_lost(&self) -> Result<Vec<i64>, sqlx::Error> {
        let queues = &self.settings.queues;
        let jobs = self.publisher.messages_ready(&queues.jobs).await;
        let results = self.publisher.messages_ready(&queues.results).await;
        match (jobs, results) {
            // After an outage of the database all results may still wait in their queue.
            (Ok(jobs), Ok(results)) => {
                requeue_lost(
                    &self.pool,
                    self.settings.after,
                    jobs == 0 && results == 0,
                    MAX_PHOTOS_PER_PASS,
                )
                .await
            }
            (Err(error), _) | (_, Err(error)) => {
                // Jobs cannot be published now either.
                tracing::debug!(%error, "cannot read the queue lengths");
                Ok(Vec::new())
            }
        }
    }

    async fn delete_old_keys(&self) -> Result<u64, sqlx::Error> {
        let deleted = sqlx::query(
            "DELETE FROM idempotency_key WHERE ctid IN (
                 SELECT ctid FROM idempotency_key
                  WHERE created_at < now() - make_interval(secs => $1) LIMIT $2)",
        )
        .bind(self.settings.idempotency_key_age.as_secs_f64())
        .bind(MAX_KEYS_PER_PASS)
        .execute(&self.pool)
        .await?;
        Ok(deleted.rows_affected())
    }
}
