//! A circuit breaker: requests do not wait for a server that does not answer.
//!
//! The breaker opens after a number of failures in a row. While it is open, requests fail at once. After a
//! pause one request passes as a probe; its success closes the breaker.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

#[derive(Clone, Copy, Debug)]
pub struct BreakerSettings {
    /// Failures in a row that open the breaker.
    pub failures: u32,
    /// How long an open breaker refuses all requests.
    pub open_duration: Duration,
    /// How long a probe may take before another request may probe too.
    pub probe_timeout: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures: 3,
            open_duration: Duration::from_secs(1),
            probe_timeout: Duration::from_secs(2),
        }
    }
}

/// The breaker of one server. Clones share it.
#[derive(Clone, Debug)]
pub struct Breaker {
    name: &'static str,
    settings: BreakerSettings,
    state: Arc<Mutex<BreakerState>>,
}

#[derive(Clone, Copy, Debug)]
enum BreakerState {
    Closed { failures: u32 },
    Open { until: Instant },
    Probing { until: Instant },
}

/// The breaker is open: the server counts as down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server did not answer recent requests, so this one was not sent")]
pub struct BreakerOpen {
    /// When the next attempt makes sense.
    pub retry_after: Duration,
}

/// A permit for one request. Report the result with [`Permit::succeeded`] or [`Permit::failed`]. A dropped
/// permit reports nothing.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    breaker: Breaker,
    is_probe: bool,
}

impl Breaker {
    /// A closed breaker for the server `name`.
    #[must_use]
    pub fn new(name: &'static str, settings: BreakerSettings) -> Self {
        Self {
            name,
            settings,
            state: Arc::new(Mutex::new(BreakerState::Closed { failures: 0 })),
        }
    }

    /// Fails if a request would be refused now. Does not use up the probe.
    pub fn check(&self) -> Result<(), BreakerOpen> {
        match *self.state() {
            BreakerState::Closed { .. } => Ok(()),
            BreakerState::Open { until } | BreakerState::Probing { until } => refuse_until(until),
        }
    }

    /// Grants a request.
    pub fn permit(&self) -> Result<Permit, BreakerOpen> {
        let mut state = self.state();
        let is_probe = match *state {
            BreakerState::Closed { .. } => false,
            BreakerState::Open { until } | BreakerState::Probing { until } => {
                refuse_until(until)?;
                *state = BreakerState::Probing {
                    until: Instant::now() + self.settings.probe_timeout,
                };
                true
            }
        };
        Ok(Permit {
            breaker: self.clone(),
            is_probe,
        })
    }

    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    #[must_use]
    pub fn is_open(&self) -> bool {
        !matches!(*self.state(), BreakerState::Closed { .. })
    }

    fn state(&self) -> MutexGuard<'_, BreakerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened_now(&self) -> BreakerState {
        BreakerState::Open {
            until: Instant::now() + self.settings.open_duration,
        }
    }
}

impl Permit {
    /// The server answered, even if it refused the request.
    pub fn succeeded(mut self) {
        self.is_probe = false;
        let before = std::mem::replace(&mut *self.breaker.state(), BreakerState::Closed { failures: 0 });
        if !matches!(before, BreakerState::Closed { .. }) {
            let name = self.breaker.name;
            tracing::info!(
                dependency = name,
                "requests to {name} are sent again (circuit breaker closed)"
            );
        }
    }

    /// The server could not be reached or did not answer in time.
    pub fn failed(mut self) {
        let is_probe = std::mem::take(&mut self.is_probe);
        let opened = {
            let mut state = self.breaker.state();
            match *state {
                BreakerState::Closed { failures } if failures + 1 >= self.breaker.settings.failures => {
                    *state = self.breaker.opened_now();
                    true
                }
                BreakerState::Closed { failures } => {
                    *state = BreakerState::Closed {
                        failures: failures + 1,
                    };
                    false
                }
                BreakerState::Probing { .. } if is_probe => {
                    *state = self.breaker.opened_now();
                    false
                }
                // The request began before the breaker opened, so it says nothing new.
                BreakerState::Open { .. } | BreakerState::Probing { .. } => false,
            }
        };
        if opened {
            let name = self.breaker.name;
            tracing::warn!(
                dependency = name,
                count = self.breaker.settings.failures,
                "requests to {name} fail at once (circuit breaker open)"
            );
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.is_probe {
            let mut state = self.breaker.state();
            if matches!(*state, BreakerState::Probing { .. }) {
                *state = BreakerState::Open {
                    until: Instant::now(),
                };
            }
        }
    }
}

fn refuse_until(until: Instant) -> Result<(), BreakerOpen> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Ok(())
    } else {
        Err(BreakerOpen { retry_after: left })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new("test", BreakerSettings::default())
    }

    fn open_breaker() -> Breaker {
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
        assert!(open_breaker().permit().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn lets_one_probe_through_after_the_pause() {
        let breaker = open_breaker();
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
    async fn a_dropped_or_hanging_probe_does_not_block_others_for_long() {
        let breaker = open_breaker();
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
    async fn a_late_failure_does_not_prolong_the_pause() {
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
