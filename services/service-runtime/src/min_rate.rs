//! Minimum rate at which a client must send or receive while the server waits for it.
//!
//! A limit on pauses alone is not enough: a client could hold resources for hours by sending one byte before
//! each limit.

use std::time::Duration;

/// A minimum rate, measured over windows of waiting time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinRate {
    /// Bytes per second of waiting; 0: no minimum.
    pub bytes_per_second: u64,
    /// Length of a window. Counting restarts after each one, so that a fast beginning does not allow a slow rest.
    pub window: Duration,
}

/// The rate of a client in the current window.
///
/// Only the time that the server waits for the client counts. A slow object store, or a wait for memory, is
/// not the client's fault.
#[derive(Clone, Debug)]
pub struct RateMeter {
    least: MinRate,
    waited: Duration,
    bytes: u64,
}

/// The client is slower than the minimum rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fewer than {bytes_per_second} bytes a second")]
pub struct TooSlow {
    /// The minimum rate.
    pub bytes_per_second: u64,
}

impl RateMeter {
    #[must_use]
    pub const fn new(least: MinRate) -> Self {
        Self {
            least,
            waited: Duration::ZERO,
            bytes: 0,
        }
    }

    /// Records bytes that moved after a wait.
    ///
    /// # Errors
    /// [`TooSlow`] at the end of a window with too few bytes.
    pub fn record(&mut self, bytes: usize, waited: Duration) -> Result<(), TooSlow> {
        self.bytes += bytes as u64;
        self.waited += waited;
        if self.waited < self.least.window {
            return Ok(());
        }
        let bytes_per_second = self.least.bytes_per_second;
        if (self.bytes as f64) < self.waited.as_secs_f64() * bytes_per_second as f64 {
            return Err(TooSlow { bytes_per_second });
        }
        *self = Self::new(self.least);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MIN_RATE: MinRate = MinRate {
        bytes_per_second: 100,
        window: Duration::from_secs(10),
    };

    #[test]
    fn a_trickle_fails_after_the_first_window() {
        let mut meter = RateMeter::new(MIN_RATE);
        for _ in 0..9 {
            assert_eq!(meter.record(99, SECOND), Ok(()));
        }
        assert_eq!(
            meter.record(99, SECOND),
            Err(TooSlow {
                bytes_per_second: 100
            })
        );
    }

    #[test]
    fn a_fast_beginning_does_not_allow_a_slow_rest() {
        let mut meter = RateMeter::new(MIN_RATE);
        assert_eq!(meter.record(1_000_000, 10 * SECOND), Ok(()));
        assert_eq!(meter.record(1, 9 * SECOND), Ok(()));
        assert!(meter.record(1, SECOND).is_err());
    }

    #[test]
    fn a_client_at_the_rate_or_without_waits_does_not_fail() {
        let mut meter = RateMeter::new(MIN_RATE);
        for _ in 0..1000 {
            assert_eq!(meter.record(500, 5 * SECOND), Ok(()));
            assert_eq!(meter.record(1, Duration::ZERO), Ok(()));
        }
        let mut unlimited = RateMeter::new(MinRate {
            bytes_per_second: 0,
            ..MIN_RATE
        });
        assert_eq!(unlimited.record(1, 1000 * SECOND), Ok(()));
    }
}
