//! The least that a client must send, or take, while it is waited for.
//!
//! A limit on the longest pause alone lets a client hold for hours what is
//! held for it, by a byte before each pause ends.

use std::time::Duration;

/// So many bytes a second, over each piece of waiting of a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeastRate {
    /// Bytes per second of waiting; 0 asks for nothing.
    pub bytes_per_second: u64,
    /// The waiting after which the bytes are counted, and counted anew: what
    /// came quickly at the beginning allows no slowness later.
    pub window: Duration,
}

/// How a client has kept up so far.
///
/// Only the time that the client is waited for counts: it is not to blame
/// for an object store that is slow, or for a wait for memory.
#[derive(Clone, Debug)]
pub struct Pace {
    least: LeastRate,
    waited: Duration,
    bytes: u64,
}

/// The client is slower than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fewer than {bytes_per_second} bytes a second")]
pub struct TooSlow {
    /// The least rate.
    pub bytes_per_second: u64,
}

impl Pace {
    /// Nothing has come, and nothing was waited for.
    #[must_use]
    pub const fn new(least: LeastRate) -> Self {
        Self {
            least,
            waited: Duration::ZERO,
            bytes: 0,
        }
    }

    /// So many bytes came, or went, after so much waiting.
    ///
    /// # Errors
    /// [`TooSlow`] at the end of a window with too few bytes.
    pub fn moved(&mut self, bytes: usize, waited: Duration) -> Result<(), TooSlow> {
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
    const LEAST: LeastRate = LeastRate {
        bytes_per_second: 100,
        window: Duration::from_secs(10),
    };

    #[test]
    fn a_trickle_ends_with_the_first_window() {
        let mut pace = Pace::new(LEAST);
        for _ in 0..9 {
            assert_eq!(pace.moved(99, SECOND), Ok(()));
        }
        assert_eq!(
            pace.moved(99, SECOND),
            Err(TooSlow {
                bytes_per_second: 100
            })
        );
    }

    #[test]
    fn a_quick_beginning_buys_no_slowness_later() {
        let mut pace = Pace::new(LEAST);
        assert_eq!(pace.moved(1_000_000, 10 * SECOND), Ok(()));
        assert_eq!(pace.moved(1, 9 * SECOND), Ok(()));
        assert!(pace.moved(1, SECOND).is_err());
    }

    #[test]
    fn who_keeps_the_rate_or_is_not_waited_for_goes_on() {
        let mut pace = Pace::new(LEAST);
        for _ in 0..1000 {
            assert_eq!(pace.moved(500, 5 * SECOND), Ok(()));
            assert_eq!(pace.moved(1, Duration::ZERO), Ok(()));
        }
        let mut free = Pace::new(LeastRate {
            bytes_per_second: 0,
            ..LEAST
        });
        assert_eq!(free.moved(1, 1000 * SECOND), Ok(()));
    }
}
