//! The broker's queues.
//!
//! All are durable quorum queues, declared with `x-queue-type` as their only
//! argument; what can change over time (delivery limit, dead-lettering,
//! overflow) is policy, in `services/rabbitmq/definitions.json`.

/// Jobs: irmgard → anonymizer. The name can be configured (`RABBITMQ_QUEUE`);
/// the other queues' names follow from it.
pub const DEFAULT_JOBS: &str = "images";

/// The queues' names, all derived from the job queue's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queues {
    /// Jobs: irmgard → anonymizer.
    pub jobs: String,
    /// Verdicts on photos: anonymizer → irmgard.
    pub results: String,
    /// What the broker gave up on: broker → irmgard.
    pub dead: String,
    /// Messages that belong to no photo: for a person to look at.
    pub parked: String,
}

impl Queues {
    /// The queues that go with a job queue of this name.
    #[must_use]
    pub fn of(jobs: &str) -> Self {
        Self {
            jobs: jobs.to_owned(),
            results: format!("{jobs}.results"),
            dead: format!("{jobs}.dead"),
            parked: format!("{jobs}.parked"),
        }
    }

    /// Every queue's name.
    #[must_use]
    pub fn all(&self) -> [&str; 4] {
        [&self.jobs, &self.results, &self.dead, &self.parked]
    }
}

impl Default for Queues {
    fn default() -> Self {
        Self::of(DEFAULT_JOBS)
    }
}
