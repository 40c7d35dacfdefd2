//! A photo is put to work anew.

use contract::PhotoId;
use sqlx::PgConnection;

/// `failed` → `received`, with a new outbox row, whose job is published under
/// the W3C trace context `traceparent`, by one statement. Whether the photo was
/// `failed` and has its original.
///
/// # Errors
/// The database's.
pub async fn requeue(
    connection: &mut PgConnection,
    id: PhotoId,
    traceparent: Option<&str>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "WITH again AS ( \
           UPDATE photo SET status = 'received', queued_at = NULL, finished_at = NULL, \
             failure_reason = NULL, failure_detail = NULL \
           WHERE id = $1 AND status = 'failed' AND original IS NOT NULL RETURNING id \
         ) INSERT INTO outbox (photo_id, traceparent) SELECT id, $2 FROM again",
    )
    .bind(id.get())
    .bind(traceparent)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes that the original of a failed photo is not in the store any more:
/// the same picture, posted anew, becomes a photo of its own.
///
/// # Errors
/// The database's.
pub async fn forget_original(connection: &mut PgConnection, id: PhotoId) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE photo SET original = NULL WHERE id = $1 AND status = 'failed'")
        .bind(id.get())
        .execute(connection)
        .await?;
    Ok(())
}
