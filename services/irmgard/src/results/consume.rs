//! The consumers: from the broker to [`apply`], and the acknowledgement.

use std::time::Duration;

use chassis::broker::{Consumer, Delivery, Publisher};
use contract::headers;
use futures::FutureExt;
use telemetry::TraceContext;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Answer, Applied, Unattributable, Verdict, apply, apply::name};
use crate::{
    database::{Commits, Pool},
    failpoint,
    metrics::ResultMetrics,
};

/// Messages that are unacknowledged at a time; more than a batch, so that the
/// next one is here when one is done.
pub const PREFETCH: u16 = 256;
/// Verdicts in one transaction.
const BATCH: usize = 128;
/// After the first message the consumer waits this long for more.
const LINGER: Duration = Duration::from_millis(5);
/// Waits between attempts while PostgreSQL or RabbitMQ is away.
const SHORTEST_REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(5);

/// Which queue is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbox {
    /// The workers' verdicts.
    Results,
    /// Jobs that the broker gave up on.
    DeadLetters,
}

impl Inbox {
    fn read(self, delivery: &Delivery) -> Result<Verdict, Unattributable> {
        match self {
            Self::Results => Verdict::from_result(&delivery.body),
            Self::DeadLetters => Verdict::from_dead_letter(&delivery.body, delivery.death().as_ref()),
        }
    }
}

/// Writes the verdicts of one queue into the photo rows.
#[derive(Debug)]
pub struct ResultsConsumer {
    pool: Pool,
    commits: Commits,
    publisher: Publisher,
    output_bucket: String,
    parked_queue: String,
    inbox: Inbox,
    metrics: ResultMetrics,
}

/// A message and the verdict in it.
struct Received {
    delivery: Delivery,
    verdict: Verdict,
}

/// The process ends; what is in hand goes back to the broker.
struct Ending;

impl ResultsConsumer {
    /// Reads one queue. What cannot be used goes to `parked_queue`: it belongs
    /// to no photo, or names an output elsewhere than in `output_bucket` at
    /// the photo's own key.
    #[must_use]
    pub const fn new(
        pool: Pool,
        commits: Commits,
        publisher: Publisher,
        output_bucket: String,
        parked_queue: String,
        inbox: Inbox,
        metrics: ResultMetrics,
    ) -> Self {
        Self {
            pool,
            commits,
            publisher,
            output_bucket,
            parked_queue,
            inbox,
            metrics,
        }
    }

    /// Works until `end` is cancelled.
    pub async fn run(self, consumer: Consumer, end: CancellationToken) {
        loop {
            let first = tokio::select! {
                () = end.cancelled() => break,
                first = consumer.next() => first,
            };
            let Some(first) = first else { break };
            sleep(LINGER).await;
            let mut batch = vec![first];
            while batch.len() < BATCH {
                match consumer.next().now_or_never() {
                    Some(Some(delivery)) => batch.push(delivery),
                    Some(None) | None => break,
                }
            }
            if self.handle(batch, &end).await.is_err() {
                break;
            }
        }
        consumer.close().await;
    }

    async fn handle(&self, batch: Vec<Delivery>, end: &CancellationToken) -> Result<(), Ending> {
        failpoint::reach("irmgard::result-after-receive", None);
        let mut received = Vec::with_capacity(batch.len());
        for delivery in batch {
            match self.inbox.read(&delivery) {
                Ok(verdict) => received.push(Received { delivery, verdict }),
                Err(reason) => self.park(&delivery, &reason, end).await?,
            }
        }
        self.write(received, end).await
    }

    /// Writes a batch; where one message makes the statement fail, each by
    /// itself.
    async fn write(&self, batch: Vec<Received>, end: &CancellationToken) -> Result<(), Ending> {
        if batch.is_empty() {
            return Ok(());
        }
        match self.apply(&batch, end).await? {
            Ok(applied) => {
                failpoint::reach("irmgard::result-after-update", None);
                for (received, answer) in batch.into_iter().zip(applied) {
                    self.finish(received, answer, end).await?;
                }
                Ok(())
            }
            Err(refusal) if batch.len() == 1 => {
                for received in &batch {
                    self.park(&received.delivery, &refusal, end).await?;
                }
                Ok(())
            }
            Err(_) => {
                for received in batch {
                    Box::pin(self.write(vec![received], end)).await?;
                }
                Ok(())
            }
        }
    }

    /// Holds the batch until PostgreSQL has taken it, or has refused what is
    /// in it.
    async fn apply(
        &self,
        batch: &[Received],
        end: &CancellationToken,
    ) -> Result<Result<Vec<Answer>, Unattributable>, Ending> {
        let verdicts: Vec<Verdict> = batch.iter().map(|r| r.verdict.clone()).collect();
        let mut rest = SHORTEST_REST;
        loop {
            let error = match self
                .commits
                .limited(apply(&self.pool, &self.output_bucket, &verdicts))
                .await
            {
                Ok(applied) => return Ok(Ok(applied)),
                Err(error) => error,
            };
            if is_about_the_data(&error) {
                return Ok(Err(Unattributable(format!("the database refused it: {error}"))));
            }
            tracing::warn!(%error, count = batch.len(), "results cannot be written: they are held");
            pause(&mut rest, end).await?;
        }
    }

    async fn finish(
        &self,
        received: Received,
        answer: Answer,
        end: &CancellationToken,
    ) -> Result<(), Ending> {
        let Received { delivery, verdict } = received;
        let outcome = match answer.applied {
            Applied::Changed => name(&verdict.outcome),
            Applied::Repeated => "repeated",
            Applied::WrongOutput => {
                let reason = Unattributable(format!(
                    "the place that it names is not that of photo {}'s output",
                    verdict.id
                ));
                return self.park(&delivery, &reason, end).await;
            }
            Applied::UnknownPhoto => {
                let reason = Unattributable(format!("there is no photo {}", verdict.id));
                return self.park(&delivery, &reason, end).await;
            }
        };
        self.metrics.count(outcome);
        log(&delivery, &verdict, answer.project.as_deref(), outcome);
        // Taken back by the broker, it comes again, and is a repetition.
        let _ = delivery.ack().await;
        Ok(())
    }

    /// Puts a message aside, confirmed, before it is acknowledged.
    async fn park(
        &self,
        delivery: &Delivery,
        reason: &Unattributable,
        end: &CancellationToken,
    ) -> Result<(), Ending> {
        let message = delivery
            .as_message()
            .with_header(headers::X_PARKED_REASON, reason.0.as_str());
        let mut rest = SHORTEST_REST;
        while let Err(error) = self.publisher.publish(&self.parked_queue, &message).await {
            tracing::warn!(%error, "a message cannot be parked: it is held");
            pause(&mut rest, end).await?;
        }
        self.metrics.count("parked");
        tracing::error!(
            reason = reason.0,
            messaging.destination.name = self.parked_queue,
            "a message that cannot be used was parked"
        );
        let _ = delivery.ack().await;
        Ok(())
    }
}

/// One line per verdict, in the photo's own trace.
fn log(delivery: &Delivery, verdict: &Verdict, project: Option<&str>, outcome: &'static str) {
    let span = tracing::info_span!("result", photo.id = verdict.id.get(), project);
    if let Some(parent) = TraceContext::extract(|name| delivery.header_text(name)) {
        telemetry::set_parent(&span, &parent);
    }
    span.in_scope(|| match &verdict.outcome {
        contract::Outcome::Failed { reason, detail } if outcome != "repeated" => {
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

/// Waits before the next attempt, longer each time.
async fn pause(rest: &mut Duration, end: &CancellationToken) -> Result<(), Ending> {
    tokio::select! {
        () = end.cancelled() => return Err(Ending),
        () = sleep(*rest) => {}
    }
    *rest = rest.saturating_mul(2).min(LONGEST_REST);
    Ok(())
}

/// Whether the message's content made the statement fail: data exception or
/// integrity constraint violation (SQLSTATE classes 22 and 23). Anything else
/// may concern every message, and none of them is to blame.
fn is_about_the_data(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Encode(_) => true,
        _ => error
            .as_database_error()
            .and_then(|e| e.code())
            .is_some_and(|code| code.starts_with("22") || code.starts_with("23")),
    }
}
