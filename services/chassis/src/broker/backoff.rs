//! How long to wait before the next attempt.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

/// Short enough that work goes on within seconds of the broker's return.
const LONGEST: Duration = Duration::from_secs(2);
const SHORTEST: Duration = Duration::from_millis(100);

/// Doubling waits with jitter, so that the pods of a deployment do not all
/// come back in the same instant.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure: between half and all of the doubled
    /// time, at most [`LONGEST`].
    pub(super) fn next_wait(&mut self) -> Duration {
        let full = SHORTEST
            .saturating_mul(2u32.saturating_pow(self.failures))
            .min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        full / 2 + full.mul_f64(random_share() / 2.0)
    }

    /// The attempt succeeded.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A number in `0.0..1.0`; each `RandomState` has keys of its own.
fn random_share() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(random >> 32).unwrap_or_default()) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_limit_and_start_again() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..40).map(|_| backoff.next_wait()).collect();
        assert!(waits[0] >= SHORTEST / 2 && waits[0] <= SHORTEST);
        assert!(waits[39] >= LONGEST / 2);
        assert!(waits.iter().all(|wait| *wait <= LONGEST));
        backoff.reset();
        assert!(backoff.next_wait() <= SHORTEST);
    }
}
