//! Compares the buckets with the rows.

use std::collections::HashMap;

use anyhow::{Context, bail};
use aws_sdk_s3::error::SdkError;
use chassis::store::{Store, StoreError};
use chrono::{DateTime, Utc};
use contract::{ObjectLocation, PhotoKey, key::PREFIX};

use super::{
    Finding, Kind,
    listing::{Listed, Pages, time},
};
use crate::database::Pool;

/// What a photo's row says of its objects.
struct Known {
    status: String,
    original: Option<ObjectLocation>,
    output: Option<ObjectLocation>,
}

/// One look at both buckets.
#[derive(Debug)]
pub struct Sweep<'a> {
    store: &'a Store,
    pool: &'a Pool,
    before: DateTime<Utc>,
}

impl<'a> Sweep<'a> {
    /// Looks at what is there since before `before`.
    #[must_use]
    pub const fn new(store: &'a Store, pool: &'a Pool, before: DateTime<Utc>) -> Self {
        Self { store, pool, before }
    }

    /// Everything that belongs to no photo, or to none any more.
    ///
    /// # Errors
    /// When a server is away or refuses.
    pub async fn find(&self) -> anyhow::Result<Vec<Finding>> {
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
                .await;
            let page = match page {
                Ok(page) => page,
                Err(error) if is_not_implemented(&error) => {
                    tracing::warn!(
                        object.bucket = bucket,
                        "this object store cannot list unfinished uploads"
                    );
                    return Ok(findings);
                }
                Err(error) => return Err(StoreError::from(error)).context("unfinished uploads"),
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

    /// Deletes what may be deleted, and notes it in the findings.
    ///
    /// # Errors
    /// When the store refuses, or the database cannot be the one that these
    /// photos were entered in; what comes after is not deleted.
    pub async fn delete(&self, findings: &mut [Finding]) -> anyhow::Result<()> {
        self.refuse_wrong_database(findings).await?;
        for finding in findings.iter_mut().filter(|finding| finding.kind.is_deletable()) {
            self.delete_one(finding).await?;
        }
        Ok(())
    }

    /// An empty or a restored database knows none of the photos, and every
    /// original would seem to be left over.
    async fn refuse_wrong_database(&self, findings: &[Finding]) -> anyhow::Result<()> {
        let last: i64 = sqlx::query_scalar("SELECT last_value FROM photo_id_seq")
            .fetch_one(self.pool)
            .await?;
        for finding in findings {
            let location: ObjectLocation = finding.location.parse()?;
            if let Some(key) = PhotoKey::parse(location.key()).filter(|key| key.id.get() > last) {
                bail!(
                    "this database has never given out photo {}, whose object {location} exists: is it the \
                     right one, or restored from a backup? Nothing was deleted",
                    key.id
                );
            }
        }
        Ok(())
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
            None => self.store.delete(&location).await?,
        }
        finding.deleted = true;
        tracing::info!(
            object.location = finding.location,
            kind = finding.kind.name(),
            "swept"
        );
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

fn is_not_implemented<E>(error: &SdkError<E>) -> bool {
    error
        .raw_response()
        .is_some_and(|answer| answer.status().as_u16() == 501)
}
