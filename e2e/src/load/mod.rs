//! An open load from outside the cluster: uploads, status requests and images at constant rates. A slow answer delays no other
//! request.

mod client;
mod request;
mod shots;
mod summary;
mod web_endpoint;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Result;
use chrono::{DateTime, Utc};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    client::{LoadClient, PostResponse},
    request::{AttemptResult, RequestAttempt, RequestKind},
    shots::{AcknowledgedPhoto, Acknowledgements, Shot},
    summary::{ANSWER_LIMIT, LoadSummary, Outage, outages, percentile, seconds},
    web_endpoint::WebEndpoint,
};
use crate::photos::{self, BasePhoto};

/// The time until a camera retries, without `Retry-After`.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// The limit for `Retry-After`.
const MAX_RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Requests per second.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// New photos. A camera repeats each upload until the answer is 2xx.
    pub photos: f64,
    /// Repeated uploads of known photos: writes without work for the anonymizer.
    pub repeats: f64,
    /// Requests for a photo's status.
    pub statuses: f64,
    /// Requests for an image.
    pub images: f64,
}

impl Rates {
    /// This rate of new photos, and enough other requests to measure outages with a resolution of 0.25 s.
    pub const fn with_probes(photos: f64) -> Self {
        Self {
            photos,
            repeats: 4.0,
            statuses: 5.0,
            images: 5.0,
        }
    }
}

/// All requests and acknowledgements of a load.
#[derive(Clone, Debug)]
pub struct LoadRecord {
    /// The project of its photos. No other load uses it.
    pub project: String,
    pub start: DateTime<Utc>,
    /// Until the last camera was done.
    pub duration: Duration,
    pub attempts: Vec<RequestAttempt>,
    pub acknowledgements: Acknowledgements,
}

impl LoadRecord {
    /// The requests that started in a time range.
    pub fn between(&self, from: Duration, to: Duration) -> Vec<RequestAttempt> {
        self.attempts
            .iter()
            .copied()
            .filter(|attempt| (from..to).contains(&attempt.start))
            .collect()
    }
}

struct LoadState {
    client: LoadClient,
    bases: Vec<BasePhoto>,
    start: Instant,
    observations: Mutex<(Vec<RequestAttempt>, Acknowledgements)>,
    /// Accepted photos, for repeated uploads and status requests.
    accepted: Mutex<Vec<(i64, Shot)>>,
    /// The id of an anonymised photo.
    anonymized: i64,
    time_limit: Duration,
    end: CancellationToken,
}

/// A running load. Dropping it ends the load.
pub struct Load {
    shared: Arc<LoadState>,
    start: DateTime<Utc>,
    tasks: TaskTracker,
}

impl Load {
    /// Starts the load after a first photo is anonymised. The photos go to a new project whose name contains `name`.
    ///
    /// # Errors
    /// When the first photo is not anonymised within `time_limit`. Cameras also retry an upload for at most `time_limit`.
    pub async fn start(web: &WebEndpoint, name: &str, rates: Rates, time_limit: Duration) -> Result<Self> {
        let project = format!("e2e-{name}-{}", Utc::now().timestamp());
        let client = LoadClient::new(web, &project)?;
        let bases = photos::cutouts()?;
        let first = Shot::new(&bases, 0);
        let id = client.deliver(&first, time_limit).await?;
        client.wait_for_anonymized(id, time_limit).await?;
        let start = Utc::now();
        let shared = Arc::new(LoadState {
            client,
            bases,
            start: Instant::now(),
            observations: Mutex::default(),
            accepted: Mutex::new(vec![(id, first.clone())]),
            anonymized: id,
            time_limit,
            end: CancellationToken::new(),
        });
        shared.observations().1.acknowledge(id, &first, Duration::ZERO);
        let load = Self {
            shared,
            start,
            tasks: TaskTracker::new(),
        };
        load.spawn_at_rate(rates.photos, |shared, turn| shared.upload_new_photo(turn + 1));
        load.spawn_at_rate(rates.repeats, LoadState::upload_known_photo);
        load.spawn_at_rate(rates.statuses, LoadState::get_status);
        load.spawn_at_rate(rates.images, |shared, _| shared.get_image());
        Ok(load)
    }

    /// The time since the start.
    pub fn now(&self) -> Duration {
        self.shared.start.elapsed()
    }

    /// All requests so far.
    pub fn attempts(&self) -> Vec<RequestAttempt> {
        self.shared.observations().0.clone()
    }

    /// The number of photos that were answered with 2xx so far.
    pub fn acknowledged(&self) -> usize {
        self.shared.observations().1.acknowledged().len()
    }

    /// Starts no new uploads. Returns when every camera has delivered its photo or given up.
    pub async fn stop(self) -> LoadRecord {
        self.shared.end.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let (attempts, acknowledgements) = self.shared.observations().clone();
        LoadRecord {
            project: self.shared.client.project().to_owned(),
            start: self.start,
            duration: self.now(),
            attempts,
            acknowledgements,
        }
    }

    /// Spawns a task at a constant rate, without waiting for the earlier ones.
    fn spawn_at_rate<F>(&self, per_second: f64, task: impl Fn(Arc<LoadState>, u64) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if per_second <= 0.0 {
            return;
        }
        let (shared, tasks) = (Arc::clone(&self.shared), self.tasks.clone());
        self.tasks.spawn(async move {
            let mut ticks = interval(Duration::from_secs_f64(1.0 / per_second));
            // Keeps the rate after this machine was busy.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            for turn in 0.. {
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = shared.end.cancelled() => break,
                }
                tasks.spawn(task(Arc::clone(&shared), turn));
            }
        });
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.end.cancel();
    }
}

impl LoadState {
    fn observations(&self) -> MutexGuard<'_, (Vec<RequestAttempt>, Acknowledgements)> {
        self.observations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accepted(&self) -> MutexGuard<'_, Vec<(i64, Shot)>> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uploads a new photo until it is accepted, refused, or the time limit ends.
    async fn upload_new_photo(self: Arc<Self>, number: u64) {
        let shot = Shot::new(&self.bases, number);
        let delivered = timeout(self.time_limit, async {
            loop {
                let posted = self.post(&shot, true).await;
                match (posted.id, posted.result) {
                    (Some(id), _) => {
                        self.accepted().push((id, shot.clone()));
                        break;
                    }
                    (None, AttemptResult::Status(status @ 400..500)) if status != 408 && status != 429 => {
                        self.observations().1.refuse(shot.number, status);
                        break;
                    }
                    _ => {
                        sleep(
                            posted
                                .retry_after
                                .unwrap_or(RETRY_INTERVAL)
                                .min(MAX_RETRY_INTERVAL),
                        )
                        .await
                    }
                }
            }
        });
        if delivered.await.is_err() {
            self.observations().1.give_up(number);
        }
    }

    /// Uploads a known photo again. Without its idempotency key, because the service would then answer before it stores anything.
    async fn upload_known_photo(self: Arc<Self>, turn: u64) {
        let shot = self.accepted_photo(turn).map(|(_, shot)| shot);
        if let Some(shot) = shot {
            self.post(&shot, false).await;
        }
    }

    async fn post(&self, shot: &Shot, with_key: bool) -> PostResponse {
        let start = self.start.elapsed();
        let posted = self.client.post(shot, with_key).await;
        let end = self.start.elapsed();
        let mut observations = self.observations();
        observations.0.push(RequestAttempt {
            kind: RequestKind::Write,
            start,
            duration: end - start,
            result: posted.result,
        });
        if let Some(id) = posted.id {
            observations.1.acknowledge(id, shot, end);
        }
        drop(observations);
        posted
    }

    async fn get_status(self: Arc<Self>, turn: u64) {
        if let Some((id, _)) = self.accepted_photo(turn) {
            self.get(RequestKind::Status, &format!("/photos/{id}")).await;
        }
    }

    async fn get_image(self: Arc<Self>) {
        self.get(RequestKind::Image, &format!("/photos/{}/image", self.anonymized))
            .await;
    }

    async fn get(&self, kind: RequestKind, path: &str) {
        let start = self.start.elapsed();
        let (result, _) = self.client.get(path).await;
        self.observations().0.push(RequestAttempt {
            kind,
            start,
            duration: self.start.elapsed() - start,
            result,
        });
    }

    fn accepted_photo(&self, turn: u64) -> Option<(i64, Shot)> {
        let accepted = self.accepted();
        let index = usize::try_from(turn).unwrap_or(0) % accepted.len().max(1);
        accepted.get(index).cloned()
    }
}
