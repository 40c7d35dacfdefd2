//! Idempotency keys of uploads (draft-ietf-httpapi-idempotency-key-header).

use contract::{PhotoId, ProjectName};
use sqlx::{PgConnection, Row};

/// A key in the namespace of its project and token.
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    pub project: ProjectName,
    /// Name of the token; empty if no tokens are in use.
    pub uploaded_by: String,
    pub key: String,
}

/// The first photo with this key, and its SHA-256.
pub async fn find_idempotency_key(
    connection: &mut PgConnection,
    key: &IdempotencyKey,
) -> Result<Option<(PhotoId, Vec<u8>)>, sqlx::Error> {
    sqlx::query(
        "SELECT photo_id, sha256 FROM idempotency_key WHERE project = $1 AND uploaded_by = $2 AND key = $3",
    )
    .bind(key.project.as_str())
    .bind(&key.uploaded_by)
    .bind(&key.key)
    .fetch_optional(connection)
    .await?
    .map(|row| {
        let id = PhotoId::try_from(row.try_get::<i64, _>("photo_id")?)
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        Ok((id, row.try_get("sha256")?))
    })
    .transpose()
}

/// Stores the key for an existing photo; returns whether the key was new.
pub async fn store_idempotency_key(
    connection: &mut PgConnection,
    key: &IdempotencyKey,
    sha256: &[u8],
    photo: PhotoId,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "INSERT INTO idempotency_key (project, uploaded_by, key, sha256, photo_id) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    )
    .bind(key.project.as_str())
    .bind(&key.uploaded_by)
    .bind(&key.key)
    .bind(sha256)
    .bind(photo.get())
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
