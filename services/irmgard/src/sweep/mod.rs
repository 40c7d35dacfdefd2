//! `irmgard sweep`: objects that belong to no photo, and uploads that never
//! ended.
//!
//! An upload stores the object first and writes the rows afterwards; where
//! the outcome of the commit is unknown the object stays. What is then left
//! over is found here. Only keys of our own form are ever deleted.
//!
//! Architecture invariant: an original is deleted only where the database is
//! known to be the one that the bucket was filled with ([`binding`]), and has
//! lost no rows as far as the buckets ([`evidence`]) and its own past
//! ([`watermark`]) show.

mod binding;
mod evidence;
mod find;
mod listing;
mod report;
mod run;
mod watch;
mod watermark;

use std::{io::Write, time::Duration};

use anyhow::{Context, bail};
use chassis::store::{Store, StoreError};
use chrono::{DateTime, Utc};
use contract::{ObjectLocation, PhotoKey};
use serde::{Serialize, Serializer};

use self::{
    binding::{Bound, Installation},
    evidence::{Evidence, NEIGHBOURS},
    find::Search,
    watermark::Watermark,
};
pub use self::{
    find::Found,
    run::{NewestRun, newest_run},
    watch::Watch,
};
use crate::{
    cli::{BindArguments, SweepArguments},
    database::{Database, Pool},
    settings::ToolSettings,
};

/// Deleting what is younger could hit an upload that is just being made.
const YOUNGEST_TO_DELETE: Duration = Duration::from_secs(3600);

/// So many ids are drawn at most to get above those of a bucket.
const MOST_IDS_TO_DRAW: i64 = 1_000_000;

const UPLOADS_UNKNOWN: &str = "This object store cannot list unfinished uploads";

/// Why something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An original whose photo has no row, or a row that has forgotten it.
    NoPhoto,
    /// The original of a photo that is anonymised, whose output exists.
    OriginalOfAnonymized,
    /// A multipart upload that was neither completed nor aborted.
    UnfinishedUpload,
    /// An original from before the database was restored, without a row. Never deleted.
    LostPhoto,
    /// An object in the output bucket that no photo names. Never deleted.
    UnknownOutput,
    /// An object with a key that is not ours. Never deleted.
    ForeignKey,
}

impl Kind {
    /// Whether `--delete` deletes it.
    #[must_use]
    pub const fn is_deletable(self) -> bool {
        match self {
            Self::NoPhoto | Self::OriginalOfAnonymized | Self::UnfinishedUpload => true,
            Self::LostPhoto | Self::UnknownOutput | Self::ForeignKey => false,
        }
    }

    /// For people.
    const fn title(self) -> &'static str {
        match self {
            Self::NoPhoto => "no photo",
            Self::OriginalOfAnonymized => "original of an anonymised photo",
            Self::UnfinishedUpload => "unfinished upload",
            Self::LostPhoto => "original from before a restore (kept)",
            Self::UnknownOutput => "output without a photo (kept)",
            Self::ForeignKey => "not a key of ours (kept)",
        }
    }

    /// For programs.
    const fn code(self) -> &'static str {
        match self {
            Self::NoPhoto => "no-photo",
            Self::OriginalOfAnonymized => "original-of-anonymized",
            Self::UnfinishedUpload => "unfinished-upload",
            Self::LostPhoto => "lost-photo",
            Self::UnknownOutput => "unknown-output",
            Self::ForeignKey => "foreign-key",
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Why.
    pub kind: Kind,
    /// Where.
    pub location: String,
    /// Since when it is there.
    pub since: DateTime<Utc>,
    /// Its size; unknown for an unfinished upload.
    pub size_bytes: Option<i64>,
    /// Whether it was deleted just now.
    pub deleted: bool,
    #[serde(skip)]
    upload_id: Option<String>,
}

/// Compares the buckets with the rows.
#[derive(Debug)]
pub struct Sweep<'a> {
    store: &'a Store,
    pool: &'a Pool,
    before: DateTime<Utc>,
}

impl<'a> Sweep<'a> {
    /// Finds what is there since before `before`.
    #[must_use]
    pub const fn new(store: &'a Store, pool: &'a Pool, before: DateTime<Utc>) -> Self {
        Self { store, pool, before }
    }

    /// Looks at both buckets.
    ///
    /// # Errors
    /// When a server is away or refuses.
    pub async fn find(&self) -> anyhow::Result<Found> {
        let search = Search {
            store: self.store,
            pool: self.pool,
            before: self.before,
            lost_up_to: Installation::read(self.pool).await?.lost_up_to,
        };
        search.find().await
    }

    /// Deletes what may be deleted, and notes it in the findings.
    ///
    /// # Errors
    /// When the store refuses, or the database may not be the one that the
    /// buckets were filled with; what comes after is not deleted.
    pub async fn delete(&self, found: &mut Found) -> anyhow::Result<()> {
        if let (Bound::ToNone, watermark) = self.check_database(&found.evidence).await? {
            binding::write(self.store, self.pool, watermark).await?;
        }
        let deletable = found.findings.iter_mut();
        for finding in deletable.filter(|finding| finding.kind.is_deletable()) {
            self.delete_one(finding).await?;
        }
        Ok(())
    }

    /// Whether the database is the one that the buckets were filled with, and its watermark. If the marker names this
    /// database, the marker gets that watermark.
    async fn check_database(&self, evidence: &Evidence) -> anyhow::Result<(Bound, Watermark)> {
        let installation = Installation::read(self.pool).await?;
        let bound = binding::check(self.store, &installation).await?;
        let watermark = match bound {
            Bound::ToNone => self.check_rows(evidence, None).await?,
            Bound::ToThis(watermark) => {
                let watermark = self.check_rows(evidence, watermark).await?;
                binding::write(self.store, self.pool, watermark).await?;
                watermark
            }
        };
        Ok((bound, watermark))
    }

    /// The database's watermark. Fails if the buckets or an earlier watermark show that the database has lost rows.
    async fn check_rows(&self, evidence: &Evidence, earlier: Option<Watermark>) -> anyhow::Result<Watermark> {
        // Read before the checks: rows that are lost afterwards must not lower it.
        let watermark = Watermark::read(self.pool).await?;
        let last_id = last_id(self.pool).await?;
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
                "{contradiction}. Is this the right database? If it was restored or made anew: `irmgard bind \
                 --restored`"
            ),
        }
    }

    async fn delete_one(&self, finding: &mut Finding) -> anyhow::Result<()> {
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
            // An upload that took hours may have got its row since the look.
            None if finding.kind == Kind::NoPhoto && self.has_row(&location).await? => return Ok(()),
            None => self.store.delete(&location).await?,
        }
        finding.deleted = true;
        tracing::info!(
            object.location = finding.location,
            kind = finding.kind.title(),
            "swept"
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

/// Runs the command; the findings go to `out`.
///
/// # Errors
/// When a server is away or refuses, or the arguments are too bold.
pub async fn run(
    settings: &ToolSettings,
    arguments: &SweepArguments,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    if arguments.delete && arguments.older_than < YOUNGEST_TO_DELETE {
        bail!("--older-than must be at least 1h with --delete: an upload may be just on its way");
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
                let recorded = run::record(pool, arguments.delete, None, Some(&error)).await;
                recorded.with_context(|| format!("{error:#}; and that cannot be recorded"))?;
            }
            return Err(error);
        }
    };
    let checked = if arguments.delete {
        sweep.delete(&mut found).await
    } else {
        sweep.check_database(&found.evidence).await.map(drop)
    };
    // What was deleted before something went wrong is shown as well.
    let findings = &found.findings;
    if !found.lists_uploads {
        if arguments.scheduled || arguments.json {
            tracing::warn!("{UPLOADS_UNKNOWN}");
        } else {
            writeln!(out, "{UPLOADS_UNKNOWN}.")?;
        }
    }
    if arguments.scheduled {
        report::log(findings);
        run::record(pool, arguments.delete, Some(findings), checked.as_ref().err()).await?;
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

/// Runs `irmgard bind`; what it did goes to `out`.
///
/// # Errors
/// When a server is away or refuses, or the database is another one.
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
        let installation = Installation::read(pool).await?;
        let earlier = binding::watermark(&store, &installation).await?;
        let watermark = sweep.check_rows(&evidence, earlier).await?;
        binding::write(&store, pool, watermark).await?;
        writeln!(out, "The database and bucket {bucket} are bound to each other.")?;
        return Ok(());
    }
    let highest = evidence.highest_id();
    let last = draw_ids_above(pool, highest).await?;
    binding::begin_anew(pool, highest).await?;
    binding::write(&store, pool, Watermark::read(pool).await?).await?;
    writeln!(
        out,
        "The database and bucket {bucket} are bound to each other. New photos have ids above {last}; what lies in \
         the buckets up to id {highest} without a row is kept."
    )?;
    Ok(())
}

/// The last id that the database gave out.
async fn last_id(pool: &Pool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT last_value FROM photo_id_seq")
        .fetch_one(pool)
        .await
}

/// Draws ids until they are above `highest`; returns the last. To set the
/// sequence one must own it.
async fn draw_ids_above(pool: &Pool, highest: i64) -> anyhow::Result<i64> {
    let missing = highest.saturating_sub(last_id(pool).await?);
    if missing > MOST_IDS_TO_DRAW {
        bail!(
            "photo {highest} lies in a bucket, {missing} ids above the database's last: if that is right, run as \
             the owner of the tables: SELECT setval('photo_id_seq', {highest})"
        );
    }
    sqlx::query("SELECT count(nextval('photo_id_seq')) FROM generate_series(1, $1)")
        .bind(missing.max(0))
        .execute(pool)
        .await?;
    Ok(last_id(pool).await?)
}
