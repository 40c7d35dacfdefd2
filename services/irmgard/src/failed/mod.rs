//! `irmgard failed`: access to failed photos and their originals.
//!
//! Each use is recorded in the table `failed_photo_use` before it happens, because an export shows people.
//! The web service logs the records soon after.

mod export;
mod list;

use std::{collections::BTreeSet, io::Write, path::Path};

use anyhow::{Context, bail};
use contract::{ObjectLocation, PhotoId};
use service_runtime::store::Store;

use crate::{
    audit::{self, AuditAction, AuditLog},
    cli::{FailedArguments, FailedCommand, FailedFilter},
    database::{Database, Pool},
    outbox::requeue_photos,
    settings::ToolSettings,
};

/// Runs the command; its output goes to `out`.
///
/// # Errors
/// A server is unavailable, or a photo is not failed.
pub async fn run(
    settings: &ToolSettings,
    arguments: FailedArguments,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let database = Database::connect_lazily(&settings.database);
    database.check_schema().await?;
    let pool = database.background();
    let audit = AuditLog::new(pool, audit::operator_name(arguments.operator));
    match arguments.command {
        FailedCommand::List { filter, limit, json } => {
            audit.record(AuditAction::List, &[]).await?;
            let photos = list::find_failed(pool, &filter, limit).await?;
            list::print(&photos, json, out)
        }
        FailedCommand::Export { id, directory } => {
            let store = Store::new(settings.store.clone())?;
            export(pool, &store, &audit, id, &directory, out).await
        }
        FailedCommand::Requeue { ids, filter, .. } => requeue(pool, &audit, ids, &filter, out).await,
        FailedCommand::Delete { ids } => {
            let store = Store::new(settings.store.clone())?;
            delete(pool, &store, &audit, &ids, out).await
        }
    }
}

async fn export(
    pool: &Pool,
    store: &Store,
    audit: &AuditLog<'_>,
    id: PhotoId,
    directory: &Path,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    if !directory.is_dir() {
        bail!(
            "{} is not a directory; create one that only you can read (mkdir -m 700)",
            directory.display()
        );
    }
    let original = find_original(pool, id).await?;
    audit.record(AuditAction::Export, &[id]).await?;
    let path = export::export_original(store, &original, id, directory).await?;
    writeln!(out, "{}", path.display())?;
    Ok(())
}

async fn requeue(
    pool: &Pool,
    audit: &AuditLog<'_>,
    ids: Vec<PhotoId>,
    filter: &FailedFilter,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let requested: Vec<i64> = if ids.is_empty() {
        list::find_failed(pool, filter, u32::MAX)
            .await?
            .iter()
            .map(|photo| photo.id)
            .collect()
    } else {
        ids.iter().map(|id| id.get()).collect()
    };
    let failed = list::filter_failed(pool, &requested).await?;
    if !failed.is_empty() {
        audit.record(AuditAction::Requeue, &failed).await?;
    }
    let failed: Vec<i64> = failed.iter().map(|id| id.get()).collect();
    let queued = pool.run_limited(async { requeue_photos(&mut *pool.acquire().await?, &failed).await });
    let queued: BTreeSet<i64> = queued.await?.into_iter().collect();
    writeln!(
        out,
        "{} of {} photos were queued again.",
        queued.len(),
        requested.len()
    )?;
    let not_queued: BTreeSet<i64> = requested.into_iter().filter(|id| !queued.contains(id)).collect();
    let mut reasons = Vec::new();
    for id in not_queued {
        reasons.push(match find_original(pool, PhotoId::try_from(id)?).await {
            Ok(_) => format!("photo {id} failed again just now"),
            Err(error) => error.to_string(),
        });
    }
    if !reasons.is_empty() {
        bail!("{}", reasons.join("; "));
    }
    Ok(())
}

async fn delete(
    pool: &Pool,
    store: &Store,
    audit: &AuditLog<'_>,
    ids: &[PhotoId],
    out: &mut impl Write,
) -> anyhow::Result<()> {
    for id in ids {
        let original = find_original(pool, *id).await?.location;
        audit.record(AuditAction::Delete, &[*id]).await?;
        // Update the row first: a photo that is queued again meanwhile keeps its original.
        let updated = sqlx::query(
            "UPDATE photo SET original = NULL WHERE id = $1 AND status = 'failed' AND original = $2",
        )
        .bind(id.get())
        .bind(original.to_string())
        .execute(pool)
        .await?;
        if updated.rows_affected() == 0 {
            bail!("photo {id} is no longer failed: nothing was deleted");
        }
        store.delete(&original).await.with_context(|| {
            format!("photo {id}: its original {original} is still there; `irmgard sweep --delete` removes it later")
        })?;
        writeln!(out, "The original of photo {id} was deleted.")?;
    }
    Ok(())
}

/// The original of a failed photo, according to its row.
struct Original {
    location: ObjectLocation,
    size_bytes: i64,
    sha256: Vec<u8>,
}

async fn find_original(pool: &Pool, id: PhotoId) -> anyhow::Result<Original> {
    let row: Option<(String, Option<String>, i64, Vec<u8>)> =
        sqlx::query_as("SELECT status, original, size_bytes, sha256 FROM photo WHERE id = $1")
            .bind(id.get())
            .fetch_optional(pool)
            .await?;
    match row {
        None => bail!("photo {id} does not exist"),
        Some((status, ..)) if status != "failed" => bail!("photo {id} has status {status}, not failed"),
        Some((_, None, ..)) => bail!("the original of photo {id} is gone"),
        Some((_, Some(location), size_bytes, sha256)) => Ok(Original {
            location: location.parse()?,
            size_bytes,
            sha256,
        }),
    }
}
