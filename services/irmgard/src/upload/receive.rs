//! Receives one upload, from the request to the accepted photo.

use std::sync::Arc;

use axum::body::Body;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use contract::{ObjectLocation, ProjectName};
use service_runtime::failpoint;
use tokio::sync::Notify;

use super::{
    budget::MemoryBudget,
    commit::{self, AcceptedPhoto},
    error::UploadError,
    head,
    incoming::{IncomingPhoto, sanitize_file_name},
    original::OriginalGuard,
    original_store::OriginalStore,
    settings::UploadSettings,
};
use crate::{
    photo::{IdempotencyKey, NewPhoto, Records, TakenAtSource},
    store::StoreError,
};

/// Memory for long heads, as a divisor of the memory for parts. It comes on top of that.
const LONG_HEAD_DIVISOR: usize = 4;

/// An upload request.
#[derive(Debug)]
pub struct Upload {
    pub project: ProjectName,
    /// Name of the token.
    pub uploaded_by: Option<String>,
    pub idempotency_key: Option<String>,
    /// When the photo was taken, according to the query string.
    pub taken_at: Option<DateTime<Utc>>,
    /// File name from the query string.
    pub name: Option<String>,
    pub body: Body,
    /// The boundary, if the body is a form.
    pub boundary: Option<String>,
}

/// Receives uploads.
#[derive(Clone, Debug)]
pub struct UploadReceiver {
    records: Records,
    pub(super) originals: OriginalStore,
    pub(super) budget: MemoryBudget,
    head_budget: MemoryBudget,
    pub(super) settings: UploadSettings,
    relay: Arc<Notify>,
}

impl UploadReceiver {
    /// Wakes `relay` after each photo with a new job.
    #[must_use]
    pub fn new(
        records: Records,
        originals: OriginalStore,
        settings: UploadSettings,
        relay: Arc<Notify>,
    ) -> Self {
        Self {
            records,
            originals,
            budget: MemoryBudget::new(settings.memory_bytes, settings.memory_wait),
            // A separate budget, because a long head is kept while its upload waits for memory for a part.
            head_budget: MemoryBudget::new(settings.memory_bytes / LONG_HEAD_DIVISOR, settings.memory_wait),
            settings,
            relay,
        }
    }

    /// Memory for bodies of unknown length.
    #[must_use]
    pub const fn budget(&self) -> &MemoryBudget {
        &self.budget
    }

    /// Receives one photo, from the first byte to the committed rows.
    ///
    /// Run it as a separate task: a future that is dropped half way may leave a stored object.
    ///
    /// # Errors
    /// Nothing of the photo is left after an error, unless the outcome in the database is unknown.
    pub async fn receive(&self, upload: Upload) -> Result<AcceptedPhoto, UploadError> {
        let received_at = whole_microseconds(Utc::now());
        self.records
            .write_breaker()
            .check()
            .map_err(crate::photo::RecordsError::from)?;
        self.originals
            .store()
            .breaker()
            .check()
            .map_err(StoreError::from)?;

        let key = upload.idempotency_key.map(|key| IdempotencyKey {
            project: upload.project.clone(),
            uploaded_by: upload.uploaded_by.clone().unwrap_or_default(),
            key,
        });
        let mut incoming =
            IncomingPhoto::open(upload.body, upload.boundary.as_deref(), &self.settings).await?;
        if let Some(key) = &key
            && let Some(first) = commit::find_first_upload(&self.records, key).await?
        {
            let sha256 = incoming.digest().await?;
            return first.into_accepted(&self.records, &sha256).await;
        }

        let head = head::read_head(&mut incoming.source, &self.settings, &self.head_budget).await?;
        let id = self.records.next_id().await?;
        let (header, from_exif) = (head.header, head.taken_at);
        let object_key = NewPhoto::photo_key(id, &upload.project, received_at).original(header.media_type);
        let original = ObjectLocation::new(self.originals.store().input_bucket(), object_key)
            .map_err(|error| UploadError::Internal(error.to_string()))?;
        let mut guard = OriginalGuard::new(self.originals.clone(), original.clone());
        let outcome = self.store(incoming, head, &original).await;
        guard.record_outcome(&outcome);
        let stored = outcome?;
        failpoint::reach("irmgard::after-put", Some(id.get()));

        let (taken_at, taken_at_source) = match (upload.taken_at.or(stored.taken_at), from_exif) {
            (Some(client), _) => (client, TakenAtSource::Client),
            (None, Some(exif)) => (exif, TakenAtSource::Exif),
            (None, None) => (received_at, TakenAtSource::Received),
        };
        let name = stored
            .name
            .or(upload.name)
            .and_then(|name| sanitize_file_name(&name));
        let photo = NewPhoto {
            id,
            project: upload.project,
            name: name.unwrap_or_else(|| format!("{id}.{}", header.media_type.extension())),
            received_at,
            taken_at: whole_microseconds(taken_at),
            taken_at_source,
            header,
            size_bytes: stored.size_bytes,
            sha256: stored.sha256,
            original,
            uploaded_by: upload.uploaded_by,
            traceparent: telemetry::propagation::current_traceparent(),
        };
        let accepted = commit::commit(&self.records, &self.originals, photo, key.as_ref(), guard).await?;
        if accepted.has_new_job() {
            self.relay.notify_one();
        }
        Ok(accepted)
    }
}

/// PostgreSQL stores microseconds; the response must match the row.
fn whole_microseconds(time: DateTime<Utc>) -> DateTime<Utc> {
    time.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(time)
}
