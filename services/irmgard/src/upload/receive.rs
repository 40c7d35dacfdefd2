//! The journey of one upload.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use contract::{ObjectLocation, ProjectName, media::MediaType};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use super::{
    budget::Budget,
    commit::{self, Accepted},
    error::UploadError,
    form::{Chunks, Form},
    head::{self, Head},
    multipart::MultipartUpload,
    objects::Originals,
    settings::UploadSettings,
    source::Source,
};
use crate::{
    failpoint,
    photo::{Key, NewPhoto, Records, TakenAtSource},
    store::StoreError,
};

/// The form's field with the photo.
const IMAGE: &str = "image";
/// The form's field with the time.
const TAKEN_AT: &str = "taken_at";
/// Bytes of a form beside the photo.
const FORM_BYTES: u64 = 256 * 1024;
/// Heads that are long may fill this part of the memory for parts beside it.
const LONG_HEADS: usize = 4;
/// A file name is cut to so many bytes.
const MAX_NAME_BYTES: usize = 255;

/// A request to keep a photo.
#[derive(Debug)]
pub struct Upload {
    /// The project.
    pub project: ProjectName,
    /// The token's name.
    pub uploaded_by: Option<String>,
    /// `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// When the photo was taken, if the request says so beside the body.
    pub taken_at: Option<DateTime<Utc>>,
    /// The file name, if the request says so beside the body.
    pub name: Option<String>,
    /// The body.
    pub body: Body,
    /// The boundary, if the body is a form.
    pub boundary: Option<String>,
}

/// Takes uploads.
#[derive(Clone, Debug)]
pub struct Receiver {
    records: Records,
    originals: Originals,
    budget: Budget,
    heads: Budget,
    settings: UploadSettings,
    relay: Arc<Notify>,
}

/// An original that is being stored. Dropped, it is removed, unless
/// [`Stored::keep`] was called.
pub(super) struct Stored {
    originals: Originals,
    location: Option<ObjectLocation>,
    doubtful: bool,
}

impl Stored {
    /// The object stays.
    pub fn keep(mut self) {
        self.location = None;
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        match self.location.take() {
            Some(location) if self.doubtful => self.originals.remove_later_and_again(location),
            Some(location) => self.originals.remove_later(location),
            None => {}
        }
    }
}

/// What an upload's body turned out to be.
struct Stream {
    chunks: Chunks,
    /// Bytes of the body, where the request tells.
    length: Option<u64>,
    taken_at: Option<DateTime<Utc>>,
    name: Option<String>,
}

impl Receiver {
    /// Wakes `relay` after each photo that has a new job.
    #[must_use]
    pub fn new(records: Records, originals: Originals, settings: UploadSettings, relay: Arc<Notify>) -> Self {
        Self {
            records,
            originals,
            budget: Budget::new(settings.memory_bytes, settings.memory_wait),
            // Apart from the other, since a long head is kept while a part is waited for.
            heads: Budget::new(settings.memory_bytes / LONG_HEADS, settings.memory_wait),
            settings,
            relay,
        }
    }

    /// Memory for bodies of unknown length.
    #[must_use]
    pub const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Takes one photo, from the first byte to the committed rows.
    ///
    /// Must not be dropped half way: the object may be stored by then. Run it
    /// as a task of its own.
    ///
    /// # Errors
    /// See [`UploadError`]. Nothing of the photo is left then, unless the
    /// outcome in the database is unknown.
    pub async fn receive(&self, upload: Upload) -> Result<Accepted, UploadError> {
        let received_at = whole_microseconds(Utc::now());
        self.records
            .breaker()
            .check()
            .map_err(crate::photo::RecordsError::from)?;
        self.originals
            .store()
            .breaker()
            .check()
            .map_err(StoreError::from)?;

        let key = upload.idempotency_key.map(|key| Key {
            project: upload.project.clone(),
            uploaded_by: upload.uploaded_by.clone().unwrap_or_default(),
            key,
        });
        let mut stream = self.open(upload.body, upload.boundary.as_deref()).await?;
        if let Some(key) = &key
            && let Some(first) = commit::first_of(&self.records, key).await?
        {
            let sha256 = self.digest(&mut stream).await?;
            return first.answer_again(&self.records, &sha256).await;
        }

        let head = head::read(&mut stream.chunks, &self.settings, &self.heads).await?;
        let id = self.records.next_id().await?;
        let (header, from_exif) = (head.header, head.taken_at);
        let place = NewPhoto::key(id, &upload.project, received_at).original(header.media_type);
        let original = ObjectLocation::new(self.originals.store().input_bucket(), place)
            .map_err(|error| UploadError::Internal(error.to_string()))?;
        let mut stored = Stored {
            originals: self.originals.clone(),
            location: Some(original.clone()),
            doubtful: true,
        };
        let outcome = self.store(stream, head, &original).await;
        stored.doubtful = matches!(
            outcome,
            Err(UploadError::Store(
                StoreError::Stalled | StoreError::Unavailable(_)
            ))
        );
        let (sha256, size_bytes, told) = outcome?;
        failpoint::reach("irmgard::after-put", Some(id.get()));

        let (taken_at, taken_at_source) = match (upload.taken_at.or(told.taken_at), from_exif) {
            (Some(told), _) => (told, TakenAtSource::Client),
            (None, Some(exif)) => (exif, TakenAtSource::Exif),
            (None, None) => (received_at, TakenAtSource::Received),
        };
        let name = told.name.or(upload.name).and_then(|name| plain_name(&name));
        let photo = NewPhoto {
            id,
            project: upload.project,
            name: name.unwrap_or_else(|| format!("{id}.{}", header.media_type.extension())),
            received_at,
            taken_at: whole_microseconds(taken_at),
            taken_at_source,
            header,
            size_bytes,
            sha256,
            original,
            uploaded_by: upload.uploaded_by,
            traceparent: telemetry::propagation::current_traceparent(),
        };
        let accepted = commit::commit(&self.records, &self.originals, photo, key.as_ref(), stored).await?;
        if accepted.has_new_job() {
            self.relay.notify_one();
        }
        Ok(accepted)
    }

    /// Goes to the photo's first byte.
    async fn open(&self, body: Body, boundary: Option<&str>) -> Result<Stream, UploadError> {
        let limit = self.settings.max_bytes;
        let Some(boundary) = boundary else {
            let source = Source::new(body, limit, self.settings.idle_timeout);
            let length = source.length();
            if length.is_some_and(|length| length > limit) {
                return Err(UploadError::TooLarge { limit });
            }
            return Ok(Stream {
                chunks: Chunks::Body(source),
                length,
                taken_at: None,
                name: None,
            });
        };
        let source = Source::new(body, limit + FORM_BYTES, self.settings.idle_timeout);
        let length = source.length();
        if length.is_some_and(|length| length > limit + FORM_BYTES) {
            return Err(UploadError::TooLarge { limit });
        }
        let mut form = Form::new(source, boundary);
        let mut taken_at = None;
        while let Some(field) = form.next_field().await? {
            match field.name.as_str() {
                IMAGE => {
                    return Ok(Stream {
                        chunks: Chunks::Field(Box::new(form)),
                        length,
                        taken_at,
                        name: field.file_name,
                    });
                }
                TAKEN_AT => taken_at = Some(parse_taken_at(&form.text().await?)?),
                _ => {}
            }
        }
        Err(UploadError::ImageMissing)
    }

    /// Stores the photo; returns digest, size, and what the request told.
    async fn store(
        &self,
        mut stream: Stream,
        head: Head,
        to: &ObjectLocation,
    ) -> Result<([u8; 32], u64, Told), UploadError> {
        let media_type = head.header.media_type;
        match (stream.chunks, stream.length) {
            (Chunks::Body(source), Some(length)) if (head.bytes.len() as u64) < length => {
                // The head goes first, however slowly the rest comes.
                drop(head.share);
                let sha256 = self
                    .originals
                    .put_streamed(to, media_type, head.bytes, source.into_body(), length)
                    .await?;
                Ok((
                    sha256,
                    length,
                    Told {
                        taken_at: None,
                        name: None,
                    },
                ))
            }
            (chunks, length) => {
                stream.chunks = chunks;
                let (sha256, size) = self
                    .store_in_parts(&mut stream.chunks, length, head, media_type, to)
                    .await?;
                let taken_at = stream.rest_of_form().await?;
                Ok((
                    sha256,
                    size,
                    Told {
                        taken_at: taken_at.or(stream.taken_at),
                        name: stream.name,
                    },
                ))
            }
        }
    }

    /// Stores a photo of unknown length: whole from memory if it fits into
    /// one part, else part by part.
    async fn store_in_parts(
        &self,
        chunks: &mut Chunks,
        length: Option<u64>,
        head: Head,
        media_type: MediaType,
        to: &ObjectLocation,
    ) -> Result<([u8; 32], u64), UploadError> {
        let part_bytes = self.settings.part_bytes;
        // What was read with the head is in memory already.
        let mut more = if head.whole { None } else { chunks.next().await? };
        let _share = match more {
            Some(_) => {
                let needed = length.and_then(|length| usize::try_from(length).ok());
                Some(
                    self.budget
                        .share(needed.unwrap_or(part_bytes).min(part_bytes))
                        .await?,
                )
            }
            None => None,
        };
        drop(head.share);
        let mut hasher = Sha256::new();
        let mut size = 0;
        let mut part = Part::default();
        let mut upload: Option<MultipartUpload> = None;
        let mut next = Some(head.bytes);
        while let Some(chunk) = next {
            size += chunk.len() as u64;
            if size > self.settings.max_bytes {
                return Err(UploadError::TooLarge {
                    limit: self.settings.max_bytes,
                });
            }
            hasher.update(&chunk);
            part.push(chunk);
            // Sent only when more is there: the last part is never empty.
            while part.bytes > part_bytes {
                let upload = match &mut upload {
                    Some(upload) => upload,
                    None => upload.insert(MultipartUpload::begin(&self.originals, to, media_type).await?),
                };
                upload.part(part.split_to(part_bytes)).await?;
            }
            next = match more.take() {
                Some(chunk) => Some(chunk),
                None if head.whole => None,
                None => chunks.next().await?,
            };
        }
        match upload {
            None => self.originals.put(to, media_type, part.chunks).await?,
            Some(mut upload) => {
                upload.part(part.chunks).await?;
                upload.complete().await?;
            }
        }
        Ok((hasher.finalize().into(), size))
    }

    /// The digest of a photo that is not stored.
    async fn digest(&self, stream: &mut Stream) -> Result<[u8; 32], UploadError> {
        let mut hasher = Sha256::new();
        while let Some(chunk) = stream.chunks.next().await? {
            hasher.update(&chunk);
        }
        stream.rest_of_form().await?;
        Ok(hasher.finalize().into())
    }
}

/// What the request told about the photo.
struct Told {
    taken_at: Option<DateTime<Utc>>,
    name: Option<String>,
}

impl Stream {
    /// Reads the fields after the photo; returns `taken_at` if it is there.
    async fn rest_of_form(&mut self) -> Result<Option<DateTime<Utc>>, UploadError> {
        let Chunks::Field(form) = &mut self.chunks else {
            return Ok(None);
        };
        let mut taken_at = None;
        while let Some(field) = form.next_field().await? {
            match field.name.as_str() {
                IMAGE => return Err(UploadError::SeveralImages),
                TAKEN_AT => taken_at = Some(parse_taken_at(&form.text().await?)?),
                _ => {}
            }
        }
        Ok(taken_at)
    }
}

/// Chunks that are sent together.
#[derive(Default)]
struct Part {
    chunks: Vec<Bytes>,
    bytes: usize,
}

impl Part {
    fn push(&mut self, chunk: Bytes) {
        self.bytes += chunk.len();
        self.chunks.push(chunk);
    }

    /// Takes the first `bytes` bytes; what is after them stays.
    fn split_to(&mut self, bytes: usize) -> Vec<Bytes> {
        let mut taken = std::mem::take(&mut self.chunks);
        let mut excess = self.bytes.saturating_sub(bytes);
        self.bytes = excess;
        while excess > 0
            && let Some(mut last) = taken.pop()
        {
            if last.len() > excess {
                self.chunks.push(last.split_off(last.len() - excess));
                taken.push(last);
                break;
            }
            excess -= last.len();
            self.chunks.push(last);
        }
        self.chunks.reverse();
        taken
    }
}

/// Reads `taken_at`, an RFC 3339 time.
///
/// # Errors
/// [`UploadError::TakenAt`].
pub fn parse_taken_at(text: &str) -> Result<DateTime<Utc>, UploadError> {
    DateTime::parse_from_rfc3339(text.trim())
        .map(|time| time.to_utc())
        .map_err(|_| UploadError::TakenAt)
}

/// PostgreSQL keeps microseconds; the answer must say what the row says.
fn whole_microseconds(time: DateTime<Utc>) -> DateTime<Utc> {
    time.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(time)
}

/// The last part of what may be a path, without what a terminal would act
/// on; `None` where nothing is left.
fn plain_name(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut plain: String = last.chars().filter(|c| !c.is_control()).collect();
    while plain.len() > MAX_NAME_BYTES {
        plain.pop();
    }
    let plain = plain.trim();
    (!matches!(plain, "" | "." | "..")).then(|| plain.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_path_and_control_characters() {
        for (name, plain) in [
            ("a.jpg", Some("a.jpg")),
            ("../../etc/passwd", Some("passwd")),
            (r"C:\photos\b.jpg", Some("b.jpg")),
            ("x\r\nSet-Cookie: y\u{1b}[2J\0.jpg", Some("xSet-Cookie: y[2J.jpg")),
            ("..", None),
            ("dir/", None),
            ("  ", None),
        ] {
            assert_eq!(plain_name(name).as_deref(), plain, "{name:?}");
        }
        assert_eq!(plain_name(&"ä".repeat(200)).unwrap().len(), 254);
    }

    #[test]
    fn parts_are_cut_to_the_byte() {
        let mut part = Part::default();
        for chunk in ["abc", "defg", "h"] {
            part.push(Bytes::from_static(chunk.as_bytes()));
        }
        assert_eq!(part.split_to(5), ["abc", "de"]);
        assert_eq!(
            (part.bytes, part.chunks.clone()),
            (3, vec!["fg".into(), "h".into()])
        );
        assert_eq!(part.split_to(2), ["fg"]);
        assert_eq!(part.split_to(1), ["h"]);
        assert_eq!((part.bytes, part.chunks.len()), (0, 0));
    }

    #[test]
    fn taken_at_is_rfc_3339() {
        assert_eq!(
            parse_taken_at("2024-02-29T12:00:00+01:00").unwrap().to_rfc3339(),
            "2024-02-29T11:00:00+00:00"
        );
        for bad in [
            "",
            "yesterday",
            "2024-02-30T00:00:00Z",
            "2024-02-29",
            "1709208000",
        ] {
            assert!(parse_taken_at(bad).is_err(), "{bad}");
        }
    }
}
