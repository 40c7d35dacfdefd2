//! Memory that all jobs share.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{MAX_USUAL_JOB_BYTES, MIB, USUAL_JOB_BYTES, child_process_bytes};

/// Memory that all jobs together may use. Clones share one pool.
#[derive(Clone, Debug)]
pub struct MemoryPool {
    mebibytes: Arc<Semaphore>,
    total_mebibytes: u32,
}

/// Memory that one job acquired from a [`MemoryPool`]. Dropping the permit releases it.
#[derive(Debug)]
pub struct MemoryPermit {
    _mebibytes: Option<OwnedSemaphorePermit>,
    bytes: u64,
}

impl MemoryPermit {
    /// The bytes that the job may use.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl MemoryPool {
    /// A pool of this size. It counts whole MiB.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let total_mebibytes = mebibytes(bytes).clamp(1, u32::MAX >> 3);
        Self {
            mebibytes: Arc::new(Semaphore::new(total_mebibytes as usize)),
            total_mebibytes,
        }
    }

    /// Maximum memory of one job. If the pool has room for two photos of usual size, the
    /// maximum leaves room for one of them. It never excludes a photo of usual size.
    #[must_use]
    pub fn max_job_bytes(&self) -> u64 {
        let total = self.total_bytes();
        if total < 2 * USUAL_JOB_BYTES {
            total
        } else {
            (total - USUAL_JOB_BYTES).max(MAX_USUAL_JOB_BYTES.min(total))
        }
    }

    /// Memory to acquire for a child process that runs a job of `job_bytes`: enough for a job twice as large, but at
    /// most [`MemoryPool::max_job_bytes`], and at least what the child may need.
    #[must_use]
    pub fn child_bytes(&self, job_bytes: u64) -> u64 {
        let generous = child_process_bytes(job_bytes.saturating_mul(2));
        generous.min(self.max_job_bytes().max(child_process_bytes(job_bytes)))
    }

    /// Waits until this much memory is free, and acquires it. A job that needs more than the whole pool acquires the
    /// whole pool; its permit then has fewer bytes than requested.
    pub async fn acquire(&self, bytes: u64) -> MemoryPermit {
        let requested = mebibytes(bytes).min(self.total_mebibytes);
        // The semaphore is never closed, so acquiring never fails.
        let permit = Arc::clone(&self.mebibytes)
            .acquire_many_owned(requested)
            .await
            .ok();
        MemoryPermit {
            _mebibytes: permit,
            bytes: bytes.min(self.total_bytes()),
        }
    }

    fn total_bytes(&self) -> u64 {
        u64::from(self.total_mebibytes) * MIB
    }
}

fn mebibytes(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(MIB)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::capacity::{Capacity, job_bytes};

    #[tokio::test]
    async fn a_job_waits_until_its_memory_is_free() {
        let pool = MemoryPool::new(100 * MIB);
        let first = pool.acquire(40 * MIB).await;
        let second = pool.acquire(40 * MIB).await;
        assert!(pool.acquire(40 * MIB).now_or_never().is_none());
        drop(first);
        assert!(pool.acquire(40 * MIB).now_or_never().is_some());
        drop(second);
    }

    #[test]
    fn a_photo_of_usual_size_fits_beside_any_other() {
        let pool = MemoryPool::new(Capacity::new(1 << 30, 2, None).memory_bytes);
        assert!(pool.max_job_bytes() + USUAL_JOB_BYTES <= 896 * MIB);
        assert!(pool.child_bytes(job_bytes(1_000_000, 0)) + USUAL_JOB_BYTES <= 896 * MIB);
        // A slightly larger pool does not exclude a photo of usual size.
        for mebibytes in [512, 594, 595, 640, 768] {
            let pool = MemoryPool::new(mebibytes * MIB);
            assert!(pool.max_job_bytes() >= MAX_USUAL_JOB_BYTES.min(mebibytes * MIB));
        }
        // A pool with room for one photo gives it everything.
        assert_eq!(MemoryPool::new(512 * MIB).max_job_bytes(), 512 * MIB);
    }

    #[test]
    fn a_child_gets_the_memory_it_may_need() {
        let pool = MemoryPool::new(896 * MIB);
        for job in [160 * MIB, USUAL_JOB_BYTES, pool.max_job_bytes()] {
            assert!(pool.child_bytes(job) >= child_process_bytes(job), "{job}");
        }
    }

    #[tokio::test]
    async fn a_job_larger_than_the_pool_runs_alone() {
        let pool = MemoryPool::new(100 * MIB);
        let all = pool.acquire(5000 * MIB).await;
        assert_eq!(all.bytes(), 100 * MIB);
        assert!(pool.acquire(1).now_or_never().is_none());
        drop(all);
        assert!(pool.acquire(1).now_or_never().is_some());
    }
}
