//! Guarded updates of photo rows.

use std::collections::{HashMap, HashSet};

use contract::Outcome;
use sqlx::{PgConnection, PgPool};

use super::{
    Verdict,
    batch::{AnonymizedColumns, Columns, FailedColumns},
};

/// What a verdict did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The photo is `anonymized` or `failed` now, as the verdict says.
    Changed,
    /// The photo had its verdict already.
    Repeated,
    /// There is no such photo.
    UnknownPhoto,
}

/// Writes verdicts, all or none; the answer has one entry per verdict.
///
/// `anonymized` overrides everything and is overridden by nothing; `failed`
/// applies to `received` and `queued` only. Where a first result told no
/// detections, a later one adds them.
///
/// # Errors
/// The database's.
pub async fn apply(pool: &PgPool, verdicts: &[Verdict]) -> Result<Vec<Applied>, sqlx::Error> {
    let columns = Columns::of(verdicts);
    let mut transaction = pool.begin().await?;
    let mut changed = HashMap::new();
    if !columns.anonymized.ids.is_empty() {
        let ids = write_anonymized(&mut transaction, &columns.anonymized).await?;
        changed.extend(ids.into_iter().map(|id| (id, ANONYMIZED)));
    }
    if !columns.failed.ids.is_empty() {
        let ids = write_failed(&mut transaction, &columns.failed).await?;
        changed.extend(ids.into_iter().map(|id| (id, FAILED)));
    }
    let mut known: HashSet<i64> = changed.keys().copied().collect();
    let unchanged: Vec<i64> = verdicts
        .iter()
        .map(|verdict| verdict.id.get())
        .filter(|id| !known.contains(id))
        .collect();
    if !unchanged.is_empty() {
        add_detections(&mut transaction, &columns.anonymized).await?;
        known.extend(existing(&mut transaction, &unchanged).await?);
    }
    transaction.commit().await?;
    let mut answer = |verdict: &Verdict| {
        let id = verdict.id.get();
        if !known.contains(&id) {
            Applied::UnknownPhoto
        } else if changed.get(&id) == Some(&name(&verdict.outcome)) {
            // Only one message of the batch has brought the change.
            changed.remove(&id);
            Applied::Changed
        } else {
            Applied::Repeated
        }
    };
    Ok(verdicts.iter().map(&mut answer).collect())
}

async fn write_anonymized(
    connection: &mut PgConnection,
    rows: &AnonymizedColumns,
) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar(
        "UPDATE photo
            SET status = 'anonymized', finished_at = now(), output = r.output,
                output_size_bytes = r.size, output_width = r.width, output_height = r.height,
                detections = r.detections, processing_seconds = r.seconds,
                failure_reason = NULL, failure_detail = NULL
           FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::int[], $5::int[], $6::jsonb[], $7::float8[])
                AS r (id, output, size, width, height, detections, seconds)
          WHERE photo.id = r.id AND photo.status <> 'anonymized'
         RETURNING photo.id",
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

async fn write_failed(connection: &mut PgConnection, rows: &FailedColumns) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar(
        "UPDATE photo
            SET status = 'failed', finished_at = now(), failure_reason = r.reason, failure_detail = r.detail
           FROM unnest($1::bigint[], $2::text[], $3::text[]) AS r (id, reason, detail)
          WHERE photo.id = r.id AND photo.status IN ('received', 'queued')
         RETURNING photo.id",
    )
    .bind(&rows.ids)
    .bind(&rows.reasons)
    .bind(&rows.details)
    .fetch_all(connection)
    .await
}

/// A worker that finds the work done by a predecessor knows no detections;
/// should its result be written first, the predecessor's completes it.
async fn add_detections(connection: &mut PgConnection, rows: &AnonymizedColumns) -> Result<(), sqlx::Error> {
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

async fn existing(connection: &mut PgConnection, ids: &[i64]) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar("SELECT id FROM photo WHERE id = ANY ($1)")
        .bind(ids)
        .fetch_all(connection)
        .await
}

const ANONYMIZED: &str = "anonymized";
const FAILED: &str = "failed";

/// The status that a verdict leads to.
pub(super) const fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Anonymized { .. } => ANONYMIZED,
        Outcome::Failed { .. } => FAILED,
    }
}
