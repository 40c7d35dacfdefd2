//! `irmgard failed`: the way to the originals that a person must look at.
//!
//! Each use is recorded in the table `failed_photo_use` before it happens,
//! and a web service logs it soon after: an export shows people who have not
//! been anonymised.

mod export;
mod list;
mod record;

use std::{collections::BTreeSet, io::Write, path::Path};

use anyhow::{Context, bail};
use chassis::store::Store;
use contract::{ObjectLocation, PhotoId};

pub(crate) use self::record::log_uses;
use self::record::{Action, Recorder};
use crate::{
    cli::{FailedArguments, FailedCommand, Which},
    database::{Database, Pool},
    outbox::queue_again,
    settings::ToolSettings,
};

/// Runs the command; what it tells goes to `out`.
///
/// # Errors
/// When a server is away, or a photo is not among the failed.
pub async fn run(
    settings: &ToolSettings,
    arguments: FailedArguments,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let database = Database::connect_lazily(&settings.database);
    database.check_schema().await?;
    let pool = database.background();
    let recorder = Recorder::new(pool, record::name_of(arguments.who));
    match arguments.command {
        FailedCommand::List { which, limit, json } => {
            recorder.record(Action::List, &[]).await?;
            let photos = list::failed(pool, &which, limit).await?;
            list::print(&photos, json, out)
        }
        FailedCommand::Export { id, directory } => {
            let store = Store::new(settings.store.clone())?;
            export(pool, &store, &recorder, id, &directory, out).await
        }
        FailedCommand::Requeue { ids, which, .. } => requeue(pool, &recorder, ids, &which, out).await,
        FailedCommand::Delete { ids } => {
            let store = Store::new(settings.store.clone())?;
            delete(pool, &store, &recorder, &ids, out).await
        }
    }
}

async fn export(
    pool: &Pool,
    store: &Store,
    recorder: &Recorder<'_>,
    id: PhotoId,
    directory: &Path,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    if !directory.is_dir() {
        bail!(
            "{} is no folder: make one that only you can read (mkdir -m 700)",
            directory.display()
        );
    }
    let original = original(pool, id).await?;
    recorder.record(Action::Export, &[id]).await?;
    let path = export::write(store, &original, id, directory).await?;
    writeln!(out, "{}", path.display())?;
    Ok(())
}

async fn requeue(
    pool: &Pool,
    recorder: &Recorder<'_>,
    ids: Vec<PhotoId>,
    which: &Which,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let asked: Vec<i64> = if ids.is_empty() {
        list::failed(pool, which, u32::MAX)
            .await?
            .iter()
            .map(|photo| photo.id)
            .collect()
    } else {
        ids.iter().map(|id| id.get()).collect()
    };
    let failed = list::still_failed(pool, &asked).await?;
    if !failed.is_empty() {
        recorder.record(Action::Requeue, &failed).await?;
    }
    let failed: Vec<i64> = failed.iter().map(|id| id.get()).collect();
    let queued = pool.limited(async { queue_again(&mut *pool.acquire().await?, &failed).await });
    let queued: BTreeSet<i64> = queued.await?.into_iter().collect();
    writeln!(
        out,
        "{} of {} photos were queued again.",
        queued.len(),
        asked.len()
    )?;
    let left: BTreeSet<i64> = asked.into_iter().filter(|id| !queued.contains(id)).collect();
    let mut reasons = Vec::new();
    for id in left {
        reasons.push(match original(pool, PhotoId::try_from(id)?).await {
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
    recorder: &Recorder<'_>,
    ids: &[PhotoId],
    out: &mut impl Write,
) -> anyhow::Result<()> {
    for id in ids {
        let original = original(pool, *id).await?.location;
        recorder.record(Action::Delete, &[*id]).await?;
        // The row first: a photo that is queued again meanwhile keeps its original.
        let forgotten = sqlx::query(
            "UPDATE photo SET original = NULL WHERE id = $1 AND status = 'failed' AND original = $2",
        )
        .bind(id.get())
        .bind(original.to_string())
        .execute(pool)
        .await?;
        if forgotten.rows_affected() == 0 {
            bail!("photo {id} is no longer failed: nothing was deleted");
        }
        store.delete(&original).await.with_context(|| {
            format!("photo {id}: its original {original} is still there; `irmgard sweep --delete` removes it later")
        })?;
        writeln!(out, "The original of photo {id} was deleted.")?;
    }
    Ok(())
}

/// The original of a failed photo, as its row knows it.
struct Original {
    location: ObjectLocation,
    size_bytes: i64,
    sha256: Vec<u8>,
}

async fn original(pool: &Pool, id: PhotoId) -> anyhow::Result<Original> {
    let row: Option<(String, Option<String>, i64, Vec<u8>)> =
        sqlx::query_as("SELECT status, original, size_bytes, sha256 FROM photo WHERE id = $1")
            .bind(id.get())
            .fetch_optional(pool)
            .await?;
    match row {
        None => bail!("there is no photo {id}"),
        Some((status, ..)) if status != "failed" => bail!("photo {id} is not failed but {status}"),
        Some((_, None, ..)) => bail!("the original of photo {id} is gone"),
        Some((_, Some(location), size_bytes, sha256)) => Ok(Original {
            location: location.parse()?,
            size_bytes,
            sha256,
        }),
    }
}
