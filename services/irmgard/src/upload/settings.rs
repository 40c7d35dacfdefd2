//! Limits of uploads.

use std::time::Duration;

use service_runtime::min_rate::MinRate;

/// Minimum size of a part except the last (Amazon S3 multipart upload limits), bytes.
pub const MIN_PART_BYTES: usize = 5 * 1024 * 1024;

#[derive(Clone, Debug)]
pub struct UploadSettings {
    /// Maximum size of a photo, bytes.
    pub max_bytes: u64,
    /// Maximum size of a photo, pixels.
    pub max_pixels: u64,
    /// Size of the parts in which a body of unknown length is stored, bytes.
    pub part_bytes: usize,
    /// Memory for all bodies of unknown length, bytes.
    pub memory_bytes: usize,
    /// How long an upload waits for that memory.
    pub memory_wait: Duration,
    /// How long a camera may send nothing.
    pub idle_timeout: Duration,
    /// Minimum rate of a camera while the server waits for it, measured over each `idle_timeout`; 0: no minimum.
    pub min_bytes_per_second: u64,
    /// How long the object store may accept no bytes, or leave a request unanswered.
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
            // Below the rate of the slowest mobile networks (EDGE, about 100 kbit/s).
            min_bytes_per_second: 8 * 1024,
            store_timeout: Duration::from_millis(1500),
        }
    }
}

impl UploadSettings {
    /// Minimum rate of a camera.
    pub const fn min_rate(&self) -> MinRate {
        MinRate {
            bytes_per_second: self.min_bytes_per_second,
            window: self.idle_timeout,
        }
    }
}
