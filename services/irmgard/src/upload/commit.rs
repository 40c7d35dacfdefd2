//! The rows of a stored photo, and what they say about earlier uploads.

use std::sync::atomic::{AtomicBool, Ordering};

use contract::{ObjectLocation, PhotoId};

use super::{error::UploadError, objects::Originals, original::Stored};
use crate::{
    database::{RequestConnection, leaves_connection_unusable, outcome_is_unknown},
    failpoint,
    photo::{
        self, AsRecordsError, Key, NewPhoto, Photo, Records, RecordsError, Status, forget_original, insert,
        remember, remembered, requeue, same_photo,
    },
};

/// How often an insert is tried that collides with rows which are gone when
/// they are looked for.
const ATTEMPTS: usize = 3;

/// The unique index of idempotency keys.
const KEY_INDEX: &str = "idempotency_key_pkey";

/// A photo that is kept.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// As it is now.
    pub photo: Photo,
    /// What the upload added.
    pub acceptance: Acceptance,
}

/// What an upload added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// A new photo.
    New,
    /// Nothing: the photo was there.
    Known,
    /// The photo was there and had failed: it is worked on anew.
    Again,
}

impl Accepted {
    /// Whether a job waits for the relay.
    pub const fn has_new_job(&self) -> bool {
        !matches!(self.acceptance, Acceptance::Known)
    }
}

/// The photo that came first with an idempotency key.
pub struct First {
    id: PhotoId,
    sha256: Vec<u8>,
}

impl First {
    /// The first photo, if these are its bytes.
    pub async fn answer_again(self, records: &Records, sha256: &[u8]) -> Result<Accepted, UploadError> {
        if self.sha256 != sha256 {
            return Err(UploadError::IdempotencyKeyReused);
        }
        let id = self.id;
        let photo = records
            .read(move |connection| Box::pin(photo::by_id(connection, id)))
            .await?
            .ok_or_else(|| UploadError::Internal("an idempotency key without its photo".to_owned()))?;
        Ok(Accepted {
            photo,
            acceptance: Acceptance::Known,
        })
    }
}

/// The photo that came first with this key, if any did.
pub async fn first_of(records: &Records, key: &Key) -> Result<Option<First>, RecordsError> {
    let key = key.clone();
    let first = records
        .read(move |connection| Box::pin(async move { remembered(connection, &key).await }))
        .await?;
    Ok(first.map(|(id, sha256)| First { id, sha256 }))
}

/// Writes the rows, or finds those of the same photo. The object is kept when
/// its rows are, or may be, there.
pub async fn commit(
    records: &Records,
    originals: &Originals,
    photo: NewPhoto,
    key: Option<&Key>,
    stored: Stored,
) -> Result<Accepted, UploadError> {
    for _ in 0..ATTEMPTS {
        let committing = AtomicBool::new(false);
        let written = records
            .write(records.timeout(), |connection| {
                Box::pin(write(connection, &photo, key, &committing))
            })
            .await;
        match written {
            Ok(Written::New) => {
                failpoint::reach("irmgard::after-commit", Some(photo.id.get()));
                stored.keep();
                let trace_id = telemetry::propagation::current_trace_id();
                return Ok(Accepted {
                    photo: photo.into_photo(trace_id),
                    acceptance: Acceptance::New,
                });
            }
            Ok(Written::KeyInUse) => {
                if let Some(key) = key
                    && let Some(first) = first_of(records, key).await?
                {
                    return first.answer_again(records, &photo.sha256).await;
                }
            }
            Ok(Written::SamePhoto) => {
                if let Some(accepted) = join_first(records, originals, &photo, key).await? {
                    return Ok(accepted);
                }
            }
            Err(error) => {
                if committing.load(Ordering::Relaxed) {
                    stored.keep();
                }
                return Err(error.into());
            }
        }
    }
    Err(UploadError::Internal(
        "the photo's rows collide with none".to_owned(),
    ))
}

enum Written {
    New,
    SamePhoto,
    KeyInUse,
}

/// One transaction with the photo's rows. `committing` is set while the
/// outcome is unknown.
async fn write(
    mut connection: RequestConnection,
    photo: &NewPhoto,
    key: Option<&Key>,
    committing: &AtomicBool,
) -> Result<Written, RecordsError> {
    let outcome = attempt(&mut connection, photo, key, committing).await;
    connection.give_back(&outcome);
    Ok(outcome?)
}

async fn attempt(
    connection: &mut RequestConnection,
    photo: &NewPhoto,
    key: Option<&Key>,
    committing: &AtomicBool,
) -> Result<Written, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    match insert(&mut transaction, photo, key).await {
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
            committed.map(|()| Written::New)
        }
        Ok(false) => {
            transaction.rollback().await?;
            Ok(Written::SamePhoto)
        }
        Err(error) if violates(&error, KEY_INDEX) => {
            transaction.rollback().await?;
            Ok(Written::KeyInUse)
        }
        Err(error) => {
            if !leaves_connection_unusable(&error) {
                transaction.rollback().await?;
            }
            Err(error)
        }
    }
}

/// Answers with the photo that was there first; a failed one is put to work
/// again. `None` if it is not there any more, or has lost its original: then
/// this upload is a photo of its own.
///
/// An original can not be put back, nor another object take its place: a key
/// holds its own photo's id, by which the worker knows a forged job, and to
/// copy an object one must be allowed to read it.
///
/// The row stays locked while its original is looked for: nobody queues or
/// deletes it meanwhile.
async fn join_first(
    records: &Records,
    originals: &Originals,
    photo: &NewPhoto,
    key: Option<&Key>,
) -> Result<Option<Accepted>, UploadError> {
    let limit = records.timeout() + originals.store().timeout();
    let joined = records
        .write(limit, |mut connection| {
            Box::pin(async move {
                let outcome = join(&mut connection, originals, photo, key).await;
                connection.give_back(&outcome);
                outcome.map_err(RecordsError::from)?
            })
        })
        .await?;
    let Some((id, acceptance)) = joined else {
        return Ok(None);
    };
    let photo = records
        .read(move |connection| Box::pin(photo::by_id(connection, id)))
        .await?;
    Ok(photo.map(|photo| Accepted { photo, acceptance }))
}

impl AsRecordsError for UploadError {
    fn as_records_error(&self) -> Option<&RecordsError> {
        match self {
            Self::Records(error) => Some(error),
            _ => None,
        }
    }
}

/// The outer error is the database's, after which the connection may be of
/// no use; after the inner one the transaction has been rolled back.
async fn join(
    connection: &mut RequestConnection,
    originals: &Originals,
    photo: &NewPhoto,
    key: Option<&Key>,
) -> Result<Result<Option<(PhotoId, Acceptance)>, UploadError>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let Some(first) = same_photo(&mut transaction, photo).await? else {
        transaction.rollback().await?;
        return Ok(Ok(None));
    };
    let id = PhotoId::try_from(first.id).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    let mut acceptance = Acceptance::Known;
    if first.status == Status::Failed {
        // Rare, and a large future, which every upload's would carry along.
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
        if requeue(&mut transaction, id, photo.traceparent.as_deref()).await? {
            acceptance = Acceptance::Again;
        }
    }
    if let Some(key) = key
        && !remember(&mut transaction, key, &photo.sha256, id).await?
    {
        let other = remembered(&mut transaction, key).await?;
        if other.is_some_and(|(_, sha256)| sha256 != photo.sha256) {
            transaction.rollback().await?;
            return Ok(Err(UploadError::IdempotencyKeyReused));
        }
    }
    transaction.commit().await?;
    Ok(Ok(Some((id, acceptance))))
}

/// Whether the original of a photo is still in the store.
async fn has_original(originals: &Originals, photo: &Photo) -> Result<bool, UploadError> {
    let Some(uri) = &photo.original else {
        return Ok(false);
    };
    let place: ObjectLocation = uri
        .parse()
        .map_err(|error: contract::location::InvalidLocation| UploadError::Internal(error.to_string()))?;
    Ok(originals.is_listed(&place).await?)
}

fn violates(error: &sqlx::Error, index: &str) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.is_unique_violation() && error.constraint() == Some(index))
}
