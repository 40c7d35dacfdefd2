//! Connection state of a publisher or consumer, for probes and metrics.

use std::time::Instant;

use tokio::sync::watch;

use crate::admin::DependencyState;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerLinkStatus {
    /// No session; the next attempt follows automatically.
    Connecting,
    /// A session is open and the queues are declared.
    Connected,
    /// Closed by this process, for good.
    Closed,
}

/// State of a connection to the broker.
#[derive(Clone, Debug)]
pub struct BrokerLink {
    pub status: BrokerLinkStatus,
    pub since: Instant,
    /// Why the last session or attempt ended; holds no secrets.
    pub last_error: Option<String>,
    /// Number of sessions opened so far.
    pub sessions: u64,
    /// For a consumer: whether it takes deliveries. It does not during a pause.
    pub consuming: bool,
}

impl BrokerLink {
    /// For the readiness probe's body.
    #[must_use]
    pub fn dependency(&self) -> DependencyState {
        let seconds = self.since.elapsed().as_secs();
        DependencyState {
            available: self.status == BrokerLinkStatus::Connected,
            detail: match (&self.status, &self.last_error) {
                (BrokerLinkStatus::Connected, _) => format!("connected for {seconds} s"),
                (BrokerLinkStatus::Closed, _) => format!("closed {seconds} s ago"),
                (BrokerLinkStatus::Connecting, None) => format!("connecting for {seconds} s"),
                (BrokerLinkStatus::Connecting, Some(error)) => {
                    format!("disconnected for {seconds} s: {error}")
                }
            },
        }
    }
}

/// The writing side of [`BrokerLink`]. It logs each change once, not every attempt.
#[derive(Debug)]
pub(super) struct BrokerLinkReporter {
    name: String,
    state: watch::Sender<BrokerLink>,
}

impl BrokerLinkReporter {
    pub(super) fn new(name: String) -> Self {
        let state = BrokerLink {
            status: BrokerLinkStatus::Connecting,
            since: Instant::now(),
            last_error: None,
            sessions: 0,
            consuming: false,
        };
        Self {
            name,
            state: watch::Sender::new(state),
        }
    }

    pub(super) fn watch(&self) -> watch::Receiver<BrokerLink> {
        self.state.subscribe()
    }

    pub(super) fn report_connected(&self) {
        tracing::info!(link = self.name, "connected to RabbitMQ");
        self.state.send_modify(|state| {
            state.status = BrokerLinkStatus::Connected;
            state.since = Instant::now();
            state.sessions += 1;
        });
    }

    pub(super) fn report_consuming(&self, consuming: bool) {
        self.state.send_modify(|state| state.consuming = consuming);
    }

    pub(super) fn report_lost(&self, error: String) {
        let before = self.state.borrow().clone();
        if before.status == BrokerLinkStatus::Connected || before.last_error.as_ref() != Some(&error) {
            tracing::warn!(link = self.name, error, "no connection to RabbitMQ: trying again");
        }
        self.state.send_modify(|state| {
            if state.status != BrokerLinkStatus::Connecting {
                state.since = Instant::now();
            }
            state.status = BrokerLinkStatus::Connecting;
            state.consuming = false;
            state.last_error = Some(error);
        });
    }

    pub(super) fn report_closed(&self) {
        self.state.send_modify(|state| {
            state.status = BrokerLinkStatus::Closed;
            state.consuming = false;
            state.since = Instant::now();
        });
    }
}
