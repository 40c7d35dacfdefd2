//! Where photos are worked on, and how many at once.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use contract::{
    FailureReason,
    media::{self, USUAL_PIXELS},
};
use imaging::{
    AnonymizeSettings, anonymize_until,
    detector::{Detector, Stop},
    picture,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tracing::Span;

use super::{Judgement, Product, judge};
use crate::{
    budget::{Allowance, job_bytes},
    child::{
        ChildProgram, Ended,
        protocol::{Reply, Request},
    },
    failpoint,
    metrics::Metrics,
};

/// How long work that is stopped may go on: a tile, or a decoder.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// How long a large photo waits for its turn where it has the worker's last place. Its job goes back to the queue then, and
/// leaves the place to a photo of usual size. Each round reads the original again, so a shorter wait costs more of the network.
const LARGE_TURN_WAIT: Duration = Duration::from_secs(5);

/// So often a child may die of a photo before that is the verdict.
const DEATHS: u32 = 2;

/// Everything that work on photos needs.
#[derive(Clone)]
pub struct Workbench {
    /// The networks.
    pub detector: Arc<Detector>,
    /// How photos are anonymised.
    pub settings: Arc<AnonymizeSettings>,
    /// Memory of all photos in work.
    pub allowance: Allowance,
    /// A permit for each photo of usual size that may be worked on at once.
    pub threads: Arc<Semaphore>,
    /// A permit for the one larger photo beside them. It takes many times as
    /// long, and they do not wait for it.
    pub large: Arc<Semaphore>,
    /// A permit for each place in which a large photo may wait until it has its turn: all but that of the one in work, and one
    /// for photos of usual size.
    pub large_waiting: Arc<Semaphore>,
    /// How suspect photos are worked on.
    pub child: ChildProgram,
    /// Where deaths are counted.
    pub metrics: Metrics,
    /// Work in this process that takes longer cannot be ended, and is given up.
    pub time_limit: Duration,
}

/// Why there is no anonymised photo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A verdict on the photo.
    Refused {
        /// Stable code.
        reason: FailureReason,
        /// What happened.
        detail: String,
    },
    /// The machine's fault: try again later.
    NotNow(String),
    /// Another large photo is in work: try again behind the other jobs.
    LargePhotoInWork,
    /// The process that worked on it was killed from outside, as under memory
    /// pressure: try again later.
    Killed(String),
    /// A thread of this process is lost in the photo: the process must be
    /// replaced, and the photo goes to a child of its successor.
    Stuck,
}

impl Workbench {
    /// Anonymises a photo. `number` is for failpoints; a `suspect` photo is
    /// worked on in a child process.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn anonymize(&self, number: i64, photo: Bytes, suspect: bool) -> Result<Product, Failure> {
        let bytes = self.job_bytes(&photo)?;
        let _turn = self.turn(is_large(&photo)).await?;
        if suspect {
            return self.in_child(number, &photo, bytes).await;
        }
        match self.in_process(number, photo.clone(), bytes).await? {
            Some(product) => Ok(product),
            None => self.in_child(number, &photo, bytes).await,
        }
    }

    /// Memory that the photo takes.
    ///
    /// # Errors
    /// [`Failure::Refused`] if that is more than one photo may take.
    fn job_bytes(&self, photo: &[u8]) -> Result<u64, Failure> {
        let (pixels, without_pixels) = (pixels(photo), job_bytes(0, photo.len() as u64));
        if pixels > self.settings.limits.pixels {
            // Refused by its header, before it costs more.
            return Ok(without_pixels);
        }
        let decoding = picture::decoding_bytes(photo);
        let bytes = without_pixels.saturating_add(decoding);
        if bytes <= self.allowance.per_job() {
            return Ok(bytes);
        }
        let room = self.allowance.per_job().saturating_sub(without_pixels);
        let limit = u128::from(pixels) * u128::from(room) / u128::from(decoding.max(1));
        Err(Failure::Refused {
            reason: FailureReason::TooLarge,
            detail: format!(
                "{pixels} pixels: MEMORY_LIMIT leaves room for {limit} in a file of this kind and size"
            ),
        })
    }

    /// `None` when this process cannot say.
    async fn in_process(&self, number: i64, photo: Bytes, bytes: u64) -> Result<Option<Product>, Failure> {
        let share = self.allowance.take(bytes).await;
        let stop = Stop::default();
        let is_large = is_large(&photo);
        let (detector, settings) = (Arc::clone(&self.detector), Arc::clone(&self.settings));
        let (span, stopped) = (Span::current(), stop.clone());
        let mut work = tokio::task::spawn_blocking(move || {
            let _entered = span.entered();
            let _held = share;
            failpoint::reach("anonymizer::while-anonymizing", Some(number));
            if is_large {
                failpoint::reach("anonymizer::while-anonymizing-large", Some(number));
            }
            judge(anonymize_until(&photo, &settings, &detector, &stopped))
        });
        let mut done = timeout(self.time_limit, &mut work).await;
        if done.is_err() {
            stop.set();
            done = timeout(STOP_GRACE, work).await;
        }
        match done {
            Ok(Ok(Judgement::Anonymized(product))) => Ok(Some(product)),
            Ok(Ok(Judgement::Refused {
                reason,
                detail,
                certain: true,
            })) => Err(Failure::Refused { reason, detail }),
            Ok(Ok(Judgement::Refused { detail, .. })) => {
                tracing::warn!(error = detail, "failed here: trying in a process of its own");
                Ok(None)
            }
            Ok(Ok(Judgement::NotReady(detail))) => Err(Failure::NotNow(detail)),
            Ok(Err(error)) => {
                tracing::warn!(%error, "panicked here: trying in a process of its own");
                Ok(None)
            }
            Err(_) => Err(Failure::Stuck),
        }
    }

    /// Waits for a turn. The semaphores are never closed.
    async fn turn(&self, is_large: bool) -> Result<Option<OwnedSemaphorePermit>, Failure> {
        if !is_large {
            return Ok(Arc::clone(&self.threads).acquire_owned().await.ok());
        }
        let turn = Arc::clone(&self.large).acquire_owned();
        if let Ok(_place) = self.large_waiting.try_acquire() {
            return Ok(turn.await.ok());
        }
        let turn = timeout(LARGE_TURN_WAIT, turn).await;
        turn.map(Result::ok).map_err(|_| Failure::LargePhotoInWork)
    }

    async fn in_child(&self, number: i64, photo: &[u8], bytes: u64) -> Result<Product, Failure> {
        let length = photo.len() as u64;
        let share = self.allowance.take(self.allowance.per_child(bytes)).await;
        let request = Request {
            photo: number,
            memory_bytes: share.bytes(),
            cpu_seconds: self.child.time_limit.as_secs().max(1),
            length,
        };
        let mut last = String::new();
        for death in 1..=DEATHS {
            let ended = self.child.run(&request, photo).await;
            match ended.map_err(|error| Failure::NotNow(format!("no child process: {error}")))? {
                Ended::Replied(
                    Reply::Anonymized {
                        width,
                        height,
                        detections,
                        checks,
                        stages,
                        ..
                    },
                    jpeg,
                ) => {
                    return Ok(Product {
                        jpeg,
                        width,
                        height,
                        detections,
                        checks,
                        stages,
                    });
                }
                Ended::Replied(Reply::Refused { reason, detail }, _) => {
                    return Err(Failure::Refused { reason, detail });
                }
                Ended::Replied(Reply::NotReady { detail }, _) => return Err(Failure::NotNow(detail)),
                Ended::Killed(how) => {
                    return Err(Failure::Killed(format!("child process {how} from outside")));
                }
                Ended::Died(how) => {
                    self.metrics.child_died();
                    tracing::warn!(attempt = death, error = how, "a child process died of the photo");
                    last = how;
                }
            }
        }
        Err(Failure::Refused {
            reason: FailureReason::ProcessCrashed,
            detail: format!("the process that worked on it died {DEATHS} times, last: {last}"),
        })
    }
}

/// By its header; 0 where that cannot be read.
fn pixels(photo: &[u8]) -> u64 {
    media::read_header(photo).map_or(0, |header| header.pixels())
}

fn is_large(photo: &[u8]) -> bool {
    pixels(photo) > USUAL_PIXELS
}
