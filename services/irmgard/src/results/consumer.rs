//! Consumers of results and dead letters: they write verdicts, then acknowledge the messages.

use std::time::Duration;

use contract::{PhotoResult, Verdict, headers};
use futures::FutureExt;
use schema::outcome;
use service_runtime::{
    backoff::Backoff,
    broker::{Consumer, Delivery, Publisher},
    failpoint,
};
use telemetry::TraceContext;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    AppliedVerdict, UnusableMessage, VerdictEffect, apply_verdicts,
    verdict::{parse_dead_letter, parse_result},
};
use crate::{
    database::{CommitGuard, Pool},
    metrics::ResultMetrics,
};

/// Maximum number of unacknowledged messages. It exceeds a batch, so that the next batch is available at once.
pub const PREFETCH: u16 = 256;
/// Maximum number of verdicts in one transaction.
const MAX_BATCH: usize = 128;
/// How long to wait for more messages after the first one.
const BATCH_DELAY: Duration = Duration::from_millis(5);
/// Delay between attempts while PostgreSQL or RabbitMQ is unavailable.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(100);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);

/// Queue that a consumer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerdictSource {
    Results,
    /// Jobs that the broker gave up.
    DeadLetters,
}

impl VerdictSource {
    fn parse(self, delivery: &Delivery) -> Result<PhotoResult, UnusableMessage> {
        match self {
            Self::Results => parse_result(&delivery.body),
            Self::DeadLetters => parse_dead_letter(&delivery.body, delivery.death().as_ref()),
        }
    }
}

/// Writes the verdicts of one queue into the photo rows.
#[derive(Debug)]
pub struct ResultsConsumer {
    pool: Pool,
    commit_guard: CommitGuard,
    publisher: Publisher,
    output_bucket: String,
    parked_queue: String,
    source: VerdictSource,
    metrics: ResultMetrics,
}

/// A message and the result that it contains.
struct ReceivedResult {
    delivery: Delivery,
    result: PhotoResult,
}

/// The process shuts down: unacknowledged messages return to the broker.
struct ShuttingDown;

impl ResultsConsumer {
    /// Consumes one queue. Unusable messages go to `parked_queue`: those that belong to no photo, or name an
    /// output other than the photo's own location in `output_bucket`.
    #[must_use]
    pub const fn new(
        pool: Pool,
        commit_guard: CommitGuard,
        publisher: Publisher,
        output_bucket: String,
        parked_queue: String,
        source: VerdictSource,
        metrics: ResultMetrics,
    ) -> Self {
        Self {
            pool,
            commit_guard,
            publisher,
            output_bucket,
            parked_queue,
            source,
            metrics,
        }
    }

    /// Runs until `end` is cancelled.
    pub async fn run(self, consumer: Consumer, end: CancellationToken) {
        loop {
            let first = tokio::select! {
                () = end.cancelled() => break,
                first = consumer.next() => first,
            };
            let Some(first) = first else { break };
            sleep(BATCH_DELAY).await;
            let mut batch = vec![first];
            while batch.len() < MAX_BATCH {
                match consumer.next().now_or_never() {
                    Some(Some(delivery)) => batch.push(delivery),
                    Some(None) | None => break,
                }
            }
            if self.process_batch(batch, &end).await.is_err() {
                break;
            }
        }
        consumer.close().await;
    }

    async fn process_batch(&self, batch: Vec<Delivery>, end: &CancellationToken) -> Result<(), ShuttingDown> {
        failpoint::reach("irmgard::result-after-receive", None);
        let mut received = Vec::with_capacity(batch.len());
        for delivery in batch {
            match self.source.parse(&delivery) {
                Ok(result) => received.push(ReceivedResult { delivery, result }),
                Err(reason) => self.park(&delivery, &reason, end).await?,
            }
        }
        self.write_batch(received, end).await
    }

    /// Writes a batch. If one message makes the statement fail, writes each message on its own.
    async fn write_batch(
        &self,
        batch: Vec<ReceivedResult>,
        end: &CancellationToken,
    ) -> Result<(), ShuttingDown> {
        if batch.is_empty() {
            return Ok(());
        }
        match self.apply(&batch, end).await? {
            Ok(applied) => {
                failpoint::reach("irmgard::result-after-update", None);
                for (received, applied) in batch.into_iter().zip(applied) {
                    self.finish(received, applied, end).await?;
                }
                Ok(())
            }
            Err(rejection) if batch.len() == 1 => {
                for received in &batch {
                    self.park(&received.delivery, &rejection, end).await?;
                }
                Ok(())
            }
            Err(_) => {
                for received in batch {
                    Box::pin(self.write_batch(vec![received], end)).await?;
                }
                Ok(())
            }
        }
    }

    /// Retries until PostgreSQL has written the batch or refused its content.
    async fn apply(
        &self,
        batch: &[ReceivedResult],
        end: &CancellationToken,
    ) -> Result<Result<Vec<AppliedVerdict>, UnusableMessage>, ShuttingDown> {
        let results: Vec<PhotoResult> = batch.iter().map(|received| received.result.clone()).collect();
        let mut backoff = Backoff::new(MIN_RETRY_DELAY, MAX_RETRY_DELAY);
        loop {
            let error = match self
                .commit_guard
                .run_limited(apply_verdicts(&self.pool, &self.output_bucket, &results))
                .await
            {
                Ok(applied) => return Ok(Ok(applied)),
                Err(error) => error,
            };
            if is_caused_by_content(&error) {
                return Ok(Err(UnusableMessage(format!(
                    "the database refused the verdict: {error}"
                ))));
            }
            tracing::warn!(%error, count = batch.len(), "results cannot be written: they are kept and retried");
            wait_before_retry(&mut backoff, end).await?;
        }
    }

    async fn finish(
        &self,
        received: ReceivedResult,
        applied: AppliedVerdict,
        end: &CancellationToken,
    ) -> Result<(), ShuttingDown> {
        let ReceivedResult { delivery, result } = received;
        let outcome = match applied.effect {
            VerdictEffect::Changed => match result.verdict {
                Verdict::Anonymized { .. } => outcome::ANONYMIZED,
                Verdict::Failed { .. } => outcome::FAILED,
            },
            VerdictEffect::Repeated => outcome::REPEATED,
            VerdictEffect::WrongOutput => {
                let reason =
                    UnusableMessage(format!("the result does not name photo {}'s output", result.id));
                return self.park(&delivery, &reason, end).await;
            }
            VerdictEffect::UnknownPhoto => {
                let reason = UnusableMessage(format!("photo {} does not exist", result.id));
                return self.park(&delivery, &reason, end).await;
            }
        };
        self.metrics.count(outcome);
        log_verdict(&delivery, &result, applied.project.as_deref(), outcome);
        // If the ack fails, the broker delivers the message again, as a repetition.
        let _ = delivery.ack().await;
        Ok(())
    }

    /// Moves a message to the parked queue, with a confirm, then acknowledges it.
    async fn park(
        &self,
        delivery: &Delivery,
        reason: &UnusableMessage,
        end: &CancellationToken,
    ) -> Result<(), ShuttingDown> {
        let message = delivery
            .as_message()
            .with_header(headers::X_PARKED_REASON, reason.0.as_str());
        let mut backoff = Backoff::new(MIN_RETRY_DELAY, MAX_RETRY_DELAY);
        while let Err(error) = self.publisher.publish(&self.parked_queue, &message).await {
            tracing::warn!(%error, "a message cannot be parked: it is kept and retried");
            wait_before_retry(&mut backoff, end).await?;
        }
        self.metrics.count(outcome::PARKED);
        tracing::error!(
            reason = reason.0,
            messaging.destination.name = self.parked_queue,
            "an unusable message was parked"
        );
        let _ = delivery.ack().await;
        Ok(())
    }
}

/// Logs one line per verdict, in the photo's own trace.
fn log_verdict(delivery: &Delivery, result: &PhotoResult, project: Option<&str>, outcome: &'static str) {
    let span = tracing::info_span!("result", photo.id = result.id.get(), project);
    if let Some(parent) = TraceContext::extract(|name| delivery.header_text(name)) {
        telemetry::set_parent(&span, &parent);
    }
    span.in_scope(|| match &result.verdict {
        Verdict::Failed { reason, detail } if outcome != outcome::REPEATED => {
            tracing::warn!(
                outcome,
                failure.reason = reason.code(),
                failure.detail = detail,
                "photo failed"
            );
        }
        _ => tracing::info!(outcome, "result received"),
    });
}

/// Waits before the next attempt.
async fn wait_before_retry(backoff: &mut Backoff, end: &CancellationToken) -> Result<(), ShuttingDown> {
    tokio::select! {
        () = end.cancelled() => Err(ShuttingDown),
        () = sleep(backoff.next_delay()) => Ok(()),
    }
}

/// Whether the message's content made the statement fail: data exception or integrity constraint violation
/// (SQLSTATE classes 22 and 23). Other errors may concern every message.
fn is_caused_by_content(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Encode(_) => true,
        _ => error
            .as_database_error()
            .and_then(|e| e.code())
            .is_some_and(|code| code.starts_with("22") || code.starts_with("23")),
    }
}
