//! The relay: leases outbox rows, publishes them, marks their photos.

use std::{sync::Arc, time::Duration};

use chassis::broker::{LinkStatus, Message, PublishError, Publisher};
use contract::headers;
use futures::{StreamExt, stream};
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

use super::rows::{self, Leased, Release, Unusable};
use crate::{
    database::{Commits, Pool},
    failpoint,
    metrics::RelayMetrics,
};

/// Publishes in flight at a time.
const CONCURRENCY: usize = 64;
/// After a wake-up the relay waits this long for more rows: under load one
/// lease, and one mark, then serve many photos.
const LINGER: Duration = Duration::from_millis(20);
/// How long the relay looks at nothing after an error that concerns all rows.
const REST: Duration = Duration::from_millis(500);
/// How long a row rests at most that the broker refused again and again.
const LONGEST_REST: Duration = Duration::from_secs(10);

/// How the relay works.
#[derive(Clone, Debug)]
pub struct RelaySettings {
    /// Name of the job queue.
    pub jobs_queue: String,
    /// Where anonymised photos go.
    pub output_bucket: String,
    /// Rows that are leased at a time.
    pub batch: u16,
    /// How long a lease lasts: longer than a publish may take.
    pub lease: Duration,
    /// How often the outbox is looked at when nobody wakes the relay.
    pub interval: Duration,
}

/// Moves jobs from the outbox to the broker.
#[derive(Debug)]
pub struct Relay {
    pool: Pool,
    commits: Commits,
    publisher: Publisher,
    wake: Arc<Notify>,
    settings: RelaySettings,
    metrics: RelayMetrics,
}

/// What one look at the outbox came to.
enum Round {
    /// There may be more.
    Full,
    /// Nothing is due.
    Done,
    /// The database or the broker is away.
    Away,
}

/// What became of one leased row.
enum Sent {
    Confirmed,
    Refused(PublishError),
    Unwanted,
    Unusable(Unusable),
}

impl Relay {
    /// A relay that is woken through `wake` after each commit that wrote an
    /// outbox row, and looks by itself as well.
    #[must_use]
    pub const fn new(
        pool: Pool,
        commits: Commits,
        publisher: Publisher,
        wake: Arc<Notify>,
        settings: RelaySettings,
        metrics: RelayMetrics,
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

    /// Works until `end` is cancelled; looks once more then, for the jobs of
    /// the last requests.
    pub async fn run(self, end: CancellationToken) {
        loop {
            tokio::select! {
                () = end.cancelled() => {
                    self.round().await;
                    return;
                }
                () = self.wake.notified() => sleep(LINGER).await,
                () = sleep(self.settings.interval) => {}
            }
            loop {
                match self.round().await {
                    Round::Full if end.is_cancelled() => return,
                    Round::Full => {}
                    Round::Done => break,
                    Round::Away => {
                        sleep(REST).await;
                        break;
                    }
                }
            }
        }
    }

    async fn round(&self) -> Round {
        // Leasing what cannot be published would only count attempts.
        if self.publisher.state().status != LinkStatus::Connected {
            return Round::Away;
        }
        let batch = self.settings.batch;
        let leased = match self
            .commits
            .limited(rows::lease(&self.pool, batch.into(), self.settings.lease))
            .await
        {
            Ok(leased) => leased,
            Err(error) => {
                tracing::warn!(%error, "the outbox cannot be read");
                return Round::Away;
            }
        };
        if leased.is_empty() {
            return Round::Done;
        }
        failpoint::reach("irmgard::relay-after-lease", None);
        let full = leased.len() == usize::from(batch);
        let sends = leased.into_iter().map(|row| self.send(row));
        let sent: Vec<(Leased, Sent)> = stream::iter(sends).buffer_unordered(CONCURRENCY).collect().await;
        failpoint::reach("irmgard::relay-after-confirm", None);
        let any_refused = self.settle(sent).await;
        failpoint::reach("irmgard::relay-after-mark", None);
        match (any_refused, full) {
            (true, _) => Round::Away,
            (false, true) => Round::Full,
            (false, false) => Round::Done,
        }
    }

    async fn send(&self, row: Leased) -> (Leased, Sent) {
        let sent = self.publish(&row).await;
        (row, sent)
    }

    async fn publish(&self, row: &Leased) -> Sent {
        if !row.is_wanted() {
            return Sent::Unwanted;
        }
        let body = match row.job(&self.settings.output_bucket) {
            Ok(job) => job.encode().map_err(|e| Unusable {
                photo_id: row.photo_id,
                why: e.to_string(),
            }),
            Err(unusable) => Err(unusable),
        };
        let body = match body {
            Ok(body) => body,
            Err(unusable) => return Sent::Unusable(unusable),
        };
        let mut message = Message::new(body).with_id(row.photo_id);
        if let Some(traceparent) = row.traceparent() {
            message = message.with_header(headers::TRACEPARENT, traceparent);
        }
        match self.publisher.publish(&self.settings.jobs_queue, &message).await {
            Ok(()) => Sent::Confirmed,
            Err(error) => Sent::Refused(error),
        }
    }

    /// Records what became of a batch; says whether anything was refused.
    async fn settle(&self, sent: Vec<(Leased, Sent)>) -> bool {
        let mut done = Vec::with_capacity(sent.len());
        let mut releases = Vec::new();
        for (row, sent) in sent {
            match sent {
                Sent::Confirmed => {
                    self.metrics.published();
                    done.push(row.id);
                }
                Sent::Unwanted => done.push(row.id),
                Sent::Refused(error) => {
                    self.metrics.refused(&error);
                    releases.push(Release {
                        id: row.id,
                        rest: rest(&error, row.attempts()),
                        error: error.to_string(),
                    });
                }
                Sent::Unusable(unusable) => {
                    tracing::error!(
                        photo.id = unusable.photo_id,
                        error.message = unusable.why,
                        "no job can be made"
                    );
                    self.keep_trying(|| rows::give_up(&self.pool, row.id, &unusable))
                        .await;
                }
            }
        }
        if !done.is_empty() {
            self.keep_trying(|| rows::mark_queued(&self.pool, &done)).await;
        }
        if let Some(first) = releases.first() {
            tracing::warn!(
                count = releases.len(),
                error = first.error,
                "jobs were not published: they stay in the outbox"
            );
            self.keep_trying(|| rows::release(&self.pool, &releases)).await;
        }
        !releases.is_empty()
    }

    /// Tries a statement until it succeeds or the leases have run out: then
    /// somebody else has the rows, and does it again.
    async fn keep_trying<F>(&self, statement: impl Fn() -> F)
    where
        F: Future<Output = Result<(), sqlx::Error>>,
    {
        let tries = async {
            while let Err(error) = self.commits.limited(statement()).await {
                tracing::warn!(%error, "the outbox cannot be written");
                sleep(REST).await;
            }
        };
        if tokio::time::timeout(self.settings.lease, tries).await.is_err() {
            tracing::warn!("the outbox could not be written: confirmed jobs are published once more");
        }
    }
}

/// An outage concerns every row, and the relay waits for its end; a refusal
/// may concern this one.
fn rest(error: &PublishError, attempts: i32) -> Duration {
    match error {
        PublishError::Disconnected | PublishError::Blocked => Duration::ZERO,
        PublishError::Returned(_) | PublishError::Nacked | PublishError::TimedOut(_) => {
            let doubled = 2u32.saturating_pow(u32::try_from(attempts).unwrap_or(0));
            REST.saturating_mul(doubled).min(LONGEST_REST)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_row_rests_longer_each_time_and_never_long() {
        let rests: Vec<_> = (0..40).map(|n| rest(&PublishError::Nacked, n)).collect();
        assert_eq!(rests[0], REST);
        assert!(rests.is_sorted());
        assert_eq!(rests[39], LONGEST_REST);
    }

    #[test]
    fn an_outage_is_not_held_against_a_row() {
        assert_eq!(rest(&PublishError::Disconnected, 30), Duration::ZERO);
    }
}
