//! Consuming from one queue, through every loss of the connection.

use std::sync::Arc;

use futures::StreamExt;
use lapin::{
    Channel,
    options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    BrokerSettings, ConnectError, Delivery, LinkState, LinkStatus, backoff::Backoff, inbox::Inbox,
    link::Link, message::short, session::Session,
};

/// Deliveries from one queue, on a connection of its own that comes back by
/// itself. Several tasks may ask for the next one. Dropping it cuts the
/// connection, and the broker takes back what was not settled.
#[derive(Debug)]
pub struct Consumer {
    inbox: Arc<Inbox>,
    wanted: watch::Sender<Wanted>,
    state: watch::Receiver<LinkState>,
    drained: CancellationToken,
    _end: DropGuard,
}

/// What the owner wants the subscription to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Deliveries,
    Pause,
    Nothing,
}

/// Why a session is over.
enum Over {
    /// It was lost; the next one follows.
    Lost(String),
    /// The owner wants no more.
    Closed,
}

impl Consumer {
    /// Begins to connect and to consume, in the background; at most
    /// `prefetch` deliveries are unsettled at any time.
    #[must_use]
    pub fn subscribe(settings: BrokerSettings, queue: &str, prefetch: u16) -> Self {
        let inbox = Arc::new(Inbox::default());
        let end = CancellationToken::new();
        let drained = CancellationToken::new();
        let link = Arc::new(Link::new(format!("consumer of {queue}")));
        let state = link.watch();
        let wanted = watch::Sender::new(Wanted::Deliveries);
        let subscription = Subscription {
            settings,
            queue: queue.to_owned(),
            prefetch: prefetch.max(1),
            wanted: wanted.subscribe(),
            inbox: Arc::clone(&inbox),
            drained: drained.clone(),
            link: Arc::clone(&link),
            subscriptions: 0,
        };
        let ended = end.clone();
        tokio::spawn(async move {
            let inbox = Arc::clone(&subscription.inbox);
            tokio::select! {
                () = subscription.keep() => {}
                () = ended.cancelled() => {}
            }
            inbox.close();
            link.closed();
        });
        Self {
            inbox,
            wanted,
            state,
            drained,
            _end: end.drop_guard(),
        }
    }

    /// The next delivery; waits through pauses and lost connections. `None`
    /// after [`Consumer::cancel`], when nothing received is left.
    ///
    /// A delivery that waited here while the connection was lost is not given
    /// out: the broker has taken it back.
    pub async fn next(&self) -> Option<Delivery> {
        self.inbox.next().await
    }

    /// Takes no more deliveries from the broker until [`Consumer::resume`];
    /// those that are here already stay and can be settled.
    pub fn pause(&self) {
        self.want(Wanted::Pause);
    }

    /// Takes deliveries again.
    pub fn resume(&self) {
        self.want(Wanted::Deliveries);
    }

    /// Whether the owner has paused it.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        *self.wanted.borrow() == Wanted::Pause
    }

    /// Takes no more deliveries, for good. [`Consumer::next`] gives out what
    /// is here already and then ends; the connection stays, so that
    /// everything can be settled.
    pub fn cancel(&self) {
        self.want(Wanted::Nothing);
    }

    /// Ends the connection in order, so that every acknowledgement sent
    /// before has reached the broker. What is unsettled goes back.
    pub async fn close(self) {
        self.cancel();
        self.drained.cancel();
        let mut state = self.state.clone();
        // An error means that the task has ended, which is what is waited for.
        let _ = state.wait_for(|state| state.status == LinkStatus::Closed).await;
    }

    /// What is known about the connection.
    #[must_use]
    pub fn state(&self) -> LinkState {
        self.state.borrow().clone()
    }

    /// Watches the connection's state.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }

    /// Waits until there is a session.
    pub async fn connected(&self) {
        let mut state = self.state.clone();
        // The sender lives as long as the task, which this handle keeps alive.
        let _ = state
            .wait_for(|state| state.status == LinkStatus::Connected)
            .await;
    }

    fn want(&self, wanted: Wanted) {
        self.wanted.send_if_modified(|now| {
            let change = *now != Wanted::Nothing && *now != wanted;
            if change {
                *now = wanted;
            }
            change
        });
    }
}

struct Subscription {
    settings: BrokerSettings,
    queue: String,
    prefetch: u16,
    wanted: watch::Receiver<Wanted>,
    inbox: Arc<Inbox>,
    /// The owner has settled everything and wants the connection closed.
    drained: CancellationToken,
    link: Arc<Link>,
    /// Subscriptions so far.
    subscriptions: u64,
}

impl Subscription {
    async fn keep(mut self) {
        let mut backoff = Backoff::default();
        loop {
            if *self.wanted.borrow() == Wanted::Nothing {
                return;
            }
            let name = format!("consumer of {}", self.queue);
            let opened = tokio::select! {
                opened = Session::open(&self.settings, &name) => opened,
                // Nothing was received that is still to be settled.
                () = self.drained.cancelled() => return,
            };
            match opened {
                Ok(session) => {
                    self.inbox.forget_stale();
                    let began = tokio::time::Instant::now();
                    let over = self.consume(&session).await;
                    let Over::Lost(why) = over else { return };
                    self.link.lost(why);
                    // A session that ends as soon as it is open is a failure.
                    if began.elapsed() > self.settings.connect_timeout {
                        backoff.reset();
                    }
                }
                Err(error) => self.link.lost(error.to_string()),
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next_wait()) => {}
                _ = self.wanted.wait_for(|wanted| *wanted == Wanted::Nothing) => return,
            }
        }
    }

    async fn consume(&mut self, session: &Session) -> Over {
        let limit = self.settings.connect_timeout;
        let opened = timeout(limit, async {
            let channel = session.connection().create_channel().await?;
            channel
                .basic_qos(self.prefetch, BasicQosOptions::default())
                .await?;
            lapin::Result::Ok(channel)
        })
        .await;
        let channel = match opened {
            Ok(Ok(channel)) => channel,
            Ok(Err(error)) => return Over::Lost(error.to_string()),
            Err(_) => return Over::Lost(ConnectError::TimedOut(limit).to_string()),
        };
        self.link.connected();
        let over = tokio::select! {
            why = session.ended() => Over::Lost(why),
            over = self.serve(&channel) => over,
        };
        if matches!(over, Over::Closed) {
            session.close(vec![channel]).await;
        }
        over
    }

    /// Follows the owner's wishes on one channel.
    async fn serve(&mut self, channel: &Channel) -> Over {
        loop {
            let wanted = *self.wanted.borrow_and_update();
            match wanted {
                Wanted::Deliveries => {
                    if let Err(over) = self.deliver(channel).await {
                        return over;
                    }
                }
                Wanted::Pause => {
                    tokio::select! {
                        changed = self.wanted.changed() => if changed.is_err() { return Over::Closed },
                        () = channel_lost(channel) => {
                            return Over::Lost("the channel was closed".to_owned());
                        }
                    }
                }
                Wanted::Nothing => return self.drain(channel).await,
            }
        }
    }

    /// Passes deliveries on until the owner wants something else.
    async fn deliver(&mut self, channel: &Channel) -> Result<(), Over> {
        let lost = |error: lapin::Error| Over::Lost(error.to_string());
        let limit = self.settings.connect_timeout;
        // A quorum queue delivers everything unsettled once more to a consumer
        // that comes back under the tag of one that was cancelled.
        self.subscriptions += 1;
        let tag = format!("c{}", self.subscriptions);
        let timed_out = |_| Over::Lost(ConnectError::TimedOut(limit).to_string());
        let consume = channel.basic_consume(
            short(&self.queue),
            short(&tag),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let mut stream = timeout(limit, consume).await.map_err(timed_out)?.map_err(lost)?;
        self.link.consuming(true);
        loop {
            tokio::select! {
                delivery = stream.next() => match delivery {
                    Some(Ok(delivery)) => self.inbox.put(Delivery::new(delivery)),
                    Some(Err(error)) => return Err(lost(error)),
                    None => return Err(Over::Lost("the broker cancelled the consumer".to_owned())),
                },
                changed = self.wanted.changed() => {
                    if changed.is_err() {
                        return Err(Over::Closed);
                    }
                    break;
                }
            }
        }
        let cancel = channel.basic_cancel(short(&tag), BasicCancelOptions::default());
        timeout(limit, cancel).await.map_err(timed_out)?.map_err(lost)?;
        // What the broker sent before it saw the cancel is ours all the same.
        while let Some(Ok(delivery)) = stream.next().await {
            self.inbox.put(Delivery::new(delivery));
        }
        self.link.consuming(false);
        Ok(())
    }

    /// No more deliveries; the channel stays until the owner has settled what
    /// it has.
    async fn drain(&self, channel: &Channel) -> Over {
        self.inbox.close();
        tokio::select! {
            () = self.drained.cancelled() => Over::Closed,
            () = channel_lost(channel) => Over::Closed,
        }
    }
}

/// Waits until the broker has closed the channel. lapin has no event for it.
async fn channel_lost(channel: &Channel) {
    let mut look = tokio::time::interval(std::time::Duration::from_millis(500));
    while channel.status().connected() {
        look.tick().await;
    }
}
