//! Anonymises photos: in this process, or in a child process if a photo is suspect. Limits how many are processed at
//! once.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use contract::{
    FailureReason,
    media::{self, LARGE_PHOTO_PIXELS},
};
use imaging::{
    AnonymizeSettings, anonymize_until,
    detector::{Detector, Stop},
    picture,
};
use service_runtime::failpoint;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tracing::Span;

use crate::{
    attempt::{AnonymizedPhoto, Attempt, classify_attempt},
    capacity::{Capacity, MemoryPool, job_bytes},
    child::{
        ChildExit, ChildProgram,
        protocol::{Reply, Request},
    },
    metrics::Metrics,
};

/// How long a photo may continue after it is told to stop: time for one tile, or for the decoder.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// How long a large photo in the worker's last slot waits for its permit. Then its job
/// returns to the queue, and a photo of usual size can use the slot. Each round reads
/// the original again, so a shorter wait costs more network traffic.
const LARGE_PERMIT_WAIT: Duration = Duration::from_secs(5);

/// How many child processes may crash on a photo before the photo fails.
const MAX_CHILD_CRASHES: u32 = 2;

/// Processes photos. Clones share all permits.
#[derive(Clone)]
pub struct PhotoProcessor {
    pub detector: Arc<Detector>,
    pub settings: Arc<AnonymizeSettings>,
    /// How suspect photos are processed.
    pub child: ChildProgram,
    pub metrics: Metrics,
    /// How long a photo may take in this process.
    pub time_limit: Duration,
    permits: Permits,
}

/// Limits on the photos that are processed at once.
#[derive(Clone)]
struct Permits {
    /// Memory of all photos.
    memory: MemoryPool,
    /// One permit for each photo of usual size.
    usual: Arc<Semaphore>,
    /// One permit for a larger photo. It takes many times as long, so photos of usual size do not wait for it.
    large: Arc<Semaphore>,
    /// One permit for each slot in which a large photo may wait: all slots but one for
    /// the large photo in work and one for photos of usual size.
    large_waiting: Arc<Semaphore>,
}

impl Permits {
    fn new(capacity: &Capacity) -> Self {
        let waiting_slots = usize::from(capacity.concurrency).saturating_sub(2);
        Self {
            memory: MemoryPool::new(capacity.memory_bytes),
            usual: Arc::new(Semaphore::new(capacity.threads.into())),
            large: Arc::new(Semaphore::new(1)),
            large_waiting: Arc::new(Semaphore::new(waiting_slots)),
        }
    }
}

/// Why a photo was not anonymised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhotoError {
    /// The photo cannot be anonymised.
    Refused { reason: FailureReason, detail: String },
    /// The detector or a child process does not work: retry later.
    NotReady(String),
    /// Another large photo is being processed: retry after the other jobs.
    LargePhotoInWork,
    /// The child process was killed from outside, for example because memory ran out: retry later.
    Killed(String),
    /// The photo blocks a thread of this process. The process must be replaced; its
    /// successor processes the photo in a child process.
    Stuck,
}

impl PhotoProcessor {
    #[must_use]
    pub fn new(
        detector: Detector,
        settings: AnonymizeSettings,
        capacity: &Capacity,
        child: ChildProgram,
        metrics: Metrics,
        time_limit: Duration,
    ) -> Self {
        Self {
            detector: Arc::new(detector),
            settings: Arc::new(settings),
            child,
            metrics,
            time_limit,
            permits: Permits::new(capacity),
        }
    }

    /// Anonymises a photo. Only failpoints use `id`. A suspect photo is processed in a child process.
    ///
    /// # Errors
    /// See [`PhotoError`].
    pub async fn anonymize(
        &self,
        id: i64,
        photo: Bytes,
        is_suspect: bool,
    ) -> Result<AnonymizedPhoto, PhotoError> {
        let memory_bytes = self.required_memory(&photo)?;
        let _permit = self.acquire_permit(is_large(&photo)).await?;
        if is_suspect {
            return self.run_in_child(id, &photo, memory_bytes).await;
        }
        match self.run_in_process(id, photo.clone(), memory_bytes).await? {
            Some(anonymized) => Ok(anonymized),
            None => self.run_in_child(id, &photo, memory_bytes).await,
        }
    }

    /// Memory that the photo needs, in bytes.
    ///
    /// # Errors
    /// [`PhotoError::Refused`] if that is more than one photo may use.
    fn required_memory(&self, photo: &[u8]) -> Result<u64, PhotoError> {
        let (pixels, without_pixels) = (pixels(photo), job_bytes(0, photo.len() as u64));
        if pixels > self.settings.limits.pixels {
            // The decoder refuses this photo after reading its header.
            return Ok(without_pixels);
        }
        let decoding = picture::decoding_bytes(photo);
        let bytes = without_pixels.saturating_add(decoding);
        let max_bytes = self.permits.memory.max_job_bytes();
        if bytes <= max_bytes {
            return Ok(bytes);
        }
        let room = max_bytes.saturating_sub(without_pixels);
        let max_pixels = u128::from(pixels) * u128::from(room) / u128::from(decoding.max(1));
        Err(PhotoError::Refused {
            reason: FailureReason::TooLarge,
            detail: format!(
                "{pixels} pixels: MEMORY_LIMIT leaves room for {max_pixels} in a file of this kind and size"
            ),
        })
    }

    /// Waits for the permit to process a photo. The semaphores are never closed.
    async fn acquire_permit(&self, is_large: bool) -> Result<Option<OwnedSemaphorePermit>, PhotoError> {
        if !is_large {
            return Ok(Arc::clone(&self.permits.usual).acquire_owned().await.ok());
        }
        let permit = Arc::clone(&self.permits.large).acquire_owned();
        if let Ok(_waiting) = self.permits.large_waiting.try_acquire() {
            return Ok(permit.await.ok());
        }
        let permit = timeout(LARGE_PERMIT_WAIT, permit).await;
        permit.map(Result::ok).map_err(|_| PhotoError::LargePhotoInWork)
    }

    /// Processes a photo in this process. `None` if a child process may still succeed.
    async fn run_in_process(
        &self,
        id: i64,
        photo: Bytes,
        memory_bytes: u64,
    ) -> Result<Option<AnonymizedPhoto>, PhotoError> {
        let memory = self.permits.memory.acquire(memory_bytes).await;
        let stop = Stop::default();
        let is_large = is_large(&photo);
        let (detector, settings) = (Arc::clone(&self.detector), Arc::clone(&self.settings));
        let (span, thread_stop) = (Span::current(), stop.clone());
        let mut thread = tokio::task::spawn_blocking(move || {
            let _entered = span.entered();
            // The thread keeps its memory permit even if this future is dropped.
            let _memory = memory;
            failpoint::reach("anonymizer::while-anonymizing", Some(id));
            if is_large {
                failpoint::reach("anonymizer::while-anonymizing-large", Some(id));
            }
            classify_attempt(anonymize_until(&photo, &settings, &detector, &thread_stop))
        });
        let mut attempt = timeout(self.time_limit, &mut thread).await;
        if attempt.is_err() {
            stop.set();
            attempt = timeout(STOP_GRACE, thread).await;
        }
        match attempt {
            Ok(Ok(Attempt::Anonymized(anonymized))) => Ok(Some(anonymized)),
            Ok(Ok(Attempt::Refused {
                reason,
                detail,
                is_certain: true,
            })) => Err(PhotoError::Refused { reason, detail }),
            Ok(Ok(Attempt::Refused { detail, .. })) => {
                tracing::warn!(error = detail, "the photo failed: retrying in a child process");
                Ok(None)
            }
            Ok(Ok(Attempt::NotReady(detail))) => Err(PhotoError::NotReady(detail)),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the photo caused a panic: retrying in a child process");
                Ok(None)
            }
            Err(_) => Err(PhotoError::Stuck),
        }
    }

    async fn run_in_child(
        &self,
        id: i64,
        photo: &[u8],
        memory_bytes: u64,
    ) -> Result<AnonymizedPhoto, PhotoError> {
        let memory = self
            .permits
            .memory
            .acquire(self.permits.memory.child_bytes(memory_bytes))
            .await;
        let request = Request {
            photo: id,
            memory_bytes: memory.bytes(),
            cpu_seconds: self.child.time_limit.as_secs().max(1),
            length: photo.len() as u64,
        };
        let mut last_crash = String::new();
        for attempt in 1..=MAX_CHILD_CRASHES {
            let exit =
                self.child.run(&request, photo).await.map_err(|error| {
                    PhotoError::NotReady(format!("cannot start a child process: {error}"))
                })?;
            match exit {
                ChildExit::Replied(Reply::Anonymized { summary, .. }, jpeg) => {
                    return Ok(AnonymizedPhoto { jpeg, summary });
                }
                ChildExit::Replied(Reply::Refused { reason, detail }, _) => {
                    return Err(PhotoError::Refused { reason, detail });
                }
                ChildExit::Replied(Reply::NotReady { detail }, _) => {
                    return Err(PhotoError::NotReady(detail));
                }
                ChildExit::Killed(cause) => {
                    return Err(PhotoError::Killed(format!("child process {cause}")));
                }
                ChildExit::Crashed(cause) => {
                    self.metrics.child_crashed();
                    tracing::warn!(attempt, error = cause, "a child process crashed on the photo");
                    last_crash = cause;
                }
            }
        }
        Err(PhotoError::Refused {
            reason: FailureReason::ProcessCrashed,
            detail: format!(
                "{MAX_CHILD_CRASHES} processes crashed on this photo, the last one: {last_crash}"
            ),
        })
    }
}

/// The number of pixels in the photo's header; 0 if the header cannot be read.
fn pixels(photo: &[u8]) -> u64 {
    media::read_header(photo).map_or(0, |header| header.pixels())
}

fn is_large(photo: &[u8]) -> bool {
    pixels(photo) > LARGE_PHOTO_PIXELS
}
