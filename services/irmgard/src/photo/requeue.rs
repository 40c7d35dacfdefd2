//! Queues a failed photo again.

use contract::PhotoId;
use sqlx::PgConnection;

/// Changes a photo from `failed` to `received` and adds an outbox row, in one statement. The job gets the W3C trace
/// context `traceparent`. Returns whether the photo was `failed` and has its original.
pub async fn requeue_failed(
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

/// Records that the original of a failed photo is missing. The same image, uploaded again, becomes a new photo.
pub async fn forget_original(connection: &mut PgConnection, id: PhotoId) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE photo SET original = NULL WHERE id = $1 AND status = 'failed'")
        .bind(id.get())
        .execute(connection)
        .await?;
    Ok(())
}
