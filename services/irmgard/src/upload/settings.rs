//! What an upload may cost.

use std::time::Duration;

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
            store_timeout: Duration::from_millis(1500),
        }
    }
}
