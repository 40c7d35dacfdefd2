//! Memory for bodies of unknown length, shared by all requests.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::UploadError;

/// Number of bytes per semaphore permit.
const UNIT: usize = 1024;

/// A number of bytes that all uploads share.
///
/// An upload acquires all its memory at once. Two uploads that each hold a part of what they need could deadlock.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    units: Arc<Semaphore>,
    total: u32,
    wait: Duration,
}

/// Permission to hold a number of bytes in memory, until dropped.
#[derive(Debug)]
pub struct MemoryPermit {
    _permit: OwnedSemaphorePermit,
}

impl MemoryBudget {
    /// A budget of `bytes`; acquiring memory fails after `wait`.
    #[must_use]
    pub fn new(bytes: usize, wait: Duration) -> Self {
        let total = to_units(bytes);
        Self {
            units: Arc::new(Semaphore::new(total as usize)),
            total,
            wait,
        }
    }

    /// Waits until the memory is free.
    ///
    /// # Errors
    /// [`UploadError::Busy`] if it is not free in time.
    pub async fn acquire(&self, bytes: usize) -> Result<MemoryPermit, UploadError> {
        let units = to_units(bytes).min(self.total);
        let permit = tokio::time::timeout(self.wait, Arc::clone(&self.units).acquire_many_owned(units));
        match permit.await {
            Ok(Ok(permit)) => Ok(MemoryPermit { _permit: permit }),
            Ok(Err(_)) | Err(_) => Err(UploadError::Busy),
        }
    }

    /// Acquires memory if it is free now and no other upload waits.
    pub fn try_acquire(&self, bytes: usize) -> Option<MemoryPermit> {
        let units = to_units(bytes).min(self.total);
        let permit = Arc::clone(&self.units).try_acquire_many_owned(units);
        permit.ok().map(|permit| MemoryPermit { _permit: permit })
    }

    #[must_use]
    pub fn free_bytes(&self) -> usize {
        self.units.available_permits() * UNIT
    }
}

fn to_units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX >> 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_for_memory_and_gives_up_in_time() {
        let budget = MemoryBudget::new(10 * UNIT, Duration::from_secs(3));
        let first = budget.acquire(8 * UNIT).await.unwrap();
        assert_eq!(budget.free_bytes(), 2 * UNIT);
        assert!(matches!(budget.acquire(3 * UNIT).await, Err(UploadError::Busy)));

        assert!(budget.try_acquire(3 * UNIT).is_none());
        let waiting = budget.acquire(10 * UNIT);
        let (second, ()) = tokio::join!(waiting, async {
            assert!(budget.try_acquire(UNIT).is_none(), "overtook a waiting upload");
            drop(first);
        });
        second.unwrap();
        assert!(budget.try_acquire(10 * UNIT).is_some());
        assert_eq!(budget.free_bytes(), 10 * UNIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_beyond_the_budget_gets_the_whole_budget() {
        let budget = MemoryBudget::new(4 * UNIT, Duration::from_secs(3));
        let all = budget.acquire(usize::MAX).await.unwrap();
        assert_eq!(budget.free_bytes(), 0);
        drop(all);
    }
}
