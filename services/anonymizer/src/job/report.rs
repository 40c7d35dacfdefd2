//! The log line and the metrics of a finished job.

use contract::{Detection, FailureReason};
use imaging::Checks;
use schema::outcome;

use crate::metrics::Metrics;

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// The anonymised photo is stored, and its result published.
    Anonymized,
    /// The anonymised photo was stored before; its result is published again.
    AlreadyAnonymized,
    /// The photo failed: its result is published, its original stays.
    Failed { reason: FailureReason, detail: String },
    /// The message is in the parked queue, for an operator.
    Parked { detail: String },
}

/// What a finished job did.
#[derive(Clone, Debug)]
pub struct JobReport {
    pub completion: Completion,
    /// Stages and their seconds.
    pub stages: Vec<(String, f64)>,
    pub detections: Vec<Detection>,
    /// Results of the detector's own checks, if the photo is anonymised.
    pub checks: Option<Checks>,
    /// Sizes, if the photo is anonymised.
    pub sizes: Option<PhotoSizes>,
}

/// Sizes of a photo before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhotoSizes {
    pub original_bytes: u64,
    pub output_bytes: u64,
    /// Width in pixels, after rotation.
    pub width: u32,
    /// Height in pixels, after rotation.
    pub height: u32,
}

impl JobReport {
    /// A report without an anonymised photo.
    #[must_use]
    pub const fn new(completion: Completion) -> Self {
        Self {
            completion,
            stages: Vec::new(),
            detections: Vec::new(),
            checks: None,
            sizes: None,
        }
    }

    /// The value in logs and metrics.
    #[must_use]
    pub const fn outcome(&self) -> &'static str {
        match self.completion {
            Completion::Anonymized => outcome::ANONYMIZED,
            Completion::AlreadyAnonymized => outcome::ALREADY_ANONYMIZED,
            Completion::Failed { .. } => outcome::FAILED,
            Completion::Parked { .. } => outcome::PARKED,
        }
    }

    /// Writes the job's log line and updates the metrics.
    pub fn record(&self, seconds: f64, metrics: &Metrics) {
        let outcome = self.outcome();
        metrics.job_ended(outcome, seconds);
        metrics.photo_anonymized(&self.detections);
        if let Some(checks) = self.checks {
            metrics.photo_checked(checks);
        }
        for (stage, seconds) in &self.stages {
            metrics.stage_ended(stage, *seconds);
        }
        match &self.completion {
            Completion::Anonymized => self.log_anonymized(seconds),
            Completion::AlreadyAnonymized => tracing::info!(
                outcome,
                duration_seconds = seconds,
                "the photo had been anonymised already"
            ),
            Completion::Failed { reason, detail } => {
                metrics.photo_failed(reason.code());
                tracing::warn!(
                    outcome,
                    duration_seconds = seconds,
                    failure.reason = reason.code(),
                    failure.detail = detail,
                    "the photo cannot be anonymised; its original stays"
                );
            }
            Completion::Parked { detail } => {
                metrics.photo_failed("parked");
                tracing::warn!(
                    outcome,
                    duration_seconds = seconds,
                    failure.detail = detail,
                    "parked a message that names no photo of irmgard"
                );
            }
        }
    }

    /// Logs the job's line, with a field for each class in the table of [`imaging::Class`].
    fn log_anonymized(&self, seconds: f64) {
        macro_rules! classes {
            ($([$class:ident $name:ident $meaning:literal])*) => {
                tracing::info!(
                    outcome = self.outcome(),
                    duration_seconds = seconds,
                    stage.get_seconds = self.stage_seconds("get"),
                    stage.decode_seconds = self.stage_seconds("decode"),
                    stage.detect_seconds = self.stage_seconds("detect"),
                    stage.obscure_seconds = self.stage_seconds("obscure"),
                    stage.check_seconds = self.stage_seconds("check"),
                    stage.encode_seconds = self.stage_seconds("encode"),
                    stage.put_seconds = self.stage_seconds("put"),
                    stage.publish_seconds = self.stage_seconds("publish"),
                    stage.delete_seconds = self.stage_seconds("delete"),
                    photo.size_bytes = self.sizes.map(|sizes| sizes.original_bytes),
                    photo.width_pixels = self.sizes.map(|sizes| sizes.width),
                    photo.height_pixels = self.sizes.map(|sizes| sizes.height),
                    output.size_bytes = self.sizes.map(|sizes| sizes.output_bytes),
                    $(detections.$name = self.count(stringify!($name)),)*
                    second_look.candidates = self.checks.map(|checks| checks.second_look.examined),
                    second_look.dropped = self.checks.map(|checks| checks.second_look.dropped),
                    second_look.left_out = self.checks.map(|checks| checks.second_look.skipped),
                    check.still_visible = self.checks.map(|checks| checks.still_visible),
                    "anonymised a photo"
                )
            };
        }
        schema::with_classes!(classes);
    }

    fn stage_seconds(&self, name: &str) -> Option<f64> {
        self.stages
            .iter()
            .find_map(|(stage, seconds)| (stage == name).then_some(*seconds))
    }

    fn count(&self, class: &str) -> Option<u64> {
        let count = self
            .detections
            .iter()
            .filter(|detection| detection.class == class)
            .count();
        u64::try_from(count).ok().filter(|count| *count > 0)
    }
}
