//! Publishes messages; `Ok` means that the broker has stored the message.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lapin::{
    Channel, Confirmation,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::FieldTable,
};
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    BrokerLink, BrokerLinkStatus, BrokerSettings, ConnectError, Message, link::BrokerLinkReporter,
    message::short, reconnect_backoff, session::Session, topology,
};

/// Maximum number of publishes in flight; more wait, within their time limit.
///
/// Each publish has a channel of its own. On a shared channel lapin assigns a returned message to whichever
/// confirm completes next, and the broker confirms many messages with one frame. With several in flight, the
/// wrong publish would fail, and the returned message would count as stored.
const MAX_IN_FLIGHT: usize = 64;

/// A queue that is declared right after its deletion keeps the consumers of the deleted one, which RabbitMQ
/// (3.10) neither cancels nor serves.
const REDECLARE_DELAY: Duration = Duration::from_secs(1);

/// The message may not be stored. After [`PublishError::TimedOut`] and [`PublishError::Disconnected`] it may be stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No session with the broker, or it ended before the confirm.
    #[error("not connected to RabbitMQ")]
    Disconnected,
    /// The broker is short of memory or disk and accepts nothing.
    #[error("RabbitMQ blocks publishers (memory or disk alarm)")]
    Blocked,
    /// The queue does not exist (lapin acks such a message anyway), or this user must not read it.
    #[error("queue {queue} cannot be used: {reason}")]
    QueueUnavailable { queue: String, reason: String },
    /// The broker refused the message, for example because the queue is full.
    #[error("RabbitMQ refused the message")]
    Nacked,
    #[error("no confirm from RabbitMQ within {0:?}")]
    TimedOut(Duration),
}

/// Publishes with confirms, on a connection of its own that reconnects automatically. Clones share the
/// connection; it ends when the last one is dropped.
#[derive(Clone, Debug)]
pub struct Publisher {
    shared: Arc<PublisherState>,
    state: watch::Receiver<BrokerLink>,
    end: CancellationToken,
    _end: Arc<DropGuard>,
}

#[derive(Debug)]
struct PublisherState {
    publish_timeout: Duration,
    in_flight: Semaphore,
    session: watch::Sender<Option<Arc<PublishSession>>>,
}

/// A session and its idle channels.
struct PublishSession {
    amqp: Session,
    idle: Mutex<Vec<Channel>>,
    queue_missing: Notify,
    /// Notified when a request had no answer in time.
    request_timed_out: Notify,
}

impl std::fmt::Debug for PublishSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PublishSession").finish_non_exhaustive()
    }
}

impl Publisher {
    /// Connects in the background.
    #[must_use]
    pub fn start(settings: BrokerSettings) -> Self {
        let end = CancellationToken::new();
        let link = BrokerLinkReporter::new("publisher".to_owned());
        let state = link.watch();
        let shared = Arc::new(PublisherState {
            publish_timeout: settings.publish_timeout,
            in_flight: Semaphore::new(MAX_IN_FLIGHT),
            session: watch::Sender::new(None),
        });
        tokio::spawn(keep_connected(settings, link, Arc::clone(&shared), end.clone()));
        Self {
            shared,
            state,
            end: end.clone(),
            _end: Arc::new(end.drop_guard()),
        }
    }

    #[must_use]
    pub fn state(&self) -> BrokerLink {
        self.state.borrow().clone()
    }

    /// Waits until a session exists.
    pub async fn connected(&self) {
        let mut state = self.state.clone();
        // The sender lives as long as the task, which this handle keeps alive.
        let _ = state
            .wait_for(|state| state.status == BrokerLinkStatus::Connected)
            .await;
    }

    /// Closes the connection gracefully, for all clones, and waits for it. Unconfirmed publishes fail with
    /// [`PublishError::Disconnected`].
    pub async fn close(&self) {
        self.end.cancel();
        let mut state = self.state.clone();
        // An error means that the task has ended, which is what this waits for.
        let _ = state
            .wait_for(|state| state.status == BrokerLinkStatus::Closed)
            .await;
    }

    /// Publishes to a queue and waits for the broker's confirm. A quorum queue confirms once a majority of
    /// its members has the message on disk.
    ///
    /// # Errors
    /// The message may not be stored. This function does not retry.
    pub async fn publish(&self, queue: &str, message: &Message) -> Result<(), PublishError> {
        self.run_limited(|session| async move {
            let channel = session.channel().await?;
            let confirm = channel
                .basic_publish(
                    short(""),
                    short(queue),
                    BasicPublishOptions {
                        mandatory: true,
                        ..BasicPublishOptions::default()
                    },
                    &message.body,
                    message.properties(),
                )
                .await
                .map_err(|_| PublishError::Disconnected)?;
            let confirmation = confirm.await.map_err(|_| PublishError::Disconnected)?;
            session.return_channel(channel);
            match confirmation {
                Confirmation::Ack(None) => Ok(()),
                Confirmation::Ack(Some(_)) => {
                    session.queue_missing.notify_one();
                    Err(PublishError::QueueUnavailable {
                        queue: queue.to_owned(),
                        reason: "it does not exist".to_owned(),
                    })
                }
                Confirmation::Nack(_) | Confirmation::NotRequested => Err(PublishError::Nacked),
            }
        })
        .await
    }

    /// Number of messages in a queue that wait for a consumer.
    ///
    /// # Errors
    /// No session, no such queue, or no answer in time.
    pub async fn messages_ready(&self, queue: &str) -> Result<u32, PublishError> {
        self.run_limited(|session| async move {
            let channel = session.channel().await?;
            let passive = QueueDeclareOptions {
                passive: true,
                ..QueueDeclareOptions::default()
            };
            let declared = channel
                .queue_declare(short(queue), passive, FieldTable::default())
                .await
                .map_err(|error| {
                    if error.is_amqp_soft_error() {
                        PublishError::QueueUnavailable {
                            queue: queue.to_owned(),
                            reason: error.to_string(),
                        }
                    } else {
                        PublishError::Disconnected
                    }
                })?;
            session.return_channel(channel);
            Ok(declared.message_count())
        })
        .await
    }

    /// Takes a closure that returns a future, not an async closure: the compiler cannot yet prove that the
    /// future of a borrowing async closure may be spawned.
    async fn run_limited<T, F>(&self, work: impl FnOnce(Arc<PublishSession>) -> F) -> Result<T, PublishError>
    where
        F: Future<Output = Result<T, PublishError>>,
    {
        let limit = self.shared.publish_timeout;
        let mut used_session = None;
        let limited = async {
            let _permit = self.shared.in_flight.acquire().await;
            let session = self.shared.session.borrow().clone();
            let session = session.ok_or(PublishError::Disconnected)?;
            if session.amqp.is_blocked() {
                // lapin would buffer the message and send it once the broker allows it.
                return Err(PublishError::Blocked);
            }
            work(Arc::clone(used_session.insert(session))).await
        };
        let outcome = timeout(limit, limited).await;
        if let (Err(_), Some(session)) = (&outcome, used_session) {
            session.request_timed_out.notify_one();
        }
        outcome.unwrap_or(Err(PublishError::TimedOut(limit)))
    }
}

impl PublishSession {
    async fn channel(&self) -> Result<Channel, PublishError> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match idle {
                Some(channel) if channel.status().connected() => return Ok(channel),
                Some(_) => {}
                None => return self.open_channel().await.map_err(|_| PublishError::Disconnected),
            }
        }
    }

    async fn open_channel(&self) -> lapin::Result<Channel> {
        let channel = self.amqp.connection().create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(channel)
    }

    fn take_idle(&self) -> Vec<Channel> {
        std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns a channel. Only for channels without a publish in flight; a dropped channel closes.
    fn return_channel(&self, channel: Channel) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(channel);
    }
}

async fn keep_connected(
    settings: BrokerSettings,
    link: BrokerLinkReporter,
    shared: Arc<PublisherState>,
    end: CancellationToken,
) {
    let mut backoff = reconnect_backoff();
    loop {
        let opened = tokio::select! {
            opened = Session::open(&settings, "publisher") => opened,
            () = end.cancelled() => break,
        };
        match opened {
            Ok(session) => {
                backoff.reset();
                let session = Arc::new(PublishSession {
                    amqp: session,
                    idle: Mutex::default(),
                    queue_missing: Notify::new(),
                    request_timed_out: Notify::new(),
                });
                shared.session.send_replace(Some(Arc::clone(&session)));
                link.report_connected();
                let reason = tokio::select! {
                    reason = wait_until_ended(&settings, &session) => reason,
                    () = end.cancelled() => {
                        session.amqp.close(session.take_idle()).await;
                        break;
                    }
                };
                shared.session.send_replace(None);
                session.amqp.cut();
                link.report_lost(reason);
            }
            Err(error) => link.report_lost(error.to_string()),
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.next_delay()) => {}
            () = end.cancelled() => break,
        }
    }
    shared.session.send_replace(None);
    link.report_closed();
}

/// Waits for the session's end. Declares the queues again if one was missing.
///
/// If the broker left a request unanswered and does not answer a probe either, it counts as lost: missed
/// heartbeats would take longer. lapin sends nothing on a blocked connection, so a missing answer does not
/// mean that the broker is lost.
async fn wait_until_ended(settings: &BrokerSettings, session: &PublishSession) -> String {
    let ended = session.amqp.wait_until_ended();
    tokio::pin!(ended);
    loop {
        let answered = tokio::select! {
            reason = &mut ended => return reason,
            () = session.request_timed_out.notified() => {
                if session.amqp.is_blocked() {
                    continue;
                }
                session.amqp.probe().await
            }
            () = session.queue_missing.notified() => {
                tokio::time::sleep(REDECLARE_DELAY).await;
                redeclare_queues(settings, session).await
            }
        };
        if let Err(error) = answered
            && !session.amqp.is_blocked()
        {
            return error.to_string();
        }
    }
}

async fn redeclare_queues(settings: &BrokerSettings, session: &PublishSession) -> Result<(), ConnectError> {
    let declare = topology::declare(
        session.amqp.connection(),
        &settings.queues,
        settings.allow_classic_queue,
    );
    let limit = settings.connect_timeout;
    let declared = timeout(limit, declare).await;
    Ok(declared.map_err(|_| ConnectError::TimedOut(limit))??)
}
