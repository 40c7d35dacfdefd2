//! Publishing, where `Ok` means that the broker has stored the message.

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
    BrokerSettings, ConnectError, LinkState, LinkStatus, Message, backoff::Backoff, link::Link,
    message::short, session::Session, topology,
};

/// Publishes in flight at once; more wait for their turn, within their time.
///
/// Each has a channel of its own. On a shared channel lapin hands a returned
/// message to whichever confirm completes next, and the broker confirms many
/// messages with one frame: with several in flight the wrong one would fail,
/// and the one that was returned would count as stored.
const IN_FLIGHT: usize = 64;

/// A queue that comes back in the instant of its deletion keeps the consumers
/// of the deleted one, which RabbitMQ (3.10) then neither cancels nor serves.
const BEFORE_DECLARING_AGAIN: Duration = Duration::from_secs(1);

/// The message is not known to be stored. It may be, after
/// [`PublishError::TimedOut`] and [`PublishError::Disconnected`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// There is no session with the broker, or it ended before the confirm.
    #[error("not connected to RabbitMQ")]
    Disconnected,
    /// The broker is short of memory or disk and takes nothing.
    #[error("RabbitMQ takes no messages for now")]
    Blocked,
    /// The broker has no such queue; lapin acks such a message all the same.
    #[error("RabbitMQ returned the message: {0}")]
    Returned(String),
    /// The broker refused it, for example because the queue is full.
    #[error("RabbitMQ refused the message")]
    Nacked,
    /// No confirm within the limit.
    #[error("no confirm from RabbitMQ within {0:?}")]
    TimedOut(Duration),
}

/// Publishes with confirms, on a connection of its own that comes back by
/// itself. Clones share it; it ends when the last one is dropped.
#[derive(Clone, Debug)]
pub struct Publisher {
    shared: Arc<Shared>,
    state: watch::Receiver<LinkState>,
    end: CancellationToken,
    _end: Arc<DropGuard>,
}

#[derive(Debug)]
struct Shared {
    publish_timeout: Duration,
    in_flight: Semaphore,
    lane: watch::Sender<Option<Arc<Lane>>>,
}

/// A session and its channels that nobody uses at the moment.
struct Lane {
    session: Session,
    idle: Mutex<Vec<Channel>>,
    queue_missing: Notify,
    /// A request had no answer in time.
    unanswered: Notify,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").finish_non_exhaustive()
    }
}

impl Publisher {
    /// Begins to connect, in the background.
    #[must_use]
    pub fn start(settings: BrokerSettings) -> Self {
        let end = CancellationToken::new();
        let link = Link::new("publisher".to_owned());
        let state = link.watch();
        let shared = Arc::new(Shared {
            publish_timeout: settings.publish_timeout,
            in_flight: Semaphore::new(IN_FLIGHT),
            lane: watch::Sender::new(None),
        });
        tokio::spawn(keep_connected(settings, link, Arc::clone(&shared), end.clone()));
        Self {
            shared,
            state,
            end: end.clone(),
            _end: Arc::new(end.drop_guard()),
        }
    }

    /// What is known about the connection.
    #[must_use]
    pub fn state(&self) -> LinkState {
        self.state.borrow().clone()
    }

    /// Waits until there is a session.
    pub async fn connected(&self) {
        let mut state = self.state.clone();
        // The sender lives as long as the task, which this handle keeps alive.
        let _ = state
            .wait_for(|state| state.status == LinkStatus::Connected)
            .await;
    }

    /// Ends the connection in order, for all clones, and waits for it. What is
    /// not confirmed by then counts as [`PublishError::Disconnected`].
    pub async fn close(&self) {
        self.end.cancel();
        let mut state = self.state.clone();
        // An error means that the task has ended, which is what is waited for.
        let _ = state.wait_for(|state| state.status == LinkStatus::Closed).await;
    }

    /// Publishes to a queue and waits for the broker's confirm, which a
    /// quorum queue gives once a majority of its members has it on disk.
    ///
    /// # Errors
    /// When the message is not known to be stored; nothing is retried here.
    pub async fn publish(&self, queue: &str, message: &Message) -> Result<(), PublishError> {
        self.within_limit(|lane| async move {
            let channel = lane.channel().await?;
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
            lane.give_back(channel);
            match confirmation {
                Confirmation::Ack(None) => Ok(()),
                Confirmation::Ack(Some(returned)) => {
                    lane.queue_missing.notify_one();
                    Err(PublishError::Returned(returned.reply_text.to_string()))
                }
                Confirmation::Nack(_) | Confirmation::NotRequested => Err(PublishError::Nacked),
            }
        })
        .await
    }

    /// How many messages in a queue wait for a consumer.
    ///
    /// # Errors
    /// When there is no session, no such queue, or no answer in time.
    pub async fn messages_ready(&self, queue: &str) -> Result<u32, PublishError> {
        self.within_limit(|lane| async move {
            let channel = lane.channel().await?;
            let passive = QueueDeclareOptions {
                passive: true,
                ..QueueDeclareOptions::default()
            };
            let declared = channel
                .queue_declare(short(queue), passive, FieldTable::default())
                .await
                .map_err(|error| {
                    if error.is_amqp_soft_error() {
                        PublishError::Returned(error.to_string())
                    } else {
                        PublishError::Disconnected
                    }
                })?;
            lane.give_back(channel);
            Ok(declared.message_count())
        })
        .await
    }

    /// Not an async closure: the compiler cannot yet prove of the future of
    /// one that borrows that it may be spawned.
    async fn within_limit<T, F>(&self, work: impl FnOnce(Arc<Lane>) -> F) -> Result<T, PublishError>
    where
        F: Future<Output = Result<T, PublishError>>,
    {
        let limit = self.shared.publish_timeout;
        let mut asked = None;
        let limited = async {
            let _turn = self.shared.in_flight.acquire().await;
            let lane = self.shared.lane.borrow().clone();
            let lane = lane.ok_or(PublishError::Disconnected)?;
            if lane.session.blocked() {
                // lapin would keep it in memory and send it when it may.
                return Err(PublishError::Blocked);
            }
            work(Arc::clone(asked.insert(lane))).await
        };
        let outcome = timeout(limit, limited).await;
        if let (Err(_), Some(lane)) = (&outcome, asked) {
            lane.unanswered.notify_one();
        }
        outcome.unwrap_or(Err(PublishError::TimedOut(limit)))
    }
}

impl Lane {
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
        let channel = self.session.connection().create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(channel)
    }

    fn take_idle(&self) -> Vec<Channel> {
        std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Only a channel on which nothing is in flight may come back; one that
    /// is dropped instead closes.
    fn give_back(&self, channel: Channel) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(channel);
    }
}

async fn keep_connected(settings: BrokerSettings, link: Link, shared: Arc<Shared>, end: CancellationToken) {
    let mut backoff = Backoff::default();
    loop {
        let opened = tokio::select! {
            opened = Session::open(&settings, "publisher") => opened,
            () = end.cancelled() => break,
        };
        match opened {
            Ok(session) => {
                backoff.reset();
                let lane = Arc::new(Lane {
                    session,
                    idle: Mutex::default(),
                    queue_missing: Notify::new(),
                    unanswered: Notify::new(),
                });
                shared.lane.send_replace(Some(Arc::clone(&lane)));
                link.connected();
                let ended = tokio::select! {
                    why = until_ended(&settings, &lane) => why,
                    () = end.cancelled() => {
                        lane.session.close(lane.take_idle()).await;
                        break;
                    }
                };
                shared.lane.send_replace(None);
                lane.session.cut();
                link.lost(ended);
            }
            Err(error) => link.lost(error.to_string()),
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.next_wait()) => {}
            () = end.cancelled() => break,
        }
    }
    shared.lane.send_replace(None);
    link.closed();
}

/// Waits for the session's end, and declares the queues again when one
/// turned out to be missing. A broker that left a request unanswered, and does
/// not answer a second question either, counts as gone: its heartbeats would
/// be waited for longer. lapin sends nothing on a blocked connection, so a
/// missing answer does not mean that the broker is gone.
async fn until_ended(settings: &BrokerSettings, lane: &Lane) -> String {
    let ended = lane.session.ended();
    tokio::pin!(ended);
    loop {
        let answered = tokio::select! {
            why = &mut ended => return why,
            () = lane.unanswered.notified() => {
                if lane.session.blocked() {
                    continue;
                }
                lane.session.probe().await
            }
            () = lane.queue_missing.notified() => {
                tokio::time::sleep(BEFORE_DECLARING_AGAIN).await;
                declare_again(settings, lane).await
            }
        };
        if let Err(error) = answered
            && !lane.session.blocked()
        {
            return error.to_string();
        }
    }
}

async fn declare_again(settings: &BrokerSettings, lane: &Lane) -> Result<(), ConnectError> {
    let declare = topology::declare(
        lane.session.connection(),
        &settings.queues,
        settings.allow_classic_queue,
    );
    let limit = settings.connect_timeout;
    let declared = timeout(limit, declare).await;
    Ok(declared.map_err(|_| ConnectError::TimedOut(limit))??)
}
