//! Publishers and consumers as the programs have them: irmgard's publisher with confirms, the worker's consumer, a job's message.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use chassis::broker::{BrokerSettings, Consumer, Message, Publisher};
use chrono::Utc;
use contract::{Job, ObjectLocation, PhotoId, headers::TRACEPARENT, job};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::notes::{Notebook, Notes};
use crate::cluster::{Seen, until};

/// Deliveries that a consumer has unsettled at most: as many as irmgard's consumer of results.
pub const PREFETCH: u16 = 256;
/// How long publishers and consumers may need to connect.
const CONNECTED: Duration = Duration::from_secs(60);
/// How long what was confirmed may need to be delivered, after the last message.
const DELIVERED: Duration = Duration::from_secs(60);
/// What was refused is followed by another message after so long.
const AGAIN: Duration = Duration::from_millis(100);

/// As long as that of a job.
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A queue, and where it is spoken to.
#[derive(Clone, Debug)]
pub struct Lane {
    /// Its name.
    pub queue: String,
    /// The broker for the publisher, which declares this queue too.
    pub publisher: BrokerSettings,
    /// And for the consumer.
    pub consumer: BrokerSettings,
}

/// Messages that come and go. Dropping it cuts the connections.
pub struct Traffic {
    book: Arc<Notebook>,
    publishing: CancellationToken,
    tasks: TaskTracker,
    publishers: Vec<Publisher>,
    consumers: Vec<(Arc<Consumer>, JoinHandle<()>)>,
}

impl Traffic {
    /// Begins to publish and to consume, once all are connected. On each lane so many messages are published at once, each followed
    /// by the next after a pause.
    ///
    /// # Errors
    /// When the broker is not reached.
    pub async fn start(lanes: &[Lane], at_once: usize, pause: Duration) -> Result<Self> {
        let mut traffic = Self {
            book: Arc::default(),
            publishing: CancellationToken::new(),
            tasks: TaskTracker::new(),
            publishers: Vec::new(),
            consumers: Vec::new(),
        };
        // What an earlier run has left in the queue has another name.
        let run = Utc::now().timestamp_micros();
        let body = Arc::new(body()?);
        for lane in lanes {
            let publisher = Publisher::start(lane.publisher.clone());
            timeout(CONNECTED, publisher.connected())
                .await
                .with_context(|| refused(lane, publisher.state().last_error))?;
            let consumer = Consumer::subscribe(lane.consumer.clone(), &lane.queue, PREFETCH);
            timeout(CONNECTED, consumer.connected())
                .await
                .with_context(|| refused(lane, consumer.state().last_error))?;
            traffic.consume(consumer, run);
            traffic.publishers.push(publisher);
        }
        for (place, lane) in lanes.iter().enumerate() {
            for _ in 0..at_once {
                traffic.publish(place, &lane.queue, run, &body, pause);
            }
        }
        Ok(traffic)
    }

    /// Time since it began.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.book.now()
    }

    /// What was noted until now.
    #[must_use]
    pub fn notes(&self) -> Notes {
        self.book.all()
    }

    /// Publishes no more; returns what became of all messages once those that were confirmed are delivered, or patience is lost.
    pub async fn stop(self) -> Notes {
        self.publishing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        // What is missing in the end is counted by whoever reads the notes.
        let _ = until("what was confirmed is delivered", DELIVERED, async || {
            Ok(match self.book.missing() {
                0 => Seen::Yes(()),
                missing => Seen::NotYet(format!("{missing} are missing")),
            })
        })
        .await;
        for publisher in self.publishers {
            publisher.close().await;
        }
        for (consumer, task) in self.consumers {
            consumer.cancel();
            // An error means that it broke, which the notes show.
            let _ = task.await;
            if let Some(consumer) = Arc::into_inner(consumer) {
                consumer.close().await;
            }
        }
        self.book.all()
    }

    fn consume(&mut self, consumer: Consumer, run: i64) {
        let consumer = Arc::new(consumer);
        let (from, book) = (Arc::clone(&consumer), Arc::clone(&self.book));
        let task = tokio::spawn(async move {
            while let Some(delivery) = from.next().await {
                if let Some(number) = number(delivery.message_id().as_deref(), run) {
                    book.deliver(number);
                }
                // One that is stale comes again.
                let _ = delivery.ack().await;
            }
        });
        self.consumers.push((consumer, task));
    }

    fn publish(&self, lane: usize, queue: &str, run: i64, body: &Arc<Vec<u8>>, pause: Duration) {
        let (publisher, queue) = (self.publishers[lane].clone(), queue.to_owned());
        let body = Arc::clone(body);
        let (book, end) = (Arc::clone(&self.book), self.publishing.clone());
        self.tasks.spawn(async move {
            while !end.is_cancelled() {
                let number = book.send(lane);
                let message = Message::new(body.to_vec())
                    .with_id(format_args!("{run}-{number}"))
                    .with_header(TRACEPARENT, TRACE);
                match publisher.publish(&queue, &message).await {
                    Ok(()) => {
                        book.confirm(number);
                        if !pause.is_zero() {
                            sleep(pause).await;
                        }
                    }
                    Err(error) => {
                        book.refuse(error.to_string());
                        sleep(AGAIN).await;
                    }
                }
            }
        });
    }
}

fn refused(lane: &Lane, error: Option<String>) -> String {
    let error = error.unwrap_or_else(|| "no answer".to_owned());
    format!("{} is not reached: {error}", lane.queue)
}

/// The number of a message of a run.
fn number(id: Option<&str>, run: i64) -> Option<usize> {
    let (of, number) = id?.split_once('-')?;
    (of.parse() == Ok(run)).then(|| number.parse().ok())?
}

/// A job as irmgard writes it.
fn body() -> Result<Vec<u8>> {
    let key = "photos/e2e-queue/2026-01-31/1234567";
    let uri = ObjectLocation::new("input", format!("{key}.jpg"))?;
    let job = Job {
        version: job::VERSION,
        id: PhotoId::try_from(1_234_567)?,
        name: "camera-17-2026-01-31-120000.jpg".to_owned(),
        storage_location: uri.storage_location(),
        uri,
        output: ObjectLocation::new("output", format!("{key}.jpg"))?,
        project: "e2e-queue".parse()?,
    };
    Ok(job.encode()?)
}

/// How long a message's body is, in bytes.
///
/// # Errors
/// Never, for a job that can be written.
pub fn size() -> Result<usize> {
    Ok(body()?.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_other_runs_are_not_ours() {
        assert_eq!(number(Some("17-3"), 17), Some(3));
        assert_eq!(number(Some("16-3"), 17), None);
        assert_eq!(number(Some("3"), 17), None);
        assert_eq!(number(None, 17), None);
    }

    #[test]
    fn the_body_is_a_job() {
        assert!(contract::JobMessage::decode(&body().unwrap()).is_ok());
        assert!(size().unwrap() > 200);
    }
}
