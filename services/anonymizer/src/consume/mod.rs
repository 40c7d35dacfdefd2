//! From the queue to jobs and back: takes deliveries, settles them, pauses
//! while servers are away, and ends in order.

mod hold;
mod settle;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use chassis::broker::{Consumer, Delivery};
use futures::FutureExt as _;
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

pub use hold::{Fault, Hold, Interrupted, Patience};
use settle::GiveBack;

use crate::{
    failpoint,
    job::{Order, Stopped, Worker},
    metrics::Metrics,
};

/// How long giving messages back may take when the grace time is over.
const GIVE_BACK_LIMIT: Duration = Duration::from_secs(6);

/// How long the last acks may take to reach the broker.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// A thread of this process is lost in a photo. It has ended in order
/// otherwise, and must be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("work on a photo does not end and cannot be interrupted; the process must be replaced")]
pub struct Sick;

/// The queue's consumer and what it needs to know.
#[derive(Clone)]
pub struct Line {
    /// Does the jobs.
    pub worker: Arc<Worker>,
    /// Jobs at once.
    pub concurrency: u16,
    /// Counts them.
    pub metrics: Metrics,
    /// How long jobs may go on after `shutdown`.
    pub grace: Duration,
    /// Cancelled when no more jobs are to be taken.
    pub shutdown: CancellationToken,
    /// Cancelled by a job whose thread is lost.
    sick: CancellationToken,
    /// Cancelled when jobs must be given back, whatever they do.
    give_back: CancellationToken,
}

impl Line {
    /// A line that has not begun.
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
            sick: CancellationToken::new(),
            give_back: CancellationToken::new(),
        }
    }

    /// Works until `shutdown`, then finishes what it has or gives it back.
    ///
    /// # Errors
    /// [`Sick`] when the process must be replaced.
    pub async fn run(self, consumer: Consumer) -> Result<(), Sick> {
        let consumer = Arc::new(consumer);
        let jobs = TaskTracker::new();
        let slots = Arc::new(Semaphore::new(self.concurrency.into()));
        let pausing = tokio::spawn(pause_while_held(
            Arc::clone(&consumer),
            self.worker.hold.clone(),
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
                () = self.sick.cancelled() => None,
                next = next => next,
            };
            let Some((slot, delivery)) = next else { break };
            let line = self.clone();
            jobs.spawn(async move {
                // In a box: the compiler lays out every future within another one, to a limited depth.
                let job = AssertUnwindSafe(Box::pin(line.job(&delivery))).catch_unwind();
                if job.await.is_err() {
                    // Counted by the broker, unlike everything else: that a
                    // message does this again and again must have an end.
                    let _ = delivery.requeue().await;
                }
                drop(slot);
            });
        }
        pausing.abort();
        let _ = pausing.await;
        self.end(consumer, jobs).await;
        if self.sick.is_cancelled() {
            Err(Sick)
        } else {
            Ok(())
        }
    }

    async fn end(&self, consumer: Arc<Consumer>, jobs: TaskTracker) {
        consumer.cancel();
        // Received, but not begun: somebody else may have it at once.
        while let Ok(Some(delivery)) = timeout(CLOSE_LIMIT, consumer.next()).await {
            let line = self.clone();
            jobs.spawn(async move { line.settle(&delivery).again(GiveBack::Unbegun).await });
        }
        jobs.close();
        tracing::info!(count = jobs.len(), "finishing jobs in work");
        if timeout(self.grace, jobs.wait()).await.is_err() {
            tracing::warn!(count = jobs.len(), "giving back jobs that take too long");
            self.give_back.cancel();
            if timeout(GIVE_BACK_LIMIT, jobs.wait()).await.is_err() {
                tracing::warn!(count = jobs.len(), "the broker will take the rest back itself");
            }
        }
        if let Some(consumer) = Arc::into_inner(consumer) {
            let _ = timeout(CLOSE_LIMIT, consumer.close()).await;
        }
    }

    async fn job(&self, delivery: &Delivery) {
        let _in_flight = self.metrics.begin();
        let order = Order::from(delivery);
        let span = tracing::info_span!(
            "job",
            otel.kind = "consumer",
            messaging.destination.name = self.worker.queues.jobs,
            messaging.delivery_count = delivery.deliveries_before(),
            photo.id = tracing::field::Empty,
            project = tracing::field::Empty,
            given.id = tracing::field::Empty,
        );
        if let Some(trace) = &order.trace {
            telemetry::set_parent(&span, trace);
        }
        self.work(delivery, &order).instrument(span).await;
    }

    async fn work(&self, delivery: &Delivery, order: &Order) {
        let settle = self.settle(delivery);
        if settle.is_near_the_limit() {
            settle.again(GiveBack::NearLimit).await;
            return;
        }
        let began = tokio::time::Instant::now();
        let lost = || delivery.is_stale();
        let stopped = tokio::select! {
            biased;
            () = self.give_back.cancelled() => Err(Stopped::Interrupted(Interrupted::ShuttingDown)),
            done = self.worker.run(order, &lost) => done,
        };
        let stopped = match stopped {
            Ok(report) => {
                failpoint::reach("anonymizer::before-ack", None);
                settle.done().await;
                report.tell(began.elapsed().as_secs_f64(), &self.metrics);
                return;
            }
            Err(stopped) => stopped,
        };
        let outcome = match stopped {
            Stopped::Interrupted(why) => why.name(),
            Stopped::Unreadable => "unreadable",
            Stopped::Killed => "killed",
            Stopped::LargePhotoInWork => "large-photo-in-work",
            Stopped::Stuck => "stuck",
        };
        let seconds = began.elapsed().as_secs_f64();
        self.metrics.job_ended(outcome, seconds);
        if stopped == Stopped::LargePhotoInWork {
            tracing::debug!(
                outcome,
                duration_seconds = seconds,
                "leaves its place to a smaller photo"
            );
        } else {
            tracing::warn!(
                outcome,
                duration_seconds = seconds,
                "gave the job back without a verdict"
            );
        }
        match stopped {
            Stopped::Interrupted(Interrupted::DeliveryLost) => {}
            Stopped::Interrupted(Interrupted::ShuttingDown) => settle.again(GiveBack::ShuttingDown).await,
            Stopped::Interrupted(Interrupted::HeldTooLong) => settle.again(GiveBack::HeldTooLong).await,
            Stopped::Unreadable => settle.again(GiveBack::Unreadable).await,
            Stopped::Killed => settle.again(GiveBack::Killed).await,
            Stopped::LargePhotoInWork => settle.again(GiveBack::LargePhotoInWork).await,
            Stopped::Stuck => {
                settle.again(GiveBack::Stuck).await;
                self.sick.cancel();
            }
        }
    }
}

/// No further messages while jobs are held: they would only be held as well.
async fn pause_while_held(consumer: Arc<Consumer>, hold: Hold, metrics: Metrics) {
    let mut held = hold.watch();
    loop {
        let count = *held.borrow_and_update();
        metrics.held.set(i64::try_from(count).unwrap_or(i64::MAX));
        if count > 0 && !consumer.is_paused() {
            tracing::warn!("taking no more jobs until the fault is gone");
            consumer.pause();
        } else if count == 0 && consumer.is_paused() {
            tracing::info!("taking jobs again");
            consumer.resume();
        }
        metrics.paused.set(i64::from(consumer.is_paused()));
        if held.changed().await.is_err() {
            return;
        }
    }
}
