//! The worker's metrics.

use contract::Detection;
use imaging::{Checks, Class, detector::SecondLook};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Upper bounds of the histogram buckets, in seconds: from one stage of a small photo to
/// the whole job of the largest photo.
const BUCKET_SECONDS: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0,
];

/// Counters, gauges and histograms of this process. Clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    jobs: Family<OutcomeLabel, Counter>,
    job_seconds: Family<OutcomeLabel, Histogram>,
    stage_seconds: Family<StageLabel, Histogram>,
    detections: Family<ClassLabel, Counter>,
    second_looks: Family<OutcomeLabel, Counter>,
    still_visible: Counter,
    failures: Family<ReasonLabel, Counter>,
    child_deaths: Counter,
    jobs_in_flight: Gauge,
    /// Jobs that wait to retry a step.
    pub jobs_held: Gauge,
    /// 1 while the consumer is paused because jobs wait to retry a step.
    pub consumer_paused: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StageLabel {
    stage: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ClassLabel {
    class: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

impl Metrics {
    /// Creates the metrics and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            jobs: Family::default(),
            job_seconds: Family::new_with_constructor(histogram),
            stage_seconds: Family::new_with_constructor(histogram),
            detections: Family::default(),
            second_looks: Family::default(),
            still_visible: Counter::default(),
            failures: Family::default(),
            child_deaths: Counter::default(),
            jobs_in_flight: Gauge::default(),
            jobs_held: Gauge::default(),
            consumer_paused: Gauge::default(),
        };
        let registry = registry.sub_registry_with_prefix("anonymizer");
        registry.register("jobs", "Jobs by outcome", metrics.jobs.clone());
        registry.register_with_unit(
            "job",
            "Time from taking a job to its end",
            Unit::Seconds,
            metrics.job_seconds.clone(),
        );
        registry.register_with_unit(
            "stage",
            "Time of each stage of a job",
            Unit::Seconds,
            metrics.stage_seconds.clone(),
        );
        registry.register(
            "detections",
            "People, faces and vehicles found and obscured",
            metrics.detections.clone(),
        );
        registry.register(
            "second_looks",
            "Uncertain detections by the result of a second look; those left out when the budget was spent are obscured",
            metrics.second_looks.clone(),
        );
        registry.register(
            "still_visible",
            "People and faces that the check found in obscured photos; they were then obscured too",
            metrics.still_visible.clone(),
        );
        registry.register("failures", "Failed photos by reason", metrics.failures.clone());
        registry.register(
            "child_deaths",
            "Child processes that crashed on a photo",
            metrics.child_deaths.clone(),
        );
        registry.register("jobs_in_flight", "Jobs in work", metrics.jobs_in_flight.clone());
        registry.register(
            "jobs_held",
            "Jobs that wait to retry a step",
            metrics.jobs_held.clone(),
        );
        registry.register(
            "consumer_paused",
            "1 while the consumer is paused because jobs wait to retry a step",
            metrics.consumer_paused.clone(),
        );
        for class in Class::ALL {
            drop(metrics.detections.get_or_create(&ClassLabel {
                class: class.to_string(),
            }));
        }
        metrics
    }

    /// Counts a job as in work until the guard is dropped.
    #[must_use]
    pub fn job_in_flight(&self) -> JobInFlight {
        self.jobs_in_flight.inc();
        JobInFlight(self.jobs_in_flight.clone())
    }

    pub fn job_ended(&self, outcome: &'static str, seconds: f64) {
        self.jobs.get_or_create(&OutcomeLabel { outcome }).inc();
        self.job_seconds
            .get_or_create(&OutcomeLabel { outcome })
            .observe(seconds);
    }

    pub fn stage_ended(&self, stage: &str, seconds: f64) {
        let label = StageLabel {
            stage: stage.to_owned(),
        };
        self.stage_seconds.get_or_create(&label).observe(seconds);
    }

    /// Counts the detections of an anonymised photo.
    pub fn photo_anonymized(&self, detections: &[Detection]) {
        for detection in detections {
            let class = detection.class.clone();
            self.detections.get_or_create(&ClassLabel { class }).inc();
        }
    }

    /// Counts the results of the detector's own checks.
    pub fn photo_checked(&self, checks: Checks) {
        let SecondLook {
            examined,
            dropped,
            skipped,
        } = checks.second_look;
        let outcomes = [
            ("kept", examined - dropped),
            ("dropped", dropped),
            ("left-out", skipped),
        ];
        for (outcome, count) in outcomes {
            self.second_looks
                .get_or_create(&OutcomeLabel { outcome })
                .inc_by(u64::from(count));
        }
        self.still_visible.inc_by(u64::from(checks.still_visible));
    }

    /// Counts a failed photo or a parked message.
    pub fn photo_failed(&self, reason: &'static str) {
        self.failures.get_or_create(&ReasonLabel { reason }).inc();
    }

    pub fn child_crashed(&self) {
        self.child_deaths.inc();
    }
}

/// Counts a job as in work until it is dropped.
#[derive(Debug)]
pub struct JobInFlight(Gauge);

impl Drop for JobInFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn histogram() -> Histogram {
    Histogram::new(BUCKET_SECONDS)
}
