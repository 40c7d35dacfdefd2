//! Checks the photos of a load: no acknowledged photo is lost.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    time::Duration,
};

use anyhow::{Result, ensure};
use futures::{StreamExt, stream};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::Harness;
use crate::{
    cluster::{Condition, Endpoints, LogSource, wait_until},
    load::{AcknowledgedPhoto, LoadClient, LoadRecord, seconds},
    picture::Picture,
};

/// Concurrent requests for images.
const CONCURRENCY: usize = 4;
/// How long originals, jobs and messages may remain after the last photo is anonymised.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);
/// How long a log line may take to arrive in OpenSearch.
const LINE_LIMIT: Duration = Duration::from_secs(90);

/// The result of the check.
#[derive(Clone, Debug, Default)]
pub struct PhotoCheck {
    /// Photos answered with 2xx.
    pub acknowledged: usize,
    /// Acknowledged photos that were not anonymised within the time limit.
    pub lost: usize,
    /// Photos that are stored twice, or were answered with several ids.
    pub duplicates: usize,
    /// From the end of the load until the last photo was anonymised.
    pub drain_time: Duration,
    /// Required log lines that are missing; `None` if they cannot be counted.
    pub lines_missing: Option<usize>,
    /// The photos from the API at the end, by id.
    pub photos: BTreeMap<i64, Value>,
    problems: Vec<String>,
}

/// Waits until the photos of a load are anonymised, and adds the requirement that
/// - every acknowledged photo is anonymised, none is stored twice, and none was refused or given up;
/// - every image is a picture, and not the original;
/// - no original, no job in the outbox and no message in a queue is left;
/// - every photo has its log lines, where they can be counted.
pub async fn check_photos(
    harness: &mut Harness,
    endpoints: &Endpoints,
    record: &LoadRecord,
    what: &str,
) -> Result<PhotoCheck> {
    let time_limit = harness.time_limit();
    let client = LoadClient::new(&endpoints.web, &record.project)?;
    let acknowledged = record.acknowledgements.acknowledged();
    harness.step(format_args!(
        "waiting until {} photos are anonymised",
        acknowledged.len()
    ));
    let start = Instant::now();
    let photos = match wait_until_anonymized(&client, acknowledged, time_limit).await {
        Ok(photos) => photos,
        // The others are counted below.
        Err(_) => by_id(client.photos().await?),
    };
    let mut photo_check = PhotoCheck {
        acknowledged: acknowledged.len(),
        duplicates: record.acknowledgements.duplicates() + same_time_photos(&photos),
        drain_time: start.elapsed(),
        ..PhotoCheck::default()
    };
    let lost: Vec<_> = acknowledged
        .keys()
        .filter(|id| !is_anonymized(photos.get(id)))
        .collect();
    photo_check.lost = lost.len();
    photo_check.photos = photos;
    photo_check.add_problem(!lost.is_empty(), format_args!("lost: {lost:?}"));
    let duplicates = photo_check.duplicates;
    photo_check.add_problem(duplicates > 0, format_args!("duplicates: {duplicates}"));
    let unanswered = record.acknowledgements.unanswered();
    photo_check.add_problem(
        unanswered > 0,
        format_args!(
            "never accepted: {unanswered} {}",
            record.acknowledgements.refusals()
        ),
    );
    let wrong_images = image_problems(&client, acknowledged).await;
    photo_check.add_problem(
        !wrong_images.is_empty(),
        format_args!("images: {}", wrong_images.join("; ")),
    );
    if let Err(error) = wait_until_drained(endpoints, record).await {
        photo_check.add_problem(true, format_args!("{error:#}"));
    }
    count_lines(harness, endpoints, record, &mut photo_check).await?;
    harness.report.require(
        format_args!("{what}: no photo is lost or stored twice, and nothing is left behind"),
        photo_check.problems.is_empty(),
        photo_check.summary(),
    );
    Ok(photo_check)
}

impl PhotoCheck {
    fn add_problem(&mut self, is_problem: bool, what: impl Display) {
        if is_problem {
            self.problems.push(what.to_string());
        }
    }

    fn summary(&self) -> String {
        let lines = match self.lines_missing {
            Some(missing) => format!(", log lines missing {missing} of {}", self.acknowledged * 2),
            None => String::new(),
        };
        format!(
            "{} photos: lost {}, duplicates {}{lines}, all anonymised {} after the load {}",
            self.acknowledged,
            self.lost,
            self.duplicates,
            seconds(self.drain_time),
            self.problems.join("; ")
        )
    }
}

fn by_id(photos: Vec<Value>) -> BTreeMap<i64, Value> {
    photos
        .into_iter()
        .filter_map(|photo| Some((photo["id"].as_i64()?, photo)))
        .collect()
}

fn is_anonymized(photo: Option<&Value>) -> bool {
    photo.is_some_and(|photo| photo["status"] == "anonymized")
}

/// The number of photos with the time of another photo. Every shot has a unique time.
fn same_time_photos(photos: &BTreeMap<i64, Value>) -> usize {
    let times: BTreeSet<_> = photos.values().map(|photo| photo["taken_at"].as_str()).collect();
    photos.len() - times.len()
}

/// Waits until all acknowledged photos are anonymised. Returns the photos of the project.
async fn wait_until_anonymized(
    client: &LoadClient,
    acknowledged: &BTreeMap<i64, AcknowledgedPhoto>,
    time_limit: Duration,
) -> Result<BTreeMap<i64, Value>> {
    wait_until("all photos are anonymised", time_limit, async || {
        let photos = by_id(client.photos().await?);
        let remaining = acknowledged
            .keys()
            .filter(|id| !is_anonymized(photos.get(id)))
            .count();
        Ok(if remaining == 0 {
            Condition::Met(photos)
        } else {
            Condition::Unmet(format!("{remaining} are not"))
        })
    })
    .await
}

/// The problems with the images of these photos.
async fn image_problems(client: &LoadClient, acknowledged: &BTreeMap<i64, AcknowledgedPhoto>) -> Vec<String> {
    let checks = stream::iter(acknowledged).map(async |(id, photo)| {
        let checked = check_image(client, *id, &photo.sha256).await;
        checked.err().map(|error| format!("photo {id}: {error:#}"))
    });
    checks
        .buffer_unordered(CONCURRENCY)
        .filter_map(async |problem| problem)
        .collect()
        .await
}

async fn check_image(client: &LoadClient, id: i64, original: &str) -> Result<()> {
    let (result, body) = client.get(&format!("/photos/{id}/image")).await;
    let Some(body) = body else {
        anyhow::bail!("{}", result.name())
    };
    ensure!(
        hex::encode(Sha256::digest(&body)) != original,
        "the service returned the original"
    );
    Picture::decode(&body).map(drop)
}

/// Waits until no original, job or message is left. The last ones disappear shortly after the last result.
async fn wait_until_drained(endpoints: &Endpoints, record: &LoadRecord) -> Result<()> {
    let prefix = format!("photos/{}/", record.project);
    wait_until("no original, job or message is left", DRAIN_LIMIT, async || {
        // Delete markers count too.
        let originals = endpoints
            .count_versions(&endpoints.store.settings().input_bucket, &prefix)
            .await?;
        let outbox = endpoints.outbox_length().await?;
        let mut queues = endpoints.queue_lengths().await?;
        queues.retain(|_, ready| *ready > 0);
        let empty = originals == 0 && outbox == 0 && queues.is_empty();
        let observed = format!("originals: {originals}, outbox: {outbox}, messages: {queues:?}");
        Ok(if empty {
            Condition::Met(())
        } else {
            Condition::Unmet(observed)
        })
    })
    .await
}

async fn count_lines(
    harness: &Harness,
    endpoints: &Endpoints,
    record: &LoadRecord,
    photo_check: &mut PhotoCheck,
) -> Result<()> {
    let photos: BTreeSet<i64> = record.acknowledgements.acknowledged().keys().copied().collect();
    let source = harness.cluster.log_source();
    let time_limit = match source {
        LogSource::OpenSearch => LINE_LIMIT,
        LogSource::Pods => Duration::ZERO,
    };
    // The first photo was uploaded before the start of the load.
    let since = record.start - harness.time_limit();
    let lines = harness
        .cluster
        .photo_lines(endpoints, since, &photos, time_limit)
        .await?;
    let missing = lines.missing(photos.iter());
    match source {
        LogSource::OpenSearch => {
            photo_check.lines_missing = Some(missing);
            photo_check.add_problem(missing > 0, format_args!("log lines missing: {missing}"));
        }
        LogSource::Pods => harness.step(format_args!(
            "log lines: {} of {} in the existing pods; the lines of deleted pods cannot be counted",
            photos.len() * 2 - missing,
            photos.len() * 2
        )),
    }
    Ok(())
}
