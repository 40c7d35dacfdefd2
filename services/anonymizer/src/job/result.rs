//! How a job reports its end. For a photo of irmgard it publishes a result message; otherwise it parks the message.

use contract::{
    FailureReason, MAX_DETAIL_CHARS, PhotoId, PhotoResult, Verdict,
    headers::{TRACEPARENT, TRACESTATE, X_PARKED_REASON},
};
use service_runtime::{broker::Message, failpoint, store::StoreError};
use telemetry::TraceContext;
use tokio::time::Instant;

use super::{Completion, JobReport, PhotoTask, Unfinished, objects::transient, worker::JobRun};

/// Rounds of `JOB_SPECIFIC_LIMIT` after which a photo fails whose object cannot be read:
/// one hour. Without this limit the message would circulate forever.
const MAX_UNREADABLE_ROUNDS: u64 = 120;

/// Rounds of `JOB_SPECIFIC_LIMIT` after which a photo fails whose child processes are killed from outside. A photo that
/// needs more memory than the pod has kills every child. The child's peak memory (`ru_maxrss`) does not help: on Linux
/// it starts with the worker's own peak. Other pods can also use up the memory for some minutes.
const MAX_KILLED_ROUNDS: u64 = 12;

impl JobRun<'_> {
    /// Ends a round in which the store worked, but could not read the object.
    pub(super) async fn end_unreadable_round(
        &mut self,
        task: &PhotoTask,
        error: &StoreError,
    ) -> Result<JobReport, Unfinished> {
        let detail = format!("the object store works, but cannot read this object: {error}");
        let rounds = self.envelope.unreadable_returns.saturating_add(1);
        self.end_round(
            task,
            Unfinished::Unreadable,
            rounds,
            MAX_UNREADABLE_ROUNDS,
            detail,
        )
        .await
    }

    /// Ends a round in which the child process was killed from outside each time.
    pub(super) async fn end_killed_round(
        &mut self,
        task: &PhotoTask,
        detail: String,
    ) -> Result<JobReport, Unfinished> {
        let rounds = self.envelope.killed_returns.saturating_add(1);
        self.end_round(task, Unfinished::Killed, rounds, MAX_KILLED_ROUNDS, detail)
            .await
    }

    /// Ends a round in which only this job had a fault. The photo fails after
    /// `max_rounds`; before that the job returns to the queue.
    async fn end_round(
        &mut self,
        task: &PhotoTask,
        unfinished: Unfinished,
        rounds: u64,
        max_rounds: u64,
        detail: String,
    ) -> Result<JobReport, Unfinished> {
        tracing::warn!(
            error = detail,
            count = rounds,
            "this job keeps failing while other jobs succeed"
        );
        if rounds < max_rounds {
            return Err(unfinished);
        }
        let detail = format!("failed in {rounds} rounds; {detail}");
        self.fail_task(task, FailureReason::ProcessingError, detail).await
    }

    /// Publishes a failure for a photo of irmgard, and parks any other message.
    pub(super) async fn fail_task(
        &mut self,
        task: &PhotoTask,
        reason: FailureReason,
        detail: String,
    ) -> Result<JobReport, Unfinished> {
        match task.owner.photo_id() {
            Some(id) => self.publish_failure(id, reason, detail).await,
            None => self.park(format!("{reason}: {detail}")).await,
        }
    }

    pub(super) async fn publish_failure(
        &mut self,
        id: PhotoId,
        reason: FailureReason,
        detail: String,
    ) -> Result<JobReport, Unfinished> {
        // The result may shorten the detail; the log has all of it.
        self.publish_result(id, Verdict::failed(reason, detail.as_str()))
            .await?;
        failpoint::reach("anonymizer::after-failed", Some(id.get()));
        Ok(JobReport::new(Completion::Failed { reason, detail }))
    }

    pub(super) async fn publish_result(&mut self, id: PhotoId, verdict: Verdict) -> Result<(), Unfinished> {
        let mut message = Message::new(PhotoResult::new(id, verdict).encode().map_err(|error| {
            tracing::error!(%error, "cannot encode the result message");
            Unfinished::EncodingFailed
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

    /// Moves the message to the parked queue, for an operator.
    pub(super) async fn park(&mut self, detail: String) -> Result<JobReport, Unfinished> {
        let short_detail: String = detail.chars().take(MAX_DETAIL_CHARS).collect();
        let message = self
            .envelope
            .message
            .clone()
            .with_header(X_PARKED_REASON, short_detail);
        self.publish(&self.worker.queues.parked, &message).await?;
        failpoint::reach("anonymizer::after-park", None);
        Ok(JobReport::new(Completion::Parked { detail }))
    }

    async fn publish(&mut self, queue: &str, message: &Message) -> Result<(), Unfinished> {
        let began = Instant::now();
        let published: Result<(), std::convert::Infallible> = self
            .policy
            .retry_despite_lost_delivery("publish", || async {
                self.worker
                    .publisher
                    .publish(queue, message)
                    .await
                    .map_err(transient)
            })
            .await?;
        let Ok(()) = published;
        self.record_stage("publish", began);
        Ok(())
    }
}
