//! What the admin port tells about the work.

use contract::{Class, Detection};
use imaging::{Checks, detector::SecondLook};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Upper bounds of the histograms, seconds: from a small photo's stage to the
/// largest photo's whole job.
const SECONDS: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0,
];

/// Counters, gauges and histograms of this process; clones share them.
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
    in_flight: Gauge,
    /// Jobs that wait for a server.
    pub held: Gauge,
    /// 1 while no messages are taken because jobs are held.
    pub paused: Gauge,
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
    class: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

impl Metrics {
    /// New metrics in this registry.
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
            in_flight: Gauge::default(),
            held: Gauge::default(),
            paused: Gauge::default(),
        };
        let jobs = registry.sub_registry_with_prefix("anonymizer");
        jobs.register("jobs", "Jobs by how they ended", metrics.jobs.clone());
        jobs.register_with_unit(
            "job",
            "From taking a job to its end",
            Unit::Seconds,
            metrics.job_seconds.clone(),
        );
        jobs.register_with_unit(
            "stage",
            "Stages of a job",
            Unit::Seconds,
            metrics.stage_seconds.clone(),
        );
        jobs.register(
            "detections",
            "What was found and obscured",
            metrics.detections.clone(),
        );
        jobs.register(
            "second_looks",
            "Unsure candidates by what a second look made of them; those left out, because the budget was spent, are hidden",
            metrics.second_looks.clone(),
        );
        jobs.register(
            "still_visible",
            "People and faces that the check of obscured photos found, and that were hidden then",
            metrics.still_visible.clone(),
        );
        jobs.register("failures", "Photos failed, by reason", metrics.failures.clone());
        jobs.register(
            "child_deaths",
            "Child processes that died of a photo",
            metrics.child_deaths.clone(),
        );
        jobs.register("jobs_in_flight", "Jobs in work", metrics.in_flight.clone());
        jobs.register("jobs_held", "Jobs that wait for a server", metrics.held.clone());
        jobs.register(
            "consumer_paused",
            "1 while no messages are taken because jobs are held",
            metrics.paused.clone(),
        );
        for class in Class::ALL {
            drop(
                metrics
                    .detections
                    .get_or_create(&ClassLabel { class: class.name() }),
            );
        }
        metrics
    }

    /// A job is in work until the guard is dropped.
    #[must_use]
    pub fn begin(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// A job has ended.
    pub fn job_ended(&self, outcome: &'static str, seconds: f64) {
        self.jobs.get_or_create(&OutcomeLabel { outcome }).inc();
        self.job_seconds
            .get_or_create(&OutcomeLabel { outcome })
            .observe(seconds);
    }

    /// A stage of a job has ended.
    pub fn stage_ended(&self, stage: &str, seconds: f64) {
        let label = StageLabel {
            stage: stage.to_owned(),
        };
        self.stage_seconds.get_or_create(&label).observe(seconds);
    }

    /// A photo was anonymised.
    pub fn detected(&self, detections: &[Detection]) {
        for detection in detections {
            let class = detection.class.name();
            self.detections.get_or_create(&ClassLabel { class }).inc();
        }
    }

    /// The checks of a photo have ended.
    pub fn checked(&self, checks: Checks) {
        let SecondLook {
            looked_at,
            dropped,
            left_out,
        } = checks.second_look;
        let outcomes = [
            ("kept", looked_at - dropped),
            ("dropped", dropped),
            ("left-out", left_out),
        ];
        for (outcome, count) in outcomes {
            self.second_looks
                .get_or_create(&OutcomeLabel { outcome })
                .inc_by(u64::from(count));
        }
        self.still_visible.inc_by(u64::from(checks.still_visible));
    }

    /// A photo was given up, or a message parked.
    pub fn failed(&self, reason: &'static str) {
        self.failures.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// A child process died of a photo.
    pub fn child_died(&self) {
        self.child_deaths.inc();
    }
}

/// A job in work.
#[derive(Debug)]
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn histogram() -> Histogram {
    Histogram::new(SECONDS)
}
