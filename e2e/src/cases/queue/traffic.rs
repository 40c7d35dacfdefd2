//! Publishers and consumers with messages like those of our programs: a publisher with confirms, a consumer, and a job's message.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use chrono::Utc;
use contract::{Job, ObjectLocation, PhotoId, headers::TRACEPARENT, job};
use service_runtime::broker::{BrokerSettings, Consumer, Message, Publisher};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::message_log::{MessageLog, MessageRecords};
use crate::cluster::{Condition, wait_until};

/// The maximum of unacknowledged deliveries, as in irmgard's consumer of results.
pub const PREFETCH: u16 = 256;
/// How long publishers and consumers may take to connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(60);
/// How long the delivery of confirmed messages may take after the last one.
const DELIVERY_LIMIT: Duration = Duration::from_secs(60);
/// The pause after a publish error.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// A trace id with the length of a job's.
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A queue, and the connections to it.
#[derive(Clone, Debug)]
pub struct Route {
    /// The queue's name.
    pub queue: String,
    /// The publisher's connection. The publisher declares the queue too.
    pub publisher: BrokerSettings,
    /// The consumer's connection.
    pub consumer: BrokerSettings,
}

/// Running publishers and consumers. Dropping it cuts the connections.
pub struct Traffic {
    log: Arc<MessageLog>,
    publishing: CancellationToken,
    tasks: TaskTracker,
    publishers: Vec<Publisher>,
    consumers: Vec<(Arc<Consumer>, JoinHandle<()>)>,
}

impl Traffic {
    /// Starts to publish and consume when all connections are open. Each route has `concurrency` publishing tasks, with a pause after
    /// each message.
    pub async fn start(routes: &[Route], concurrency: usize, pause: Duration) -> Result<Self> {
        let mut traffic = Self {
            log: Arc::default(),
            publishing: CancellationToken::new(),
            tasks: TaskTracker::new(),
            publishers: Vec::new(),
            consumers: Vec::new(),
        };
        // Distinguishes the messages of an earlier run in the queue.
        let run = Utc::now().timestamp_micros();
        let body = Arc::new(job_body()?);
        for route in routes {
            let publisher = Publisher::start(route.publisher.clone());
            timeout(CONNECT_LIMIT, publisher.connected())
                .await
                .with_context(|| connection_error(route, publisher.state().last_error))?;
            let consumer = Consumer::subscribe(route.consumer.clone(), &route.queue, PREFETCH);
            timeout(CONNECT_LIMIT, consumer.connected())
                .await
                .with_context(|| connection_error(route, consumer.state().last_error))?;
            traffic.consume(consumer, run);
            traffic.publishers.push(publisher);
        }
        for (index, route) in routes.iter().enumerate() {
            for _ in 0..concurrency {
                traffic.publish(index, &route.queue, run, &body, pause);
            }
        }
        Ok(traffic)
    }

    /// The time since the start.
    pub fn now(&self) -> Duration {
        self.log.now()
    }

    /// The messages so far.
    pub fn messages(&self) -> MessageRecords {
        self.log.snapshot()
    }

    /// Stops publishing. Returns all messages when the confirmed ones are delivered, or after a limit of 60 s.
    pub async fn stop(self) -> MessageRecords {
        self.publishing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        // An error means that messages are missing. The caller counts them.
        let _ = wait_until(
            "all confirmed messages are delivered",
            DELIVERY_LIMIT,
            async || {
                Ok(match self.log.missing() {
                    0 => Condition::Met(()),
                    missing => Condition::Unmet(format!("{missing} are missing")),
                })
            },
        )
        .await;
        for publisher in self.publishers {
            publisher.close().await;
        }
        for (consumer, task) in self.consumers {
            consumer.cancel();
            // An error means a panic; the messages then show missing deliveries.
            let _ = task.await;
            if let Some(consumer) = Arc::into_inner(consumer) {
                consumer.close().await;
            }
        }
        self.log.snapshot()
    }

    fn consume(&mut self, consumer: Consumer, run: i64) {
        let consumer = Arc::new(consumer);
        let (deliveries, log) = (Arc::clone(&consumer), Arc::clone(&self.log));
        let task = tokio::spawn(async move {
            while let Some(delivery) = deliveries.next().await {
                if let Some(number) = message_number(delivery.message_id().as_deref(), run) {
                    log.record_delivery(number);
                }
                // After an error the broker delivers the message again.
                let _ = delivery.ack().await;
            }
        });
        self.consumers.push((consumer, task));
    }

    fn publish(&self, route: usize, queue: &str, run: i64, body: &Arc<Vec<u8>>, pause: Duration) {
        let (publisher, queue) = (self.publishers[route].clone(), queue.to_owned());
        let body = Arc::clone(body);
        let (log, end) = (Arc::clone(&self.log), self.publishing.clone());
        self.tasks.spawn(async move {
            while !end.is_cancelled() {
                let number = log.record_publish(route);
                let message = Message::new(body.to_vec())
                    .with_id(format_args!("{run}-{number}"))
                    .with_header(TRACEPARENT, TRACE);
                match publisher.publish(&queue, &message).await {
                    Ok(()) => {
                        log.record_confirm(number);
                        if !pause.is_zero() {
                            sleep(pause).await;
                        }
                    }
                    Err(error) => {
                        log.record_error(error.to_string());
                        sleep(RETRY_INTERVAL).await;
                    }
                }
            }
        });
    }
}

fn connection_error(route: &Route, error: Option<String>) -> String {
    let error = error.unwrap_or_else(|| "no answer".to_owned());
    format!("cannot reach {}: {error}", route.queue)
}

/// The number of a message, if it belongs to this run.
fn message_number(id: Option<&str>, run: i64) -> Option<usize> {
    let (message_run, number) = id?.split_once('-')?;
    (message_run.parse() == Ok(run)).then(|| number.parse().ok())?
}

/// A job message like irmgard's.
fn job_body() -> Result<Vec<u8>> {
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

/// The size of a message's body in bytes.
pub fn body_size() -> Result<usize> {
    Ok(job_body()?.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_other_runs_have_no_number() {
        assert_eq!(message_number(Some("17-3"), 17), Some(3));
        assert_eq!(message_number(Some("16-3"), 17), None);
        assert_eq!(message_number(Some("3"), 17), None);
        assert_eq!(message_number(None, 17), None);
    }

    #[test]
    fn the_body_is_a_job() {
        assert!(contract::JobMessage::decode(&job_body().unwrap()).is_ok());
        assert!(body_size().unwrap() > 200);
    }
}
