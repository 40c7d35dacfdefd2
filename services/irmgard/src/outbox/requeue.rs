//! Queues photos again.

use std::time::Duration;

use contract::{PhotoId, media::LARGE_PHOTO_PIXELS};
use sqlx::PgConnection;

use crate::database::Pool;

/// The assignments that make a photo `received` again. They clear every column that is set later, except those that
/// only an anonymised photo has, because `anonymized` is final.
macro_rules! reset_columns {
    () => {
        "status = 'received', queued_at = NULL, finished_at = NULL, failure_reason = NULL, failure_detail = NULL"
    };
}

/// Sets photos back to `received`, with an outbox row each. Applies to `queued` photos, and to `failed` photos whose
/// row still has an original. Returns the ids of the changed photos. An anonymised photo is never changed.
///
/// It is one statement, so it is atomic with or without a transaction. Wake the relay after the commit.
pub async fn requeue_photos(connection: &mut PgConnection, ids: &[i64]) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar(concat!(
        "WITH again AS (
             UPDATE photo SET ",
        reset_columns!(),
        " WHERE id = ANY ($1) AND status IN ('failed', 'queued') AND original IS NOT NULL
             RETURNING id, traceparent
         )
         INSERT INTO outbox (photo_id, traceparent) SELECT id, traceparent FROM again
         RETURNING photo_id",
    ))
    .bind(ids)
    .fetch_all(connection)
    .await
}

/// Changes a photo from `failed` to `received` and adds an outbox row, in one statement. The job gets the W3C trace
/// context `traceparent`. Returns whether the photo was `failed` and has its original.
pub async fn requeue_failed(
    connection: &mut PgConnection,
    id: PhotoId,
    traceparent: Option<&str>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(concat!(
        "WITH again AS ( UPDATE photo SET ",
        reset_columns!(),
        " WHERE id = $1 AND status = 'failed' AND original IS NOT NULL RETURNING id \
         ) INSERT INTO outbox (photo_id, traceparent) SELECT id, $2 FROM again",
    ))
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

/// Queues photos again that have been `queued` for longer than `after` and whose job must be lost; at most
/// `limit`. Returns their ids.
///
/// A job is lost if no message waits in the queue (`queue_is_empty`), or if photos that were queued much later already
/// have their result: the queue is first in, first out. A photo in a long backlog meets neither condition, so a backlog
/// does not feed itself. A photo of more than [`LARGE_PHOTO_PIXELS`] lets others pass and gets four times as long. The
/// photo's new `queued_at` prevents another requeue before `after` has passed again.
pub async fn requeue_lost(
    pool: &Pool,
    after: Duration,
    queue_is_empty: bool,
    limit: i64,
) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar(concat!(
        "WITH overtaken AS (
             SELECT max(queued_at) AS newest FROM (
                 SELECT queued_at FROM photo
                  WHERE status IN ('anonymized', 'failed') AND queued_at IS NOT NULL
                  ORDER BY id DESC LIMIT 100
             ) AS newest_finished
         ), lost AS (
             SELECT photo.id FROM photo, overtaken, LATERAL (
                 SELECT make_interval(secs => $1 * CASE WHEN width::bigint * height > $4 THEN 4 ELSE 1 END)
             ) AS patience (after)
              WHERE status = 'queued' AND queued_at < now() - make_interval(secs => $1)
                AND queued_at < now() - after AND ($2 OR queued_at < newest - after)
              ORDER BY queued_at LIMIT $3
                FOR UPDATE OF photo SKIP LOCKED
         ), again AS (
             UPDATE photo SET ",
        reset_columns!(),
        " FROM lost WHERE photo.id = lost.id
             RETURNING photo.id, photo.traceparent
         )
         INSERT INTO outbox (photo_id, traceparent) SELECT id, traceparent FROM again
         RETURNING photo_id",
    ))
    .bind(after.as_secs_f64())
    .bind(queue_is_empty)
    .bind(limit)
    .bind(i64::try_from(LARGE_PHOTO_PIXELS).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await
}

/// Adds the missing outbox rows of `received` photos. This program never leaves a photo without one; a
/// restored backup or a manual change can.
pub async fn add_missing_outbox_rows(pool: &Pool, limit: i64) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar(
        "INSERT INTO outbox (photo_id, traceparent)
         SELECT id, traceparent FROM photo
          WHERE status = 'received' AND received_at < now() - interval '1 minute'
            AND NOT EXISTS (SELECT FROM outbox WHERE outbox.photo_id = photo.id)
          ORDER BY received_at LIMIT $1
         RETURNING photo_id",
    )
    .bind(limit)
    .fetch_all(pool)
    .await
}
