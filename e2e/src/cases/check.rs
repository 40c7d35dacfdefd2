//! What must hold after a load: no photo that was answered with 2xx is lost.

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

use super::Stage;
use crate::{
    cluster::{Lines, Places, Seen, until},
    load::{Acknowledged, Client, Record, seconds},
    picture::Picture,
};

/// Images that are fetched at once.
const AT_ONCE: usize = 4;
/// How long what was in work may need to go, after the last photo is through.
const LEFT: Duration = Duration::from_secs(60);
/// How long a line may be on its way to OpenSearch.
const LINES: Duration = Duration::from_secs(90);

/// What became of the photos of a load.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Photos that were answered with 2xx.
    pub acknowledged: usize,
    /// Of those, the ones that were not anonymised in the end.
    pub lost: usize,
    /// Photos that are there more than once, or were answered with more than one id.
    pub twice: usize,
    /// Time from the end of the load until the last one was anonymised.
    pub settled: Duration,
    /// Lines that these photos must have and that are not to be found; None where they cannot be counted.
    pub lines_missing: Option<usize>,
    /// The photos as the API told of them in the end, by id.
    pub photos: BTreeMap<i64, Value>,
    /// What does not hold.
    problems: Vec<String>,
}

/// Waits until the photos of a load are through, and demands of them that
/// - every photo that was answered with 2xx is anonymised, none is there twice, none was refused or given up;
/// - its image is a picture, and not the original;
/// - no original of theirs is left, no job in the outbox, no message in a queue;
/// - every one has its log lines, where they can be counted.
///
/// # Errors
/// When it cannot be seen: a service does not answer any more.
pub async fn check(stage: &mut Stage, places: &Places, record: &Record, what: &str) -> Result<Verdict> {
    let patience = stage.cluster.settings().patience;
    let client = Client::new(&places.web, &record.project)?;
    let acknowledged = record.answers.acknowledged();
    stage.step(format_args!(
        "waiting for {} photos to be through",
        acknowledged.len()
    ));
    let began = Instant::now();
    let photos = match through(&client, acknowledged, patience).await {
        Ok(photos) => photos,
        // Those that are not are counted below.
        Err(_) => by_id(client.photos().await?),
    };
    let mut verdict = Verdict {
        acknowledged: acknowledged.len(),
        twice: record.answers.twice() + duplicates(&photos),
        settled: began.elapsed(),
        ..Verdict::default()
    };
    let lost: Vec<_> = acknowledged
        .keys()
        .filter(|id| !is_through(photos.get(id)))
        .collect();
    verdict.lost = lost.len();
    verdict.photos = photos;
    verdict.problem(!lost.is_empty(), format_args!("lost: {lost:?}"));
    let twice = verdict.twice;
    verdict.problem(twice > 0, format_args!("twice: {twice}"));
    let unanswered = record.answers.unanswered();
    verdict.problem(
        unanswered > 0,
        format_args!("never taken: {unanswered} {}", record.answers.refusals()),
    );
    let wrong = images(&client, acknowledged).await;
    verdict.problem(!wrong.is_empty(), format_args!("images: {}", wrong.join("; ")));
    if let Err(error) = nothing_left(places, record).await {
        verdict.problem(true, format_args!("{error:#}"));
    }
    count_lines(stage, places, record, &mut verdict).await?;
    stage.report.demand(
        format_args!("{what}: no photo is lost, none is there twice, nothing is left behind"),
        verdict.problems.is_empty(),
        verdict.told(),
    );
    Ok(verdict)
}

impl Verdict {
    fn problem(&mut self, is_one: bool, what: impl Display) {
        if is_one {
            self.problems.push(what.to_string());
        }
    }

    fn told(&self) -> String {
        let lines = match self.lines_missing {
            Some(missing) => format!(", log lines missing {missing} of {}", self.acknowledged * 2),
            None => String::new(),
        };
        format!(
            "{} photos: lost {}, twice {}{lines}, through {} after the load {}",
            self.acknowledged,
            self.lost,
            self.twice,
            seconds(self.settled),
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

fn is_through(photo: Option<&Value>) -> bool {
    photo.is_some_and(|photo| photo["status"] == "anonymized")
}

/// Photos that show the same moment: each shot has its own.
fn duplicates(photos: &BTreeMap<i64, Value>) -> usize {
    let moments: BTreeSet<_> = photos.values().map(|photo| photo["taken_at"].as_str()).collect();
    photos.len() - moments.len()
}

/// The photos of the project once all that were acknowledged are anonymised.
async fn through(
    client: &Client,
    acknowledged: &BTreeMap<i64, Acknowledged>,
    patience: Duration,
) -> Result<BTreeMap<i64, Value>> {
    until("all photos are through", patience, async || {
        let photos = by_id(client.photos().await?);
        let left = acknowledged
            .keys()
            .filter(|id| !is_through(photos.get(id)))
            .count();
        Ok(if left == 0 {
            Seen::Yes(photos)
        } else {
            Seen::NotYet(format!("{left} are not"))
        })
    })
    .await
}

/// What is wrong with the images of these photos.
async fn images(client: &Client, acknowledged: &BTreeMap<i64, Acknowledged>) -> Vec<String> {
    let looked = stream::iter(acknowledged).map(async |(id, known)| {
        let seen = image(client, *id, &known.sha256).await;
        seen.err().map(|error| format!("photo {id}: {error:#}"))
    });
    looked
        .buffer_unordered(AT_ONCE)
        .filter_map(async |wrong| wrong)
        .collect()
        .await
}

async fn image(client: &Client, id: i64, original: &str) -> Result<()> {
    let (outcome, body) = client.get(&format!("/photos/{id}/image")).await;
    let Some(body) = body else {
        anyhow::bail!("{}", outcome.name())
    };
    ensure!(
        hex::encode(Sha256::digest(&body)) != original,
        "the original was served"
    );
    Picture::decode(&body).map(drop)
}

/// What should be gone once all photos are through. The last originals and messages go a moment after the last verdict.
async fn nothing_left(places: &Places, record: &Record) -> Result<()> {
    let prefix = format!("photos/{}/", record.project);
    until("all that was in work is gone", LEFT, async || {
        // Nothing of them is left, no marker of a deleted one either.
        let originals = places
            .versions(&places.store.settings().input_bucket, &prefix)
            .await?;
        let outbox = places.outbox().await?;
        let mut queues = places.queues().await?;
        queues.retain(|_, waiting| *waiting > 0);
        let empty = originals == 0 && outbox == 0 && queues.is_empty();
        let seen = format!("originals: {originals}, outbox: {outbox}, messages: {queues:?}");
        Ok(if empty { Seen::Yes(()) } else { Seen::NotYet(seen) })
    })
    .await
}

async fn count_lines(stage: &Stage, places: &Places, record: &Record, verdict: &mut Verdict) -> Result<()> {
    let photos: BTreeSet<i64> = record.answers.acknowledged().keys().copied().collect();
    let source = stage.cluster.lines();
    let patience = match source {
        Lines::OpenSearch => LINES,
        Lines::Pods => Duration::ZERO,
    };
    // The first photo was posted before the load began.
    let since = record.began - stage.cluster.settings().patience;
    let lines = stage
        .cluster
        .photo_lines(places, since, &photos, patience)
        .await?;
    let missing = lines.missing(photos.iter());
    match source {
        Lines::OpenSearch => {
            verdict.lines_missing = Some(missing);
            verdict.problem(missing > 0, format_args!("log lines missing: {missing}"));
        }
        Lines::Pods => stage.step(format_args!(
            "log lines: {} of {} in the pods that are there; those of pods that went cannot be counted",
            photos.len() * 2 - missing,
            photos.len() * 2
        )),
    }
    Ok(())
}
