//! How much the worker does at once: bounded by cores and by memory.
//!
//! The number of photos in work follows from the cores and from how many
//! photos of usual size the memory holds; jobs at once, which is also the
//! consumer's prefetch, is one more. Photos differ by a factor of a thousand,
//! so beyond that each job takes what its own photo needs out of one
//! [`Allowance`] before it is decoded.

use contract::media::USUAL_PIXELS;

mod allowance;
mod limits;

pub use allowance::{Allowance, Share};
pub use limits::{cores, memory_limit};

const MIB: u64 = 1 << 20;

/// What the process holds without any photo: program, models, connections.
/// Measured: 70 MiB.
const PROCESS_BYTES: u64 = 128 * MIB;

/// What a job holds whatever the photo's size: its sessions with the
/// activations of an inference. Measured: 150 MiB.
const INFERENCE_BYTES: u64 = 160 * MIB;

/// Memory of a job with a photo of that size: the decoded picture, and a second
/// one while it is turned.
pub const USUAL_BYTES: u64 = job_bytes(6 * USUAL_PIXELS, 0);

/// Memory of a job with the costliest photo of usual size: a progressive JPEG of four inks without subsampling, with the default
/// `MAX_UPLOAD_BYTES`.
const COSTLIEST_USUAL_BYTES: u64 = job_bytes(12 * USUAL_PIXELS, 64 * MIB);

/// Memory that one job needs for a photo whose pixels take `decoded` bytes and
/// whose file has `size`.
#[must_use]
pub const fn job_bytes(decoded: u64, size: u64) -> u64 {
    INFERENCE_BYTES
        .saturating_add(decoded)
        .saturating_add(size.saturating_mul(2))
}

/// Memory that a process of its own may need for a job of so many bytes, with
/// room to spare: reaching its limit would be taken for the photo's fault.
#[must_use]
const fn child_bytes(job: u64) -> u64 {
    job.saturating_add(PROCESS_BYTES + 256 * MIB)
}

/// How much the worker may do at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Jobs at once; also the prefetch.
    pub concurrency: u16,
    /// Photos of usual size among these that are decoded, looked at and encoded
    /// at once, each by one thread. The other jobs read, write and wait.
    pub threads: u16,
    /// Bytes that all jobs together may hold.
    pub bytes: u64,
}

impl Budget {
    /// The budget of a process that may use `memory` bytes and `cores`;
    /// `concurrency` overrules the number of jobs, neither bytes nor cores.
    #[must_use]
    pub fn of(memory: u64, cores: usize, concurrency: Option<u16>) -> Self {
        let bytes = memory.saturating_sub(PROCESS_BYTES).max(INFERENCE_BYTES);
        let by_memory = bytes / USUAL_BYTES;
        let by_cores = u64::try_from(cores).unwrap_or(u64::MAX);
        let threads = u16::try_from(by_memory.min(by_cores)).unwrap_or(u16::MAX).max(1);
        // One more, so that no core waits for the object store.
        let concurrency = concurrency.unwrap_or(threads.saturating_add(1)).max(1);
        Self {
            concurrency,
            threads: threads.min(concurrency),
            bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_24_mp_photos_and_hardly_more_fit_a_gibibyte() {
        assert_eq!(Budget::of(1 << 30, 2, None).threads, 2);
        assert_eq!(Budget::of(1 << 30, 8, None).threads, 3);
    }

    #[test]
    fn cores_bound_it_where_memory_is_plenty() {
        let budget = Budget::of(64 << 30, 4, None);
        assert_eq!((budget.threads, budget.concurrency), (4, 5));
    }

    #[test]
    fn there_is_always_one_job() {
        assert_eq!(Budget::of(0, 1, None).threads, 1);
        assert_eq!(Budget::of(64 << 20, 4, Some(0)).concurrency, 1);
    }

    #[test]
    fn concurrency_overrules_neither_cores_nor_memory() {
        let more = Budget::of(64 << 30, 4, Some(10));
        assert_eq!((more.threads, more.concurrency), (4, 10));
        let less = Budget::of(64 << 30, 4, Some(1));
        assert_eq!((less.threads, less.concurrency), (1, 1));
    }
}
