//! The relay's statements.

use std::time::Duration;

use chrono::{DateTime, Utc};
use contract::{Job, ObjectLocation, job};
use sqlx::FromRow;

use crate::{database::Pool, photo::output_of};

/// An outbox row that is leased to this relay, with what its job needs.
#[derive(Clone, Debug, FromRow)]
pub(super) struct Leased {
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

/// The row cannot become a job: it was not written by this program.
#[derive(Debug, thiserror::Error)]
#[error("photo {photo_id} cannot be queued: {why}")]
pub(super) struct Unusable {
    pub(super) photo_id: i64,
    pub(super) why: String,
}

impl Leased {
    /// Whether the job still has to be published.
    ///
    /// The row asks for a job, not the photo's status: that may have come from
    /// an earlier job of the same photo, whose mark or whose result was late.
    /// A job too many changes nothing; a job too few leaves the photo waiting.
    pub(super) fn is_wanted(&self) -> bool {
        match self.status.as_str() {
            "anonymized" => false,
            // A person has deleted the original.
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

    /// The job message; the anonymised photo goes to `output_bucket`.
    pub(super) fn job(&self, output_bucket: &str) -> Result<Job, Unusable> {
        let unusable = |why: String| Unusable {
            photo_id: self.photo_id,
            why,
        };
        let text = self
            .original
            .as_deref()
            .ok_or_else(|| unusable("its original is gone".to_owned()))?;
        let original: ObjectLocation = text.parse().map_err(|e| unusable(format!("its original: {e}")))?;
        let id = self.photo_id.try_into().map_err(|e| unusable(format!("{e}")))?;
        let project: contract::ProjectName = self.project.parse().map_err(|e| unusable(format!("{e}")))?;
        let output = output_of(output_bucket, id, &project, Some(&original), self.received_at)
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

/// Leases up to `limit` rows that nobody holds, the oldest first. The statement
/// says that it is [`crate::database::POLL`].
pub(super) async fn lease(pool: &Pool, limit: i64, lease: Duration) -> Result<Vec<Leased>, sqlx::Error> {
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

/// The broker has these jobs: the rows go, and their photos are queued,
/// unless a fast worker's result was here first.
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

/// What becomes of a row whose message the broker did not confirm.
#[derive(Clone, Debug)]
pub(super) struct Release {
    pub(super) id: i64,
    pub(super) error: String,
    /// How long the row rests.
    pub(super) rest: Duration,
}

/// Ends the leases of rows that were not published.
pub(super) async fn release(pool: &Pool, releases: &[Release]) -> Result<(), sqlx::Error> {
    let ids: Vec<i64> = releases.iter().map(|r| r.id).collect();
    let errors: Vec<&str> = releases.iter().map(|r| r.error.as_str()).collect();
    let rests: Vec<f64> = releases.iter().map(|r| r.rest.as_secs_f64()).collect();
    sqlx::query(
        "UPDATE outbox SET leased_until = now() + make_interval(secs => r.rest),
                           attempts = outbox.attempts + 1,
                           last_error = r.error
           FROM unnest($1::bigint[], $2::text[], $3::float8[]) AS r (id, error, rest)
          WHERE outbox.id = r.id",
    )
    .bind(ids)
    .bind(errors)
    .bind(rests)
    .execute(pool)
    .await?;
    Ok(())
}

/// Takes a row out that can never become a job, and marks its photo for a
/// person to look at.
pub(super) async fn give_up(pool: &Pool, row: i64, why: &Unusable) -> Result<(), sqlx::Error> {
    sqlx::query(
        "WITH done AS (DELETE FROM outbox WHERE id = $1 RETURNING photo_id)
         UPDATE photo SET status = 'failed', finished_at = now(), failure_reason = $2, failure_detail = $3
           FROM done
          WHERE photo.id = done.photo_id AND photo.status = 'received'",
    )
    .bind(row)
    .bind(contract::FailureReason::MalformedMessage.code())
    .bind(&why.why)
    .execute(pool)
    .await?;
    Ok(())
}
