//! Retries of a job's steps.
//!
//! - A transient fault concerns all jobs: a server is unavailable, or no photo can be
//!   processed here. The job waits at the [`PauseGate`], and the consumer takes no further
//!   messages. As soon as one waiting job succeeds, the others retry at once.
//! - A job-specific fault concerns one job only. That job retries for a limited time,
//!   and the other jobs continue.
//! - A permanent fault is not retried.

use std::{sync::Arc, time::Duration};

use service_runtime::backoff::Backoff;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// First delay of the backoff.
const FIRST_DELAY: Duration = Duration::from_millis(100);

/// Maximum delay of the backoff. Work continues soon after a fault is gone.
const MAX_DELAY: Duration = Duration::from_secs(2);

/// Counts the jobs that wait because of a transient fault. Clones share the count.
#[derive(Clone, Debug)]
pub struct PauseGate {
    waiting: Arc<watch::Sender<usize>>,
    recovered: Arc<Notify>,
}

impl Default for PauseGate {
    fn default() -> Self {
        Self {
            waiting: Arc::new(watch::Sender::new(0)),
            recovered: Arc::new(Notify::new()),
        }
    }
}

impl PauseGate {
    /// The number of waiting jobs, and its changes.
    #[must_use]
    pub fn waiting_jobs(&self) -> watch::Receiver<usize> {
        self.waiting.subscribe()
    }

    /// Counts a job as waiting until the guard is dropped.
    fn enter(&self) -> WaitingJob<'_> {
        self.waiting.send_modify(|count| *count += 1);
        WaitingJob(self)
    }
}

struct WaitingJob<'a>(&'a PauseGate);

impl Drop for WaitingJob<'_> {
    fn drop(&mut self) {
        self.0.waiting.send_modify(|count| *count -= 1);
    }
}

/// Why one attempt of a step failed.
#[derive(Debug)]
pub enum Fault<E> {
    /// A server, the detector or the child process does not work: retry until it does.
    Transient(String),
    /// The server works, but not for this job: retry for a limited time.
    JobSpecific(E),
    /// The step cannot succeed.
    Permanent(E),
}

/// Why the retries of a step stopped, although the step may still succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// The job has waited until the deadline of its [`RetryPolicy`].
    HeldTooLong,
    /// The process is shutting down.
    ShuttingDown,
    /// The broker has taken the delivery back and gives it to another worker.
    DeliveryLost,
}

impl Interruption {
    /// The value in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HeldTooLong => "held-too-long",
            Self::ShuttingDown => "shutting-down",
            Self::DeliveryLost => "delivery-lost",
        }
    }
}

/// How long the steps of one job are retried, and what stops them.
pub struct RetryPolicy<'a> {
    /// Counts the job while it waits.
    pub gate: PauseGate,
    /// No attempt begins after this time.
    pub deadline: Instant,
    /// How long a job-specific fault is retried.
    pub job_specific_limit: Duration,
    /// Cancelled when the process shuts down.
    pub shutdown: CancellationToken,
    /// Whether the broker has taken the delivery back.
    pub is_delivery_lost: &'a (dyn Fn() -> bool + Sync),
}

impl RetryPolicy<'_> {
    /// Retries a step until it succeeds, fails, or the broker takes the delivery back.
    ///
    /// # Errors
    /// [`Interruption`] when the retries stop. The inner error is the one of [`Fault::Permanent`], or of
    /// [`Fault::JobSpecific`] if the step failed with nothing else for [`RetryPolicy::job_specific_limit`].
    pub async fn retry<T, E, A>(
        &self,
        step: &'static str,
        attempt: impl FnMut() -> A,
    ) -> Result<Result<T, E>, Interruption>
    where
        A: Future<Output = Result<T, Fault<E>>>,
    {
        self.retry_unless(self.is_delivery_lost, step, attempt).await
    }

    /// Retries a step even if the broker takes the delivery back. It suits the last
    /// steps of a job: they save the next worker the same work.
    ///
    /// # Errors
    /// As [`RetryPolicy::retry`].
    pub async fn retry_despite_lost_delivery<T, E, A>(
        &self,
        step: &'static str,
        attempt: impl FnMut() -> A,
    ) -> Result<Result<T, E>, Interruption>
    where
        A: Future<Output = Result<T, Fault<E>>>,
    {
        self.retry_unless(&|| false, step, attempt).await
    }

    async fn retry_unless<T, E, A>(
        &self,
        is_delivery_lost: &(dyn Fn() -> bool + Sync),
        step: &'static str,
        mut attempt: impl FnMut() -> A,
    ) -> Result<Result<T, E>, Interruption>
    where
        A: Future<Output = Result<T, Fault<E>>>,
    {
        let mut waiting = None;
        let mut job_specific_since = None;
        let mut backoff = Backoff::new(FIRST_DELAY, MAX_DELAY);
        loop {
            let recovered = self.gate.recovered.notified();
            let job_specific = match attempt().await {
                Ok(value) => {
                    if let Some((_, since)) = waiting.take() {
                        tracing::info!(
                            step,
                            duration_seconds = seconds(since),
                            "step {step} succeeded after retries"
                        );
                        self.gate.recovered.notify_waiters();
                    }
                    return Ok(Ok(value));
                }
                Err(Fault::Permanent(error)) => return Ok(Err(error)),
                Err(Fault::JobSpecific(error)) => {
                    if waiting.take().is_some() {
                        self.gate.recovered.notify_waiters();
                    }
                    Some(error)
                }
                Err(Fault::Transient(detail)) => {
                    job_specific_since = None;
                    if waiting.is_none() {
                        tracing::warn!(
                            step,
                            error = detail,
                            "step {step} failed: retrying until it succeeds"
                        );
                        waiting = Some((self.gate.enter(), Instant::now()));
                    } else {
                        tracing::debug!(step, error = detail, "step {step} still fails");
                    }
                    None
                }
            };
            let delay = backoff.next_delay();
            let next_attempt = Instant::now() + delay;
            if let Some(error) = job_specific
                && next_attempt
                    > *job_specific_since.get_or_insert_with(Instant::now) + self.job_specific_limit
            {
                return Ok(Err(error));
            }
            if next_attempt > self.deadline {
                return Err(Interruption::HeldTooLong);
            }
            if is_delivery_lost() {
                return Err(Interruption::DeliveryLost);
            }
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return Err(Interruption::ShuttingDown),
                () = recovered => {}
                () = tokio::time::sleep(delay) => {}
            }
        }
    }
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::atomic::AtomicUsize};

    use super::*;

    const JOB_SPECIFIC_LIMIT: Duration = Duration::from_secs(30);

    fn policy(gate: &PauseGate, seconds: u64) -> RetryPolicy<'static> {
        RetryPolicy {
            gate: gate.clone(),
            deadline: Instant::now() + Duration::from_secs(seconds),
            job_specific_limit: JOB_SPECIFIC_LIMIT,
            shutdown: CancellationToken::new(),
            is_delivery_lost: &|| false,
        }
    }

    fn transient<T>() -> Result<T, Fault<Infallible>> {
        Err(Fault::Transient("unavailable".to_owned()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_transient_fault_is_retried() {
        let (gate, attempts) = (PauseGate::default(), AtomicUsize::new(0));
        let waiting = gate.waiting_jobs();
        let result = policy(&gate, 600)
            .retry("get", || async {
                match attempts.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                    0 => assert_eq!(*waiting.borrow(), 0),
                    20 => return Ok(7),
                    _ => assert_eq!(*waiting.borrow(), 1),
                }
                transient()
            })
            .await;
        assert_eq!(result, Ok(Ok(7)));
        assert_eq!(*waiting.borrow(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn retries_stop_at_the_deadline() {
        let gate = PauseGate::default();
        let began = Instant::now();
        let result = policy(&gate, 600)
            .retry("put", || async { transient::<()>() })
            .await;
        assert_eq!(result, Err(Interruption::HeldTooLong));
        let elapsed = began.elapsed().as_secs();
        assert!((595..=600).contains(&elapsed), "{elapsed}");
        assert_eq!(*gate.waiting_jobs().borrow(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_and_a_lost_delivery_stop_the_retries() {
        let gate = PauseGate::default();
        let shutting_down = policy(&gate, 600);
        shutting_down.shutdown.cancel();
        let result = shutting_down.retry("put", || async { transient::<()>() }).await;
        assert_eq!(result, Err(Interruption::ShuttingDown));
        let delivery_lost = RetryPolicy {
            is_delivery_lost: &|| true,
            ..policy(&gate, 600)
        };
        let result = delivery_lost.retry("put", || async { transient::<()>() }).await;
        assert_eq!(result, Err(Interruption::DeliveryLost));
    }

    #[tokio::test(start_paused = true)]
    async fn a_permanent_fault_is_not_retried() {
        let gate = PauseGate::default();
        let mut attempts = 0;
        let result = policy(&gate, 600)
            .retry("get", || {
                attempts += 1;
                async { Err::<(), _>(Fault::Permanent("gone")) }
            })
            .await;
        assert_eq!((result, attempts), (Ok(Err("gone")), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_specific_fault_pauses_no_other_job_and_is_retried_for_a_limited_time() {
        let gate = PauseGate::default();
        let waiting = gate.waiting_jobs();
        let (began, attempts) = (Instant::now(), AtomicUsize::new(0));
        let result = policy(&gate, 600)
            .retry("get", || async {
                assert_eq!(*waiting.borrow(), 0);
                attempts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                Err::<(), _>(Fault::JobSpecific("broken"))
            })
            .await;
        assert_eq!(result, Ok(Err("broken")));
        let elapsed = began.elapsed();
        assert!(
            elapsed <= JOB_SPECIFIC_LIMIT && elapsed > JOB_SPECIFIC_LIMIT / 2,
            "{elapsed:?}"
        );
        assert!(attempts.into_inner() > 10);
    }

    /// An outage between the attempts restarts the time of the job-specific fault.
    #[tokio::test(start_paused = true)]
    async fn an_outage_is_never_a_job_specific_fault() {
        let gate = PauseGate::default();
        let waiting = gate.waiting_jobs();
        let attempts = AtomicUsize::new(0);
        let result = policy(&gate, 600)
            .retry("get", || async {
                match attempts.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 10 {
                    0 => Err::<(), _>(Fault::Transient("unavailable".to_owned())),
                    1 => {
                        assert_eq!(*waiting.borrow(), 1);
                        Err(Fault::JobSpecific("broken"))
                    }
                    _ => Err(Fault::JobSpecific("broken")),
                }
            })
            .await;
        assert_eq!(result, Err(Interruption::HeldTooLong));
        assert!(attempts.into_inner() > 250);
        assert_eq!(*waiting.borrow(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_succeeds_wakes_the_waiting_jobs() {
        let gate = PauseGate::default();
        let available = CancellationToken::new();
        let attempt = || async {
            if available.is_cancelled() {
                Ok(())
            } else {
                transient()
            }
        };
        let (waiting, waking) = (policy(&gate, 600), policy(&gate, 600));
        let waiting = waiting.retry("get", attempt);
        let waking = async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            available.cancel();
            let recovered_at = Instant::now();
            let _ = waking
                .retry("put", {
                    let mut is_first = true;
                    move || {
                        let result = if std::mem::take(&mut is_first) {
                            transient()
                        } else {
                            Ok(())
                        };
                        async { result }
                    }
                })
                .await;
            recovered_at
        };
        let (result, recovered_at) = tokio::join!(waiting, waking);
        assert_eq!(result, Ok(Ok(())));
        assert!(
            recovered_at.elapsed() < Duration::from_millis(200),
            "{:?}",
            recovered_at.elapsed()
        );
    }
}
