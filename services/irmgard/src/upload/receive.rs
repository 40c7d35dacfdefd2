//! The journey of one upload.

use std::sync::Arc;

use axum::body::Body;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use contract::{ObjectLocation, ProjectName};
use tokio::sync::Notify;

use super::{
    budget::Budget,
    commit::{self, Accepted},
    error::UploadError,
    head,
    incoming::Incoming,
    name::plain_name,
    objects::Originals,
    original::Stored,
    settings::UploadSettings,
};
use crate::{
    failpoint,
    photo::{Key, NewPhoto, Records, TakenAtSource},
    store::StoreError,
};

/// Heads that are long may fill this part of the memory for parts beside it.
const LONG_HEADS: usize = 4;

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
    pub(super) originals: Originals,
    pub(super) budget: Budget,
    heads: Budget,
    pub(super) settings: UploadSettings,
    relay: Arc<Notify>,
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
            .writes()
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
        let mut incoming = Incoming::open(upload.body, upload.boundary.as_deref(), &self.settings).await?;
        if let Some(key) = &key
            && let Some(first) = commit::first_of(&self.records, key).await?
        {
            let sha256 = incoming.digest().await?;
            return first.answer_again(&self.records, &sha256).await;
        }

        let head = head::read(&mut incoming.chunks, &self.settings, &self.heads).await?;
        let id = self.records.next_id().await?;
        let (header, from_exif) = (head.header, head.taken_at);
        let place = NewPhoto::key(id, &upload.project, received_at).original(header.media_type);
        let original = ObjectLocation::new(self.originals.store().input_bucket(), place)
            .map_err(|error| UploadError::Internal(error.to_string()))?;
        let mut stored = Stored::begin(self.originals.clone(), original.clone());
        let outcome = self.store(incoming, head, &original).await;
        stored.answered(&outcome);
        let kept = outcome?;
        failpoint::reach("irmgard::after-put", Some(id.get()));

        let (taken_at, taken_at_source) = match (upload.taken_at.or(kept.taken_at), from_exif) {
            (Some(told), _) => (told, TakenAtSource::Client),
            (None, Some(exif)) => (exif, TakenAtSource::Exif),
            (None, None) => (received_at, TakenAtSource::Received),
        };
        let name = kept.name.or(upload.name).and_then(|name| plain_name(&name));
        let photo = NewPhoto {
            id,
            project: upload.project,
            name: name.unwrap_or_else(|| format!("{id}.{}", header.media_type.extension())),
            received_at,
            taken_at: whole_microseconds(taken_at),
            taken_at_source,
            header,
            size_bytes: kept.size_bytes,
            sha256: kept.sha256,
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
}

/// PostgreSQL keeps microseconds; the answer must say what the row says.
fn whole_microseconds(time: DateTime<Utc>) -> DateTime<Utc> {
    time.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(time)
}
