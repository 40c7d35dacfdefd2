//! The relay: leases outbox rows, publishes their jobs and marks their photos as queued.

use std::{sync::Arc, time::Duration};

use contract::headers;
use futures::{StreamExt, stream};
use service_runtime::broker::{BrokerLinkStatus, Message, PublishError, Publisher};
use service_runtime::failpoint;
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

use super::rows::{self, LeasedRow, ReleasedRow, UnusableRow};
use crate::{
    database::{CommitGuard, Pool},
    metrics::RelayMetrics,
};

/// Maximum number of publishes in flight.
const MAX_IN_FLIGHT: usize = 64;
/// Delay after a wake-up, so that under load one lease and one mark serve many photos.
const BATCH_DELAY: Duration = Duration::from_millis(20);
/// Pause after an error that concerns all rows.
const ERROR_PAUSE: Duration = Duration::from_millis(500);
/// Maximum delay of a row that the broker refuses repeatedly.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub struct RelaySettings {
    pub jobs_queue: String,
    /// Bucket of the anonymised photos.
    pub output_bucket: String,
    /// Maximum number of rows leased at once.
    pub batch: u16,
    /// Duration of a lease; longer than a publish may take.
    pub lease: Duration,
    /// How often to check the outbox without a wake-up.
    pub interval: Duration,
}

/// Publishes jobs from the outbox to the broker.
#[derive(Debug)]
pub struct Relay {
    pool: Pool,
    commit_guard: CommitGuard,
    publisher: Publisher,
    wake: Arc<Notify>,
    settings: RelaySettings,
    metrics: RelayMetrics,
}

/// Result of one batch.
enum BatchResult {
    /// More rows may be due.
    MoreDue,
    /// No rows are due.
    Idle,
    /// The database or the broker is unavailable.
    Unavailable,
}

/// Result of publishing one leased row.
enum PublishResult {
    Confirmed,
    Refused(PublishError),
    NotNeeded,
    Unusable(UnusableRow),
}

impl Relay {
    /// `wake` wakes the relay after each commit that wrote an outbox row. The relay also checks on its own.
    #[must_use]
    pub const fn new(
        pool: Pool,
        commit_guard: CommitGuard,
        publisher: Publisher,
        wake: Arc<Notify>,
        settings: RelaySettings,
        metrics: RelayMetrics,
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

    /// Runs until `end` is cancelled, then publishes one last batch for the last requests.
    pub async fn run(self, end: CancellationToken) {
        loop {
            tokio::select! {
                () = end.cancelled() => {
                    self.publish_batch().await;
                    return;
                }
                () = self.wake.notified() => sleep(BATCH_DELAY).await,
                () = sleep(self.settings.interval) => {}
            }
            loop {
                match self.publish_batch().await {
                    BatchResult::MoreDue if end.is_cancelled() => return,
                    BatchResult::MoreDue => {}
                    BatchResult::Idle => break,
                    BatchResult::Unavailable => {
                        sleep(ERROR_PAUSE).await;
                        break;
                    }
                }
            }
        }
    }

    async fn publish_batch(&self) -> BatchResult {
        // Leasing rows that cannot be published would only count attempts.
        if self.publisher.state().status != BrokerLinkStatus::Connected {
            return BatchResult::Unavailable;
        }
        let batch = self.settings.batch;
        let leased = match self
            .commit_guard
            .run_limited(rows::lease(&self.pool, batch.into(), self.settings.lease))
            .await
        {
            Ok(leased) => leased,
            Err(error) => {
                tracing::warn!(%error, "the outbox cannot be read");
                return BatchResult::Unavailable;
            }
        };
        if leased.is_empty() {
            return BatchResult::Idle;
        }
        failpoint::reach("irmgard::relay-after-lease", None);
        let full = leased.len() == usize::from(batch);
        let publishes = leased.into_iter().map(|row| self.send(row));
        let results: Vec<(LeasedRow, PublishResult)> = stream::iter(publishes)
            .buffer_unordered(MAX_IN_FLIGHT)
            .collect()
            .await;
        failpoint::reach("irmgard::relay-after-confirm", None);
        let any_refused = self.record_results(results).await;
        failpoint::reach("irmgard::relay-after-mark", None);
        match (any_refused, full) {
            (true, _) => BatchResult::Unavailable,
            (false, true) => BatchResult::MoreDue,
            (false, false) => BatchResult::Idle,
        }
    }

    async fn send(&self, row: LeasedRow) -> (LeasedRow, PublishResult) {
        let result = self.publish(&row).await;
        (row, result)
    }

    async fn publish(&self, row: &LeasedRow) -> PublishResult {
        if !row.is_needed() {
            return PublishResult::NotNeeded;
        }
        let body = match row.job(&self.settings.output_bucket) {
            Ok(job) => job.encode().map_err(|e| UnusableRow {
                photo_id: row.photo_id,
                reason: e.to_string(),
            }),
            Err(unusable) => Err(unusable),
        };
        let body = match body {
            Ok(body) => body,
            Err(unusable) => return PublishResult::Unusable(unusable),
        };
        let mut message = Message::new(body).with_id(row.photo_id);
        if let Some(traceparent) = row.traceparent() {
            message = message.with_header(headers::TRACEPARENT, traceparent);
        }
        match self.publisher.publish(&self.settings.jobs_queue, &message).await {
            Ok(()) => PublishResult::Confirmed,
            Err(error) => PublishResult::Refused(error),
        }
    }

    /// Records the results of a batch; returns whether any job was refused.
    async fn record_results(&self, results: Vec<(LeasedRow, PublishResult)>) -> bool {
        let mut published = Vec::with_capacity(results.len());
        let mut released = Vec::new();
        for (row, result) in results {
            match result {
                PublishResult::Confirmed => {
                    self.metrics.published();
                    published.push(row.id);
                }
                PublishResult::NotNeeded => published.push(row.id),
                PublishResult::Refused(error) => {
                    self.metrics.refused(&error);
                    released.push(ReleasedRow {
                        id: row.id,
                        retry_delay: retry_delay(&error, row.attempts()),
                        error: error.to_string(),
                    });
                }
                PublishResult::Unusable(unusable) => {
                    tracing::error!(
                        photo.id = unusable.photo_id,
                        error.message = unusable.reason,
                        "invalid outbox row: marking its photo as failed"
                    );
                    self.retry_until_lease_expires(|| rows::fail_row(&self.pool, row.id, &unusable))
                        .await;
                }
            }
        }
        if !published.is_empty() {
            self.retry_until_lease_expires(|| rows::mark_queued(&self.pool, &published))
                .await;
        }
        if let Some(first) = released.first() {
            tracing::warn!(
                count = released.len(),
                error = first.error,
                "jobs were not published: they stay in the outbox"
            );
            self.retry_until_lease_expires(|| rows::release(&self.pool, &released))
                .await;
        }
        !released.is_empty()
    }

    /// Retries a statement until it succeeds or the leases have expired. Then another relay has the rows and
    /// repeats the work.
    async fn retry_until_lease_expires<F>(&self, statement: impl Fn() -> F)
    where
        F: Future<Output = Result<(), sqlx::Error>>,
    {
        let attempts = async {
            while let Err(error) = self.commit_guard.run_limited(statement()).await {
                tracing::warn!(%error, "the outbox cannot be written: retrying");
                sleep(ERROR_PAUSE).await;
            }
        };
        if tokio::time::timeout(self.settings.lease, attempts).await.is_err() {
            tracing::warn!("the outbox could not be written in time: confirmed jobs will be published again");
        }
    }
}

/// Delay of a row before the next attempt. An outage concerns every row, and the relay waits for its end; a
/// refusal may concern this row only.
fn retry_delay(error: &PublishError, attempts: i32) -> Duration {
    match error {
        PublishError::Disconnected | PublishError::Blocked => Duration::ZERO,
        PublishError::QueueUnavailable { .. } | PublishError::Nacked | PublishError::TimedOut(_) => {
            let doubled = 2u32.saturating_pow(u32::try_from(attempts).unwrap_or(0));
            ERROR_PAUSE.saturating_mul(doubled).min(MAX_RETRY_DELAY)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_of_a_refused_row_grows_up_to_the_maximum() {
        let delays: Vec<_> = (0..40).map(|n| retry_delay(&PublishError::Nacked, n)).collect();
        assert_eq!(delays[0], ERROR_PAUSE);
        assert!(delays.is_sorted());
        assert_eq!(delays[39], MAX_RETRY_DELAY);
    }

    #[test]
    fn an_outage_does_not_delay_a_row() {
        assert_eq!(retry_delay(&PublishError::Disconnected, 30), Duration::ZERO);
    }
}
