//! Cameras and people that use the service from outside, at a constant pace:
//! who is not answered does not slow the others down.

mod attempt;
mod client;
mod service;
mod shots;
mod web;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Result;
use chrono::{DateTime, Utc};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    attempt::{Attempt, Kind, Outcome},
    client::{Client, Posted},
    service::{IN_TIME, Outage, Summary, outages, over_time, percentile, seconds},
    shots::{Acknowledged, Answers, Shot},
    web::Web,
};
use crate::photos::{self, Base};

/// A camera comes again after so long, unless it was told another time.
const AGAIN: Duration = Duration::from_millis(500);

/// It waits no longer than this, whatever it was told.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Requests in a second.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// New photos; a camera comes again with one until it is answered with 2xx.
    pub photos: f64,
    /// Photos that are known, posted again: writes without work for the anonymizer.
    pub repeats: f64,
    /// Questions for a photo's state.
    pub states: f64,
    /// Images that are fetched.
    pub images: f64,
}

impl Pace {
    /// So many photos in a second, and enough of the rest to see for how long a service is away: a quarter of a second and less.
    #[must_use]
    pub const fn watching(photos: f64) -> Self {
        Self {
            photos,
            repeats: 4.0,
            states: 5.0,
            images: 5.0,
        }
    }
}

/// What a load did and saw.
#[derive(Clone, Debug)]
pub struct Record {
    /// The project of its photos: one of its own.
    pub project: String,
    /// When it began.
    pub began: DateTime<Utc>,
    /// When the last camera was done, since then.
    pub lasted: Duration,
    /// All requests.
    pub attempts: Vec<Attempt>,
    /// What was answered for the photos.
    pub answers: Answers,
}

impl Record {
    /// The requests that began in a part of the time.
    #[must_use]
    pub fn between(&self, from: Duration, to: Duration) -> Vec<Attempt> {
        self.attempts
            .iter()
            .copied()
            .filter(|attempt| (from..to).contains(&attempt.began))
            .collect()
    }
}

struct Shared {
    client: Client,
    bases: Vec<Base>,
    began: Instant,
    noted: Mutex<(Vec<Attempt>, Answers)>,
    /// Photos that may be posted again and asked for: they are known.
    known: Mutex<Vec<(i64, Shot)>>,
    /// A photo that is anonymised.
    shown: i64,
    patience: Duration,
    end: CancellationToken,
}

/// A load that runs. Dropping it ends it.
pub struct Load {
    shared: Arc<Shared>,
    began: DateTime<Utc>,
    tasks: TaskTracker,
}

impl Load {
    /// Begins to post photos to this service, into a project of its own whose name begins with
    /// `name`, once one photo is through.
    ///
    /// # Errors
    /// When a first photo is not anonymised within `patience`, which is also how long a camera comes again with a photo.
    pub async fn start(web: &Web, name: &str, pace: Pace, patience: Duration) -> Result<Self> {
        let project = format!("e2e-{name}-{}", Utc::now().timestamp());
        let client = Client::new(web, &project)?;
        let bases = photos::small()?;
        let first = Shot::new(&bases, 0);
        let id = client.deliver(&first, patience).await?;
        client.anonymized(id, patience).await?;
        let began = Utc::now();
        let shared = Arc::new(Shared {
            client,
            bases,
            began: Instant::now(),
            noted: Mutex::default(),
            known: Mutex::new(vec![(id, first.clone())]),
            shown: id,
            patience,
            end: CancellationToken::new(),
        });
        shared.noted().1.acknowledge(id, &first, Duration::ZERO);
        let load = Self {
            shared,
            began,
            tasks: TaskTracker::new(),
        };
        load.at(pace.photos, |shared, turn| shared.photograph(turn + 1));
        load.at(pace.repeats, Shared::repeat);
        load.at(pace.states, Shared::ask);
        load.at(pace.images, |shared, _| shared.fetch());
        Ok(load)
    }

    /// Time since it began.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.shared.began.elapsed()
    }

    /// All requests until now.
    #[must_use]
    pub fn attempts(&self) -> Vec<Attempt> {
        self.shared.noted().0.clone()
    }

    /// Ids of the photos that were answered with 2xx until now.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.shared.noted().1.acknowledged().len()
    }

    /// Takes no new photos; returns when every camera is rid of its photo, or has lost patience.
    pub async fn stop(self) -> Record {
        self.shared.end.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let (attempts, answers) = self.shared.noted().clone();
        Record {
            project: self.shared.client.project().to_owned(),
            began: self.began,
            lasted: self.now(),
            attempts,
            answers,
        }
    }

    /// Does something so many times in a second, without waiting for its end.
    fn at<F>(&self, per_second: f64, act: impl Fn(Arc<Shared>, u64) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if per_second <= 0.0 {
            return;
        }
        let (shared, tasks) = (Arc::clone(&self.shared), self.tasks.clone());
        self.tasks.spawn(async move {
            let mut ticks = interval(Duration::from_secs_f64(1.0 / per_second));
            // The pace is kept also where this machine was busy for a while.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            for turn in 0.. {
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = shared.end.cancelled() => break,
                }
                tasks.spawn(act(Arc::clone(&shared), turn));
            }
        });
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.end.cancel();
    }
}

impl Shared {
    fn noted(&self) -> MutexGuard<'_, (Vec<Attempt>, Answers)> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, Vec<(i64, Shot)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A camera with one photo, until it is rid of it.
    async fn photograph(self: Arc<Self>, number: u64) {
        let shot = Shot::new(&self.bases, number);
        let delivered = timeout(self.patience, async {
            loop {
                let posted = self.post(&shot, true).await;
                match (posted.id, posted.outcome) {
                    (Some(id), _) => {
                        self.known().push((id, shot.clone()));
                        break;
                    }
                    (None, Outcome::Status(status @ 400..500)) if status != 408 && status != 429 => {
                        self.noted().1.refuse(shot.number, status);
                        break;
                    }
                    _ => sleep(posted.retry_after.unwrap_or(AGAIN).min(LONGEST_WAIT)).await,
                }
            }
        });
        if delivered.await.is_err() {
            self.noted().1.give_up(number);
        }
    }

    /// A photo that is known once more. Without its key, which would be answered before anything is stored.
    async fn repeat(self: Arc<Self>, turn: u64) {
        let shot = self.one_of_known(turn).map(|(_, shot)| shot);
        if let Some(shot) = shot {
            self.post(&shot, false).await;
        }
    }

    async fn post(&self, shot: &Shot, with_key: bool) -> Posted {
        let began = self.began.elapsed();
        let posted = self.client.post(shot, with_key).await;
        let ended = self.began.elapsed();
        let mut noted = self.noted();
        noted.0.push(Attempt {
            kind: Kind::Write,
            began,
            took: ended - began,
            outcome: posted.outcome,
        });
        if let Some(id) = posted.id {
            noted.1.acknowledge(id, shot, ended);
        }
        drop(noted);
        posted
    }

    async fn ask(self: Arc<Self>, turn: u64) {
        if let Some((id, _)) = self.one_of_known(turn) {
            self.read(Kind::Status, &format!("/photos/{id}")).await;
        }
    }

    async fn fetch(self: Arc<Self>) {
        self.read(Kind::Image, &format!("/photos/{}/image", self.shown))
            .await;
    }

    async fn read(&self, kind: Kind, path: &str) {
        let began = self.began.elapsed();
        let (outcome, _) = self.client.get(path).await;
        self.noted().0.push(Attempt {
            kind,
            began,
            took: self.began.elapsed() - began,
            outcome,
        });
    }

    fn one_of_known(&self, turn: u64) -> Option<(i64, Shot)> {
        let known = self.known();
        let place = usize::try_from(turn).unwrap_or(0) % known.len().max(1);
        known.get(place).cloned()
    }
}
