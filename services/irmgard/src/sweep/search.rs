//! Compares the objects in the buckets with the rows.

use std::collections::HashMap;

use anyhow::Context;
use aws_sdk_s3::error::SdkError;
use chrono::{DateTime, Utc};
use contract::{ObjectLocation, PhotoKey, key::PREFIX};
use service_runtime::store::{Store, StoreError};

use super::{
    FindingKind, SweepFinding,
    evidence::Evidence,
    listing::{ListedObject, ObjectPages, convert_time},
};
use crate::database::Pool;

/// A photo's row, as far as it concerns objects.
struct PhotoRow {
    status: String,
    original: Option<ObjectLocation>,
    output: Option<ObjectLocation>,
}

impl PhotoRow {
    /// Whether the anonymised photo of this row may be at this key.
    fn has_output_at(&self, location: &ObjectLocation) -> bool {
        match (&self.output, &self.original) {
            (Some(output), _) => output == location,
            // The row does not name the output while the result is in transit.
            (None, Some(original)) => PhotoKey::parse(original.key()) == PhotoKey::parse(location.key()),
            (None, None) => true,
        }
    }
}

/// Result of comparing both buckets with the database.
#[derive(Debug)]
pub struct SearchResult {
    /// Objects and uploads that belong to no photo, or no longer to one.
    pub findings: Vec<SweepFinding>,
    /// Whether the store can list unfinished uploads. If not, findings may be missing.
    pub(super) lists_uploads: bool,
    pub(super) evidence: Evidence,
}

/// A comparison of both buckets with the database.
#[derive(Debug)]
pub(super) struct SweepSearch<'a> {
    pub(super) store: &'a Store,
    pub(super) pool: &'a Pool,
    /// Only objects older than this are findings.
    pub(super) before: DateTime<Utc>,
    /// Photos up to this id may have lost their rows.
    pub(super) lost_up_to: i64,
}

impl SweepSearch<'_> {
    pub(super) async fn run(&self) -> anyhow::Result<SearchResult> {
        let settings = self.store.settings();
        let mut result = SearchResult {
            findings: Vec::new(),
            lists_uploads: true,
            evidence: Evidence::default(),
        };
        self.search_originals(&settings.input_bucket, &mut result).await?;
        self.search_outputs(&settings.output_bucket, &mut result).await?;
        for bucket in [&settings.input_bucket, &settings.output_bucket] {
            match self.find_unfinished_uploads(bucket).await? {
                Some(uploads) => result.findings.extend(uploads),
                None => result.lists_uploads = false,
            }
        }
        result.evidence.without_row.sort_unstable();
        result.evidence.without_row.dedup();
        Ok(result)
    }

    async fn search_originals(&self, bucket: &str, result: &mut SearchResult) -> anyhow::Result<()> {
        let mut pages = ObjectPages::new(self.store, bucket, PREFIX);
        while let Some(page) = pages.next().await? {
            let rows = find_rows(self.pool, &page).await?;
            for object in page {
                let kind = match PhotoKey::parse(object.location.key()) {
                    None => Some(FindingKind::ForeignKey),
                    Some(key) => {
                        let id = key.id.get();
                        result.evidence.record_object(id, &object.location);
                        self.classify_original(&object, id, rows.get(&id), &mut result.evidence)
                            .await?
                    }
                };
                result.findings.extend(self.to_finding(kind, &object));
            }
        }
        Ok(())
    }

    async fn classify_original(
        &self,
        object: &ListedObject,
        id: i64,
        photo: Option<&PhotoRow>,
        evidence: &mut Evidence,
    ) -> anyhow::Result<Option<FindingKind>> {
        let may_be_lost = id <= self.lost_up_to;
        let Some(photo) = photo else {
            if may_be_lost {
                return Ok(Some(FindingKind::LostPhoto));
            }
            // An upload in progress has no row yet.
            if self.is_old(object) {
                evidence.without_row.push(id);
            }
            return Ok(Some(FindingKind::NoPhoto));
        };
        match &photo.original {
            // A person deleted the original, or it was found missing: the row is cleared first.
            None => return Ok(Some(FindingKind::NoPhoto)),
            Some(original) if *original != object.location => {
                if may_be_lost {
                    return Ok(Some(FindingKind::LostPhoto));
                }
                evidence
                    .id_given_twice
                    .get_or_insert_with(|| object.location.clone());
                return Ok(Some(FindingKind::NoPhoto));
            }
            Some(_) => {}
        }
        match &photo.output {
            Some(output) if photo.status == "anonymized" && self.is_listed(output).await? => {
                Ok(Some(FindingKind::OriginalOfAnonymized))
            }
            _ => Ok(None),
        }
    }

    async fn search_outputs(&self, bucket: &str, result: &mut SearchResult) -> anyhow::Result<()> {
        let mut pages = ObjectPages::new(self.store, bucket, PREFIX);
        while let Some(page) = pages.next().await? {
            let rows = find_rows(self.pool, &page).await?;
            for object in page {
                let key = PhotoKey::parse(object.location.key());
                let id = key.as_ref().map(|key| key.id.get());
                let photo = id.and_then(|id| rows.get(&id));
                if photo.is_some_and(|photo| photo.has_output_at(&object.location)) {
                    continue;
                }
                if let Some(id) = id {
                    result.evidence.record_object(id, &object.location);
                    let contradiction = match photo {
                        Some(_) => &mut result.evidence.id_given_twice,
                        None => &mut result.evidence.output_without_row,
                    };
                    if id > self.lost_up_to {
                        contradiction.get_or_insert_with(|| object.location.clone());
                    }
                }
                result
                    .findings
                    .extend(self.to_finding(Some(FindingKind::UnknownOutput), &object));
            }
        }
        Ok(())
    }

    /// Whether an object exists. Uses a listing: the sweep needs no right to read a photo, nor to a HEAD of one.
    async fn is_listed(&self, location: &ObjectLocation) -> anyhow::Result<bool> {
        let mut pages = ObjectPages::new(self.store, location.bucket(), location.key());
        while let Some(page) = pages.next().await? {
            if page.iter().any(|object| object.location == *location) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The unfinished uploads; `None` if the store cannot list them.
    async fn find_unfinished_uploads(&self, bucket: &str) -> anyhow::Result<Option<Vec<SweepFinding>>> {
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
                    (upload.key(), upload.upload_id(), convert_time(upload.initiated()))
                else {
                    continue;
                };
                if since < self.before && PhotoKey::parse(key).is_some() {
                    findings.push(SweepFinding {
                        kind: FindingKind::UnfinishedUpload,
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

    fn is_old(&self, object: &ListedObject) -> bool {
        object.since < self.before
    }

    fn to_finding(&self, kind: Option<FindingKind>, object: &ListedObject) -> Option<SweepFinding> {
        let kind = kind.filter(|_| self.is_old(object))?;
        Some(SweepFinding {
            kind,
            location: object.location.to_string(),
            since: object.since,
            size_bytes: Some(object.size_bytes),
            deleted: false,
            upload_id: None,
        })
    }
}

/// The rows of the photos in these keys, by id.
async fn find_rows(pool: &Pool, page: &[ListedObject]) -> anyhow::Result<HashMap<i64, PhotoRow>> {
    let ids: Vec<i64> = page
        .iter()
        .filter_map(|object| Some(PhotoKey::parse(object.location.key())?.id.get()))
        .collect();
    let found: Vec<(i64, String, Option<String>, Option<String>)> =
        sqlx::query_as("SELECT id, status, original, output FROM photo WHERE id = ANY ($1)")
            .bind(ids)
            .fetch_all(pool)
            .await?;
    let mut rows = HashMap::new();
    for (id, status, original, output) in found {
        let location = |text: Option<String>| text.map(|text| text.parse()).transpose();
        rows.insert(
            id,
            PhotoRow {
                status,
                original: location(original).with_context(|| format!("original of photo {id}"))?,
                output: location(output).with_context(|| format!("output of photo {id}"))?,
            },
        );
    }
    Ok(rows)
}

fn is_not_implemented<E>(error: &SdkError<E>) -> bool {
    error
        .raw_response()
        .is_some_and(|answer| answer.status().as_u16() == 501)
}
