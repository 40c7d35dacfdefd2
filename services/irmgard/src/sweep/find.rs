//! Compares the buckets with the rows.

use std::collections::HashMap;

use anyhow::Context;
use aws_sdk_s3::error::SdkError;
use chassis::store::{Store, StoreError};
use chrono::{DateTime, Utc};
use contract::{ObjectLocation, PhotoKey, key::PREFIX};

use super::{
    Finding, Kind,
    evidence::Evidence,
    listing::{Listed, Pages, time},
};
use crate::database::Pool;

/// What a photo's row says of its objects.
struct Known {
    status: String,
    original: Option<ObjectLocation>,
    output: Option<ObjectLocation>,
}

impl Known {
    /// Whether the anonymised photo of this row can lie at this key.
    fn has_output_at(&self, location: &ObjectLocation) -> bool {
        match (&self.output, &self.original) {
            (Some(output), _) => output == location,
            // Where the result is on its way, the row does not name it yet.
            (None, Some(original)) => PhotoKey::parse(original.key()) == PhotoKey::parse(location.key()),
            (None, None) => true,
        }
    }
}

/// What a look at both buckets found.
#[derive(Debug)]
pub struct Found {
    /// Everything that belongs to no photo, or to none any more.
    pub findings: Vec<Finding>,
    /// Whether the store can list unfinished uploads; without it there may be some that were not found.
    pub(super) lists_uploads: bool,
    pub(super) evidence: Evidence,
}

/// One look at both buckets.
#[derive(Debug)]
pub(super) struct Search<'a> {
    pub(super) store: &'a Store,
    pub(super) pool: &'a Pool,
    /// Only what is there since before is a finding.
    pub(super) before: DateTime<Utc>,
    /// Photos up to this id may have lost their rows.
    pub(super) lost_up_to: i64,
}

impl Search<'_> {
    pub(super) async fn find(&self) -> anyhow::Result<Found> {
        let settings = self.store.settings();
        let mut found = Found {
            findings: Vec::new(),
            lists_uploads: true,
            evidence: Evidence::default(),
        };
        self.originals(&settings.input_bucket, &mut found).await?;
        self.outputs(&settings.output_bucket, &mut found).await?;
        for bucket in [&settings.input_bucket, &settings.output_bucket] {
            match self.unfinished_uploads(bucket).await? {
                Some(uploads) => found.findings.extend(uploads),
                None => found.lists_uploads = false,
            }
        }
        found.evidence.without_row.sort_unstable();
        found.evidence.without_row.dedup();
        Ok(found)
    }

    async fn originals(&self, bucket: &str, found: &mut Found) -> anyhow::Result<()> {
        let mut pages = Pages::new(self.store, bucket, PREFIX);
        while let Some(page) = pages.next().await? {
            let known = known(self.pool, &page).await?;
            for object in page {
                let kind = match PhotoKey::parse(object.location.key()) {
                    None => Some(Kind::ForeignKey),
                    Some(key) => {
                        let id = key.id.get();
                        found.evidence.saw(id, &object.location);
                        self.judge_original(&object, id, known.get(&id), &mut found.evidence)
                            .await?
                    }
                };
                found.findings.extend(self.finding(kind, &object));
            }
        }
        Ok(())
    }

    async fn judge_original(
        &self,
        object: &Listed,
        id: i64,
        photo: Option<&Known>,
        evidence: &mut Evidence,
    ) -> anyhow::Result<Option<Kind>> {
        let may_be_lost = id <= self.lost_up_to;
        let Some(photo) = photo else {
            if may_be_lost {
                return Ok(Some(Kind::LostPhoto));
            }
            // An upload that is on its way has no row yet.
            if self.is_old(object) {
                evidence.without_row.push(id);
            }
            return Ok(Some(Kind::NoPhoto));
        };
        match &photo.original {
            // A person has had it deleted, or it was gone: the row forgot it first.
            None => return Ok(Some(Kind::NoPhoto)),
            Some(original) if *original != object.location => {
                if may_be_lost {
                    return Ok(Some(Kind::LostPhoto));
                }
                evidence
                    .id_given_twice
                    .get_or_insert_with(|| object.location.clone());
                return Ok(Some(Kind::NoPhoto));
            }
            Some(_) => {}
        }
        match &photo.output {
            Some(output) if photo.status == "anonymized" && self.is_listed(output).await? => {
                Ok(Some(Kind::OriginalOfAnonymized))
            }
            _ => Ok(None),
        }
    }

    async fn outputs(&self, bucket: &str, found: &mut Found) -> anyhow::Result<()> {
        let mut pages = Pages::new(self.store, bucket, PREFIX);
        while let Some(page) = pages.next().await? {
            let known = known(self.pool, &page).await?;
            for object in page {
                let key = PhotoKey::parse(object.location.key());
                let id = key.as_ref().map(|key| key.id.get());
                let photo = id.and_then(|id| known.get(&id));
                if photo.is_some_and(|photo| photo.has_output_at(&object.location)) {
                    continue;
                }
                if let Some(id) = id {
                    found.evidence.saw(id, &object.location);
                    let shown = match photo {
                        Some(_) => &mut found.evidence.id_given_twice,
                        None => &mut found.evidence.output_without_row,
                    };
                    if id > self.lost_up_to {
                        shown.get_or_insert_with(|| object.location.clone());
                    }
                }
                found
                    .findings
                    .extend(self.finding(Some(Kind::UnknownOutput), &object));
            }
        }
        Ok(())
    }

    /// Whether there is an object. Asked by a listing: nobody who sweeps needs
    /// to read a photo, nor the right to a HEAD of one.
    async fn is_listed(&self, location: &ObjectLocation) -> anyhow::Result<bool> {
        let mut pages = Pages::new(self.store, location.bucket(), location.key());
        while let Some(page) = pages.next().await? {
            if page.iter().any(|object| object.location == *location) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// `None` where the store cannot list them.
    async fn unfinished_uploads(&self, bucket: &str) -> anyhow::Result<Option<Vec<Finding>>> {
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
                Err(error) if is_not_implemented(&error) => return Ok(None),
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
                return Ok(Some(findings));
            }
            key_marker = page.next_key_marker;
            id_marker = page.next_upload_id_marker;
        }
    }

    fn is_old(&self, object: &Listed) -> bool {
        object.since < self.before
    }

    fn finding(&self, kind: Option<Kind>, object: &Listed) -> Option<Finding> {
        let kind = kind.filter(|_| self.is_old(object))?;
        Some(Finding {
            kind,
            location: object.location.to_string(),
            since: object.since,
            size_bytes: Some(object.size_bytes),
            deleted: false,
            upload_id: None,
        })
    }
}

/// The rows of the photos that these keys name, by id.
async fn known(pool: &Pool, page: &[Listed]) -> anyhow::Result<HashMap<i64, Known>> {
    let ids: Vec<i64> = page
        .iter()
        .filter_map(|object| Some(PhotoKey::parse(object.location.key())?.id.get()))
        .collect();
    let rows: Vec<(i64, String, Option<String>, Option<String>)> =
        sqlx::query_as("SELECT id, status, original, output FROM photo WHERE id = ANY ($1)")
            .bind(ids)
            .fetch_all(pool)
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

fn is_not_implemented<E>(error: &SdkError<E>) -> bool {
    error
        .raw_response()
        .is_some_and(|answer| answer.status().as_u16() == 501)
}
