//! SQL statements of the relay.

use std::time::Duration;

use chrono::{DateTime, Utc};
use contract::{Job, ObjectLocation, job};
use sqlx::FromRow;

use crate::{database::Pool, photo::output_location};

/// An outbox row leased to this relay, with the data of its job.
#[derive(Clone, Debug, FromRow)]
pub(super) struct LeasedRow {
    pub(super) id: i64,
    pub(super) photo_id: i64,
    attempts: i32,
    traceparent: Option<String>,
    status: String,
    name: String,
    project: String,
    original: Option<String>,
    received_at: DateTime<Utc>,
}

/// The row cannot become a job: this program did not write it.
#[derive(Debug, thiserror::Error)]
#[error("photo {photo_id} cannot be queued: {reason}")]
pub(super) struct UnusableRow {
    pub(super) photo_id: i64,
    pub(super) reason: String,
}

impl LeasedRow {
    /// Whether the job still has to be published.
    ///
    /// The existence of the row decides, not the photo's status. The status may come from an earlier job of the same
    /// photo whose mark or result was late. A surplus job changes nothing; a missing job leaves the photo waiting.
    pub(super) fn is_needed(&self) -> bool {
        match self.status.as_str() {
            "anonymized" => false,
            // A person deleted the original.
            "failed" => self.original.is_some(),
            _ => true,
        }
    }

    pub(super) fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }

    pub(super) const fn attempts(&self) -> i32 {
        self.attempts
    }

    /// The job message. The anonymised photo goes to `output_bucket`.
    pub(super) fn job(&self, output_bucket: &str) -> Result<Job, UnusableRow> {
        let unusable = |reason: String| UnusableRow {
            photo_id: self.photo_id,
            reason,
        };
        let text = self
            .original
            .as_deref()
            .ok_or_else(|| unusable("its original is gone".to_owned()))?;
        let original: ObjectLocation = text.parse().map_err(|e| unusable(format!("its original: {e}")))?;
        let id = self.photo_id.try_into().map_err(|e| unusable(format!("{e}")))?;
        let project: contract::ProjectName = self.project.parse().map_err(|e| unusable(format!("{e}")))?;
        let output = output_location(output_bucket, id, &project, Some(&original), self.received_at)
            .map_err(|e| unusable(format!("its output: {e}")))?;
        Ok(Job {
            version: job::VERSION,
            id,
            name: self.name.clone(),
            storage_location: original.storage_location(),
            uri: original,
            output,
            project,
        })
    }
}

/// Leases up to `limit` due rows, oldest first. The statement begins with [`crate::database::POLL`].
pub(super) async fn lease(pool: &Pool, limit: i64, lease: Duration) -> Result<Vec<LeasedRow>, sqlx::Error> {
    sqlx::query_as(
        "/* poll */ WITH due AS (
             SELECT id FROM outbox
              WHERE leased_until IS NULL OR leased_until < now()
              ORDER BY id LIMIT $1
                FOR UPDATE SKIP LOCKED
         )
         UPDATE outbox SET leased_until = now() + make_interval(secs => $2)
           FROM due, photo
          WHERE outbox.id = due.id AND photo.id = outbox.photo_id
         RETURNING outbox.id, outbox.photo_id, outbox.attempts, outbox.traceparent,
                   photo.status, photo.name, photo.project, photo.original, photo.received_at",
    )
    .bind(limit)
    .bind(lease.as_secs_f64())
    .fetch_all(pool)
    .await
}

/// Marks jobs as published: deletes their rows and sets the photos to `queued`, unless a fast worker's result
/// came first.
pub(super) async fn mark_queued(pool: &Pool, ids: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "WITH done AS (DELETE FROM outbox WHERE id = ANY ($1) RETURNING photo_id)
         UPDATE photo SET status = 'queued', queued_at = now()
           FROM done
          WHERE photo.id = done.photo_id AND photo.status = 'received'",
    )
    .bind(ids)
    .execute(pool)
    .await?;
    Ok(())
}

/// A row whose message the broker did not confirm.
#[derive(Clone, Debug)]
pub(super) struct ReleasedRow {
    pub(super) id: i64,
    pub(super) error: String,
    /// Delay before the next attempt.
    pub(super) retry_delay: Duration,
}

/// Ends the leases of rows that were not published.
pub(super) async fn release(pool: &Pool, rows: &[ReleasedRow]) -> Result<(), sqlx::Error> {
    let ids: Vec<i64> = rows.iter().map(|r| r.id).collect();
    let errors: Vec<&str> = rows.iter().map(|r| r.error.as_str()).collect();
    let delays: Vec<f64> = rows.iter().map(|r| r.retry_delay.as_secs_f64()).collect();
    sqlx::query(
        "UPDATE outbox SET leased_until = now() + make_interval(secs => r.rest),
                           attempts = outbox.attempts + 1,
                           last_error = r.error
           FROM unnest($1::bigint[], $2::text[], $3::float8[]) AS r (id, error, rest)
          WHERE outbox.id = r.id",
    )
    .bind(ids)
    .bind(errors)
    .bind(delays)
    .execute(pool)
    .await?;
    Ok(())
}

/// Deletes a row that can never become a job, and marks its photo as failed for a person to check.
pub(super) async fn fail_row(pool: &Pool, row: i64, reason: &UnusableRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "WITH done AS (DELETE FROM outbox WHERE id = $1 RETURNING photo_id)
         UPDATE photo SET status = 'failed', finished_at = now(), failure_reason = $2, failure_detail = $3
           FROM done
          WHERE photo.id = done.photo_id AND photo.status = 'received'",
    )
    .bind(row)
    .bind(contract::FailureReason::MalformedMessage.code())
    .bind(&reason.reason)
    .execute(pool)
    .await?;
    Ok(())
}
