//! Scheduled runs of `irmgard sweep`, as the web service knows them.

use std::collections::BTreeMap;

use sqlx::{FromRow, types::Json};

use super::{Finding, Kind};
use crate::database::Pool;

/// The newest scheduled run.
#[derive(Clone, Debug, FromRow)]
pub struct NewestRun {
    /// When it was, seconds since 1970; `None` where there was none.
    pub at: Option<f64>,
    /// How long that is ago, seconds; where there was none, since the
    /// database was made.
    pub age_seconds: f64,
    /// Why it deleted nothing, or not everything.
    pub error: Option<String>,
    /// What it left, by [`Kind`].
    pub left_over: Json<BTreeMap<String, i64>>,
}

impl NewestRun {
    /// What it left although `--delete` deletes such things.
    #[must_use]
    pub fn deletable(&self) -> i64 {
        let kinds = [Kind::NoPhoto, Kind::OriginalOfAnonymized, Kind::UnfinishedUpload];
        kinds
            .iter()
            .filter_map(|kind| self.left_over.get(kind.code()))
            .sum()
    }
}

/// Records a run. Without findings the run broke off before it had any: then what the run before left counts.
pub(super) async fn record(
    pool: &Pool,
    deletes: bool,
    findings: Option<&[Finding]>,
    error: Option<&anyhow::Error>,
) -> Result<(), sqlx::Error> {
    let left_over = findings.map(|findings| {
        let mut left_over = BTreeMap::<&str, i64>::new();
        for finding in findings.iter().filter(|finding| !finding.deleted) {
            *left_over.entry(finding.kind.code()).or_default() += 1;
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

/// The newest run. The statement says that it is [`crate::database::POLL`].
///
/// # Errors
/// The database's.
pub async fn newest_run(pool: &Pool) -> Result<NewestRun, sqlx::Error> {
    sqlx::query_as(
        "/* poll */ SELECT extract(epoch FROM run.at)::float8 AS at,
                extract(epoch FROM now() - coalesce(run.at, installation.created_at))::float8 AS age_seconds,
                run.error, coalesce(run.left_over, '{}') AS left_over
           FROM installation LEFT JOIN (SELECT * FROM sweep_run ORDER BY id DESC LIMIT 1) AS run ON true",
    )
    .fetch_one(pool)
    .await
}
