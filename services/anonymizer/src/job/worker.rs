//! The steps of a job. Each is retried until it succeeds or fails permanently.

use std::{sync::OnceLock, time::Duration};

use bytes::Bytes;
use contract::{FailureReason, Verdict, queues::Queues};
use service_runtime::{
    broker::Publisher,
    failpoint,
    store::{Store, StoreError},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::{
    Completion, InvalidJob, JobEnvelope, JobReport, PhotoOwner, PhotoSizes, PhotoTask,
    objects::read_jpeg_header,
};
use crate::{
    attempt::{AnonymizedPhoto, PhotoSummary},
    photo_processor::{PhotoError, PhotoProcessor},
    retry::{Fault, Interruption, PauseGate, RetryPolicy},
    settings::Buckets,
};

/// How long a job-specific fault is retried in one round. The job occupies a slot that another job could use.
const JOB_SPECIFIC_LIMIT: Duration = Duration::from_secs(30);

/// Everything that a job needs.
#[derive(Clone)]
pub struct Worker {
    /// Buckets that messages may name.
    pub buckets: Buckets,
    pub store: Store,
    /// Publishes results and parked messages.
    pub publisher: Publisher,
    pub queues: Queues,
    pub processor: PhotoProcessor,
    /// Where jobs wait while a step cannot succeed.
    pub gate: PauseGate,
    /// How long after its start a job may begin another attempt of a step.
    pub hold_limit: Duration,
    /// Cancelled when the process shuts down.
    pub shutdown: CancellationToken,
}

/// Why a job stopped without a result. Its message returns to the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// The retries of a step stopped.
    Interrupted(Interruption),
    /// The object store works, but cannot read this job's object.
    Unreadable,
    /// The child process of the photo was killed from outside each time.
    Killed,
    /// Another large photo is being processed.
    LargePhotoInWork,
    /// The detector or a child process does not work.
    NotReady,
    /// The result message cannot be encoded.
    EncodingFailed,
    /// The photo blocks a thread.
    Stuck,
}

impl Unfinished {
    /// The value in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interrupted(interruption) => interruption.name(),
            Self::Unreadable => "unreadable",
            Self::Killed => "killed",
            Self::LargePhotoInWork => "large-photo-in-work",
            Self::NotReady => "not-ready",
            Self::EncodingFailed => "encoding-failed",
            Self::Stuck => "stuck",
        }
    }
}

impl From<Interruption> for Unfinished {
    fn from(interruption: Interruption) -> Self {
        Self::Interrupted(interruption)
    }
}

/// One running job.
pub(super) struct JobRun<'a> {
    pub(super) worker: &'a Worker,
    pub(super) envelope: &'a JobEnvelope,
    pub(super) policy: RetryPolicy<'a>,
    pub(super) began: Instant,
    /// Stages and their seconds.
    pub(super) stages: Vec<(String, f64)>,
    pub(super) is_legacy: bool,
}

impl Worker {
    /// Runs a job up to the point where its message can be acked.
    ///
    /// # Errors
    /// [`Unfinished`] when the job stops without a result.
    pub async fn process(
        &self,
        envelope: &JobEnvelope,
        is_delivery_lost: &(dyn Fn() -> bool + Sync),
    ) -> Result<JobReport, Unfinished> {
        let began = Instant::now();
        let mut run = JobRun {
            worker: self,
            envelope,
            policy: RetryPolicy {
                gate: self.gate.clone(),
                deadline: began + self.hold_limit,
                // At most half of the time, so that enough of it is left after an outage.
                job_specific_limit: JOB_SPECIFIC_LIMIT.min(self.hold_limit / 2),
                shutdown: self.shutdown.clone(),
                is_delivery_lost,
            },
            began,
            stages: Vec::new(),
            is_legacy: false,
        };
        match PhotoTask::parse(&envelope.message.body, &self.buckets) {
            Ok(task) => {
                match &task.owner {
                    PhotoOwner::Irmgard { id, project } => {
                        Span::current().record("photo.id", id.get());
                        Span::current().record("project", project.as_str());
                    }
                    PhotoOwner::LegacyService { id } => {
                        Span::current().record("given.id", id);
                        run.is_legacy = true;
                    }
                }
                run.process_task(&task).await
            }
            Err(InvalidJob::Malformed { id, detail }) => {
                Span::current().record("photo.id", id.get());
                run.publish_failure(id, FailureReason::MalformedMessage, detail)
                    .await
            }
            Err(InvalidJob::Unattributable { detail }) => run.park(detail).await,
        }
    }
}

impl JobRun<'_> {
    async fn process_task(&mut self, task: &PhotoTask) -> Result<JobReport, Unfinished> {
        let id = task.owner.raw_id();
        failpoint::reach("anonymizer::after-receive", Some(id));
        let original = match self.get(&task.original).await? {
            Ok(original) => original,
            Err(StoreError::NotFound) => return self.handle_missing_original(task).await,
            Err(StoreError::TooLarge { size_bytes }) => {
                let detail = format!("{size_bytes} bytes or more");
                return self.fail_task(task, FailureReason::TooLarge, detail).await;
            }
            Err(error @ StoreError::Failed { .. }) => return self.end_unreadable_round(task, &error).await,
            Err(error) => {
                let reason = FailureReason::ProcessingError;
                return self.fail_task(task, reason, error.to_string()).await;
            }
        };
        failpoint::reach("anonymizer::after-get", Some(id));
        let original_bytes = original.len() as u64;
        let photo = match self.anonymize(id, original).await? {
            Ok(photo) => photo,
            Err(PhotoError::Refused { reason, detail }) => {
                return self.fail_task(task, reason, detail).await;
            }
            Err(PhotoError::Killed(detail)) => return self.end_killed_round(task, detail).await,
            Err(PhotoError::LargePhotoInWork) => return Err(Unfinished::LargePhotoInWork),
            Err(PhotoError::NotReady(_)) => return Err(Unfinished::NotReady),
            Err(PhotoError::Stuck) => return Err(Unfinished::Stuck),
        };
        failpoint::reach("anonymizer::after-anonymize", Some(id));
        let PhotoSummary {
            width,
            height,
            detections,
            checks,
            stages,
        } = photo.summary;
        self.stages.extend(stages);
        let jpeg = Bytes::from(photo.jpeg);
        let output_bytes = jpeg.len() as u64;
        if let Err(error) = self.put(&task.output, jpeg).await? {
            let reason = FailureReason::ProcessingError;
            return self.fail_task(task, reason, error.to_string()).await;
        }
        failpoint::reach("anonymizer::after-put", Some(id));
        if let Some(id) = task.owner.photo_id() {
            let verdict = Verdict::Anonymized {
                output: task.output.clone(),
                size_bytes: output_bytes,
                width,
                height,
                detections: Some(detections.clone()),
                seconds: Some(self.began.elapsed().as_secs_f64()),
            };
            self.publish_result(id, verdict).await?;
        }
        failpoint::reach("anonymizer::after-publish", Some(id));
        self.delete(&task.original).await?;
        failpoint::reach("anonymizer::after-delete", Some(id));
        Ok(JobReport {
            completion: Completion::Anonymized,
            stages: std::mem::take(&mut self.stages),
            detections,
            checks: Some(checks),
            sizes: Some(PhotoSizes {
                original_bytes,
                output_bytes,
                width,
                height,
            }),
        })
    }

    /// Ends a job whose original is missing: another delivery has finished it, or the original is lost.
    async fn handle_missing_original(&mut self, task: &PhotoTask) -> Result<JobReport, Unfinished> {
        let output = &task.output;
        let found = self
            .policy
            .retry("find the output", || async {
                // Only the bucket can say that the output is missing. A proxy in front
                // of the store may also answer "not found".
                let result = read_jpeg_header(&self.worker.store, output).await;
                if matches!(result, Err(StoreError::NotFound)) {
                    self.check_bucket(output).await?;
                }
                self.classify_read(output, result).await
            })
            .await?;
        if let Err(error @ StoreError::Failed { .. }) = found {
            return self.end_unreadable_round(task, &error).await;
        }
        let Ok(Some((header, size_bytes))) = found else {
            let detail = "neither the original nor an anonymised photo is in the object store".to_owned();
            return self.fail_task(task, FailureReason::OriginalMissing, detail).await;
        };
        if let Some(id) = task.owner.photo_id() {
            let verdict = Verdict::Anonymized {
                output: output.clone(),
                size_bytes,
                width: header.width,
                height: header.height,
                detections: None,
                seconds: None,
            };
            self.publish_result(id, verdict).await?;
        }
        Ok(JobReport::new(Completion::AlreadyAnonymized))
    }

    async fn anonymize(
        &mut self,
        id: i64,
        original: Bytes,
    ) -> Result<Result<AnonymizedPhoto, PhotoError>, Unfinished> {
        let killed = OnceLock::new();
        let result = self
            .policy
            .retry("anonymize", || async {
                let result = self
                    .worker
                    .processor
                    .anonymize(id, original.clone(), self.envelope.is_suspect)
                    .await;
                result.map_err(|error| match error {
                    PhotoError::NotReady(detail) => Fault::Transient(detail),
                    PhotoError::Killed(detail) => {
                        let _ = killed.set(detail.clone());
                        Fault::JobSpecific(PhotoError::Killed(detail))
                    }
                    // Another large photo acquired the permit after this photo's child was killed.
                    PhotoError::LargePhotoInWork => Fault::Permanent(
                        killed
                            .get()
                            .cloned()
                            .map_or(PhotoError::LargePhotoInWork, PhotoError::Killed),
                    ),
                    other => Fault::Permanent(other),
                })
            })
            .await?;
        Ok(result)
    }

    pub(super) fn record_stage(&mut self, name: &str, began: Instant) {
        self.stages.push((name.to_owned(), began.elapsed().as_secs_f64()));
    }
}
