//! The invariants of a pipeline, checked after every test.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use contract::{Detection, ObjectLocation, PhotoKey};
use sqlx::{Row, types::Json};
use tokio::time::{Instant, sleep};

use super::{Pipeline, TIME_LIMIT, references};

/// A row of the table `photo`.
struct PhotoRow {
    id: i64,
    project: String,
    status: String,
    sha256: String,
    original: Option<String>,
    output: Option<String>,
    detections: Option<Vec<Detection>>,
    failure: Option<String>,
}

impl Pipeline {
    /// Waits until no photo is in work, and checks that
    /// - every photo answered with 2xx is anonymised, except those in `failed`, which have failed;
    /// - no photo is stored twice, and none that was never uploaded;
    /// - no original of an anonymised photo is left;
    /// - the output bucket contains exactly one output for each photo, identical to the reference output;
    /// - all queues are empty.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub async fn check(&self, failed: &BTreeSet<i64>) -> Result<()> {
        self.wait_until_idle(TIME_LIMIT).await?;
        let photos = self.photos().await?;
        self.check_photos(&photos, failed)?;
        // The worker deletes an original after it has sent the result. If it dies in between, the deletion comes much later.
        let deadline = Instant::now() + TIME_LIMIT;
        while let Err(error) = self.check_originals(&photos).await {
            ensure!(Instant::now() < deadline, "{error:#}\n{}", self.recent_warnings());
            sleep(Duration::from_millis(100)).await;
        }
        self.check_outputs(&photos).await?;
        self.check_queues().await
    }

    async fn photos(&self) -> Result<BTreeMap<i64, PhotoRow>> {
        let rows = sqlx::query(
            "select id, project, status, encode(sha256, 'hex') as sha256, original, output, detections,
                    failure_reason || ': ' || coalesce(failure_detail, '') as failure
             from photo",
        )
        .fetch_all(&self.database)
        .await?;
        rows.iter()
            .map(|row| {
                let photo = PhotoRow {
                    id: row.try_get("id")?,
                    project: row.try_get("project")?,
                    status: row.try_get("status")?,
                    sha256: row.try_get("sha256")?,
                    original: row.try_get("original")?,
                    output: row.try_get("output")?,
                    detections: row
                        .try_get::<Option<Json<Vec<Detection>>>, _>("detections")?
                        .map(|Json(detections)| detections),
                    failure: row.try_get("failure")?,
                };
                Ok((photo.id, photo))
            })
            .collect()
    }

    fn check_photos(&self, photos: &BTreeMap<i64, PhotoRow>, failed: &BTreeSet<i64>) -> Result<()> {
        let accepted = self.ledger().accepted();
        for id in accepted.keys() {
            ensure!(
                photos.contains_key(id),
                "photo {id} was accepted but is not in the database"
            );
        }
        for photo in photos.values() {
            let expected = if failed.contains(&photo.id) {
                "failed"
            } else {
                "anonymized"
            };
            ensure!(
                photo.status == expected,
                "photo {} is {} ({:?}) instead of {expected}\n{}",
                photo.id,
                photo.status,
                photo.failure,
                self.recent_warnings()
            );
        }
        let mut unique = BTreeSet::new();
        for photo in photos.values() {
            ensure!(
                unique.insert((&photo.project, &photo.sha256)),
                "photo {} is stored twice",
                photo.id
            );
        }
        let unacknowledged = photos.len() - accepted.len();
        let attempts = self.ledger().failed_attempts();
        ensure!(
            unacknowledged <= attempts,
            "{unacknowledged} more photos than acknowledgements, after {attempts} attempts without a 2xx"
        );
        Ok(())
    }

    async fn check_originals(&self, photos: &BTreeMap<i64, PhotoRow>) -> Result<()> {
        let bucket = &self.store.settings().input_bucket;
        let mut orphans = 0;
        for key in self.keys(bucket).await? {
            let id = PhotoKey::parse(&key)
                .with_context(|| format!("an original with an invalid key: {key}"))?
                .id;
            match photos.get(&id.get()) {
                // The original of an upload without a 2xx. `irmgard sweep` finds it.
                None => orphans += 1,
                Some(photo) => ensure!(
                    photo.status == "failed",
                    "the original of photo {id} still exists, although the photo is {}",
                    photo.status
                ),
            }
        }
        let attempts = self.ledger().failed_attempts();
        ensure!(
            orphans <= attempts,
            "{orphans} originals without a photo, after {attempts} attempts without a 2xx"
        );
        for photo in photos.values().filter(|photo| photo.status == "failed") {
            let original: ObjectLocation = photo.original.as_deref().context("no original")?.parse()?;
            ensure!(
                self.store.exists(&original).await?,
                "the original of the failed photo {} does not exist",
                photo.id
            );
        }
        Ok(())
    }

    async fn check_outputs(&self, photos: &BTreeMap<i64, PhotoRow>) -> Result<()> {
        let (_, references) = references().await?;
        let bucket = &self.store.settings().output_bucket;
        let mut outputs: BTreeSet<String> = self.keys(bucket).await?.into_iter().collect();
        for photo in photos.values().filter(|photo| photo.status == "anonymized") {
            let location: ObjectLocation = photo.output.as_deref().context("no output")?.parse()?;
            ensure!(
                location.bucket() == bucket && outputs.remove(location.key()),
                "the output of photo {} does not exist: {location}",
                photo.id
            );
            let base = self.ledger().base_index(&photo.sha256);
            let base = base.with_context(|| format!("photo {} was never uploaded", photo.id))?;
            let output = self.store.get(&location, 64 << 20).await?;
            ensure!(
                output == references[base].output,
                "the output of photo {} differs from the reference of picture {base}",
                photo.id
            );
            // A worker that died between output and result leaves no detections.
            if let Some(detections) = &photo.detections {
                ensure!(
                    *detections == references[base].detections,
                    "the detections of photo {} differ from the reference of picture {base}",
                    photo.id
                );
            }
        }
        ensure!(outputs.is_empty(), "outputs without a photo: {outputs:?}");
        Ok(())
    }

    async fn check_queues(&self) -> Result<()> {
        self.publisher.connected().await;
        for queue in self.queues().all() {
            let deadline = Instant::now() + TIME_LIMIT;
            loop {
                let ready = self.publisher.messages_ready(queue).await;
                if ready == Ok(0) {
                    break;
                }
                ensure!(Instant::now() < deadline, "messages left in {queue}: {ready:?}");
                sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }

    /// All keys in a bucket.
    pub async fn keys(&self, bucket: &str) -> Result<Vec<String>> {
        let mut pages = self
            .store
            .client()
            .list_objects_v2()
            .bucket(bucket)
            .into_paginator()
            .send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.context("cannot list a bucket")?;
            keys.extend(
                page.contents()
                    .iter()
                    .filter_map(|object| object.key().map(ToOwned::to_owned)),
            );
        }
        Ok(keys)
    }
}
