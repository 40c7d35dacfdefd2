//! What a job came to: one log line, and the metrics.

use contract::{Class, Detection, FailureReason};
use imaging::Checks;

use crate::metrics::Metrics;

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The anonymised photo is stored, and irmgard told.
    Anonymized,
    /// It had been stored before; irmgard is told again.
    AnsweredAgain,
    /// A verdict: irmgard is told, the original stays.
    Failed {
        /// Stable code.
        reason: FailureReason,
        /// What happened.
        detail: String,
    },
    /// Put aside for a person.
    Parked {
        /// What is wrong with it.
        why: String,
    },
}

/// What a job came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// How it ended.
    pub ending: Ending,
    /// Stages and their seconds.
    pub stages: Vec<(String, f64)>,
    /// What was found and obscured.
    pub detections: Vec<Detection>,
    /// What the detector's own checks came to, once the photo is anonymised.
    pub checks: Option<Checks>,
    /// How large the photo is, once it is anonymised.
    pub sizes: Option<Sizes>,
}

/// How large a photo is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The original, bytes.
    pub original_bytes: u64,
    /// The anonymised photo, bytes.
    pub output_bytes: u64,
    /// Width in pixels, upright.
    pub width: u32,
    /// Height in pixels, upright.
    pub height: u32,
}

impl Report {
    /// A job that ended before it had anything to show.
    #[must_use]
    pub const fn of(ending: Ending) -> Self {
        Self {
            ending,
            stages: Vec::new(),
            detections: Vec::new(),
            checks: None,
            sizes: None,
        }
    }

    /// The word in logs and metrics.
    #[must_use]
    pub const fn outcome(&self) -> &'static str {
        match self.ending {
            Ending::Anonymized => "anonymized",
            Ending::AnsweredAgain => "answered-again",
            Ending::Failed { .. } => "failed",
            Ending::Parked { .. } => "parked",
        }
    }

    /// Writes the job's line and counts it.
    pub fn tell(&self, seconds: f64, metrics: &Metrics) {
        let outcome = self.outcome();
        metrics.job_ended(outcome, seconds);
        metrics.detected(&self.detections);
        if let Some(checks) = self.checks {
            metrics.checked(checks);
        }
        for (stage, seconds) in &self.stages {
            metrics.stage_ended(stage, *seconds);
        }
        match &self.ending {
            Ending::Anonymized => tracing::info!(
                outcome,
                duration_seconds = seconds,
                stage.get_seconds = self.stage("get"),
                stage.decode_seconds = self.stage("decode"),
                stage.detect_seconds = self.stage("detect"),
                stage.obscure_seconds = self.stage("obscure"),
                stage.check_seconds = self.stage("check"),
                stage.encode_seconds = self.stage("encode"),
                stage.put_seconds = self.stage("put"),
                stage.publish_seconds = self.stage("publish"),
                stage.delete_seconds = self.stage("delete"),
                photo.size_bytes = self.sizes.map(|sizes| sizes.original_bytes),
                photo.width_pixels = self.sizes.map(|sizes| sizes.width),
                photo.height_pixels = self.sizes.map(|sizes| sizes.height),
                output.size_bytes = self.sizes.map(|sizes| sizes.output_bytes),
                detections.person = self.count(Class::Person),
                detections.face = self.count(Class::Face),
                detections.bicycle = self.count(Class::Bicycle),
                detections.car = self.count(Class::Car),
                detections.motorcycle = self.count(Class::Motorcycle),
                detections.bus = self.count(Class::Bus),
                detections.truck = self.count(Class::Truck),
                second_look.candidates = self.checks.map(|checks| checks.second_look.looked_at),
                second_look.dropped = self.checks.map(|checks| checks.second_look.dropped),
                second_look.left_out = self.checks.map(|checks| checks.second_look.left_out),
                check.still_visible = self.checks.map(|checks| checks.still_visible),
                "anonymised a photo"
            ),
            Ending::AnsweredAgain => tracing::info!(
                outcome,
                duration_seconds = seconds,
                "the photo had been anonymised already"
            ),
            Ending::Failed { reason, detail } => {
                metrics.failed(reason.code());
                tracing::warn!(
                    outcome,
                    duration_seconds = seconds,
                    failure.reason = reason.code(),
                    failure.detail = detail,
                    "the photo cannot be anonymised; its original stays"
                );
            }
            Ending::Parked { why } => {
                metrics.failed("parked");
                tracing::warn!(
                    outcome,
                    duration_seconds = seconds,
                    failure.detail = why,
                    "parked a message that belongs to no photo of ours"
                );
            }
        }
    }

    fn stage(&self, name: &str) -> Option<f64> {
        self.stages
            .iter()
            .find_map(|(stage, seconds)| (stage == name).then_some(*seconds))
    }

    fn count(&self, class: Class) -> Option<u64> {
        let count = self
            .detections
            .iter()
            .filter(|detection| detection.class == class)
            .count();
        u64::try_from(count).ok().filter(|count| *count > 0)
    }
}
