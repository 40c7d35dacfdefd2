//! The head of a photo: the first bytes, up to its format and size in pixels.

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use contract::media::{self, HeaderError, ImageHeader, MAX_SIDE, MediaType};

use super::{
    budget::{MemoryBudget, MemoryPermit},
    error::UploadError,
    form::PhotoSource,
    settings::UploadSettings,
};

/// Maximum size of a head: a photo whose size in pixels comes later is refused.
pub const MAX_HEAD_BYTES: usize = 1024 * 1024;

/// A longer head needs a permit from the memory for long heads.
const MAX_UNBUDGETED_HEAD_BYTES: usize = 64 * 1024;

/// Number of bytes of a PNG or WebP that are searched for EXIF, which may be anywhere in the file. The number
/// is fixed, so that the result does not depend on how the bytes arrive.
const MAX_EXIF_SEARCH_BYTES: usize = 64 * 1024;

/// Number of first bytes that the error for an unknown format shows.
const ERROR_PREFIX_BYTES: usize = 16;

/// The head of a photo and what it contains.
#[derive(Debug)]
pub struct PhotoHead {
    /// All bytes read so far.
    pub bytes: Bytes,
    /// Whether these bytes are the whole photo.
    pub is_whole: bool,
    /// Format and size in pixels.
    pub header: ImageHeader,
    /// When the photo was taken, according to its EXIF data.
    pub taken_at: Option<DateTime<Utc>>,
    /// The memory permit of a long head.
    pub permit: Option<MemoryPermit>,
}

/// The error for an unknown format. Its first bytes tell text, a web page or another image format apart.
fn unknown_format(body: &[u8]) -> UploadError {
    let prefix = &body[..body.len().min(ERROR_PREFIX_BYTES)];
    UploadError::UnknownFormat(prefix.escape_ascii().to_string())
}

/// Reads the head of a photo. A long head needs a permit from `memory`.
///
/// # Errors
/// The bytes are not a photo, or exceed a limit.
pub async fn read_head(
    source: &mut PhotoSource,
    settings: &UploadSettings,
    memory: &MemoryBudget,
) -> Result<PhotoHead, UploadError> {
    let mut head = HeadBuffer::default();
    let mut parsed_len = 0;
    let mut permit = None;
    let (header, mut is_whole) = loop {
        let more = head.read_chunk(source).await?;
        // Do not parse after every byte that a slow camera sends.
        let has_grown = head.len() >= parsed_len + parsed_len / 4;
        if more && !has_grown {
            continue;
        }
        parsed_len = head.len();
        if parsed_len > MAX_UNBUDGETED_HEAD_BYTES && permit.is_none() {
            permit = Some(memory.acquire(MAX_HEAD_BYTES).await?);
        }
        match media::read_header(head.bytes()) {
            Ok(header) => break (header, !more),
            Err(HeaderError::Incomplete) if !more && head.len() == 0 => return Err(UploadError::Empty),
            Err(HeaderError::Incomplete) if !more => return Err(UploadError::Truncated),
            Err(HeaderError::Incomplete) if head.len() >= MAX_HEAD_BYTES => return Err(UploadError::Damaged),
            Err(HeaderError::Incomplete) => {}
            Err(HeaderError::UnknownFormat) => return Err(unknown_format(head.bytes())),
            Err(HeaderError::Damaged) => return Err(UploadError::Damaged),
        }
    };
    if header.width.max(header.height) > MAX_SIDE {
        return Err(UploadError::SideTooLong {
            width: header.width,
            height: header.height,
        });
    }
    if header.pixels() > settings.max_pixels {
        return Err(UploadError::TooManyPixels {
            width: header.width,
            height: header.height,
            limit: settings.max_pixels,
        });
    }
    // EXIF precedes the size in a JPEG (Exif 3.0, section 4.5.4).
    let searched_len = match header.media_type {
        MediaType::Jpeg => head.len(),
        MediaType::Png | MediaType::Webp => {
            while !is_whole && head.len() < MAX_EXIF_SEARCH_BYTES {
                is_whole = !head.read_chunk(source).await?;
            }
            head.len().min(MAX_EXIF_SEARCH_BYTES)
        }
    };
    let taken_at = head.bytes().get(..searched_len).and_then(media::taken_at);
    Ok(PhotoHead {
        bytes: head.freeze(),
        is_whole,
        header,
        taken_at,
        permit,
    })
}

/// Concatenated chunks. A single chunk is not copied.
#[derive(Default)]
struct HeadBuffer {
    first: Bytes,
    all: BytesMut,
}

impl HeadBuffer {
    /// Adds the next chunk; returns whether there was one.
    async fn read_chunk(&mut self, source: &mut PhotoSource) -> Result<bool, UploadError> {
        let Some(chunk) = source.next().await? else {
            return Ok(false);
        };
        if self.len() == 0 {
            self.first = chunk;
        } else {
            self.all.extend_from_slice(&std::mem::take(&mut self.first));
            self.all.extend_from_slice(&chunk);
        }
        Ok(true)
    }

    fn bytes(&self) -> &[u8] {
        if self.all.is_empty() {
            &self.first
        } else {
            &self.all
        }
    }

    fn len(&self) -> usize {
        self.bytes().len()
    }

    fn freeze(self) -> Bytes {
        if self.all.is_empty() {
            self.first
        } else {
            self.all.freeze()
        }
    }
}
