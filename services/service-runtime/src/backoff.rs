//! Exponential backoff.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

/// Exponential backoff with jitter, so that the pods of a deployment do not all retry at the same instant.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// The delays double from `first` to `max`.
    #[must_use]
    pub const fn new(first: Duration, max: Duration) -> Self {
        Self {
            first,
            max,
            failures: 0,
        }
    }

    /// The delay after another failure: between half and all of the doubled time.
    pub fn next_delay(&mut self) -> Duration {
        let longest = self
            .first
            .saturating_mul(2u32.saturating_pow(self.failures))
            .min(self.max);
        self.failures = self.failures.saturating_add(1);
        longest / 2 + longest.mul_f64(random_fraction() / 2.0)
    }

    /// Call this after a success.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A random number in `0.0..1.0`; each `RandomState` has its own keys.
fn random_fraction() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(random >> 32).unwrap_or_default()) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_limit_and_restart() {
        let (first, max) = (Duration::from_millis(100), Duration::from_secs(2));
        let mut backoff = Backoff::new(first, max);
        let delays: Vec<_> = (0..40).map(|_| backoff.next_delay()).collect();
        assert!(delays[0] >= first / 2 && delays[0] <= first);
        assert!(delays[39] >= max / 2);
        assert!(delays.iter().all(|delay| *delay <= max));
        backoff.reset();
        assert!(backoff.next_delay() <= first);
    }
}
