use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

/// Short enough that work continues within seconds after the broker returns.
const MAX_DELAY: Duration = Duration::from_secs(2);
const MIN_DELAY: Duration = Duration::from_millis(100);

/// Exponential backoff with jitter, so that the pods of a deployment do not all reconnect at the same
/// instant.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The delay after another failure: between half and all of the doubled time, at most [`MAX_DELAY`].
    pub(super) fn next_delay(&mut self) -> Duration {
        let max = MIN_DELAY
            .saturating_mul(2u32.saturating_pow(self.failures))
            .min(MAX_DELAY);
        self.failures = self.failures.saturating_add(1);
        max / 2 + max.mul_f64(random_fraction() / 2.0)
    }

    /// Call this after a success.
    pub(super) fn reset(&mut self) {
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
        let mut backoff = Backoff::default();
        let delays: Vec<_> = (0..40).map(|_| backoff.next_delay()).collect();
        assert!(delays[0] >= MIN_DELAY / 2 && delays[0] <= MIN_DELAY);
        assert!(delays[39] >= MAX_DELAY / 2);
        assert!(delays.iter().all(|delay| *delay <= MAX_DELAY));
        backoff.reset();
        assert!(backoff.next_delay() <= MIN_DELAY);
    }
}
