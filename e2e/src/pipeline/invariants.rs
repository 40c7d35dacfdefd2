//! What must hold after everything that was done to a pipeline.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use contract::{Detection, ObjectLocation, PhotoKey};
use sqlx::{Row, types::Json};
use tokio::time::{Instant, sleep};

use super::{PATIENCE, Pipeline, references};

/// A photo as the database knows it.
struct Photo {
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
    /// Waits until no photo is on its way, and checks that
    /// - every photo that was answered with 2xx is anonymised, but those in
    ///   `failed`, which have failed;
    /// - no photo is there twice, and none that was never posted;
    /// - no original of an anonymised photo is left;
    /// - what lies in the output bucket is the photos' outputs, one each, and
    ///   each is exactly what the undisturbed pipeline makes of that picture;
    /// - no message is left in any queue.
    ///
    /// # Errors
    /// What does not hold.
    pub async fn check(&self, failed: &BTreeSet<i64>) -> Result<()> {
        self.settled(PATIENCE).await?;
        let photos = self.photos().await?;
        self.check_photos(&photos, failed)?;
        // A photo's original goes after its verdict has been told, and may go
        // much later, when the worker that told it has died.
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = self.check_originals(&photos).await {
            ensure!(Instant::now() < deadline, "{error:#}\n{}", self.tails());
            sleep(Duration::from_millis(100)).await;
        }
        self.check_outputs(&photos).await?;
        self.check_queues().await
    }

    async fn photos(&self) -> Result<BTreeMap<i64, Photo>> {
        let rows = sqlx::query(
            "select id, project, status, encode(sha256, 'hex') as sha256, original, output, detections,
                    failure_reason || ': ' || coalesce(failure_detail, '') as failure
             from photo",
        )
        .fetch_all(&self.database)
        .await?;
        rows.iter()
            .map(|row| {
                let photo = Photo {
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

    fn check_photos(&self, photos: &BTreeMap<i64, Photo>, failed: &BTreeSet<i64>) -> Result<()> {
        let answered = self.ledger().all();
        for id in answered.keys() {
            ensure!(
                photos.contains_key(id),
                "photo {id} was answered for and is forgotten"
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
                self.tails()
            );
        }
        let mut seen = BTreeSet::new();
        for photo in photos.values() {
            ensure!(
                seen.insert((&photo.project, &photo.sha256)),
                "photo {} is there twice",
                photo.id
            );
        }
        let unknown = photos.len() - answered.len();
        let attempts = self.ledger().unanswered_attempts();
        ensure!(
            unknown <= attempts,
            "{unknown} photos more than were answered for, after {attempts} attempts without an answer"
        );
        Ok(())
    }

    async fn check_originals(&self, photos: &BTreeMap<i64, Photo>) -> Result<()> {
        let bucket = &self.store.settings().input_bucket;
        let mut orphans = 0;
        for key in self.keys(bucket).await? {
            let id = PhotoKey::parse(&key)
                .with_context(|| format!("a strange original: {key}"))?
                .id;
            match photos.get(&id.get()) {
                // An upload that was never answered for: `irmgard sweep` finds it.
                None => orphans += 1,
                Some(photo) => ensure!(
                    photo.status == "failed",
                    "the original of photo {id} is left, although the photo is {}",
                    photo.status
                ),
            }
        }
        let attempts = self.ledger().unanswered_attempts();
        ensure!(
            orphans <= attempts,
            "{orphans} originals of no photo, after {attempts} attempts without an answer"
        );
        for photo in photos.values().filter(|photo| photo.status == "failed") {
            let original: ObjectLocation = photo.original.as_deref().context("no original")?.parse()?;
            ensure!(
                self.store.exists(&original).await?,
                "the original of the failed photo {} is gone",
                photo.id
            );
        }
        Ok(())
    }

    async fn check_outputs(&self, photos: &BTreeMap<i64, Photo>) -> Result<()> {
        let (_, references) = references().await?;
        let bucket = &self.store.settings().output_bucket;
        let mut outputs: BTreeSet<String> = self.keys(bucket).await?.into_iter().collect();
        for photo in photos.values().filter(|photo| photo.status == "anonymized") {
            let location: ObjectLocation = photo.output.as_deref().context("no output")?.parse()?;
            ensure!(
                location.bucket() == bucket && outputs.remove(location.key()),
                "the output of photo {} is not there: {location}",
                photo.id
            );
            let base = self.ledger().base_of(&photo.sha256);
            let base = base.with_context(|| format!("photo {} was never posted", photo.id))?;
            let output = self.store.get(&location, 64 << 20).await?;
            ensure!(
                output == references[base].output,
                "the output of photo {} is not what is made of picture {base}",
                photo.id
            );
            // Unknown where a worker died between output and result.
            if let Some(detections) = &photo.detections {
                ensure!(
                    *detections == references[base].detections,
                    "the detections of photo {} are not those of picture {base}",
                    photo.id
                );
            }
        }
        ensure!(outputs.is_empty(), "outputs of no photo: {outputs:?}");
        Ok(())
    }

    async fn check_queues(&self) -> Result<()> {
        self.publisher.connected().await;
        for queue in self.queues().all() {
            let deadline = Instant::now() + PATIENCE;
            loop {
                let waiting = self.publisher.messages_ready(queue).await;
                if waiting == Ok(0) {
                    break;
                }
                ensure!(Instant::now() < deadline, "messages left in {queue}: {waiting:?}");
                sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }

    /// All keys in a bucket.
    ///
    /// # Errors
    /// When they cannot be listed.
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
            let page = page.context("a bucket is listed")?;
            keys.extend(
                page.contents()
                    .iter()
                    .filter_map(|object| object.key().map(ToOwned::to_owned)),
            );
        }
        Ok(keys)
    }
}
