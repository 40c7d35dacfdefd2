//! What an upload may cost.

use std::time::Duration;

use chassis::pace::LeastRate;

/// The smallest part but the last that S3 takes (Amazon S3 multipart upload
/// limits), bytes.
pub const SMALLEST_PART_BYTES: usize = 5 * 1024 * 1024;

/// Limits of uploads, in bytes, pixels and time.
#[derive(Clone, Debug)]
pub struct UploadSettings {
    /// The largest photo, bytes.
    pub max_bytes: u64,
    /// The largest photo, pixels.
    pub max_pixels: u64,
    /// A body of unknown length is sent in parts of this many bytes.
    pub part_bytes: usize,
    /// All bytes of bodies of unknown length in memory at a time.
    pub memory_bytes: usize,
    /// How long an upload waits for its share of that memory.
    pub memory_wait: Duration,
    /// How long a camera may send nothing.
    pub idle_timeout: Duration,
    /// What a camera must send while it is waited for, over each
    /// `idle_timeout`; 0 asks for nothing.
    pub min_bytes_per_second: u64,
    /// How long the object store may take nothing of what lies ready, or
    /// leave a request without an answer.
    pub store_timeout: Duration,
}

impl Default for UploadSettings {
    fn default() -> Self {
        Self {
            max_bytes: 64 * 1024 * 1024,
            max_pixels: 100_000_000,
            part_bytes: 8 * 1024 * 1024,
            memory_bytes: 96 * 1024 * 1024,
            memory_wait: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(30),
            // Below what the slowest mobile networks give (EDGE, some 100 kbit/s).
            min_bytes_per_second: 8 * 1024,
            store_timeout: Duration::from_millis(1500),
        }
    }
}

impl UploadSettings {
    /// The least that a camera must send.
    pub const fn least_rate(&self) -> LeastRate {
        LeastRate {
            bytes_per_second: self.min_bytes_per_second,
            window: self.idle_timeout,
        }
    }
}
