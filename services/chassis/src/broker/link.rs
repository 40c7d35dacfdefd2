//! Whether a publisher or consumer is connected, for probes and metrics.

use std::time::Instant;

use tokio::sync::watch;

use crate::admin::Dependency;

/// Whether there is a session with the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkStatus {
    /// No session; the next attempt follows by itself.
    Connecting,
    /// A session, queues declared.
    Connected,
    /// Closed by us for good.
    Closed,
}

/// What is known about a link to the broker.
#[derive(Clone, Debug)]
pub struct LinkState {
    /// Whether there is a session.
    pub status: LinkStatus,
    /// Since when.
    pub since: Instant,
    /// Why the last session or attempt ended; no secrets.
    pub last_error: Option<String>,
    /// Sessions opened so far.
    pub sessions: u64,
    /// Of a consumer: whether the broker has been asked for deliveries, which
    /// it has not during a pause.
    pub consuming: bool,
}

impl LinkState {
    /// As a line of the readiness probe's body.
    #[must_use]
    pub fn dependency(&self) -> Dependency {
        let seconds = self.since.elapsed().as_secs();
        Dependency {
            available: self.status == LinkStatus::Connected,
            detail: match (&self.status, &self.last_error) {
                (LinkStatus::Connected, _) => format!("connected for {seconds} s"),
                (LinkStatus::Closed, _) => format!("closed {seconds} s ago"),
                (LinkStatus::Connecting, None) => format!("connecting for {seconds} s"),
                (LinkStatus::Connecting, Some(error)) => format!("away for {seconds} s: {error}"),
            },
        }
    }
}

/// The writing end: it logs a change once, not every attempt.
#[derive(Debug)]
pub(super) struct Link {
    name: String,
    state: watch::Sender<LinkState>,
}

impl Link {
    pub(super) fn new(name: String) -> Self {
        let state = LinkState {
            status: LinkStatus::Connecting,
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

    pub(super) fn watch(&self) -> watch::Receiver<LinkState> {
        self.state.subscribe()
    }

    pub(super) fn connected(&self) {
        tracing::info!(link = self.name, "connected to RabbitMQ");
        self.state.send_modify(|state| {
            state.status = LinkStatus::Connected;
            state.since = Instant::now();
            state.sessions += 1;
        });
    }

    pub(super) fn consuming(&self, consuming: bool) {
        self.state.send_modify(|state| state.consuming = consuming);
    }

    pub(super) fn lost(&self, error: String) {
        let before = self.state.borrow().clone();
        if before.status == LinkStatus::Connected || before.last_error.as_ref() != Some(&error) {
            tracing::warn!(link = self.name, error, "no connection to RabbitMQ: trying again");
        }
        self.state.send_modify(|state| {
            if state.status != LinkStatus::Connecting {
                state.since = Instant::now();
            }
            state.status = LinkStatus::Connecting;
            state.consuming = false;
            state.last_error = Some(error);
        });
    }

    pub(super) fn closed(&self) {
        self.state.send_modify(|state| {
            state.status = LinkStatus::Closed;
            state.consuming = false;
            state.since = Instant::now();
        });
    }
}
