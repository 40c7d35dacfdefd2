//! Idempotency keys of uploads (draft-ietf-httpapi-idempotency-key-header).

use contract::{PhotoId, ProjectName};
use sqlx::PgConnection;

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
    let row: Option<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT photo_id, sha256 FROM idempotency_key WHERE project = $1 AND uploaded_by = $2 AND key = $3",
    )
    .bind(key.project.as_str())
    .bind(&key.uploaded_by)
    .bind(&key.key)
    .fetch_optional(connection)
    .await?;
    row.map(|(id, sha256)| match PhotoId::try_from(id) {
        Ok(id) => Ok((id, sha256)),
        Err(error) => Err(sqlx::Error::Decode(Box::new(error))),
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
