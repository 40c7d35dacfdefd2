//! The beginning of a photo: read until it tells what the photo is.

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use contract::media::{self, Header, HeaderError, MAX_SIDE, MediaType};

use super::{
    budget::{Budget, Share},
    error::UploadError,
    form::Chunks,
    settings::UploadSettings,
};

/// A picture whose size is not told in so many bytes is none that we take.
pub const MAX_HEAD_BYTES: usize = 1024 * 1024;

/// A longer head needs a share of the memory for such heads.
const SMALL_HEAD_BYTES: usize = 64 * 1024;

/// So much of a PNG or WebP is looked at for EXIF, which may lie anywhere in
/// them: a fixed number, so that the answer never depends on how the bytes
/// happened to arrive.
const EXIF_BYTES: usize = 64 * 1024;

/// Number of first bytes that an error shows of a file in an unknown format.
const SHOWN_BYTES: usize = 16;

/// The beginning of a photo and what it tells.
#[derive(Debug)]
pub struct Head {
    /// All bytes read so far.
    pub bytes: Bytes,
    /// Whether these are the whole photo.
    pub whole: bool,
    /// Format and size in pixels.
    pub header: Header,
    /// When the camera says that it took the photo.
    pub taken_at: Option<DateTime<Utc>>,
    /// The memory of a long one.
    pub share: Option<Share>,
}

/// Names the first bytes: they tell text, a web page or another picture format apart.
fn unknown_format(body: &[u8]) -> UploadError {
    let begin = &body[..body.len().min(SHOWN_BYTES)];
    UploadError::UnknownFormat(begin.escape_ascii().to_string())
}

/// Reads the head of a photo; a long one in a share of `memory`.
///
/// # Errors
/// What makes the bytes no photo, or one beyond the limits.
pub async fn read(
    chunks: &mut Chunks,
    settings: &UploadSettings,
    memory: &Budget,
) -> Result<Head, UploadError> {
    let mut head = Gathered::default();
    let mut asked_at = 0;
    let mut share = None;
    let (header, mut whole) = loop {
        let more = head.gather(chunks).await?;
        // A camera that sends byte by byte must not have each prefix parsed.
        let grown = head.len() >= asked_at + asked_at / 4;
        if more && !grown {
            continue;
        }
        asked_at = head.len();
        if asked_at > SMALL_HEAD_BYTES && share.is_none() {
            share = Some(memory.share(MAX_HEAD_BYTES).await?);
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
        return Err(UploadError::TooLong {
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
    // A JPEG's EXIF comes before its size (Exif 3.0, 4.5.4).
    let looked_at = match header.media_type {
        MediaType::Jpeg => head.len(),
        MediaType::Png | MediaType::Webp => {
            while !whole && head.len() < EXIF_BYTES {
                whole = !head.gather(chunks).await?;
            }
            head.len().min(EXIF_BYTES)
        }
    };
    let taken_at = head.bytes().get(..looked_at).and_then(media::taken_at);
    Ok(Head {
        bytes: head.freeze(),
        whole,
        header,
        taken_at,
        share,
    })
}

/// Chunks put together; a first one alone is not copied.
#[derive(Default)]
struct Gathered {
    first: Bytes,
    all: BytesMut,
}

impl Gathered {
    /// Adds the next chunk; whether there was one.
    async fn gather(&mut self, chunks: &mut Chunks) -> Result<bool, UploadError> {
        let Some(chunk) = chunks.next().await? else {
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
