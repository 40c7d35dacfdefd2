//! How many photos the worker processes at once, limited by cores and memory.
//!
//! Photos processed at once: as many as there are cores, but not more photos of usual size than fit into memory. Jobs
//! at once, which is also the consumer's prefetch, are one more. The memory that photos need differs by a factor of a
//! thousand. So each job acquires the memory of its own photo from one [`MemoryPool`] before it decodes the photo.

use contract::media::LARGE_PHOTO_PIXELS;

mod memory_pool;
mod system_limits;

pub use memory_pool::{MemoryPermit, MemoryPool};
pub use system_limits::{cores, memory_limit};

const MIB: u64 = 1 << 20;

/// Memory of the process without any photo: program, models, connections. Measured: 70 MiB.
const PROCESS_BYTES: u64 = 128 * MIB;

/// Memory of a job besides its photo: the sessions and the activations of an inference. Measured: 150 MiB.
const INFERENCE_BYTES: u64 = 160 * MIB;

/// Memory of a job with a photo of usual size: the decoded picture, and a second copy while it is rotated.
pub const USUAL_JOB_BYTES: u64 = job_bytes(6 * LARGE_PHOTO_PIXELS, 0);

/// Memory of a job with the most expensive photo of usual size: a progressive CMYK JPEG
/// without subsampling, with the default `MAX_UPLOAD_BYTES`.
const MAX_USUAL_JOB_BYTES: u64 = job_bytes(12 * LARGE_PHOTO_PIXELS, 64 * MIB);

/// Memory of a job whose pixels take `decoded_bytes` and whose file has `file_bytes`.
#[must_use]
pub const fn job_bytes(decoded_bytes: u64, file_bytes: u64) -> u64 {
    INFERENCE_BYTES
        .saturating_add(decoded_bytes)
        .saturating_add(file_bytes.saturating_mul(2))
}

/// Memory of a child process that runs a job of `job_bytes`, with a margin: a child
/// that reaches its limit looks like a crash on the photo.
#[must_use]
const fn child_process_bytes(job_bytes: u64) -> u64 {
    job_bytes.saturating_add(PROCESS_BYTES + 256 * MIB)
}

/// How much the worker does at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Jobs at once; also the prefetch.
    pub concurrency: u16,
    /// Photos of usual size that are decoded, detected and encoded at once, each by one
    /// thread. The other jobs read, write and wait.
    pub threads: u16,
    /// Memory of all jobs together, in bytes.
    pub memory_bytes: u64,
}

impl Capacity {
    /// The capacity of a process with `memory_limit` bytes and `cores`. `concurrency`
    /// overrides the number of jobs, but neither memory nor cores.
    #[must_use]
    pub fn new(memory_limit: u64, cores: usize, concurrency: Option<u16>) -> Self {
        let memory_bytes = memory_limit.saturating_sub(PROCESS_BYTES).max(INFERENCE_BYTES);
        let by_memory = memory_bytes / USUAL_JOB_BYTES;
        let by_cores = u64::try_from(cores).unwrap_or(u64::MAX);
        let threads = u16::try_from(by_memory.min(by_cores)).unwrap_or(u16::MAX).max(1);
        // One more job, so that no core waits for the object store.
        let concurrency = concurrency.unwrap_or(threads.saturating_add(1)).max(1);
        Self {
            concurrency,
            threads: threads.min(concurrency),
            memory_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gibibyte_fits_two_or_three_photos_of_24_megapixels() {
        assert_eq!(Capacity::new(1 << 30, 2, None).threads, 2);
        assert_eq!(Capacity::new(1 << 30, 8, None).threads, 3);
    }

    #[test]
    fn cores_limit_the_threads_when_memory_is_plentiful() {
        let capacity = Capacity::new(64 << 30, 4, None);
        assert_eq!((capacity.threads, capacity.concurrency), (4, 5));
    }

    #[test]
    fn capacity_is_at_least_one_job() {
        assert_eq!(Capacity::new(0, 1, None).threads, 1);
        assert_eq!(Capacity::new(64 << 20, 4, Some(0)).concurrency, 1);
    }

    #[test]
    fn concurrency_overrides_neither_cores_nor_memory() {
        let more = Capacity::new(64 << 30, 4, Some(10));
        assert_eq!((more.threads, more.concurrency), (4, 10));
        let less = Capacity::new(64 << 30, 4, Some(1));
        assert_eq!((less.threads, less.concurrency), (1, 1));
    }
}
