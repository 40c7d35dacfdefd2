//! Waiting out the faults of others.
//!
//! While any job is held, the consumer takes no further messages. As soon as
//! one held job gets through, the others try again at once.
//!
//! A fault that concerns one job only holds nobody else up: that job tries
//! again by itself, and not for long.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Waits between tries grow from here …
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// … to here, so that work goes on soon after the fault is gone.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Jobs that wait for a server; clones share them.
#[derive(Clone, Debug)]
pub struct Hold {
    held: Arc<watch::Sender<usize>>,
    recovered: Arc<Notify>,
}

impl Default for Hold {
    fn default() -> Self {
        Self {
            held: Arc::new(watch::Sender::new(0)),
            recovered: Arc::new(Notify::new()),
        }
    }
}

impl Hold {
    /// How many jobs are held, and its changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<usize> {
        self.held.subscribe()
    }

    fn begin(&self) -> Held<'_> {
        self.held.send_modify(|count| *count += 1);
        Held(self)
    }
}

struct Held<'a>(&'a Hold);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.held.send_modify(|count| *count -= 1);
    }
}

/// What one try of a step came to.
#[derive(Debug)]
pub enum Fault<E> {
    /// The server's fault, which passes: try again.
    Passing(String),
    /// The server is in order, but not for this step: try again, for a while.
    Own(E),
    /// The step cannot succeed.
    Final(E),
}

/// Why a step was not tried any longer, without any verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupted {
    /// The job was held as long as a job may be.
    HeldTooLong,
    /// The process is ending.
    ShuttingDown,
    /// The broker has taken the delivery back and gives it to somebody.
    DeliveryLost,
}

impl Interrupted {
    /// The word in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HeldTooLong => "held-too-long",
            Self::ShuttingDown => "shutting-down",
            Self::DeliveryLost => "delivery-lost",
        }
    }
}

/// How long one job waits, and for what it stops waiting.
pub struct Patience<'a> {
    /// Where the job is counted while it waits.
    pub hold: Hold,
    /// No new try after this time.
    pub until: Instant,
    /// How long a fault of the job's own is waited out.
    pub alone: Duration,
    /// Cancelled when the process is to end.
    pub shutdown: CancellationToken,
    /// Whether the broker has taken the delivery back.
    pub lost: &'a (dyn Fn() -> bool + Sync),
}

impl Patience<'_> {
    /// Tries a step until it succeeds or cannot, or until the broker has
    /// given the message to somebody else.
    ///
    /// # Errors
    /// [`Interrupted`] when waiting has no more sense; the inner error is the
    /// step's own: of [`Fault::Final`], or of [`Fault::Own`] if there was
    /// nothing else for as long as [`Patience::alone`].
    pub async fn persist<T, E, A>(
        &self,
        step: &'static str,
        attempt: impl FnMut() -> A,
    ) -> Result<Result<T, E>, Interrupted>
    where
        A: Future<Output = Result<T, Fault<E>>>,
    {
        self.repeat(step, attempt, self.lost).await
    }

    /// The same for a step near the end, which spares whoever has the message
    /// now the work.
    ///
    /// # Errors
    /// As [`Patience::persist`].
    pub async fn persist_to_the_end<T, E, A>(
        &self,
        step: &'static str,
        attempt: impl FnMut() -> A,
    ) -> Result<Result<T, E>, Interrupted>
    where
        A: Future<Output = Result<T, Fault<E>>>,
    {
        self.repeat(step, attempt, &|| false).await
    }

    async fn repeat<T, E, A>(
        &self,
        step: &'static str,
        mut attempt: impl FnMut() -> A,
        lost: &(dyn Fn() -> bool + Sync),
    ) -> Result<Result<T, E>, Interrupted>
    where
        A: Future<Output = Result<T, Fault<E>>>,
    {
        let mut held = None;
        let mut alone = None;
        let mut waits = Waits::default();
        loop {
            let recovered = self.hold.recovered.notified();
            let own = match attempt().await {
                Ok(value) => {
                    if let Some((_, since)) = held.take() {
                        tracing::info!(step, duration_seconds = seconds(since), "goes on after a fault");
                        self.hold.recovered.notify_waiters();
                    }
                    return Ok(Ok(value));
                }
                Err(Fault::Final(error)) => return Ok(Err(error)),
                Err(Fault::Own(error)) => {
                    if held.take().is_some() {
                        self.hold.recovered.notify_waiters();
                    }
                    Some(error)
                }
                Err(Fault::Passing(why)) => {
                    alone = None;
                    if held.is_none() {
                        tracing::warn!(step, error = why, "held: trying again until the fault is gone");
                        held = Some((self.hold.begin(), Instant::now()));
                    } else {
                        tracing::debug!(step, error = why, "still held");
                    }
                    None
                }
            };
            let wait = waits.next();
            let next = Instant::now() + wait;
            if let Some(error) = own
                && next > *alone.get_or_insert_with(Instant::now) + self.alone
            {
                return Ok(Err(error));
            }
            if next > self.until {
                return Err(Interrupted::HeldTooLong);
            }
            if lost() {
                return Err(Interrupted::DeliveryLost);
            }
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return Err(Interrupted::ShuttingDown),
                () = recovered => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

/// Growing waits, spread by a quarter so that workers do not knock together.
#[derive(Debug, Default)]
struct Waits {
    tries: u32,
}

impl Waits {
    fn next(&mut self) -> Duration {
        let wait = FIRST_WAIT
            .saturating_mul(1 << self.tries.min(10))
            .min(LONGEST_WAIT);
        self.tries += 1;
        // A new RandomState has new keys: as random as is needed here.
        let spread = RandomState::new().hash_one(self.tries) % 256;
        wait - wait.mul_f64(spread as f64 / 1024.0)
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::atomic::AtomicUsize};

    use super::*;

    fn patience(hold: &Hold, seconds: u64) -> Patience<'static> {
        Patience {
            hold: hold.clone(),
            until: Instant::now() + Duration::from_secs(seconds),
            alone: ALONE,
            shutdown: CancellationToken::new(),
            lost: &|| false,
        }
    }

    const ALONE: Duration = Duration::from_secs(30);

    fn passing<T>() -> Result<T, Fault<Infallible>> {
        Err(Fault::Passing("away".to_owned()))
    }

    #[test]
    fn waits_grow_to_the_limit_and_no_further() {
        let mut waits = Waits::default();
        let all: Vec<_> = (0..40).map(|_| waits.next()).collect();
        assert!(all[0] <= FIRST_WAIT);
        assert!(all.iter().all(|wait| *wait <= LONGEST_WAIT));
        assert!(all[10..].iter().all(|wait| *wait >= LONGEST_WAIT.mul_f64(0.75)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_passing_fault_is_waited_out() {
        let (hold, tries) = (Hold::default(), AtomicUsize::new(0));
        let held = hold.watch();
        let done = patience(&hold, 600)
            .persist("get", || async {
                match tries.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                    0 => assert_eq!(*held.borrow(), 0),
                    20 => return Ok(7),
                    _ => assert_eq!(*held.borrow(), 1),
                }
                passing()
            })
            .await;
        assert_eq!(done, Ok(Ok(7)));
        assert_eq!(*held.borrow(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_has_an_end() {
        let hold = Hold::default();
        let began = Instant::now();
        let done = patience(&hold, 600)
            .persist("put", || async { passing::<()>() })
            .await;
        assert_eq!(done, Err(Interrupted::HeldTooLong));
        let waited = began.elapsed().as_secs();
        assert!((595..=600).contains(&waited), "{waited}");
        assert_eq!(*hold.watch().borrow(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_and_loss_end_it() {
        let hold = Hold::default();
        let ending = patience(&hold, 600);
        ending.shutdown.cancel();
        let done = ending.persist("put", || async { passing::<()>() }).await;
        assert_eq!(done, Err(Interrupted::ShuttingDown));
        let losing = Patience {
            lost: &|| true,
            ..patience(&hold, 600)
        };
        let done = losing.persist("put", || async { passing::<()>() }).await;
        assert_eq!(done, Err(Interrupted::DeliveryLost));
    }

    #[tokio::test(start_paused = true)]
    async fn a_final_error_is_not_repeated() {
        let hold = Hold::default();
        let mut tries = 0;
        let done = patience(&hold, 600)
            .persist("get", || {
                tries += 1;
                async { Err::<(), _>(Fault::Final("gone")) }
            })
            .await;
        assert_eq!((done, tries), (Ok(Err("gone")), 1));
    }

    /// It is the job's own, and says so soon; nobody is held for it.
    #[tokio::test(start_paused = true)]
    async fn an_own_fault_holds_nobody_and_has_an_end() {
        let hold = Hold::default();
        let held = hold.watch();
        let (began, tries) = (Instant::now(), AtomicUsize::new(0));
        let done = patience(&hold, 600)
            .persist("get", || async {
                assert_eq!(*held.borrow(), 0);
                tries.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                Err::<(), _>(Fault::Own("broken"))
            })
            .await;
        assert_eq!(done, Ok(Err("broken")));
        let waited = began.elapsed();
        assert!(waited <= ALONE && waited > ALONE / 2, "{waited:?}");
        assert!(tries.into_inner() > 10);
    }

    /// An outage in between shows that it was not the job's own.
    #[tokio::test(start_paused = true)]
    async fn an_outage_is_never_an_own_fault() {
        let hold = Hold::default();
        let held = hold.watch();
        let tries = AtomicUsize::new(0);
        let done = patience(&hold, 600)
            .persist("get", || async {
                match tries.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 10 {
                    0 => Err::<(), _>(Fault::Passing("away".to_owned())),
                    1 => {
                        assert_eq!(*held.borrow(), 1);
                        Err(Fault::Own("broken"))
                    }
                    _ => Err(Fault::Own("broken")),
                }
            })
            .await;
        assert_eq!(done, Err(Interrupted::HeldTooLong));
        assert!(tries.into_inner() > 250);
        assert_eq!(*held.borrow(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_gets_through_wakes_the_others() {
        let hold = Hold::default();
        let back = CancellationToken::new();
        let attempt = || async { if back.is_cancelled() { Ok(()) } else { passing() } };
        let (slow, quick) = (patience(&hold, 600), patience(&hold, 600));
        let slow = slow.persist("get", attempt);
        let quick = async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            back.cancel();
            let began = Instant::now();
            let _ = quick
                .persist("put", {
                    let mut first = true;
                    move || {
                        let result = if std::mem::take(&mut first) {
                            passing()
                        } else {
                            Ok(())
                        };
                        async { result }
                    }
                })
                .await;
            began
        };
        let (slow, began) = tokio::join!(slow, quick);
        assert_eq!(slow, Ok(Ok(())));
        assert!(
            began.elapsed() < Duration::from_millis(200),
            "{:?}",
            began.elapsed()
        );
    }
}
