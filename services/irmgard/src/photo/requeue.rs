//! A photo is put to work anew.

use contract::PhotoId;
use sqlx::PgConnection;

/// What the outbox row says beside the photo's id.
#[derive(Clone, Debug, Default)]
pub struct OutboxRow {
    /// W3C trace context under which the job is published.
    pub traceparent: Option<String>,
    /// `s3://bucket/key` of the original, where it was put back.
    pub original: Option<String>,
}

/// `failed` → `received`, with a new outbox row, by one statement. Whether
/// the photo was `failed`.
///
/// # Errors
/// The database's.
pub async fn requeue(
    connection: &mut PgConnection,
    id: PhotoId,
    row: &OutboxRow,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "WITH again AS ( \
           UPDATE photo SET status = 'received', queued_at = NULL, finished_at = NULL, \
             failure_reason = NULL, failure_detail = NULL, original = coalesce($3, original) \
           WHERE id = $1 AND status = 'failed' AND coalesce($3, original) IS NOT NULL RETURNING id \
         ) INSERT INTO outbox (photo_id, traceparent) SELECT id, $2 FROM again",
    )
    .bind(id.get())
    .bind(&row.traceparent)
    .bind(&row.original)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
