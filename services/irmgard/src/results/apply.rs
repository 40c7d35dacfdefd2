//! Guarded updates of photo rows.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use chrono::{DateTime, Utc};
use contract::{ObjectLocation, Outcome};
use sqlx::{Connection, PgConnection};

use super::{
    Verdict,
    batch::{AnonymizedColumns, Columns, FailedColumns},
};
use crate::{database::Pool, photo::output_of};

/// What a verdict did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The photo is `anonymized` or `failed` now, as the verdict says.
    Changed,
    /// The photo had its verdict already.
    Repeated,
    /// There is no such photo.
    UnknownPhoto,
    /// Nothing: it names a place where this photo's output does not belong.
    WrongOutput,
}

/// What became of one verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it did.
    pub applied: Applied,
    /// The photo's project, where it changed the photo.
    pub project: Option<String>,
}

impl From<Applied> for Answer {
    fn from(applied: Applied) -> Self {
        Self {
            applied,
            project: None,
        }
    }
}

/// Writes verdicts, all or none; the answer has one entry per verdict.
///
/// An output that is not the photo's own, in `output_bucket`, is never
/// written: its row would be final, and the original, perhaps the only picture
/// there is, in nobody's list.
///
/// `anonymized` overrides everything and is overridden by nothing; `failed`
/// applies to `received` and `queued` only. Where a first result told no
/// detections, a later one adds them.
///
/// # Errors
/// The database's.
pub async fn apply(
    pool: &Pool,
    output_bucket: &str,
    verdicts: &[Verdict],
) -> Result<Vec<Answer>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    let outputs = own_outputs(&mut transaction, output_bucket, verdicts).await?;
    let is_usable = |verdict: &&Verdict| match (&verdict.outcome, outputs.get(&verdict.id.get())) {
        (Outcome::Anonymized { output, .. }, Some(own)) => own.as_ref() == Some(output),
        (Outcome::Anonymized { .. }, None) | (Outcome::Failed { .. }, _) => true,
    };
    let columns = Columns::of(verdicts.iter().filter(is_usable));
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
    let unchanged: Vec<i64> = verdicts
        .iter()
        .filter(is_usable)
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
        if !is_usable(&verdict) {
            Applied::WrongOutput.into()
        } else if !known.contains(&id) {
            Applied::UnknownPhoto.into()
        // Only one message of the batch has brought the change.
        } else if let Entry::Occupied(entry) = changed.entry(id)
            && entry.get().0 == name(&verdict.outcome)
        {
            Answer {
                applied: Applied::Changed,
                project: Some(entry.remove().1),
            }
        } else {
            Applied::Repeated.into()
        }
    };
    Ok(verdicts.iter().map(&mut answer).collect())
}

/// Where the outputs of those photos belong that the verdicts call
/// anonymised, as far as there are such photos; `None` for a row that this
/// program did not write.
async fn own_outputs(
    connection: &mut PgConnection,
    output_bucket: &str,
    verdicts: &[Verdict],
) -> Result<HashMap<i64, Option<ObjectLocation>>, sqlx::Error> {
    let anonymized = |verdict: &&Verdict| matches!(verdict.outcome, Outcome::Anonymized { .. });
    let ids: Vec<i64> = verdicts
        .iter()
        .filter(anonymized)
        .map(|verdict| verdict.id.get())
        .collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(i64, String, Option<String>, DateTime<Utc>)> =
        sqlx::query_as("SELECT id, project, original, received_at FROM photo WHERE id = ANY ($1)")
            .bind(ids)
            .fetch_all(connection)
            .await?;
    let own = |(id, project, original, received_at): (i64, String, Option<String>, DateTime<Utc>)| {
        let original = original.and_then(|uri| uri.parse().ok());
        let own = id.try_into().ok().zip(project.parse().ok());
        let own = own.and_then(|(photo, project)| {
            output_of(output_bucket, photo, &project, original.as_ref(), received_at).ok()
        });
        (id, own)
    };
    Ok(rows.into_iter().map(own).collect())
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
