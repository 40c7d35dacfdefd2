//! Takes jobs from the queue and settles their deliveries. It pauses while jobs wait to
//! retry a step, and shuts down in order.

mod republish;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt as _;
use service_runtime::broker::{Consumer, Delivery};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use republish::{RepublishReason, is_near_delivery_limit};
use service_runtime::failpoint;

use crate::{
    job::{JobEnvelope, Unfinished, Worker},
    metrics::Metrics,
    retry::{Interruption, PauseGate},
};

/// Time limit for returning messages to the queue after the grace time.
const REPUBLISH_LIMIT: Duration = Duration::from_secs(6);

/// Time limit for the last acks to reach the broker.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// A photo blocks a thread of this process. Everything else has shut down in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a photo blocks a thread that cannot be stopped: restart the process")]
pub struct StuckThread;

/// Runs the jobs of the queue.
#[derive(Clone)]
pub struct JobConsumer {
    pub worker: Arc<Worker>,
    /// Jobs at once.
    pub concurrency: u16,
    pub metrics: Metrics,
    /// How long jobs may continue after `shutdown`.
    pub grace: Duration,
    /// Cancelled when the consumer must take no more jobs.
    pub shutdown: CancellationToken,
    /// Cancelled by a job whose thread is stuck.
    stuck: CancellationToken,
    /// Cancelled after the grace time: unfinished jobs return to the queue.
    grace_over: CancellationToken,
}

impl JobConsumer {
    #[must_use]
    pub fn new(
        worker: Arc<Worker>,
        concurrency: u16,
        metrics: Metrics,
        grace: Duration,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            worker,
            concurrency,
            metrics,
            grace,
            shutdown,
            stuck: CancellationToken::new(),
            grace_over: CancellationToken::new(),
        }
    }

    /// Runs jobs until `shutdown`, then finishes the running jobs or returns them to the queue.
    ///
    /// # Errors
    /// [`StuckThread`] when the process must be replaced.
    pub async fn run(self, consumer: Consumer) -> Result<(), StuckThread> {
        let consumer = Arc::new(consumer);
        let jobs = TaskTracker::new();
        let slots = Arc::new(Semaphore::new(self.concurrency.into()));
        let pausing = tokio::spawn(pause_while_jobs_wait(
            Arc::clone(&consumer),
            self.worker.gate.clone(),
            self.metrics.clone(),
        ));
        loop {
            let next = async {
                let slot = Arc::clone(&slots).acquire_owned().await.ok();
                consumer.next().await.map(|delivery| (slot, delivery))
            };
            let next = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => None,
                () = self.stuck.cancelled() => None,
                next = next => next,
            };
            let Some((slot, delivery)) = next else { break };
            let this = self.clone();
            jobs.spawn(async move {
                // Boxed: the compiler nests the layout of futures only to a limited depth.
                let job = AssertUnwindSafe(Box::pin(this.run_job(&delivery))).catch_unwind();
                if job.await.is_err() {
                    // The broker counts this return, unlike a republished copy. So a
                    // message that panics every time reaches the delivery limit.
                    let _ = delivery.requeue().await;
                }
                drop(slot);
            });
        }
        pausing.abort();
        let _ = pausing.await;
        self.shut_down(consumer, jobs).await;
        if self.stuck.is_cancelled() {
            Err(StuckThread)
        } else {
            Ok(())
        }
    }

    async fn shut_down(&self, consumer: Arc<Consumer>, jobs: TaskTracker) {
        consumer.cancel();
        // Jobs that were received but not started go to another worker at once.
        while let Ok(Some(delivery)) = timeout(CLOSE_LIMIT, consumer.next()).await {
            let this = self.clone();
            jobs.spawn(async move { this.republish(&delivery, RepublishReason::NotStarted).await });
        }
        jobs.close();
        tracing::info!(count = jobs.len(), "shutting down: finishing the running jobs");
        if timeout(self.grace, jobs.wait()).await.is_err() {
            tracing::warn!(
                count = jobs.len(),
                "the grace time is over: returning unfinished jobs to the queue"
            );
            self.grace_over.cancel();
            if timeout(REPUBLISH_LIMIT, jobs.wait()).await.is_err() {
                tracing::warn!(
                    count = jobs.len(),
                    "some jobs were not returned: the broker requeues them when the connection closes"
                );
            }
        }
        if let Some(consumer) = Arc::into_inner(consumer) {
            let _ = timeout(CLOSE_LIMIT, consumer.close()).await;
        }
    }

    async fn run_job(&self, delivery: &Delivery) {
        let _in_flight = self.metrics.job_in_flight();
        let envelope = JobEnvelope::from(delivery);
        let span = tracing::info_span!(
            "job",
            otel.kind = "consumer",
            messaging.destination.name = self.worker.queues.jobs,
            messaging.delivery_count = delivery.deliveries_before(),
            photo.id = tracing::field::Empty,
            project = tracing::field::Empty,
            given.id = tracing::field::Empty,
        );
        if let Some(trace) = &envelope.trace {
            telemetry::set_parent(&span, trace);
        }
        self.process(delivery, &envelope).instrument(span).await;
    }

    async fn process(&self, delivery: &Delivery, envelope: &JobEnvelope) {
        if is_near_delivery_limit(delivery) {
            self.republish(delivery, RepublishReason::NearDeliveryLimit).await;
            return;
        }
        let began = tokio::time::Instant::now();
        let is_delivery_lost = || delivery.is_stale();
        let result = tokio::select! {
            biased;
            () = self.grace_over.cancelled() => Err(Unfinished::Interrupted(Interruption::ShuttingDown)),
            result = self.worker.process(envelope, &is_delivery_lost) => result,
        };
        match result {
            Ok(report) => {
                failpoint::reach("anonymizer::before-ack", None);
                if delivery.ack().await.is_err() {
                    tracing::info!(
                        "the broker has taken the message back: the next worker will find the job done"
                    );
                }
                report.record(began.elapsed().as_secs_f64(), &self.metrics);
            }
            Err(unfinished) => {
                self.return_unfinished(delivery, unfinished, began.elapsed().as_secs_f64())
                    .await;
            }
        }
    }

    async fn return_unfinished(&self, delivery: &Delivery, unfinished: Unfinished, seconds: f64) {
        let outcome = unfinished.name();
        self.metrics.job_ended(outcome, seconds);
        if unfinished == Unfinished::LargePhotoInWork {
            tracing::debug!(
                outcome,
                duration_seconds = seconds,
                "returning a large photo to the queue: another large photo is being processed"
            );
        } else {
            tracing::warn!(
                outcome,
                duration_seconds = seconds,
                "the job stopped without a result"
            );
        }
        if unfinished == Unfinished::Interrupted(Interruption::DeliveryLost) {
            return;
        }
        self.republish(delivery, RepublishReason::Unfinished(unfinished))
            .await;
        if unfinished == Unfinished::Stuck {
            self.stuck.cancel();
        }
    }
}

/// Pauses the consumer while jobs wait to retry a step: further jobs would only wait too.
async fn pause_while_jobs_wait(consumer: Arc<Consumer>, gate: PauseGate, metrics: Metrics) {
    let mut waiting = gate.waiting_jobs();
    loop {
        let count = *waiting.borrow_and_update();
        metrics.jobs_held.set(i64::try_from(count).unwrap_or(i64::MAX));
        if count > 0 && !consumer.is_paused() {
            tracing::warn!(count, "taking no more jobs until the waiting jobs can continue");
            consumer.pause();
        } else if count == 0 && consumer.is_paused() {
            tracing::info!("taking jobs again");
            consumer.resume();
        }
        metrics.consumer_paused.set(i64::from(consumer.is_paused()));
        if waiting.changed().await.is_err() {
            return;
        }
    }
}
