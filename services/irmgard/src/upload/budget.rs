//! Memory for bodies of unknown length, shared by all requests.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::UploadError;

/// Permits are counted in units of this many bytes.
const UNIT: usize = 1024;

/// A number of bytes that all uploads share.
///
/// A share is taken whole, and only by an upload that holds none: two that
/// hold a part of what they need could wait for each other.
#[derive(Clone, Debug)]
pub struct Budget {
    units: Arc<Semaphore>,
    total: u32,
    wait: Duration,
}

/// Bytes that may be held in memory, until dropped.
#[derive(Debug)]
pub struct Share {
    _permit: OwnedSemaphorePermit,
}

impl Budget {
    /// A budget of so many bytes, and how long a share is waited for.
    #[must_use]
    pub fn new(bytes: usize, wait: Duration) -> Self {
        let total = units(bytes);
        Self {
            units: Arc::new(Semaphore::new(total as usize)),
            total,
            wait,
        }
    }

    /// Waits for a share.
    ///
    /// # Errors
    /// [`UploadError::Busy`] when none was free in time.
    pub async fn share(&self, bytes: usize) -> Result<Share, UploadError> {
        let wanted = units(bytes).min(self.total);
        let permit = tokio::time::timeout(self.wait, Arc::clone(&self.units).acquire_many_owned(wanted));
        match permit.await {
            Ok(Ok(permit)) => Ok(Share { _permit: permit }),
            Ok(Err(_)) | Err(_) => Err(UploadError::Busy),
        }
    }

    /// A share, if one is free now and nobody waits for one.
    pub fn share_now(&self, bytes: usize) -> Option<Share> {
        let wanted = units(bytes).min(self.total);
        let permit = Arc::clone(&self.units).try_acquire_many_owned(wanted);
        permit.ok().map(|permit| Share { _permit: permit })
    }

    /// Bytes that nobody holds.
    #[must_use]
    pub fn free_bytes(&self) -> usize {
        self.units.available_permits() * UNIT
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX >> 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_for_a_share_and_gives_up_in_time() {
        let budget = Budget::new(10 * UNIT, Duration::from_secs(3));
        let first = budget.share(8 * UNIT).await.unwrap();
        assert_eq!(budget.free_bytes(), 2 * UNIT);
        assert!(matches!(budget.share(3 * UNIT).await, Err(UploadError::Busy)));

        assert!(budget.share_now(3 * UNIT).is_none());
        let waiting = budget.share(10 * UNIT);
        let (second, ()) = tokio::join!(waiting, async {
            assert!(budget.share_now(UNIT).is_none(), "overtook one that waits");
            drop(first);
        });
        second.unwrap();
        assert!(budget.share_now(10 * UNIT).is_some());
        assert_eq!(budget.free_bytes(), 10 * UNIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wish_beyond_the_whole_budget_is_the_whole_budget() {
        let budget = Budget::new(4 * UNIT, Duration::from_secs(3));
        let all = budget.share(usize::MAX).await.unwrap();
        assert_eq!(budget.free_bytes(), 0);
        drop(all);
    }
}
