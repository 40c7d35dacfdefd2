//! Inserts a new photo's rows.

use chrono::{DateTime, Utc};
use contract::{ObjectLocation, PhotoId, PhotoKey, ProjectName, media::ImageHeader};
use sqlx::PgConnection;

use crate::{
    database::{Pool, leaves_connection_unusable},
    next_release,
};

use super::{
    idempotency::IdempotencyKey,
    row::{Photo, Status, TakenAtSource, photo_columns, storage_location},
};

/// A photo whose original is stored and whose rows are not.
#[derive(Clone, Debug)]
pub struct NewPhoto {
    /// Id, drawn before the original was stored.
    pub id: PhotoId,
    pub project: ProjectName,
    /// The camera's file name.
    pub name: String,
    /// Start of the upload.
    pub received_at: DateTime<Utc>,
    /// In whole microseconds.
    pub taken_at: DateTime<Utc>,
    pub taken_at_source: TakenAtSource,
    /// Format and size in pixels.
    pub header: ImageHeader,
    pub size_bytes: u64,
    pub sha256: [u8; 32],
    pub original: ObjectLocation,
    /// Name of the token.
    pub uploaded_by: Option<String>,
    /// W3C trace context of the upload.
    pub traceparent: Option<String>,
}

/// Draws new ids, in ascending order.
///
/// A dead connection is replaced, which saves a test of each connection: ids that are drawn twice only leave a gap.
pub async fn draw_ids(pool: &Pool, count: usize) -> Result<Vec<PhotoId>, sqlx::Error> {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    let mut attempts_left = pool.options().get_max_connections();
    let ids: Vec<i64> = loop {
        let mut connection = pool.acquire().await?;
        let drawn = sqlx::query_scalar("SELECT nextval('photo_id_seq') FROM generate_series(1, $1)")
            .bind(count)
            .fetch_all(&mut *connection)
            .await;
        match drawn {
            Ok(ids) => break ids,
            Err(error) => {
                if leaves_connection_unusable(&error) {
                    connection.close_on_drop();
                }
                if attempts_left == 0 || !leaves_connection_unusable(&error) {
                    return Err(error);
                }
                attempts_left -= 1;
            }
        }
    };
    ids.into_iter()
        .map(|id| PhotoId::try_from(id).map_err(|error| sqlx::Error::Decode(Box::new(error))))
        .collect()
}

/// The statement of [`insert_photo`], with further columns and their values.
macro_rules! insert_statement {
    ($columns:literal, $values:literal) => {
        concat!(
            "WITH new AS ( \
               INSERT INTO photo (id, project, name, received_at, taken_at, taken_at_source, media_type, \
                 size_bytes, width, height, sha256, original, uploaded_by, traceparent",
            $columns,
            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14",
            $values,
            ") ON CONFLICT (project, sha256, taken_at) \
                 WHERE taken_at_source <> 'received' AND original IS NOT NULL DO NOTHING \
               RETURNING id \
             ), job AS (INSERT INTO outbox (photo_id, traceparent) SELECT id, $14 FROM new), \
             known AS ( \
               INSERT INTO idempotency_key (project, uploaded_by, key, sha256, photo_id) \
               SELECT $2, $15, $16, $11, id FROM new WHERE $16::text IS NOT NULL \
             ) SELECT id FROM new"
        )
    };
}

/// Writes photo, outbox row and key in one statement, and returns whether it did. If the same image with the
/// same time exists already, it writes none of them.
///
/// # Errors
/// A unique violation means that the key is in use.
pub async fn insert_photo(
    connection: &mut PgConnection,
    photo: &NewPhoto,
    key: Option<&IdempotencyKey>,
) -> Result<bool, sqlx::Error> {
    let statement = if next_release::writes_receiver() {
        insert_statement!(", received_by", ", coalesce(host(inet_client_addr()), 'local')")
    } else {
        insert_statement!("", "")
    };
    let written = sqlx::query(statement)
        .bind(photo.id.get())
        .bind(photo.project.as_str())
        .bind(&photo.name)
        .bind(photo.received_at)
        .bind(photo.taken_at)
        .bind(photo.taken_at_source.into_str())
        .bind(photo.header.media_type.as_str())
        .bind(i64::try_from(photo.size_bytes).unwrap_or(i64::MAX))
        .bind(i32::try_from(photo.header.width).unwrap_or(i32::MAX))
        .bind(i32::try_from(photo.header.height).unwrap_or(i32::MAX))
        .bind(&photo.sha256[..])
        .bind(photo.original.to_string())
        .bind(&photo.uploaded_by)
        .bind(&photo.traceparent)
        .bind(key.map_or("", |key| key.uploaded_by.as_str()))
        .bind(key.map(|key| key.key.as_str()))
        .fetch_optional(connection)
        .await?;
    Ok(written.is_some())
}

/// Finds the photo with the same bytes and time in the same project, unless it has lost its original. Locks
/// its row until the transaction ends.
pub async fn lock_duplicate(
    connection: &mut PgConnection,
    photo: &NewPhoto,
) -> Result<Option<Photo>, sqlx::Error> {
    sqlx::query_as(concat!(
        "SELECT ",
        photo_columns!(),
        " FROM photo WHERE project = $1 AND sha256 = $2 AND taken_at = $3 \
         AND taken_at_source <> 'received' AND original IS NOT NULL FOR UPDATE"
    ))
    .bind(photo.project.as_str())
    .bind(&photo.sha256[..])
    .bind(photo.taken_at)
    .fetch_optional(connection)
    .await
}

impl NewPhoto {
    /// The key of a photo's objects.
    #[must_use]
    pub fn photo_key(id: PhotoId, project: &ProjectName, received_at: DateTime<Utc>) -> PhotoKey {
        PhotoKey {
            project: project.clone(),
            received_on: received_at.date_naive(),
            id,
        }
    }

    /// The photo as the database has it after [`insert_photo`].
    #[must_use]
    pub fn into_photo(self, trace_id: Option<String>) -> Photo {
        let original = self.original.to_string();
        Photo {
            id: self.id.get(),
            project: self.project.into(),
            name: self.name,
            status: Status::Received,
            received_at: self.received_at,
            taken_at: self.taken_at,
            taken_at_source: self.taken_at_source,
            media_type: self.header.media_type.as_str().to_owned(),
            size_bytes: i64::try_from(self.size_bytes).unwrap_or(i64::MAX),
            width: i32::try_from(self.header.width).unwrap_or(i32::MAX),
            height: i32::try_from(self.header.height).unwrap_or(i32::MAX),
            sha256: hex::encode(self.sha256),
            storage_location: Some(storage_location(&original)),
            uploaded_by: self.uploaded_by,
            trace_id,
            queued_at: None,
            finished_at: None,
            output_size_bytes: None,
            output_width: None,
            output_height: None,
            detections: None,
            processing_seconds: None,
            failure_reason: None,
            failure_detail: None,
            image: None,
            original: Some(original),
            output: None,
        }
    }
}
