//! Records of the scheduled runs of `irmgard sweep`, for the web service.

use std::collections::BTreeMap;

use sqlx::{FromRow, types::Json};

use super::{FindingKind, SweepFinding};
use crate::database::Pool;

/// The latest scheduled run.
#[derive(Clone, Debug, FromRow)]
pub struct LatestRun {
    /// Time of the run, seconds since 1970; `None` if there was none.
    pub at: Option<f64>,
    /// Age of the run in seconds; without a run, the age of the database.
    pub age_seconds: f64,
    /// Why the run deleted nothing, or not everything.
    pub error: Option<String>,
    /// Number of remaining objects by [`FindingKind`].
    pub left_over: Json<BTreeMap<String, i64>>,
}

impl LatestRun {
    /// Number of remaining objects that `--delete` would delete.
    #[must_use]
    pub fn deletable(&self) -> i64 {
        let kinds = [
            FindingKind::NoPhoto,
            FindingKind::OriginalOfAnonymized,
            FindingKind::UnfinishedUpload,
        ];
        kinds
            .iter()
            .filter_map(|kind| self.left_over.get(kind.into_str()))
            .sum()
    }
}

/// Records a run. `findings` is `None` if the run failed before it had any; then the counts of the previous run stay.
pub(super) async fn record(
    pool: &Pool,
    deletes: bool,
    findings: Option<&[SweepFinding]>,
    error: Option<&anyhow::Error>,
) -> Result<(), sqlx::Error> {
    let left_over = findings.map(|findings| {
        let mut left_over = BTreeMap::<&str, i64>::new();
        for finding in findings.iter().filter(|finding| !finding.deleted) {
            *left_over.entry(finding.kind.into_str()).or_default() += 1;
        }
        Json(left_over)
    });
    sqlx::query(
        "INSERT INTO sweep_run (deletes, error, left_over)
         VALUES ($1, $2, coalesce($3, (SELECT left_over FROM sweep_run ORDER BY id DESC LIMIT 1), '{}'))",
    )
    .bind(deletes)
    .bind(error.map(|error| format!("{error:#}")))
    .bind(left_over)
    .execute(pool)
    .await?;
    Ok(())
}

/// The latest scheduled run. The statement begins with [`crate::database::POLL`].
pub async fn latest_run(pool: &Pool) -> Result<LatestRun, sqlx::Error> {
    sqlx::query_as(
        "/* poll */ SELECT extract(epoch FROM run.at)::float8 AS at,
                extract(epoch FROM now() - coalesce(run.at, installation.created_at))::float8 AS age_seconds,
                run.error, coalesce(run.left_over, '{}') AS left_over
           FROM installation LEFT JOIN (SELECT * FROM sweep_run ORDER BY id DESC LIMIT 1) AS run ON true",
    )
    .fetch_one(pool)
    .await
}
