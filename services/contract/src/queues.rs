//! The broker's queues.
//!
//! All are durable quorum queues, declared with `x-queue-type` as their only argument. Policies in
//! `services/rabbitmq/definitions.json` set the rest: delivery limit, dead-lettering, overflow.

/// Default name of the job queue (`RABBITMQ_QUEUE`). The names of the other queues follow from it.
pub const DEFAULT_JOBS: &str = "images";

/// The names of the queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queues {
    /// Jobs: irmgard → anonymizer.
    pub jobs: String,
    /// Verdicts on photos: anonymizer → irmgard.
    pub results: String,
    /// Jobs that the broker gave up: broker → irmgard.
    pub dead: String,
    /// Messages that belong to no photo, for a person.
    pub parked: String,
}

impl Queues {
    /// The queues for a job queue of this name.
    #[must_use]
    pub fn for_jobs(jobs: &str) -> Self {
        Self {
            jobs: jobs.to_owned(),
            results: format!("{jobs}.results"),
            dead: format!("{jobs}.dead"),
            parked: format!("{jobs}.parked"),
        }
    }

    #[must_use]
    pub fn all(&self) -> [&str; 4] {
        [&self.jobs, &self.results, &self.dead, &self.parked]
    }
}

impl Default for Queues {
    fn default() -> Self {
        Self::for_jobs(DEFAULT_JOBS)
    }
}
