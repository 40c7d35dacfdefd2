//! A circuit breaker: a server that does not answer is not asked by every
//! request.
//!
//! It opens after a number of failures in a row. Then requests are refused at
//! once; after a rest one of them is let through as a probe, whose success
//! closes the breaker again.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct BreakerSettings {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long no request is let through then.
    pub rest: Duration,
    /// How long a probe may take before another is let through beside it.
    pub probe: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures: 3,
            rest: Duration::from_secs(1),
            probe: Duration::from_secs(2),
        }
    }
}

/// The breaker of one server, shared by all requests.
#[derive(Clone, Debug)]
pub struct Breaker {
    name: &'static str,
    settings: BreakerSettings,
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    Probing { until: Instant },
}

/// The server is taken for down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not asked: it did not answer before")]
pub struct Open {
    /// When it is worth a try.
    pub retry_after: Duration,
}

/// Leave to ask the server once. What came of it is said by
/// [`Permit::succeeded`] or [`Permit::failed`]; dropped, it says nothing.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    breaker: Breaker,
    probe: bool,
}

impl Breaker {
    /// A closed breaker of the server of this name.
    #[must_use]
    pub fn new(name: &'static str, settings: BreakerSettings) -> Self {
        Self {
            name,
            settings,
            state: Arc::new(Mutex::new(State::Closed { failures: 0 })),
        }
    }

    /// Whether a request would be let through now; takes nothing.
    ///
    /// # Errors
    /// [`Open`] when not.
    pub fn check(&self) -> Result<(), Open> {
        match *self.state() {
            State::Closed { .. } => Ok(()),
            State::Open { until } | State::Probing { until } => refuse_until(until),
        }
    }

    /// Leave to ask the server.
    ///
    /// # Errors
    /// [`Open`] while the server is taken for down.
    pub fn permit(&self) -> Result<Permit, Open> {
        let mut state = self.state();
        let probe = match *state {
            State::Closed { .. } => false,
            State::Open { until } | State::Probing { until } => {
                refuse_until(until)?;
                *state = State::Probing {
                    until: Instant::now() + self.settings.probe,
                };
                true
            }
        };
        Ok(Permit {
            breaker: self.clone(),
            probe,
        })
    }

    /// The server's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether the server is taken for down.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !matches!(*self.state(), State::Closed { .. })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rest(&self) -> State {
        State::Open {
            until: Instant::now() + self.settings.rest,
        }
    }
}

impl Permit {
    /// The server answered, be it to refuse.
    pub fn succeeded(mut self) {
        self.probe = false;
        let before = std::mem::replace(&mut *self.breaker.state(), State::Closed { failures: 0 });
        if !matches!(before, State::Closed { .. }) {
            tracing::info!(server.address = self.breaker.name, "the server answers again");
        }
    }

    /// The server could not be reached, or did not answer in time.
    pub fn failed(mut self) {
        let probe = std::mem::take(&mut self.probe);
        let opened = {
            let mut state = self.breaker.state();
            match *state {
                State::Closed { failures } if failures + 1 >= self.breaker.settings.failures => {
                    *state = self.breaker.rest();
                    true
                }
                State::Closed { failures } => {
                    *state = State::Closed {
                        failures: failures + 1,
                    };
                    false
                }
                State::Probing { .. } if probe => {
                    *state = self.breaker.rest();
                    false
                }
                // Begun before it opened: says nothing new.
                State::Open { .. } | State::Probing { .. } => false,
            }
        };
        if opened {
            tracing::warn!(
                server.address = self.breaker.name,
                count = self.breaker.settings.failures,
                "the server does not answer: requests are refused at once until it does"
            );
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.probe {
            let mut state = self.breaker.state();
            if matches!(*state, State::Probing { .. }) {
                *state = State::Open {
                    until: Instant::now(),
                };
            }
        }
    }
}

fn refuse_until(until: Instant) -> Result<(), Open> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Ok(())
    } else {
        Err(Open { retry_after: left })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new("test", BreakerSettings::default())
    }

    fn open() -> Breaker {
        let breaker = breaker();
        for _ in 0..3 {
            breaker.permit().unwrap().failed();
        }
        assert!(breaker.is_open());
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn opens_after_failures_in_a_row_only() {
        let breaker = breaker();
        for _ in 0..5 {
            breaker.permit().unwrap().failed();
            breaker.permit().unwrap().failed();
            breaker.permit().unwrap().succeeded();
        }
        assert!(!breaker.is_open());
        assert!(open().permit().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn lets_one_probe_through_after_the_rest() {
        let breaker = open();
        tokio::time::advance(Duration::from_secs(1)).await;
        let probe = breaker.permit().unwrap();
        assert!(breaker.permit().is_err() && breaker.check().is_err());
        probe.failed();
        assert!(breaker.permit().is_err());
        tokio::time::advance(Duration::from_secs(1)).await;
        breaker.permit().unwrap().succeeded();
        assert!(!breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_dropped_or_hangs_blocks_nobody_for_long() {
        let breaker = open();
        tokio::time::advance(Duration::from_secs(1)).await;
        drop(breaker.permit().unwrap());
        let hanging = breaker.permit().unwrap();
        assert!(breaker.permit().is_err());
        tokio::time::advance(Duration::from_secs(2)).await;
        breaker.permit().unwrap().succeeded();
        drop(hanging);
        assert!(!breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_failure_does_not_prolong_the_rest() {
        let breaker = breaker();
        let late: Vec<_> = (0..9).map(|_| breaker.permit().unwrap()).collect();
        let mut late = late.into_iter();
        for permit in late.by_ref().take(3) {
            permit.failed();
        }
        tokio::time::advance(Duration::from_millis(900)).await;
        late.for_each(Permit::failed);
        tokio::time::advance(Duration::from_millis(100)).await;
        assert!(breaker.check().is_ok());
    }
}
