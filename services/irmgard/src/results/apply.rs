//! Applies verdicts to photo rows, by guarded updates.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use chrono::{DateTime, Utc};
use contract::{ObjectLocation, PhotoResult, Verdict};
use sqlx::{Connection, PgConnection};

use super::batch::{AnonymizedColumns, BatchColumns, FailedColumns};
use crate::{database::Pool, photo::output_location};

/// What a verdict changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerdictEffect {
    /// The photo is `anonymized` or `failed` now, as the verdict says.
    Changed,
    /// The photo had its verdict already.
    Repeated,
    UnknownPhoto,
    /// Nothing: the verdict names a location that is not this photo's own output.
    WrongOutput,
}

/// The result of one verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedVerdict {
    pub effect: VerdictEffect,
    /// The photo's project, if the verdict changed the photo.
    pub project: Option<String>,
}

impl From<VerdictEffect> for AppliedVerdict {
    fn from(effect: VerdictEffect) -> Self {
        Self {
            effect,
            project: None,
        }
    }
}

/// Writes verdicts in one transaction. The result has one entry per verdict.
///
/// - An output other than the photo's own location in `output_bucket` is never written. Its row would be
///   final, and nothing would list the original, which may be the only image.
/// - `anonymized` overrides every status, and nothing overrides it. `failed` applies to `received` and
///   `queued` only.
/// - If the first result has no detections, a later one adds them.
pub async fn apply_verdicts(
    pool: &Pool,
    output_bucket: &str,
    results: &[PhotoResult],
) -> Result<Vec<AppliedVerdict>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    let outputs = expected_outputs(&mut transaction, output_bucket, results).await?;
    let is_usable = |result: &&PhotoResult| match (&result.verdict, outputs.get(&result.id.get())) {
        (Verdict::Anonymized { output, .. }, Some(own)) => own.as_ref() == Some(output),
        (Verdict::Anonymized { .. }, None) | (Verdict::Failed { .. }, _) => true,
    };
    let columns = BatchColumns::from_results(results.iter().filter(is_usable));
    let mut changed = HashMap::new();
    if !columns.anonymized.ids.is_empty() {
        let rows = write_anonymized(&mut transaction, &columns.anonymized).await?;
        changed.extend(rows.into_iter().map(|(id, project)| (id, (ANONYMIZED, project))));
    }
    if !columns.failed.ids.is_empty() {
        let rows = write_failed(&mut transaction, &columns.failed).await?;
        changed.extend(rows.into_iter().map(|(id, project)| (id, (FAILED, project))));
    }
    let mut known: HashSet<i64> = changed.keys().copied().collect();
    let unchanged: Vec<i64> = results
        .iter()
        .filter(is_usable)
        .map(|result| result.id.get())
        .filter(|id| !known.contains(id))
        .collect();
    if !unchanged.is_empty() {
        add_missing_detections(&mut transaction, &columns.anonymized).await?;
        known.extend(existing_ids(&mut transaction, &unchanged).await?);
    }
    transaction.commit().await?;
    let mut answer = |result: &PhotoResult| {
        let id = result.id.get();
        if !is_usable(&result) {
            VerdictEffect::WrongOutput.into()
        } else if !known.contains(&id) {
            VerdictEffect::UnknownPhoto.into()
        // Only one message of the batch caused the change.
        } else if let Entry::Occupied(entry) = changed.entry(id)
            && entry.get().0 == status_name(&result.verdict)
        {
            AppliedVerdict {
                effect: VerdictEffect::Changed,
                project: Some(entry.remove().1),
            }
        } else {
            VerdictEffect::Repeated.into()
        }
    };
    Ok(results.iter().map(&mut answer).collect())
}

/// The output locations of the photos that the verdicts call anonymised, by id. A missing photo has no entry;
/// a row that this program did not write has `None`.
async fn expected_outputs(
    connection: &mut PgConnection,
    output_bucket: &str,
    results: &[PhotoResult],
) -> Result<HashMap<i64, Option<ObjectLocation>>, sqlx::Error> {
    let anonymized = |result: &&PhotoResult| matches!(result.verdict, Verdict::Anonymized { .. });
    let ids: Vec<i64> = results
        .iter()
        .filter(anonymized)
        .map(|result| result.id.get())
        .collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(i64, String, Option<String>, DateTime<Utc>)> =
        sqlx::query_as("SELECT id, project, original, received_at FROM photo WHERE id = ANY ($1)")
            .bind(ids)
            .fetch_all(connection)
            .await?;
    let expected_output =
        |(id, project, original, received_at): (i64, String, Option<String>, DateTime<Utc>)| {
            let original = original.and_then(|uri| uri.parse().ok());
            let location = id.try_into().ok().zip(project.parse().ok());
            let location = location.and_then(|(photo, project)| {
                output_location(output_bucket, photo, &project, original.as_ref(), received_at).ok()
            });
            (id, location)
        };
    Ok(rows.into_iter().map(expected_output).collect())
}

async fn write_anonymized(
    connection: &mut PgConnection,
    rows: &AnonymizedColumns,
) -> Result<Vec<(i64, String)>, sqlx::Error> {
    sqlx::query_as(
        "UPDATE photo
            SET status = 'anonymized', finished_at = now(), output = r.output,
                output_size_bytes = r.size, output_width = r.width, output_height = r.height,
                detections = r.detections, processing_seconds = r.seconds,
                failure_reason = NULL, failure_detail = NULL
           FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::int[], $5::int[], $6::jsonb[], $7::float8[])
                AS r (id, output, size, width, height, detections, seconds)
          WHERE photo.id = r.id AND photo.status <> 'anonymized'
         RETURNING photo.id, photo.project",
    )
    .bind(&rows.ids)
    .bind(&rows.outputs)
    .bind(&rows.sizes)
    .bind(&rows.widths)
    .bind(&rows.heights)
    .bind(&rows.detections)
    .bind(&rows.seconds)
    .fetch_all(connection)
    .await
}

async fn write_failed(
    connection: &mut PgConnection,
    rows: &FailedColumns,
) -> Result<Vec<(i64, String)>, sqlx::Error> {
    sqlx::query_as(
        "UPDATE photo
            SET status = 'failed', finished_at = now(), failure_reason = r.reason, failure_detail = r.detail
           FROM unnest($1::bigint[], $2::text[], $3::text[]) AS r (id, reason, detail)
          WHERE photo.id = r.id AND photo.status IN ('received', 'queued')
         RETURNING photo.id, photo.project",
    )
    .bind(&rows.ids)
    .bind(&rows.reasons)
    .bind(&rows.details)
    .fetch_all(connection)
    .await
}

/// A worker that finds the output of a predecessor knows no detections. If its result is written first, the
/// predecessor's result adds them.
async fn add_missing_detections(
    connection: &mut PgConnection,
    rows: &AnonymizedColumns,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE photo SET detections = r.detections, processing_seconds = r.seconds
           FROM unnest($1::bigint[], $2::jsonb[], $3::float8[]) AS r (id, detections, seconds)
          WHERE photo.id = r.id AND photo.status = 'anonymized'
            AND photo.detections IS NULL AND r.detections IS NOT NULL",
    )
    .bind(&rows.ids)
    .bind(&rows.detections)
    .bind(&rows.seconds)
    .execute(connection)
    .await?;
    Ok(())
}

async fn existing_ids(connection: &mut PgConnection, ids: &[i64]) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar("SELECT id FROM photo WHERE id = ANY ($1)")
        .bind(ids)
        .fetch_all(connection)
        .await
}

const ANONYMIZED: &str = "anonymized";
const FAILED: &str = "failed";

/// The status that a verdict leads to.
const fn status_name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Anonymized { .. } => ANONYMIZED,
        Verdict::Failed { .. } => FAILED,
    }
}
