//! Memory that jobs share.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{COSTLIEST_USUAL_BYTES, MIB, USUAL_BYTES, child_bytes};

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

    /// What one job may take: a photo of usual size has room beside it, if two
    /// of these have room at all. No photo of usual size is refused for it.
    #[must_use]
    pub fn per_job(&self) -> u64 {
        let total = u64::from(self.total) * MIB;
        if total < 2 * USUAL_BYTES {
            total
        } else {
            (total - USUAL_BYTES).max(COSTLIEST_USUAL_BYTES.min(total))
        }
    }

    /// What a child process takes for a job of so many bytes: as much room to
    /// spare as [`Allowance::per_job`] leaves, but not less than it may need.
    #[must_use]
    pub fn per_child(&self, job: u64) -> u64 {
        let ample = child_bytes(job.saturating_mul(2));
        ample.min(self.per_job().max(child_bytes(job)))
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
    use crate::budget::{Budget, job_bytes};

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

    #[test]
    fn a_photo_of_usual_size_has_room_beside_any_other() {
        let gibibyte = Allowance::new(Budget::of(1 << 30, 2, None).bytes);
        assert!(gibibyte.per_job() + USUAL_BYTES <= 896 * MIB);
        assert!(gibibyte.per_child(job_bytes(1_000_000, 0)) + USUAL_BYTES <= 896 * MIB);
        // A little memory more refuses no photo of usual size.
        for mebibytes in [512, 594, 595, 640, 768] {
            let allowance = Allowance::new(mebibytes * MIB);
            assert!(allowance.per_job() >= COSTLIEST_USUAL_BYTES.min(mebibytes * MIB));
        }
        // Where only one has room, it may have all.
        assert_eq!(Allowance::new(512 * MIB).per_job(), 512 * MIB);
    }

    #[test]
    fn a_child_has_what_it_may_need_before_others_have_room() {
        let gibibyte = Allowance::new(896 * MIB);
        for job in [160 * MIB, USUAL_BYTES, gibibyte.per_job()] {
            assert!(gibibyte.per_child(job) >= child_bytes(job), "{job}");
        }
    }

    #[tokio::test]
    async fn a_job_larger_than_everything_is_alone() {
        let allowance = Allowance::new(100 * MIB);
        let all = allowance.take(5000 * MIB).await;
        assert_eq!(all.bytes(), 100 * MIB);
        assert!(allowance.take(1).now_or_never().is_none());
        drop(all);
        assert!(allowance.take(1).now_or_never().is_some());
    }
}
