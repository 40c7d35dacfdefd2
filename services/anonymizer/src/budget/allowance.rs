//! Memory that jobs share.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::MIB;

/// The bytes that all jobs together may hold; clones share them.
#[derive(Clone, Debug)]
pub struct Allowance {
    units: Arc<Semaphore>,
    total: u32,
}

/// A job's part of an [`Allowance`], given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    _units: Option<OwnedSemaphorePermit>,
    bytes: u64,
}

impl Share {
    /// The bytes that the job may hold.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Allowance {
    /// An allowance of so many bytes, reckoned in whole MiB.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let total = units(bytes).clamp(1, u32::MAX >> 3);
        Self {
            units: Arc::new(Semaphore::new(total as usize)),
            total,
        }
    }

    /// Whether a job of this size fits at all.
    #[must_use]
    pub fn holds(&self, bytes: u64) -> bool {
        units(bytes) <= self.total
    }

    /// Waits until so many bytes are free and takes them. A job that needs
    /// more than there is takes everything, and so is alone; its share then
    /// says less than was asked for.
    pub async fn take(&self, bytes: u64) -> Share {
        let wanted = units(bytes).min(self.total);
        // The semaphore is never closed, so there is always a permit in the end.
        let permit = Arc::clone(&self.units).acquire_many_owned(wanted).await.ok();
        Share {
            _units: permit,
            bytes: bytes.min(u64::from(self.total) * MIB),
        }
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(MIB)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_job_waits_for_what_it_needs() {
        let allowance = Allowance::new(100 * MIB);
        let small = allowance.take(40 * MIB).await;
        let other = allowance.take(40 * MIB).await;
        assert!(allowance.take(40 * MIB).now_or_never().is_none());
        drop(small);
        assert!(allowance.take(40 * MIB).now_or_never().is_some());
        drop(other);
    }

    #[tokio::test]
    async fn a_job_larger_than_everything_is_alone() {
        let allowance = Allowance::new(100 * MIB);
        assert!(!allowance.holds(101 * MIB));
        let all = allowance.take(5000 * MIB).await;
        assert_eq!(all.bytes(), 100 * MIB);
        assert!(allowance.take(1).now_or_never().is_none());
        drop(all);
        assert!(allowance.take(1).now_or_never().is_some());
    }
}
