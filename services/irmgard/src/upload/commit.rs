//! Writes the rows of a stored photo, or joins the upload to an earlier one of the same photo.

use std::sync::atomic::{AtomicBool, Ordering};

use contract::{ObjectLocation, PhotoId};
use service_runtime::failpoint;

use super::{error::UploadError, original::OriginalGuard, original_store::OriginalStore};
use crate::{
    database::{RequestConnection, leaves_connection_unusable, outcome_is_unknown},
    outbox::{forget_original, requeue_failed},
    photo::{
        self, AsRecordsError, IdempotencyKey, NewPhoto, Photo, Records, RecordsError, Status,
        find_idempotency_key, insert_photo, lock_duplicate, store_idempotency_key,
    },
};

/// How often to try an insert whose conflicting rows are gone when they are read.
const MAX_ATTEMPTS: usize = 3;

const IDEMPOTENCY_KEY_INDEX: &str = "idempotency_key_pkey";

/// The photo that answers an upload.
#[derive(Clone, Debug)]
pub struct AcceptedPhoto {
    /// The photo as it is now.
    pub photo: Photo,
    pub acceptance: Acceptance,
}

/// How an upload was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// It is a new photo.
    New,
    /// The photo was stored before.
    Duplicate,
    /// The photo was stored before and had failed; it is queued again.
    Requeued,
}

impl AcceptedPhoto {
    /// Whether the outbox has a new row for the relay.
    pub const fn has_new_job(&self) -> bool {
        !matches!(self.acceptance, Acceptance::Duplicate)
    }
}

/// The first upload with an idempotency key.
pub struct FirstUpload {
    id: PhotoId,
    sha256: Vec<u8>,
}

impl FirstUpload {
    /// Returns the photo of the first upload, if this upload has the same bytes.
    pub async fn into_accepted(self, records: &Records, sha256: &[u8]) -> Result<AcceptedPhoto, UploadError> {
        if self.sha256 != sha256 {
            return Err(UploadError::IdempotencyKeyReused);
        }
        let id = self.id;
        let photo = records
            .read(move |connection| Box::pin(photo::find_photo(connection, id)))
            .await?
            .ok_or_else(|| {
                UploadError::Internal("an idempotency key names a photo that does not exist".to_owned())
            })?;
        Ok(AcceptedPhoto {
            photo,
            acceptance: Acceptance::Duplicate,
        })
    }
}

/// Finds the first upload with this key.
pub async fn find_first_upload(
    records: &Records,
    key: &IdempotencyKey,
) -> Result<Option<FirstUpload>, RecordsError> {
    let key = key.clone();
    let first = records
        .read(move |connection| Box::pin(async move { find_idempotency_key(connection, &key).await }))
        .await?;
    Ok(first.map(|(id, sha256)| FirstUpload { id, sha256 }))
}

/// Writes the rows, or finds those of the same photo. Keeps the object if its rows exist or may exist.
pub async fn commit(
    records: &Records,
    originals: &OriginalStore,
    photo: NewPhoto,
    key: Option<&IdempotencyKey>,
    guard: OriginalGuard,
) -> Result<AcceptedPhoto, UploadError> {
    for _ in 0..MAX_ATTEMPTS {
        let committing = AtomicBool::new(false);
        let outcome = records
            .write(records.timeout(), |connection| {
                Box::pin(insert_rows(connection, &photo, key, &committing))
            })
            .await;
        match outcome {
            Ok(InsertOutcome::Inserted) => {
                failpoint::reach("irmgard::after-commit", Some(photo.id.get()));
                guard.keep();
                let trace_id = telemetry::propagation::current_trace_id();
                return Ok(AcceptedPhoto {
                    photo: photo.into_photo(trace_id),
                    acceptance: Acceptance::New,
                });
            }
            Ok(InsertOutcome::KeyInUse) => {
                if let Some(key) = key
                    && let Some(first) = find_first_upload(records, key).await?
                {
                    return first.into_accepted(records, &photo.sha256).await;
                }
            }
            Ok(InsertOutcome::SamePhoto) => {
                if let Some(accepted) = join_existing(records, originals, &photo, key).await? {
                    return Ok(accepted);
                }
            }
            Err(error) => {
                if committing.load(Ordering::Relaxed) {
                    guard.keep();
                }
                return Err(error.into());
            }
        }
    }
    Err(UploadError::Internal(
        "the insert conflicted with another photo that could not be found".to_owned(),
    ))
}

enum InsertOutcome {
    Inserted,
    SamePhoto,
    KeyInUse,
}

/// Writes the photo's rows in one transaction. `committing` is true while the outcome is unknown.
async fn insert_rows(
    mut connection: RequestConnection,
    photo: &NewPhoto,
    key: Option<&IdempotencyKey>,
    committing: &AtomicBool,
) -> Result<InsertOutcome, RecordsError> {
    let outcome = try_insert(&mut connection, photo, key, committing).await;
    connection.give_back(&outcome);
    Ok(outcome?)
}

async fn try_insert(
    connection: &mut RequestConnection,
    photo: &NewPhoto,
    key: Option<&IdempotencyKey>,
    committing: &AtomicBool,
) -> Result<InsertOutcome, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    match insert_photo(&mut transaction, photo, key).await {
        Ok(true) => {
            failpoint::reach("irmgard::after-insert", Some(photo.id.get()));
            committing.store(true, Ordering::Relaxed);
            let committed = transaction.commit().await;
            if committed
                .as_ref()
                .err()
                .is_none_or(|error| !outcome_is_unknown(error))
            {
                committing.store(false, Ordering::Relaxed);
            }
            committed.map(|()| InsertOutcome::Inserted)
        }
        Ok(false) => {
            transaction.rollback().await?;
            Ok(InsertOutcome::SamePhoto)
        }
        Err(error) if violates_index(&error, IDEMPOTENCY_KEY_INDEX) => {
            transaction.rollback().await?;
            Ok(InsertOutcome::KeyInUse)
        }
        Err(error) => {
            if !leaves_connection_unusable(&error) {
                transaction.rollback().await?;
            }
            Err(error)
        }
    }
}

/// Joins this upload to the photo that is already stored; a failed one is queued again. Returns `None` if
/// that photo is gone or has lost its original: then this upload becomes a new photo.
///
/// A lost original cannot be replaced. Its key holds the photo's id, by which the worker detects a forged
/// job, and copying an object requires the right to read it.
///
/// The row is locked while its original is looked up, so that nothing queues or deletes it meanwhile.
async fn join_existing(
    records: &Records,
    originals: &OriginalStore,
    photo: &NewPhoto,
    key: Option<&IdempotencyKey>,
) -> Result<Option<AcceptedPhoto>, UploadError> {
    let limit = records.timeout() + originals.store().timeout();
    let joined = records
        .write(limit, |mut connection| {
            Box::pin(async move {
                let outcome = try_join(&mut connection, originals, photo, key).await;
                connection.give_back(&outcome);
                outcome.map_err(RecordsError::from)?
            })
        })
        .await?;
    let Some((id, acceptance)) = joined else {
        return Ok(None);
    };
    let photo = records
        .read(move |connection| Box::pin(photo::find_photo(connection, id)))
        .await?;
    Ok(photo.map(|photo| AcceptedPhoto { photo, acceptance }))
}

impl AsRecordsError for UploadError {
    fn as_records_error(&self) -> Option<&RecordsError> {
        match self {
            Self::Records(error) => Some(error),
            _ => None,
        }
    }
}

/// The outer error comes from the database and may make the connection unusable. The inner error comes after
/// a rollback.
async fn try_join(
    connection: &mut RequestConnection,
    originals: &OriginalStore,
    photo: &NewPhoto,
    key: Option<&IdempotencyKey>,
) -> Result<Result<Option<(PhotoId, Acceptance)>, UploadError>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let Some(first) = lock_duplicate(&mut transaction, photo).await? else {
        transaction.rollback().await?;
        return Ok(Ok(None));
    };
    let id = PhotoId::try_from(first.id).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    let mut acceptance = Acceptance::Duplicate;
    if first.status == Status::Failed {
        // Boxed: this case is rare, and its large future would be part of every upload's.
        match Box::pin(has_original(originals, &first)).await {
            Ok(true) => {}
            Ok(false) => {
                forget_original(&mut transaction, id).await?;
                transaction.commit().await?;
                return Ok(Ok(None));
            }
            Err(error) => {
                transaction.rollback().await?;
                return Ok(Err(error));
            }
        }
        if requeue_failed(&mut transaction, id, photo.traceparent.as_deref()).await? {
            acceptance = Acceptance::Requeued;
        }
    }
    if let Some(key) = key
        && !store_idempotency_key(&mut transaction, key, &photo.sha256, id).await?
    {
        let other = find_idempotency_key(&mut transaction, key).await?;
        if other.is_some_and(|(_, sha256)| sha256 != photo.sha256) {
            transaction.rollback().await?;
            return Ok(Err(UploadError::IdempotencyKeyReused));
        }
    }
    transaction.commit().await?;
    Ok(Ok(Some((id, acceptance))))
}

/// Whether the store still has the original of a photo.
async fn has_original(originals: &OriginalStore, photo: &Photo) -> Result<bool, UploadError> {
    let Some(uri) = &photo.original else {
        return Ok(false);
    };
    let location: ObjectLocation = uri
        .parse()
        .map_err(|error: contract::location::InvalidLocation| UploadError::Internal(error.to_string()))?;
    Ok(originals.is_listed(&location).await?)
}

fn violates_index(error: &sqlx::Error, index: &str) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.is_unique_violation() && error.constraint() == Some(index))
}
