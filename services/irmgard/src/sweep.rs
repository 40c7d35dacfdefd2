//! `irmgard sweep`: objects that belong to no photo, and uploads that never
//! ended.
//!
//! An upload stores the object first and writes the rows afterwards; where
//! the outcome of the commit is unknown the object stays. What is then left
//! over is found here. Only keys of our own form are ever deleted.

use std::{collections::HashMap, io::Write, time::Duration};

use anyhow::{Context, bail};
use chassis::store::{Store, StoreError};
use chrono::{DateTime, Utc};
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use contract::{ObjectLocation, PhotoKey, key::PREFIX};
use serde::Serialize;
use sqlx::PgPool;

use crate::{cli::SweepArguments, database::Database, settings::ToolSettings};

/// Deleting what is younger could hit an upload that is just being made.
const YOUNGEST_TO_DELETE: Duration = Duration::from_secs(3600);

/// Why something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An original whose photo has no row, or a row that names another object.
    NoPhoto,
    /// The original of a photo that is anonymised, whose output exists.
    OriginalOfAnonymized,
    /// A multipart upload that was neither completed nor aborted.
    UnfinishedUpload,
    /// An object in the output bucket that no photo names. Never deleted.
    UnknownOutput,
    /// An object with a key that is not ours. Never deleted.
    ForeignKey,
}

impl Kind {
    const fn is_deletable(self) -> bool {
        match self {
            Self::NoPhoto | Self::OriginalOfAnonymized | Self::UnfinishedUpload => true,
            Self::UnknownOutput | Self::ForeignKey => false,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::NoPhoto => "no photo",
            Self::OriginalOfAnonymized => "original of an anonymised photo",
            Self::UnfinishedUpload => "unfinished upload",
            Self::UnknownOutput => "output without a photo (kept)",
            Self::ForeignKey => "not a key of ours (kept)",
        }
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
    let sweep = Sweep {
        store: &store,
        pool: database.background(),
        before: Utc::now() - chrono::Duration::from_std(arguments.older_than)?,
    };
    let mut findings = sweep.find().await?;
    if arguments.delete {
        for finding in findings.iter_mut().filter(|f| f.kind.is_deletable()) {
            sweep.delete(finding).await?;
        }
    }
    if arguments.json {
        for finding in &findings {
            writeln!(out, "{}", serde_json::to_string(finding)?)?;
        }
        return Ok(());
    }
    print(&findings, arguments.delete, out)
}

fn print(findings: &[Finding], delete: bool, out: &mut impl Write) -> anyhow::Result<()> {
    if findings.is_empty() {
        writeln!(out, "Nothing found.")?;
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header(["found", "where", "since", "bytes", "deleted"]);
    for finding in findings {
        table.add_row([
            finding.kind.name().to_owned(),
            finding.location.clone(),
            finding.since.format("%Y-%m-%d %H:%M:%SZ").to_string(),
            finding.size_bytes.map(|n| n.to_string()).unwrap_or_default(),
            if finding.deleted { "yes" } else { "no" }.to_owned(),
        ]);
    }
    writeln!(out, "{table}")?;
    let deletable = findings.iter().filter(|f| f.kind.is_deletable()).count();
    if !delete && deletable > 0 {
        writeln!(
            out,
            "Nothing was deleted; --delete deletes {deletable} of {}.",
            findings.len()
        )?;
    }
    Ok(())
}

/// An object as a listing shows it.
struct Listed {
    location: ObjectLocation,
    since: DateTime<Utc>,
    size_bytes: i64,
}

/// What a photo's row says of its objects.
struct Known {
    status: String,
    original: Option<ObjectLocation>,
    output: Option<ObjectLocation>,
}

struct Sweep<'a> {
    store: &'a Store,
    pool: &'a PgPool,
    before: DateTime<Utc>,
}

impl Sweep<'_> {
    async fn find(&self) -> anyhow::Result<Vec<Finding>> {
        let settings = self.store.settings();
        let mut findings = self.originals(&settings.input_bucket).await?;
        findings.extend(self.outputs(&settings.output_bucket).await?);
        for bucket in [&settings.input_bucket, &settings.output_bucket] {
            findings.extend(self.unfinished_uploads(bucket).await?);
        }
        Ok(findings)
    }

    async fn originals(&self, bucket: &str) -> anyhow::Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let mut pages = Pages::new(self.store, bucket);
        while let Some(page) = pages.next().await? {
            let page = self.old_enough(page);
            let known = self.known(&page).await?;
            for object in page {
                let kind = match PhotoKey::parse(object.location.key()) {
                    None => Some(Kind::ForeignKey),
                    Some(key) => self.judge_original(&object, known.get(&key.id.get())).await?,
                };
                findings.extend(kind.map(|kind| Finding::of(kind, &object)));
            }
        }
        Ok(findings)
    }

    async fn judge_original(&self, object: &Listed, photo: Option<&Known>) -> anyhow::Result<Option<Kind>> {
        let Some(photo) = photo.filter(|photo| photo.original.as_ref() == Some(&object.location)) else {
            return Ok(Some(Kind::NoPhoto));
        };
        let Some(output) = photo.output.as_ref().filter(|_| photo.status == "anonymized") else {
            return Ok(None);
        };
        Ok(self
            .store
            .exists(output)
            .await?
            .then_some(Kind::OriginalOfAnonymized))
    }

    async fn outputs(&self, bucket: &str) -> anyhow::Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let mut pages = Pages::new(self.store, bucket);
        while let Some(page) = pages.next().await? {
            let page = self.old_enough(page);
            let known = self.known(&page).await?;
            let is_named = |object: &Listed| {
                let photo = PhotoKey::parse(object.location.key()).and_then(|key| known.get(&key.id.get()));
                // Where the result is on its way, the row does not name it yet.
                photo.is_some_and(|photo| {
                    photo
                        .output
                        .as_ref()
                        .is_none_or(|output| *output == object.location)
                })
            };
            findings.extend(
                page.iter()
                    .filter(|object| !is_named(object))
                    .map(|object| Finding::of(Kind::UnknownOutput, object)),
            );
        }
        Ok(findings)
    }

    async fn unfinished_uploads(&self, bucket: &str) -> anyhow::Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let (mut key_marker, mut id_marker) = (None, None);
        loop {
            let page = self
                .store
                .client()
                .list_multipart_uploads()
                .bucket(bucket)
                .prefix(PREFIX)
                .set_key_marker(key_marker)
                .set_upload_id_marker(id_marker)
                .send()
                .await
                .map_err(StoreError::from);
            let page = match page {
                Ok(page) => page,
                Err(StoreError::Refused { status: 501, .. }) => {
                    tracing::warn!(bucket, "this object store cannot list unfinished uploads");
                    return Ok(findings);
                }
                Err(error) => return Err(error).context("unfinished uploads"),
            };
            for upload in page.uploads() {
                let (Some(key), Some(id), Some(since)) =
                    (upload.key(), upload.upload_id(), time(upload.initiated()))
                else {
                    continue;
                };
                if since < self.before && PhotoKey::parse(key).is_some() {
                    findings.push(Finding {
                        kind: Kind::UnfinishedUpload,
                        location: ObjectLocation::new(bucket, key)?.to_string(),
                        since,
                        size_bytes: None,
                        deleted: false,
                        upload_id: Some(id.to_owned()),
                    });
                }
            }
            if page.is_truncated() != Some(true) {
                return Ok(findings);
            }
            key_marker = page.next_key_marker;
            id_marker = page.next_upload_id_marker;
        }
    }

    async fn delete(&self, finding: &mut Finding) -> anyhow::Result<()> {
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
            None => self.store.delete(&location).await?,
        }
        finding.deleted = true;
        tracing::info!(location = finding.location, kind = finding.kind.name(), "swept");
        Ok(())
    }

    fn old_enough(&self, page: Vec<Listed>) -> Vec<Listed> {
        page.into_iter()
            .filter(|object| object.since < self.before)
            .collect()
    }

    /// The rows of the photos that these keys name, by id.
    async fn known(&self, page: &[Listed]) -> anyhow::Result<HashMap<i64, Known>> {
        let ids: Vec<i64> = page
            .iter()
            .filter_map(|object| Some(PhotoKey::parse(object.location.key())?.id.get()))
            .collect();
        let rows: Vec<(i64, String, Option<String>, Option<String>)> =
            sqlx::query_as("SELECT id, status, original, output FROM photo WHERE id = ANY ($1)")
                .bind(ids)
                .fetch_all(self.pool)
                .await?;
        let mut known = HashMap::new();
        for (id, status, original, output) in rows {
            let location = |text: Option<String>| text.map(|text| text.parse()).transpose();
            known.insert(
                id,
                Known {
                    status,
                    original: location(original).with_context(|| format!("original of photo {id}"))?,
                    output: location(output).with_context(|| format!("output of photo {id}"))?,
                },
            );
        }
        Ok(known)
    }
}

impl Finding {
    fn of(kind: Kind, object: &Listed) -> Self {
        Self {
            kind,
            location: object.location.to_string(),
            since: object.since,
            size_bytes: Some(object.size_bytes),
            deleted: false,
            upload_id: None,
        }
    }
}

/// The objects of our prefix in one bucket, page by page.
struct Pages<'a> {
    store: &'a Store,
    bucket: &'a str,
    token: Option<String>,
    done: bool,
}

impl<'a> Pages<'a> {
    const fn new(store: &'a Store, bucket: &'a str) -> Self {
        Self {
            store,
            bucket,
            token: None,
            done: false,
        }
    }

    async fn next(&mut self) -> anyhow::Result<Option<Vec<Listed>>> {
        if self.done {
            return Ok(None);
        }
        let page = self
            .store
            .client()
            .list_objects_v2()
            .bucket(self.bucket)
            .prefix(PREFIX)
            .set_continuation_token(self.token.take())
            .send()
            .await
            .map_err(StoreError::from)
            .with_context(|| format!("objects in bucket {}", self.bucket))?;
        self.token = page.next_continuation_token.clone();
        self.done = self.token.is_none();
        let listed = page.contents().iter().filter_map(|object| {
            Some(Listed {
                location: ObjectLocation::new(self.bucket, object.key()?).ok()?,
                since: time(object.last_modified())?,
                size_bytes: object.size().unwrap_or(0),
            })
        });
        Ok(Some(listed.collect()))
    }
}

fn time(time: Option<&aws_sdk_s3::primitives::DateTime>) -> Option<DateTime<Utc>> {
    let time = time?;
    DateTime::from_timestamp(time.secs(), time.subsec_nanos())
}
