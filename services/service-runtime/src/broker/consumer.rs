//! Consumes one queue and reconnects after every lost connection.

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
    BrokerLink, BrokerLinkStatus, BrokerSettings, ConnectError, Delivery, delivery_buffer::DeliveryBuffer,
    link::BrokerLinkReporter, message::short, reconnect_backoff, session::Session,
};

/// Deliveries from one queue, on a connection of its own that reconnects automatically. Several tasks may wait for the
/// next delivery. Dropping the consumer cuts the connection, and the broker takes back unsettled deliveries.
#[derive(Debug)]
pub struct Consumer {
    buffer: Arc<DeliveryBuffer>,
    mode: watch::Sender<Mode>,
    state: watch::Receiver<BrokerLink>,
    drained: CancellationToken,
    _end: DropGuard,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Deliver,
    Paused,
    Cancelled,
}

/// Why a session ended.
enum SessionEnd {
    /// The connection was lost; another session follows.
    Lost(String),
    /// The owner closed the consumer.
    Closed,
}

impl Consumer {
    /// Connects and consumes in the background. At most `prefetch` deliveries are unsettled at any time.
    #[must_use]
    pub fn subscribe(settings: BrokerSettings, queue: &str, prefetch: u16) -> Self {
        let buffer = Arc::new(DeliveryBuffer::default());
        let end = CancellationToken::new();
        let drained = CancellationToken::new();
        let link = Arc::new(BrokerLinkReporter::new(format!("consumer of {queue}")));
        let state = link.watch();
        let mode = watch::Sender::new(Mode::Deliver);
        let subscription = Subscription {
            settings,
            queue: queue.to_owned(),
            prefetch: prefetch.max(1),
            mode: mode.subscribe(),
            buffer: Arc::clone(&buffer),
            drained: drained.clone(),
            link: Arc::clone(&link),
            subscription_count: 0,
        };
        let ended = end.clone();
        tokio::spawn(async move {
            let buffer = Arc::clone(&subscription.buffer);
            tokio::select! {
                () = subscription.keep_connected() => {}
                () = ended.cancelled() => {}
            }
            buffer.close();
            link.report_closed();
        });
        Self {
            buffer,
            mode,
            state,
            drained,
            _end: end.drop_guard(),
        }
    }

    /// The next delivery. Waits during pauses and reconnects. `None` after [`Consumer::cancel`], once all
    /// received deliveries are returned.
    ///
    /// Deliveries that the broker has taken back after a lost connection are skipped.
    pub async fn next(&self) -> Option<Delivery> {
        self.buffer.next().await
    }

    /// Stops taking deliveries from the broker until [`Consumer::resume`]. Received deliveries stay and can be settled.
    pub fn pause(&self) {
        self.request_mode(Mode::Paused);
    }

    pub fn resume(&self) {
        self.request_mode(Mode::Deliver);
    }

    #[must_use]
    pub fn is_paused(&self) -> bool {
        *self.mode.borrow() == Mode::Paused
    }

    /// Stops taking deliveries, for good. [`Consumer::next`] still returns the received ones. The connection
    /// stays open, so that they can be settled.
    pub fn cancel(&self) {
        self.request_mode(Mode::Cancelled);
    }

    /// Closes the connection gracefully, so that the broker receives all acknowledgements sent before.
    /// Unsettled deliveries return to the queue.
    pub async fn close(self) {
        self.cancel();
        self.drained.cancel();
        let mut state = self.state.clone();
        // An error means that the task has ended, which is what this waits for.
        let _ = state
            .wait_for(|state| state.status == BrokerLinkStatus::Closed)
            .await;
    }

    #[must_use]
    pub fn state(&self) -> BrokerLink {
        self.state.borrow().clone()
    }

    #[must_use]
    pub fn watch(&self) -> watch::Receiver<BrokerLink> {
        self.state.clone()
    }

    /// Waits until a session exists.
    pub async fn connected(&self) {
        let mut state = self.state.clone();
        // The sender lives as long as the task, which this handle keeps alive.
        let _ = state
            .wait_for(|state| state.status == BrokerLinkStatus::Connected)
            .await;
    }

    fn request_mode(&self, mode: Mode) {
        self.mode.send_if_modified(|current| {
            let change = *current != Mode::Cancelled && *current != mode;
            if change {
                *current = mode;
            }
            change
        });
    }
}

struct Subscription {
    settings: BrokerSettings,
    queue: String,
    prefetch: u16,
    mode: watch::Receiver<Mode>,
    buffer: Arc<DeliveryBuffer>,
    /// The owner has settled everything and wants to close the connection.
    drained: CancellationToken,
    link: Arc<BrokerLinkReporter>,
    /// Number of subscriptions so far.
    subscription_count: u64,
}

impl Subscription {
    async fn keep_connected(mut self) {
        let mut backoff = reconnect_backoff();
        loop {
            if *self.mode.borrow() == Mode::Cancelled {
                return;
            }
            let name = format!("consumer of {}", self.queue);
            let opened = tokio::select! {
                opened = Session::open(&self.settings, &name) => opened,
                // No delivery is unsettled here.
                () = self.drained.cancelled() => return,
            };
            match opened {
                Ok(session) => {
                    self.buffer.drop_stale();
                    let started = tokio::time::Instant::now();
                    let end = self.consume(&session).await;
                    let SessionEnd::Lost(reason) = end else { return };
                    self.link.report_lost(reason);
                    // A session that ends right after it opened counts as a failure.
                    if started.elapsed() > self.settings.connect_timeout {
                        backoff.reset();
                    }
                }
                Err(error) => self.link.report_lost(error.to_string()),
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next_delay()) => {}
                _ = self.mode.wait_for(|mode| *mode == Mode::Cancelled) => return,
            }
        }
    }

    async fn consume(&mut self, session: &Session) -> SessionEnd {
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
            Ok(Err(error)) => return SessionEnd::Lost(error.to_string()),
            Err(_) => return SessionEnd::Lost(ConnectError::TimedOut(limit).to_string()),
        };
        self.link.report_connected();
        let end = tokio::select! {
            reason = session.wait_until_ended() => SessionEnd::Lost(reason),
            end = self.apply_modes(&channel) => end,
        };
        if matches!(end, SessionEnd::Closed) {
            session.close(vec![channel]).await;
        }
        end
    }

    /// Applies the owner's requested mode on one channel.
    async fn apply_modes(&mut self, channel: &Channel) -> SessionEnd {
        loop {
            let mode = *self.mode.borrow_and_update();
            match mode {
                Mode::Deliver => {
                    if let Err(end) = self.deliver(channel).await {
                        return end;
                    }
                }
                Mode::Paused => {
                    tokio::select! {
                        changed = self.mode.changed() => if changed.is_err() { return SessionEnd::Closed },
                        () = wait_until_channel_closed(channel) => {
                            return SessionEnd::Lost("the channel was closed".to_owned());
                        }
                    }
                }
                Mode::Cancelled => return self.drain(channel).await,
            }
        }
    }

    /// Delivers messages until the owner requests another mode.
    async fn deliver(&mut self, channel: &Channel) -> Result<(), SessionEnd> {
        let lost = |error: lapin::Error| SessionEnd::Lost(error.to_string());
        let limit = self.settings.connect_timeout;
        // Use a new tag each time: a quorum queue redelivers everything unsettled to a consumer with a tag
        // that was cancelled.
        self.subscription_count += 1;
        let tag = format!("c{}", self.subscription_count);
        let timed_out = |_| SessionEnd::Lost(ConnectError::TimedOut(limit).to_string());
        let consume = channel.basic_consume(
            short(&self.queue),
            short(&tag),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let mut stream = timeout(limit, consume).await.map_err(timed_out)?.map_err(lost)?;
        self.link.report_consuming(true);
        loop {
            tokio::select! {
                delivery = stream.next() => match delivery {
                    Some(Ok(delivery)) => self.buffer.push(Delivery::new(delivery)),
                    Some(Err(error)) => return Err(lost(error)),
                    None => return Err(SessionEnd::Lost("the broker cancelled the consumer".to_owned())),
                },
                changed = self.mode.changed() => {
                    if changed.is_err() {
                        return Err(SessionEnd::Closed);
                    }
                    break;
                }
            }
        }
        let cancel = channel.basic_cancel(short(&tag), BasicCancelOptions::default());
        timeout(limit, cancel).await.map_err(timed_out)?.map_err(lost)?;
        // Deliveries that the broker sent before it saw the cancel still count.
        while let Some(Ok(delivery)) = stream.next().await {
            self.buffer.push(Delivery::new(delivery));
        }
        self.link.report_consuming(false);
        Ok(())
    }

    /// Ends the deliveries, and keeps the channel until the owner has settled them.
    async fn drain(&self, channel: &Channel) -> SessionEnd {
        self.buffer.close();
        tokio::select! {
            () = self.drained.cancelled() => SessionEnd::Closed,
            () = wait_until_channel_closed(channel) => SessionEnd::Closed,
        }
    }
}

/// Waits until the broker has closed the channel. lapin has no event for it.
async fn wait_until_channel_closed(channel: &Channel) {
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(500));
    while channel.status().connected() {
        ticks.tick().await;
    }
}
