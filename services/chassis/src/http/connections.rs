//! The connections of a server: who has how many, and which one ends first when they run out.

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

/// A connection may wait so long for a header block before another one may take its place: the block is mostly on its
/// way.
const GRACE: Duration = Duration::from_secs(1);

/// How many connections there may be, and how long each may wait for its client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) connections: usize,
    pub(super) per_address: usize,
    pub(super) header_timeout: Duration,
    pub(super) idle_timeout: Duration,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A request's header block is awaited: the first one, or one whose first bytes are here.
    Headers,
    /// The next request is awaited.
    Idle,
    /// A request is being received or answered.
    Busy(Exchange),
}

/// What has ended of a request and its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Exchange {
    /// Which of the connection's requests it is.
    number: u64,
    /// The request is received, or nobody wants the rest of it.
    request: bool,
    /// The answer is whole, though maybe not written yet.
    answer: bool,
    /// The answer is written.
    written: bool,
}

/// All connections of one server. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Connections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bounds: Bounds,
    table: Mutex<Table>,
    /// A connection ended, or is idle now.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    connections: HashMap<u64, Arc<Entry>>,
}

#[derive(Debug)]
struct Entry {
    network: IpAddr,
    phase: watch::Sender<(Phase, Instant)>,
    evicted: CancellationToken,
}

impl Entry {
    /// Since when it waits for its client; `None` while its place must not be taken.
    fn waiting_since(&self) -> Option<Instant> {
        let (phase, since) = *self.phase.borrow();
        let evictable = match phase {
            Phase::Headers => since.elapsed() >= GRACE,
            Phase::Idle => true,
            Phase::Busy(_) => false,
        };
        evictable.then_some(since)
    }
}

/// Why a connection is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotAdmitted {
    /// All connections are busy, or new.
    Full,
    /// Its address has its share, and all of those are busy, or new.
    OverShare,
}

impl Connections {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self(Arc::new(Shared {
            bounds,
            table: Mutex::default(),
            freed: Notify::new(),
        }))
    }

    /// Makes room for one more connection of this address, if need be by ending one that waits for its client: of the
    /// same address where that has its share, else of the one that has most; the one that has waited longest.
    pub(super) fn admit(&self, address: IpAddr) -> Result<Connection, NotAdmitted> {
        let network = network(address);
        let Bounds {
            connections,
            per_address,
            ..
        } = self.0.bounds;
        let mut table = self.0.table();
        let mut held: HashMap<IpAddr, usize> = HashMap::new();
        for entry in table.connections.values() {
            *held.entry(entry.network).or_default() += 1;
        }
        let evicted = if held.get(&network).copied().unwrap_or(0) >= per_address {
            let idlest = table.idlest(|entry| (entry.network == network).then_some(0));
            Some(idlest.ok_or(NotAdmitted::OverShare)?)
        } else if table.connections.len() >= connections {
            let idlest = table.idlest(|entry| held.get(&entry.network).copied());
            Some(idlest.ok_or(NotAdmitted::Full)?)
        } else {
            None
        };
        if let Some(entry) = evicted.and_then(|id| table.connections.remove(&id)) {
            entry.evicted.cancel();
        }
        let id = table.next;
        table.next += 1;
        let entry = Arc::new(Entry {
            network,
            phase: watch::Sender::new((Phase::Headers, Instant::now())),
            evicted: CancellationToken::new(),
        });
        table.connections.insert(id, Arc::clone(&entry));
        Ok(Connection(Arc::new(Held {
            id,
            requests: AtomicU64::default(),
            entry,
            shared: Arc::clone(&self.0),
        })))
    }

    /// Waits until a connection has ended or is idle, or may have waited for long enough.
    pub(super) async fn freed(&self) {
        let _ = timeout(GRACE / 4, self.0.freed.notified()).await;
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Of the connections that wait for their client and have a rank, the one of the highest that waits longest.
    fn idlest(&self, rank: impl Fn(&Entry) -> Option<usize>) -> Option<u64> {
        let waiting = self.connections.iter().filter_map(|(id, entry)| {
            let since = entry.waiting_since()?;
            Some(((rank(entry)?, std::cmp::Reverse(since)), *id))
        });
        waiting.max_by_key(|(order, _)| *order).map(|(_, id)| id)
    }
}

/// An admitted connection. It counts until its last clone is dropped, or it is evicted.
#[derive(Clone, Debug)]
pub(super) struct Connection(Arc<Held>);

#[derive(Debug)]
struct Held {
    id: u64,
    requests: AtomicU64,
    entry: Arc<Entry>,
    shared: Arc<Shared>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.table().connections.remove(&self.id);
        self.shared.freed.notify_one();
    }
}

impl Connection {
    /// Bytes of the client have come.
    pub(super) fn received(&self) {
        self.enter(|phase| (phase == Phase::Idle).then_some(Phase::Headers));
    }

    /// A header block is whole. The number is that of its request.
    pub(super) fn busy(&self) -> u64 {
        let number = self.0.requests.fetch_add(1, Ordering::Relaxed);
        let exchange = Exchange {
            number,
            ..Exchange::default()
        };
        self.enter(|_| Some(Phase::Busy(exchange)));
        number
    }

    /// The body of a request is received, or dropped: maybe after the next request has begun, when the rest of a refused
    /// body is read on.
    pub(super) fn request_ended(&self, number: u64) {
        self.exchange(|exchange| exchange.request |= exchange.number == number);
    }

    /// The last byte of a request's answer is on its way to be written.
    pub(super) fn answer_ended(&self, number: u64) {
        self.exchange(|exchange| exchange.answer |= exchange.number == number);
    }

    /// All bytes that were on their way are written.
    pub(super) fn flushed(&self) {
        self.exchange(|exchange| exchange.written = exchange.answer);
    }

    /// The connection is idle once its request is received and its answer is written.
    fn exchange(&self, change: impl FnOnce(&mut Exchange)) {
        self.enter(|phase| {
            let Phase::Busy(before) = phase else { return None };
            let mut now = before;
            change(&mut now);
            if now.request && now.written {
                self.0.shared.freed.notify_one();
                return Some(Phase::Idle);
            }
            (now != before).then_some(Phase::Busy(now))
        });
    }

    fn enter(&self, next: impl FnOnce(Phase) -> Option<Phase>) {
        self.0.entry.phase.send_if_modified(|state| match next(state.0) {
            Some(phase) => {
                *state = (phase, Instant::now());
                true
            }
            None => false,
        });
    }

    /// Waits until the connection must end: its client is overdue, or its place is needed.
    pub(super) async fn ends(&self) {
        tokio::select! {
            () = self.overdue() => {}
            () = self.0.entry.evicted.cancelled() => {}
        }
    }

    async fn overdue(&self) {
        let bounds = self.0.shared.bounds;
        let mut phases = self.0.entry.phase.subscribe();
        loop {
            let (phase, since) = *phases.borrow_and_update();
            let limit = match phase {
                Phase::Headers => Some(bounds.header_timeout),
                Phase::Idle => Some(bounds.idle_timeout),
                Phase::Busy(_) => None,
            };
            // An error would mean that the connection has gone, while it is borrowed here.
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

/// What counts as one address: of IPv6 the 64 bits that a client does not choose itself.
fn network(address: IpAddr) -> IpAddr {
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
