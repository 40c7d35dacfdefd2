//! Photos that are queued once more.

use std::time::Duration;

use contract::media::USUAL_PIXELS;
use sqlx::PgConnection;

use crate::database::Pool;

/// Puts photos back to `received`, with an outbox row each: failed ones whose
/// original still exists as far as the row knows, and queued ones. Returns
/// the ids of those that were; others are left as they are. An anonymised
/// photo is never touched.
///
/// One statement, so that it is all or nothing with or without a transaction.
/// The relay must be woken after the commit.
///
/// # Errors
/// The database's.
pub async fn queue_again(connection: &mut PgConnection, ids: &[i64]) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar(
        "WITH again AS (
             UPDATE photo
                SET status = 'received', queued_at = NULL, finished_at = NULL,
                    failure_reason = NULL, failure_detail = NULL
              WHERE id = ANY ($1) AND status IN ('failed', 'queued') AND original IS NOT NULL
             RETURNING id, traceparent
         )
         INSERT INTO outbox (photo_id, traceparent) SELECT id, traceparent FROM again
         RETURNING photo_id",
    )
    .bind(ids)
    .fetch_all(connection)
    .await
}

/// Queues again what has been `queued` for longer than `after` and whose job
/// must be lost; at most `limit`. Returns the ids.
///
/// A job is lost when no message waits in the queue (`queue_is_empty`), or
/// when photos that were queued much later have their result already: the
/// queue is first in, first out. Waiting behind a long backlog is neither,
/// so that a backlog never feeds itself. A photo of more than [`USUAL_PIXELS`]
/// lets others pass and so has four times as long. The photo's new `queued_at` keeps it
/// from coming again before `after` has passed once more.
///
/// # Errors
/// The database's.
pub async fn restore_lost(
    pool: &Pool,
    after: Duration,
    queue_is_empty: bool,
    limit: i64,
) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar(
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
             UPDATE photo SET status = 'received', queued_at = NULL
               FROM lost WHERE photo.id = lost.id
             RETURNING photo.id, photo.traceparent
         )
         INSERT INTO outbox (photo_id, traceparent) SELECT id, traceparent FROM again
         RETURNING photo_id",
    )
    .bind(after.as_secs_f64())
    .bind(queue_is_empty)
    .bind(limit)
    .bind(i64::try_from(USUAL_PIXELS).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await
}

/// Gives photos that are `received` but have no outbox row a new one. No
/// statement of ours leaves such a photo; a restored backup or a hand at the
/// database can.
///
/// # Errors
/// The database's.
pub async fn heal_received(pool: &Pool, limit: i64) -> Result<Vec<i64>, sqlx::Error> {
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
