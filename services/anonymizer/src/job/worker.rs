//! The steps of a job, each tried until it succeeds or cannot.

use std::time::Duration;

use bytes::Bytes;
use chassis::{
    broker::{Message, Publisher},
    store::{Store, StoreError},
};
use contract::{
    FailureReason, ObjectLocation, Outcome, PhotoId, PhotoResult,
    headers::{TRACEPARENT, TRACESTATE, X_PARKED_REASON},
    media::{self, MediaType},
    queues::Queues,
};
use telemetry::TraceContext;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::{Assignment, Buckets, Ending, Order, Origin, Rejection, Report, Sizes};
use crate::{
    consume::{Fault, Hold, Interrupted, Patience},
    failpoint,
    work::{Failure, Product, Workbench},
};

/// As much of a stored JPEG as is read to learn its size in pixels: the colour
/// profile, at most 1 MiB, comes before.
const HEAD_BYTES: u64 = 2 << 20;

/// Failures are told in a few words; the whole is in the log.
const DETAIL_CHARS: usize = 300;

/// How long a job is tried at a stretch while the store fails at its object
/// only: it occupies the place of one that has no trouble.
const ALONE_LIMIT: Duration = Duration::from_secs(30);

/// So often a message is given back because the store, in order otherwise,
/// failed at its object for [`ALONE_LIMIT`]: an hour of tries in all. Then it is
/// a verdict, or the message would circulate for ever.
const UNREADABLE_RETURNS: u64 = 120;

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
    /// A thread is lost in the photo.
    Stuck,
}

impl From<Interrupted> for Stopped {
    fn from(interrupted: Interrupted) -> Self {
        Self::Interrupted(interrupted)
    }
}

/// One job under way.
struct Run<'a> {
    worker: &'a Worker,
    order: &'a Order,
    patience: Patience<'a>,
    began: Instant,
    stages: Vec<(String, f64)>,
    /// The message is the given web service's.
    given: bool,
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
            Err(error @ StoreError::Failed { .. }) => return self.unreadable(assignment, error).await,
            Err(error) => {
                let reason = FailureReason::ProcessingError;
                return self.give_up(assignment, reason, error.to_string()).await;
            }
        };
        failpoint::reach("anonymizer::after-get", Some(number));
        let original_bytes = original.len() as u64;
        let product = match self.anonymize(number, original).await? {
            Ok(product) => product,
            Err((reason, detail)) => return self.give_up(assignment, reason, detail).await,
        };
        failpoint::reach("anonymizer::after-anonymize", Some(number));
        let (width, height, detections) = (product.width, product.height, product.detections);
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
            return self.unreadable(assignment, error).await;
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

    async fn get(&mut self, location: &ObjectLocation) -> Result<Result<Bytes, StoreError>, Stopped> {
        let limit = self.worker.bench.settings.limits.bytes;
        let began = Instant::now();
        let got = self
            .patience
            .persist("get", || async {
                let got = self.worker.store.get(location, limit).await;
                self.read_or_fault(location, got.map(Bytes::from)).await
            })
            .await?;
        self.stage("get", began);
        Ok(got)
    }

    async fn anonymize(
        &mut self,
        number: i64,
        photo: Bytes,
    ) -> Result<Result<Product, (FailureReason, String)>, Stopped> {
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
                    other => Fault::Final(other),
                })
            })
            .await?;
        match worked {
            Ok(product) => Ok(Ok(product)),
            Err(Failure::Refused { reason, detail }) => Ok(Err((reason, detail))),
            Err(Failure::Stuck | Failure::NotNow(_)) => Err(Stopped::Stuck),
        }
    }

    async fn put(
        &mut self,
        location: &ObjectLocation,
        jpeg: Bytes,
    ) -> Result<Result<(), StoreError>, Stopped> {
        let began = Instant::now();
        let put = self
            .patience
            .persist("put", || async {
                let put = self
                    .worker
                    .store
                    .put(location, jpeg.clone(), MediaType::Jpeg.as_str())
                    .await;
                put.map_err(|error| self.sort_out(error))
            })
            .await?;
        self.stage("put", began);
        Ok(put)
    }

    /// The result is out: the original must go, however long that takes.
    async fn delete(&mut self, location: &ObjectLocation) -> Result<(), Stopped> {
        let began = Instant::now();
        let deleted: Result<(), std::convert::Infallible> = self
            .patience
            .persist_to_the_end("delete", || async {
                self.worker.store.delete(location).await.map_err(passing)
            })
            .await?;
        let Ok(()) = deleted;
        self.stage("delete", began);
        Ok(())
    }

    /// Whose fault it is that an object cannot be read. Where the store fails
    /// at it, but answers for its bucket, the trouble is the object's.
    ///
    /// Only for reading: a store that is full fails at every write, and
    /// answers for its buckets all the same.
    async fn read_or_fault<T>(
        &self,
        location: &ObjectLocation,
        read: Result<T, StoreError>,
    ) -> Result<T, Fault<StoreError>> {
        match read {
            Err(error @ StoreError::Failed { .. }) => {
                self.bucket_answers(location).await?;
                tracing::debug!(%error, "the store answers for the bucket, but fails at the object");
                Err(Fault::Own(error))
            }
            other => other.map_err(|error| self.sort_out(error)),
        }
    }

    async fn bucket_answers(&self, location: &ObjectLocation) -> Result<(), Fault<StoreError>> {
        let asked = self.worker.store.check_bucket(location.bucket()).await;
        asked.map_err(passing)
    }

    /// The store has failed at the object for as long as that is tried at a
    /// stretch, and was in order all the while.
    async fn unreadable(&mut self, assignment: &Assignment, error: StoreError) -> Result<Report, Stopped> {
        let rounds = self.order.unreadable_returns.saturating_add(1);
        tracing::warn!(%error, count = rounds, "the store is in order, but fails at this job's object");
        if rounds < UNREADABLE_RETURNS {
            return Err(Stopped::Unreadable);
        }
        let detail =
            format!("the store is in order, but an object cannot be read in {rounds} rounds: {error}");
        self.give_up(assignment, FailureReason::ProcessingError, detail)
            .await
    }

    /// A verdict: on our photos as a result, else on the message.
    async fn give_up(
        &mut self,
        assignment: &Assignment,
        reason: FailureReason,
        detail: String,
    ) -> Result<Report, Stopped> {
        match assignment.origin.photo() {
            Some(id) => self.fail(id, reason, detail).await,
            None => self.park(format!("{reason}: {detail}")).await,
        }
    }

    async fn fail(&mut self, id: PhotoId, reason: FailureReason, detail: String) -> Result<Report, Stopped> {
        let short = detail.chars().take(DETAIL_CHARS).collect();
        self.answer(
            id,
            Outcome::Failed {
                reason,
                detail: short,
            },
        )
        .await?;
        failpoint::reach("anonymizer::after-failed", Some(id.get()));
        Ok(Report::of(Ending::Failed { reason, detail }))
    }

    async fn answer(&mut self, id: PhotoId, outcome: Outcome) -> Result<(), Stopped> {
        let mut message = Message::new(PhotoResult::new(id, outcome).encode().map_err(|error| {
            tracing::error!(%error, "a result cannot be written");
            Stopped::Stuck
        })?)
        .with_id(id);
        if let Some(trace) = TraceContext::current() {
            message = message.with_header(TRACEPARENT, trace.traceparent());
            if let Some(state) = trace.tracestate() {
                message = message.with_header(TRACESTATE, state);
            }
        }
        self.publish(&self.worker.queues.results, &message).await
    }

    async fn park(&mut self, why: String) -> Result<Report, Stopped> {
        let short: String = why.chars().take(DETAIL_CHARS).collect();
        let message = self.order.message.clone().with_header(X_PARKED_REASON, short);
        self.publish(&self.worker.queues.parked, &message).await?;
        failpoint::reach("anonymizer::after-park", None);
        Ok(Report::of(Ending::Parked { why }))
    }

    async fn publish(&mut self, queue: &str, message: &Message) -> Result<(), Stopped> {
        let began = Instant::now();
        let published: Result<(), std::convert::Infallible> = self
            .patience
            .persist_to_the_end("publish", || async {
                self.worker
                    .publisher
                    .publish(queue, message)
                    .await
                    .map_err(passing)
            })
            .await?;
        let Ok(()) = published;
        self.stage("publish", began);
        Ok(())
    }

    /// Which refusals of the store are about the object itself. Rights and
    /// credentials never are: a person can set them right.
    fn sort_out(&self, error: StoreError) -> Fault<StoreError> {
        let final_here = match &error {
            StoreError::NotFound | StoreError::TooLarge { .. } => true,
            StoreError::Unavailable(_) | StoreError::Failed { .. } => false,
            StoreError::Refused { code, .. } if code == "InvalidObjectState" => true,
            // Our keys are well-formed; what others call theirs is not known.
            StoreError::Refused { status, .. } => self.given && !matches!(status, 401 | 403),
        };
        if final_here {
            Fault::Final(error)
        } else {
            passing(error)
        }
    }

    fn stage(&mut self, name: &str, began: Instant) {
        self.stages.push((name.to_owned(), began.elapsed().as_secs_f64()));
    }
}

fn passing<E>(error: impl std::fmt::Display) -> Fault<E> {
    Fault::Passing(error.to_string())
}

/// Size in pixels and bytes of a stored JPEG, from its beginning; `None` where
/// it is none.
async fn look(store: &Store, location: &ObjectLocation) -> Result<Option<(media::Header, u64)>, StoreError> {
    let object = store
        .client()
        .get_object()
        .bucket(location.bucket())
        .key(location.key())
        .range(format!("bytes=0-{}", HEAD_BYTES - 1))
        .send()
        .await?;
    // `Content-Range: bytes 0-99/1234` (RFC 9110, 14.4); a store may also send
    // the whole object.
    let size_bytes = object
        .content_range()
        .and_then(|range| range.rsplit_once('/')?.1.parse().ok())
        .or_else(|| u64::try_from(object.content_length()?).ok())
        .unwrap_or(0);
    let head = tokio::time::timeout(store.settings().answer_timeout, object.body.collect())
        .await
        .map_err(|_| StoreError::Unavailable("no more data in time".to_owned()))?
        .map_err(|error| StoreError::Unavailable(error.to_string()))?
        .into_bytes();
    let header = media::read_header(&head).ok();
    Ok(header
        .filter(|header| header.media_type == MediaType::Jpeg)
        .map(|header| (header, size_bytes)))
}
