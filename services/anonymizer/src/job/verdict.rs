//! What a job says in the end: on a photo of ours by a result message, on
//! anything else by parking the message.

use chassis::{broker::Message, store::StoreError};
use contract::{
    FailureReason, MAX_DETAIL_CHARS, Outcome, PhotoId, PhotoResult,
    headers::{TRACEPARENT, TRACESTATE, X_PARKED_REASON},
};
use telemetry::TraceContext;
use tokio::time::Instant;

use super::{Assignment, Ending, Report, Stopped, objects::passing, worker::Run};
use crate::failpoint;

/// So many rounds of `ALONE_LIMIT` an object that cannot be read is tried: an
/// hour in all. Then it is a verdict, or the message would circulate for ever.
const UNREADABLE_ROUNDS: u64 = 120;

/// So many rounds of `ALONE_LIMIT` a photo is tried whose child processes are
/// killed from outside. A photo that needs more memory than the pod has ends
/// every child. Its peak (`ru_maxrss`) cannot be asked for: on Linux, that begins
/// with the worker's own. Other pods can be short of memory for some minutes, too.
const KILLED_ROUNDS: u64 = 12;

impl Run<'_> {
    /// The store has failed at the object for as long as that is tried at a
    /// stretch, and was in order all the while.
    pub(super) async fn unreadable(
        &mut self,
        assignment: &Assignment,
        error: &StoreError,
    ) -> Result<Report, Stopped> {
        let why = format!("the store is in order, but an object cannot be read: {error}");
        let rounds = (self.order.unreadable_returns, UNREADABLE_ROUNDS);
        self.keeps_failing(assignment, Stopped::Unreadable, rounds, why)
            .await
    }

    /// The child process was killed from outside for as long as that is tried
    /// at a stretch.
    pub(super) async fn killed(&mut self, assignment: &Assignment, why: String) -> Result<Report, Stopped> {
        let rounds = (self.order.killed_returns, KILLED_ROUNDS);
        self.keeps_failing(assignment, Stopped::Killed, rounds, why).await
    }

    /// The job alone has had trouble for as long as that is tried at a stretch.
    async fn keeps_failing(
        &mut self,
        assignment: &Assignment,
        stopped: Stopped,
        (rounds_before, limit): (u64, u64),
        why: String,
    ) -> Result<Report, Stopped> {
        let rounds = rounds_before.saturating_add(1);
        tracing::warn!(
            error = why,
            count = rounds,
            "a job keeps failing while others do not"
        );
        if rounds < limit {
            return Err(stopped);
        }
        let detail = format!("failed in {rounds} rounds; {why}");
        self.give_up(assignment, FailureReason::ProcessingError, detail)
            .await
    }

    /// A verdict: on our photos as a result, else on the message.
    pub(super) async fn give_up(
        &mut self,
        assignment: &Assignment,
        reason: FailureReason,
        detail: String,
    ) -> Result<Report, Stopped> {
        match assignment.origin.photo() {
            Some(id) => self.fail(id, reason, detail).await,
            None => self.park(format!("{reason}: {detail}")).await,
        }
    }

    pub(super) async fn fail(
        &mut self,
        id: PhotoId,
        reason: FailureReason,
        detail: String,
    ) -> Result<Report, Stopped> {
        // The whole detail is in the log.
        self.answer(id, Outcome::failed(reason, detail.as_str())).await?;
        failpoint::reach("anonymizer::after-failed", Some(id.get()));
        Ok(Report::of(Ending::Failed { reason, detail }))
    }

    pub(super) async fn answer(&mut self, id: PhotoId, outcome: Outcome) -> Result<(), Stopped> {
        let mut message = Message::new(PhotoResult::new(id, outcome).encode().map_err(|error| {
            tracing::error!(%error, "a result cannot be written");
            Stopped::Stuck
        })?)
        .with_id(id);
        if let Some(trace) = TraceContext::current() {
            message = message.with_header(TRACEPARENT, trace.traceparent());
            if let Some(state) = trace.tracestate() {
                message = message.with_header(TRACESTATE, state);
            }
        }
        self.publish(&self.worker.queues.results, &message).await
    }

    pub(super) async fn park(&mut self, why: String) -> Result<Report, Stopped> {
        let short: String = why.chars().take(MAX_DETAIL_CHARS).collect();
        let message = self.order.message.clone().with_header(X_PARKED_REASON, short);
        self.publish(&self.worker.queues.parked, &message).await?;
        failpoint::reach("anonymizer::after-park", None);
        Ok(Report::of(Ending::Parked { why }))
    }

    pub(super) async fn publish(&mut self, queue: &str, message: &Message) -> Result<(), Stopped> {
        let began = Instant::now();
        let published: Result<(), std::convert::Infallible> = self
            .patience
            .persist_to_the_end("publish", || async {
                self.worker
                    .publisher
                    .publish(queue, message)
                    .await
                    .map_err(passing)
            })
            .await?;
        let Ok(()) = published;
        self.stage("publish", began);
        Ok(())
    }
}
