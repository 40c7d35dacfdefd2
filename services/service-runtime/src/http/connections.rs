//! The connections of a server: a limit per client address, and which connection ends first if they run out.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// A connection may wait this long for a header block before another one may replace it: the block is usually
/// in flight.
const MIN_HEADER_WAIT: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionLimits {
    pub(super) connections: usize,
    pub(super) per_address: usize,
    pub(super) header_timeout: Duration,
    pub(super) idle_timeout: Duration,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionPhase {
    /// Waits for a request's header block: the first one, or one whose first bytes have arrived.
    Headers,
    /// Waits for the next request.
    Idle,
    /// Receives or answers a request.
    Busy(Exchange),
}

/// Progress of a request and its response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Exchange {
    /// Number of the request on this connection.
    number: u64,
    /// The request was received, or its rest was dropped.
    request: bool,
    /// The response is complete, but may not be written yet.
    answer: bool,
    /// The response is written.
    written: bool,
}

/// All connections of one server. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Connections(Arc<ServerConnections>);

#[derive(Debug)]
struct ServerConnections {
    limits: ConnectionLimits,
    table: Mutex<ConnectionTable>,
    /// Notified when a connection ends or becomes idle.
    freed: Notify,
}

#[derive(Debug, Default)]
struct ConnectionTable {
    next: u64,
    connections: HashMap<u64, Arc<ConnectionEntry>>,
}

#[derive(Debug)]
struct ConnectionEntry {
    group: IpAddr,
    phase: watch::Sender<(ConnectionPhase, Instant)>,
    evicted: CancellationToken,
}

impl ConnectionEntry {
    /// Since when the connection waits for its client; `None` while it must not be replaced.
    fn waiting_since(&self) -> Option<Instant> {
        let (phase, since) = *self.phase.borrow();
        let evictable = match phase {
            ConnectionPhase::Headers => since.elapsed() >= MIN_HEADER_WAIT,
            ConnectionPhase::Idle => true,
            ConnectionPhase::Busy(_) => false,
        };
        evictable.then_some(since)
    }
}

/// Why a connection is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AdmitError {
    /// All connections are busy or new.
    Full,
    /// The address has its share, and all of its connections are busy or new.
    OverShare,
}

impl Connections {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        Self(Arc::new(ServerConnections {
            limits,
            table: Mutex::default(),
            freed: Notify::new(),
        }))
    }

    /// Admits one more connection of this address. If necessary, ends the one that has waited longest for its
    /// client: of the same address if that has its share, otherwise of the address with the most connections.
    pub(super) fn admit(&self, address: IpAddr) -> Result<AdmittedConnection, AdmitError> {
        let group = address_group(address);
        let ConnectionLimits {
            connections,
            per_address,
            ..
        } = self.0.limits;
        let mut table = self.0.table();
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for entry in table.connections.values() {
            *counts.entry(entry.group).or_default() += 1;
        }
        let evicted = if counts.get(&group).copied().unwrap_or(0) >= per_address {
            let idlest = table.idlest(|entry| (entry.group == group).then_some(0));
            Some(idlest.ok_or(AdmitError::OverShare)?)
        } else if table.connections.len() >= connections {
            let idlest = table.idlest(|entry| counts.get(&entry.group).copied());
            Some(idlest.ok_or(AdmitError::Full)?)
        } else {
            None
        };
        if let Some(entry) = evicted.and_then(|id| table.connections.remove(&id)) {
            entry.evicted.cancel();
        }
        let id = table.next;
        table.next += 1;
        let entry = Arc::new(ConnectionEntry {
            group,
            phase: watch::Sender::new((ConnectionPhase::Headers, Instant::now())),
            evicted: CancellationToken::new(),
        });
        table.connections.insert(id, Arc::clone(&entry));
        Ok(AdmittedConnection(Arc::new(ConnectionGuard {
            id,
            requests: AtomicU64::default(),
            entry,
            shared: Arc::clone(&self.0),
        })))
    }

    /// Waits until a connection ends, becomes idle, or may have waited long enough.
    pub(super) async fn wait_until_freed(&self) {
        let _ = timeout(MIN_HEADER_WAIT / 4, self.0.freed.notified()).await;
    }
}

impl ServerConnections {
    fn table(&self) -> MutexGuard<'_, ConnectionTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionTable {
    /// Among the waiting connections with a rank, the one with the highest rank that has waited longest.
    fn idlest(&self, rank: impl Fn(&ConnectionEntry) -> Option<usize>) -> Option<u64> {
        let waiting = self.connections.iter().filter_map(|(id, entry)| {
            let since = entry.waiting_since()?;
            Some(((rank(entry)?, std::cmp::Reverse(since)), *id))
        });
        waiting.max_by_key(|(order, _)| *order).map(|(_, id)| id)
    }
}

/// An admitted connection. It counts until its last clone is dropped, or until it is evicted.
#[derive(Clone, Debug)]
pub(super) struct AdmittedConnection(Arc<ConnectionGuard>);

#[derive(Debug)]
struct ConnectionGuard {
    id: u64,
    requests: AtomicU64,
    entry: Arc<ConnectionEntry>,
    shared: Arc<ServerConnections>,
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.shared.table().connections.remove(&self.id);
        self.shared.freed.notify_one();
    }
}

impl AdmittedConnection {
    /// Records that bytes arrived.
    pub(super) fn record_received(&self) {
        self.set_phase(|phase| (phase == ConnectionPhase::Idle).then_some(ConnectionPhase::Headers));
    }

    /// Records a complete header block; returns the number of its request.
    pub(super) fn begin_request(&self) -> u64 {
        let number = self.0.requests.fetch_add(1, Ordering::Relaxed);
        let exchange = Exchange {
            number,
            ..Exchange::default()
        };
        self.set_phase(|_| Some(ConnectionPhase::Busy(exchange)));
        number
    }

    /// Records that a request's body was received or dropped. This may happen after the next request has
    /// begun, while the rest of a refused body is read.
    pub(super) fn record_request_end(&self, number: u64) {
        self.update_exchange(|exchange| exchange.request |= exchange.number == number);
    }

    /// Records that the last byte of a response is ready to be written.
    pub(super) fn record_answer_end(&self, number: u64) {
        self.update_exchange(|exchange| exchange.answer |= exchange.number == number);
    }

    /// Records that all pending bytes are written.
    pub(super) fn record_flushed(&self) {
        self.update_exchange(|exchange| exchange.written = exchange.answer);
    }

    /// The connection becomes idle once its request is received and its response is written.
    fn update_exchange(&self, change: impl FnOnce(&mut Exchange)) {
        self.set_phase(|phase| {
            let ConnectionPhase::Busy(before) = phase else {
                return None;
            };
            let mut now = before;
            change(&mut now);
            if now.request && now.written {
                self.0.shared.freed.notify_one();
                return Some(ConnectionPhase::Idle);
            }
            (now != before).then_some(ConnectionPhase::Busy(now))
        });
    }

    fn set_phase(&self, next: impl FnOnce(ConnectionPhase) -> Option<ConnectionPhase>) {
        self.0.entry.phase.send_if_modified(|state| match next(state.0) {
            Some(phase) => {
                *state = (phase, Instant::now());
                true
            }
            None => false,
        });
    }

    /// Waits until the connection must end: its client is overdue, or it is evicted.
    pub(super) async fn wait_until_ended(&self) {
        tokio::select! {
            () = self.wait_until_overdue() => {}
            () = self.0.entry.evicted.cancelled() => {}
        }
    }

    async fn wait_until_overdue(&self) {
        let limits = self.0.shared.limits;
        let mut phases = self.0.entry.phase.subscribe();
        loop {
            let (phase, since) = *phases.borrow_and_update();
            let limit = match phase {
                ConnectionPhase::Headers => Some(limits.header_timeout),
                ConnectionPhase::Idle => Some(limits.idle_timeout),
                ConnectionPhase::Busy(_) => None,
            };
            // An error would mean that the sender is gone, but `self` holds it.
            let Some(limit) = limit else {
                let _ = phases.changed().await;
                continue;
            };
            if timeout_at(since + limit, phases.changed()).await.is_err() {
                return;
            }
        }
    }
}

/// The unit of the limit per address: for IPv6, the /64 prefix, because clients choose the rest themselves.
fn address_group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let host_bits = u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !host_bits))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests;
