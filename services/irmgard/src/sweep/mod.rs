//! `irmgard sweep` finds objects that belong to no photo, and unfinished uploads.
//!
//! An upload stores the object first and writes the rows afterwards. If the outcome of the commit is unknown,
//! the object stays; the sweep finds such leftovers. It deletes only keys of this program's own form.
//!
//! Architecture invariant: an original is deleted only if the database is the one that the bucket was filled with
//! ([`binding`]), and has lost no rows, according to the buckets ([`evidence`]) and its own past ([`watermark`]).

mod binding;
mod evidence;
mod listing;
mod report;
mod run_record;
mod search;
mod warning;
mod watermark;

use std::{io::Write, time::Duration};

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use contract::{ObjectLocation, PhotoKey};
use serde::Serialize;
use service_runtime::store::{Store, StoreError};

use self::{
    binding::{BoundDatabase, DatabaseIdentity},
    evidence::{Evidence, NEIGHBOURS},
    search::SweepSearch,
    watermark::Watermark,
};
pub use self::{
    run_record::{LatestRun, latest_run},
    search::SearchResult,
    warning::SweepWarning,
};
use crate::{
    cli::{BindArguments, SweepArguments},
    database::{Database, Pool},
    settings::ToolSettings,
};

/// Younger objects may belong to an upload in progress.
const MIN_AGE_TO_DELETE: Duration = Duration::from_secs(3600);

/// Maximum number of ids to draw to exceed those in a bucket.
const MAX_IDS_TO_DRAW: i64 = 1_000_000;

const CANNOT_LIST_UPLOADS: &str = "This object store cannot list unfinished uploads";

/// What is wrong with an object or upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, strum::IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum FindingKind {
    /// An original whose photo has no row, or a row without an original.
    NoPhoto,
    /// The original of an anonymised photo whose output exists.
    OriginalOfAnonymized,
    /// A multipart upload that was neither completed nor aborted.
    UnfinishedUpload,
    /// An original without a row, from before a restore of the database. Never deleted.
    LostPhoto,
    /// An object in the output bucket that no photo names. Never deleted.
    UnknownOutput,
    /// An object whose key does not have this program's form. Never deleted.
    ForeignKey,
}

impl FindingKind {
    /// Whether `--delete` deletes it.
    #[must_use]
    pub const fn is_deletable(self) -> bool {
        match self {
            Self::NoPhoto | Self::OriginalOfAnonymized | Self::UnfinishedUpload => true,
            Self::LostPhoto | Self::UnknownOutput | Self::ForeignKey => false,
        }
    }

    /// The text for people.
    const fn title(self) -> &'static str {
        match self {
            Self::NoPhoto => "no photo",
            Self::OriginalOfAnonymized => "original of an anonymised photo",
            Self::UnfinishedUpload => "unfinished upload",
            Self::LostPhoto => "original from before a restore (kept)",
            Self::UnknownOutput => "output without a photo (kept)",
            Self::ForeignKey => "unknown key (kept)",
        }
    }
}

/// An object or upload that the sweep found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SweepFinding {
    pub kind: FindingKind,
    pub location: String,
    pub since: DateTime<Utc>,
    /// Size in bytes; `None` for an unfinished upload.
    pub size_bytes: Option<i64>,
    /// Whether this run deleted it.
    pub deleted: bool,
    #[serde(skip)]
    upload_id: Option<String>,
}

/// Finds and deletes leftovers.
#[derive(Debug)]
pub struct Sweep<'a> {
    store: &'a Store,
    pool: &'a Pool,
    before: DateTime<Utc>,
}

impl<'a> Sweep<'a> {
    /// Considers only objects older than `before`.
    #[must_use]
    pub const fn new(store: &'a Store, pool: &'a Pool, before: DateTime<Utc>) -> Self {
        Self { store, pool, before }
    }

    /// Compares both buckets with the database.
    pub async fn find(&self) -> anyhow::Result<SearchResult> {
        let search = SweepSearch {
            store: self.store,
            pool: self.pool,
            before: self.before,
            lost_up_to: DatabaseIdentity::read(self.pool).await?.lost_up_to,
        };
        search.run().await
    }

    /// Deletes the deletable findings and marks them as deleted.
    ///
    /// # Errors
    /// The store refuses, or the database may not be the one that the buckets were filled with. Later
    /// findings are not deleted then.
    pub async fn delete(&self, found: &mut SearchResult) -> anyhow::Result<()> {
        if let (BoundDatabase::None, watermark) = self.check_database(&found.evidence).await? {
            binding::write_marker(self.store, self.pool, watermark).await?;
        }
        let deletable = found.findings.iter_mut();
        for finding in deletable.filter(|finding| finding.kind.is_deletable()) {
            self.delete_one(finding).await?;
        }
        Ok(())
    }

    /// Checks that the database is the one that the buckets were filled with, and returns its watermark. If
    /// the marker names this database, it gets the new watermark.
    async fn check_database(&self, evidence: &Evidence) -> anyhow::Result<(BoundDatabase, Watermark)> {
        let identity = DatabaseIdentity::read(self.pool).await?;
        let bound = binding::check_marker(self.store, &identity).await?;
        let watermark = match bound {
            BoundDatabase::None => self.check_rows(evidence, None).await?,
            BoundDatabase::ThisOne(watermark) => {
                let watermark = self.check_rows(evidence, watermark).await?;
                binding::write_marker(self.store, self.pool, watermark).await?;
                watermark
            }
        };
        Ok((bound, watermark))
    }

    /// The database's watermark. Fails if the buckets or an earlier watermark show that rows are lost.
    async fn check_rows(&self, evidence: &Evidence, earlier: Option<Watermark>) -> anyhow::Result<Watermark> {
        // Read it before the checks: rows that are lost afterwards must not lower it.
        let watermark = Watermark::read(self.pool).await?;
        let last_id = last_drawn_id(self.pool).await?;
        let rows_near: Vec<i64> = if evidence.highest_id() > last_id {
            Vec::new()
        } else {
            sqlx::query_scalar(
                "SELECT (SELECT count(*) FROM photo WHERE photo.id BETWEEN o.id - $2 AND o.id + $2)
                   FROM unnest($1::bigint[]) WITH ORDINALITY AS o (id, place) ORDER BY place",
            )
            .bind(&evidence.without_row)
            .bind(NEIGHBOURS)
            .fetch_all(self.pool)
            .await?
        };
        let contradiction = match (evidence.contradiction(last_id, &rows_near), earlier) {
            (None, Some(earlier)) => earlier.contradiction(self.pool).await?,
            (contradiction, _) => contradiction,
        };
        match contradiction {
            None => Ok(watermark),
            Some(contradiction) => bail!(
                "{contradiction}. Is this the right database? If it was restored or recreated, run `irmgard bind \
                 --restored`"
            ),
        }
    }

    async fn delete_one(&self, finding: &mut SweepFinding) -> anyhow::Result<()> {
        let location: ObjectLocation = finding.location.parse()?;
        match &finding.upload_id {
            Some(id) => {
                let aborted = self
                    .store
                    .client()
                    .abort_multipart_upload()
                    .bucket(location.bucket())
                    .key(location.key())
                    .upload_id(id)
                    .send()
                    .await;
                aborted.map_err(StoreError::from)?;
            }
            // An upload that took hours may have got its row after the search.
            None if finding.kind == FindingKind::NoPhoto && self.has_row(&location).await? => return Ok(()),
            None => self.store.delete(&location).await?,
        }
        finding.deleted = true;
        tracing::info!(
            object.location = finding.location,
            kind = finding.kind.into_str(),
            "deleted a leftover"
        );
        Ok(())
    }

    async fn has_row(&self, original: &ObjectLocation) -> Result<bool, sqlx::Error> {
        let id = PhotoKey::parse(original.key()).map(|key| key.id.get());
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM photo WHERE id = $1 AND original = $2)")
            .bind(id)
            .bind(original.to_string())
            .fetch_one(self.pool)
            .await
    }
}

/// Runs `irmgard sweep`; the findings go to `out`.
pub async fn run(
    settings: &ToolSettings,
    arguments: &SweepArguments,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    if arguments.delete && arguments.older_than < MIN_AGE_TO_DELETE {
        bail!(
            "--older-than must be at least 1h with --delete: younger objects may belong to an upload in progress"
        );
    }
    let database = Database::connect_lazily(&settings.database);
    database.check_schema().await?;
    let store = Store::new(settings.store.clone())?;
    let before = Utc::now() - chrono::Duration::from_std(arguments.older_than)?;
    let pool = database.background();
    let sweep = Sweep::new(&store, pool, before);
    let mut found = match sweep.find().await {
        Ok(found) => found,
        Err(error) => {
            if arguments.scheduled {
                let recorded = run_record::record(pool, arguments.delete, None, Some(&error)).await;
                recorded.with_context(|| format!("{error:#}; and the failed run cannot be recorded"))?;
            }
            return Err(error);
        }
    };
    let checked = if arguments.delete {
        sweep.delete(&mut found).await
    } else {
        sweep.check_database(&found.evidence).await.map(drop)
    };
    // Report what was deleted before an error, too.
    let findings = &found.findings;
    if !found.lists_uploads {
        if arguments.scheduled || arguments.json {
            tracing::warn!("{CANNOT_LIST_UPLOADS}");
        } else {
            writeln!(out, "{CANNOT_LIST_UPLOADS}.")?;
        }
    }
    if arguments.scheduled {
        report::log(findings);
        run_record::record(pool, arguments.delete, Some(findings), checked.as_ref().err()).await?;
    } else if arguments.json {
        report::print_json(findings, out)?;
    } else {
        report::print_table(findings, arguments.delete, checked.as_ref().err(), out)?;
    }
    let Err(error) = checked else { return Ok(()) };
    match findings.iter().any(|finding| finding.deleted) {
        _ if !arguments.delete => Ok(()),
        true => Err(error),
        false => Err(error).context("nothing was deleted"),
    }
}

/// Runs `irmgard bind`; its report goes to `out`.
///
/// # Errors
/// A server is unavailable or refuses, or the database is another one.
pub async fn bind(
    settings: &ToolSettings,
    arguments: BindArguments,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let database = Database::connect_lazily(&settings.database);
    database.check_schema().await?;
    let store = Store::new(settings.store.clone())?;
    let pool = database.background();
    let sweep = Sweep::new(&store, pool, Utc::now());
    let evidence = sweep.find().await?.evidence;
    let bucket = &store.settings().input_bucket;
    if !arguments.restored {
        let identity = DatabaseIdentity::read(pool).await?;
        let earlier = binding::stored_watermark(&store, &identity).await?;
        let watermark = sweep.check_rows(&evidence, earlier).await?;
        binding::write_marker(&store, pool, watermark).await?;
        writeln!(out, "The database and bucket {bucket} are bound to each other.")?;
        return Ok(());
    }
    let highest = evidence.highest_id();
    let last = draw_ids_above(pool, highest).await?;
    binding::assign_new_identity(pool, highest).await?;
    binding::write_marker(&store, pool, Watermark::read(pool).await?).await?;
    writeln!(
        out,
        "The database and bucket {bucket} are bound to each other. New photos have ids above {last}. Objects up to id \
         {highest} without a row are kept."
    )?;
    Ok(())
}

/// The last id that the database gave out.
async fn last_drawn_id(pool: &Pool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT last_value FROM photo_id_seq")
        .fetch_one(pool)
        .await
}

/// Draws ids until they exceed `highest`; returns the last one. Only the owner of the sequence could set it instead.
async fn draw_ids_above(pool: &Pool, highest: i64) -> anyhow::Result<i64> {
    let missing = highest.saturating_sub(last_drawn_id(pool).await?);
    if missing > MAX_IDS_TO_DRAW {
        bail!(
            "a bucket holds photo {highest}, {missing} ids above the database's last one: if that is right, run as the \
             owner of the tables: SELECT setval('photo_id_seq', {highest})"
        );
    }
    sqlx::query("SELECT count(nextval('photo_id_seq')) FROM generate_series(1, $1)")
        .bind(missing.max(0))
        .execute(pool)
        .await?;
    Ok(last_drawn_id(pool).await?)
}
