//! Lists failed photos.

use std::io::Write;

use chrono::{DateTime, Utc};
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use contract::PhotoId;
use serde::Serialize;
use sqlx::FromRow;
use terminal::escaped;

use crate::{cli::FailedFilter, database::Pool};

/// A failed photo as `irmgard failed list` shows it.
#[derive(Clone, Debug, FromRow, Serialize)]
pub(super) struct FailedPhoto {
    pub(super) id: i64,
    project: String,
    name: String,
    received_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    reason: Option<String>,
    detail: Option<String>,
    size_bytes: i64,
    original: Option<String>,
}

pub(super) async fn find_failed(
    pool: &Pool,
    filter: &FailedFilter,
    limit: u32,
) -> Result<Vec<FailedPhoto>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, project, name, received_at, finished_at, failure_reason AS reason,
                failure_detail AS detail, size_bytes, original
           FROM photo
          WHERE status = 'failed' AND ($1::text IS NULL OR failure_reason = $1)
            AND ($2::text IS NULL OR project = $2)
          ORDER BY id LIMIT $3",
    )
    .bind(&filter.reason)
    .bind(filter.project.as_ref().map(|project| project.as_str()))
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await
}

/// Filters the ids of photos that are still failed.
pub(super) async fn filter_failed(pool: &Pool, ids: &[i64]) -> Result<Vec<PhotoId>, sqlx::Error> {
    let ids: Vec<i64> =
        sqlx::query_scalar("SELECT id FROM photo WHERE id = ANY ($1) AND status = 'failed' ORDER BY id")
            .bind(ids)
            .fetch_all(pool)
            .await?;
    Ok(ids
        .into_iter()
        .filter_map(|id| PhotoId::try_from(id).ok())
        .collect())
}

pub(super) fn print(photos: &[FailedPhoto], json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    if json {
        for photo in photos {
            writeln!(out, "{}", escaped(&serde_json::to_string(photo)?))?;
        }
        return Ok(());
    }
    if photos.is_empty() {
        writeln!(out, "No photo has failed.")?;
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "id", "project", "received", "reason", "detail", "bytes", "original",
    ]);
    for photo in photos {
        table.add_row([
            photo.id.to_string(),
            escaped(&photo.project),
            photo.received_at.format("%Y-%m-%d %H:%M:%SZ").to_string(),
            escaped(photo.reason.as_deref().unwrap_or_default()),
            escaped(photo.detail.as_deref().unwrap_or_default()),
            photo.size_bytes.to_string(),
            escaped(photo.original.as_deref().unwrap_or("gone")),
        ]);
    }
    writeln!(out, "{table}")?;
    Ok(())
}
