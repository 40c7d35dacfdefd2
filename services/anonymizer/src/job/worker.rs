//! The steps of a job, each tried until it succeeds or cannot.

use std::{sync::OnceLock, time::Duration};

use bytes::Bytes;
use chassis::{
    broker::Publisher,
    store::{Store, StoreError},
};
use contract::{FailureReason, Outcome, queues::Queues};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::{Assignment, Buckets, Ending, Order, Origin, Rejection, Report, Sizes, objects::look};
use crate::{
    consume::{Fault, Hold, Interrupted, Patience},
    failpoint,
    work::{Failure, Product, Workbench},
};

/// How long a job is tried at a stretch while it alone has trouble: it occupies
/// the place of one that has none.
const ALONE_LIMIT: Duration = Duration::from_secs(30);

/// Everything that a job needs.
#[derive(Clone)]
pub struct Worker {
    /// Buckets that messages may name.
    pub buckets: Buckets,
    /// The object store.
    pub store: Store,
    /// For results and parked messages.
    pub publisher: Publisher,
    /// Queue names.
    pub queues: Queues,
    /// Where photos are worked on.
    pub bench: Workbench,
    /// Where jobs wait for servers.
    pub hold: Hold,
    /// How long a job may wait in all.
    pub hold_limit: Duration,
    /// Cancelled when the process is to end.
    pub shutdown: CancellationToken,
}

/// A job that stopped without any verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Waiting had no more sense.
    Interrupted(Interrupted),
    /// The store is in order, but constantly fails at this job's object.
    Unreadable,
    /// The child process that works on the photo is killed from outside again
    /// and again.
    Killed,
    /// Another large photo is in work.
    LargePhotoInWork,
    /// A thread is lost in the photo.
    Stuck,
}

impl From<Interrupted> for Stopped {
    fn from(interrupted: Interrupted) -> Self {
        Self::Interrupted(interrupted)
    }
}

/// One job under way.
pub(super) struct Run<'a> {
    pub(super) worker: &'a Worker,
    pub(super) order: &'a Order,
    pub(super) patience: Patience<'a>,
    pub(super) began: Instant,
    pub(super) stages: Vec<(String, f64)>,
    /// The message is the given web service's.
    pub(super) given: bool,
}

impl Worker {
    /// Does what the message says, up to the point where it can be acked.
    ///
    /// # Errors
    /// [`Stopped`] when there is neither success nor verdict.
    pub async fn run(&self, order: &Order, lost: &(dyn Fn() -> bool + Sync)) -> Result<Report, Stopped> {
        let began = Instant::now();
        let mut run = Run {
            worker: self,
            order,
            patience: Patience {
                hold: self.hold.clone(),
                until: began + self.hold_limit,
                // Shorter than the whole, so that an outage before it does
                // not leave it a moment only.
                alone: ALONE_LIMIT.min(self.hold_limit / 2),
                shutdown: self.shutdown.clone(),
                lost,
            },
            began,
            stages: Vec::new(),
            given: false,
        };
        match Assignment::read(&order.message.body, &self.buckets) {
            Ok(assignment) => {
                match &assignment.origin {
                    Origin::Irmgard { id, project } => {
                        Span::current().record("photo.id", id.get());
                        Span::current().record("project", project.as_str());
                    }
                    Origin::Given { id } => {
                        Span::current().record("given.id", id);
                        run.given = true;
                    }
                }
                run.fulfil(&assignment).await
            }
            Err(Rejection::Malformed { id, why }) => {
                Span::current().record("photo.id", id.get());
                run.fail(id, FailureReason::MalformedMessage, why).await
            }
            Err(Rejection::Unattributable { why }) => run.park(why).await,
        }
    }
}

impl Run<'_> {
    async fn fulfil(&mut self, assignment: &Assignment) -> Result<Report, Stopped> {
        let number = assignment.origin.number();
        failpoint::reach("anonymizer::after-receive", Some(number));
        let original = match self.get(&assignment.original).await? {
            Ok(original) => original,
            Err(StoreError::NotFound) => return self.without_original(assignment).await,
            Err(StoreError::TooLarge { size_bytes }) => {
                let detail = format!("{size_bytes} bytes or more");
                return self.give_up(assignment, FailureReason::TooLarge, detail).await;
            }
            Err(error @ StoreError::Failed { .. }) => return self.unreadable(assignment, &error).await,
            Err(error) => {
                let reason = FailureReason::ProcessingError;
                return self.give_up(assignment, reason, error.to_string()).await;
            }
        };
        failpoint::reach("anonymizer::after-get", Some(number));
        let original_bytes = original.len() as u64;
        let product = match self.anonymize(number, original).await? {
            Ok(product) => product,
            Err(Failure::Refused { reason, detail }) => {
                return self.give_up(assignment, reason, detail).await;
            }
            Err(Failure::Killed(why)) => return self.killed(assignment, why).await,
            Err(Failure::LargePhotoInWork) => return Err(Stopped::LargePhotoInWork),
            Err(Failure::Stuck | Failure::NotNow(_)) => return Err(Stopped::Stuck),
        };
        failpoint::reach("anonymizer::after-anonymize", Some(number));
        let (width, height, detections) = (product.width, product.height, product.detections);
        let checks = product.checks;
        self.stages.extend(product.stages);
        let jpeg = Bytes::from(product.jpeg);
        let output_bytes = jpeg.len() as u64;
        if let Err(error) = self.put(&assignment.output, jpeg).await? {
            let reason = FailureReason::ProcessingError;
            return self.give_up(assignment, reason, error.to_string()).await;
        }
        failpoint::reach("anonymizer::after-put", Some(number));
        if let Some(id) = assignment.origin.photo() {
            let outcome = Outcome::Anonymized {
                output: assignment.output.clone(),
                size_bytes: output_bytes,
                width,
                height,
                detections: Some(detections.clone()),
                seconds: Some(self.began.elapsed().as_secs_f64()),
            };
            self.answer(id, outcome).await?;
        }
        failpoint::reach("anonymizer::after-publish", Some(number));
        self.delete(&assignment.original).await?;
        failpoint::reach("anonymizer::after-delete", Some(number));
        Ok(Report {
            ending: Ending::Anonymized,
            stages: std::mem::take(&mut self.stages),
            detections,
            checks: Some(checks),
            sizes: Some(Sizes {
                original_bytes,
                output_bytes,
                width,
                height,
            }),
        })
    }

    /// The original is gone: done before, or lost.
    async fn without_original(&mut self, assignment: &Assignment) -> Result<Report, Stopped> {
        let output = &assignment.output;
        let found = self
            .patience
            .persist("look for the output", || async {
                // That nothing is found must be the bucket's own word, not
                // that of some proxy before it.
                let head = look(&self.worker.store, output).await;
                if matches!(head, Err(StoreError::NotFound)) {
                    self.bucket_answers(output).await?;
                }
                self.read_or_fault(output, head).await
            })
            .await?;
        if let Err(error @ StoreError::Failed { .. }) = found {
            return self.unreadable(assignment, &error).await;
        }
        let Ok(Some((header, size_bytes))) = found else {
            let detail = "neither the original nor an anonymised photo is in the object store".to_owned();
            return self
                .give_up(assignment, FailureReason::OriginalMissing, detail)
                .await;
        };
        if let Some(id) = assignment.origin.photo() {
            let outcome = Outcome::Anonymized {
                output: output.clone(),
                size_bytes,
                width: header.width,
                height: header.height,
                detections: None,
                seconds: None,
            };
            self.answer(id, outcome).await?;
        }
        Ok(Report::of(Ending::AnsweredAgain))
    }

    async fn anonymize(&mut self, number: i64, photo: Bytes) -> Result<Result<Product, Failure>, Stopped> {
        let killed = OnceLock::new();
        let worked = self
            .patience
            .persist("anonymize", || async {
                let worked = self
                    .worker
                    .bench
                    .anonymize(number, photo.clone(), self.order.suspect)
                    .await;
                worked.map_err(|failure| match failure {
                    Failure::NotNow(why) => Fault::Passing(why),
                    Failure::Killed(why) => {
                        let _ = killed.set(why.clone());
                        Fault::Own(Failure::Killed(why))
                    }
                    // Another large photo took its turn in the pause after its child was killed.
                    Failure::LargePhotoInWork => Fault::Final(
                        killed
                            .get()
                            .cloned()
                            .map_or(Failure::LargePhotoInWork, Failure::Killed),
                    ),
                    other => Fault::Final(other),
                })
            })
            .await?;
        Ok(worked)
    }

    pub(super) fn stage(&mut self, name: &str, began: Instant) {
        self.stages.push((name.to_owned(), began.elapsed().as_secs_f64()));
    }
}
