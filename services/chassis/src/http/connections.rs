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
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn connections(connections: usize, per_address: usize) -> Connections {
        Connections::new(Bounds {
            connections,
            per_address,
            header_timeout: 10 * SECOND,
            idle_timeout: 75 * SECOND,
        })
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn evicted(connection: &Connection) -> bool {
        connection.0.entry.evicted.is_cancelled()
    }

    /// A whole request and a whole answer.
    fn answer(connection: &Connection) {
        let number = connection.busy();
        connection.request_ended(number);
        connection.answer_ended(number);
        connection.flushed();
    }

    #[tokio::test(start_paused = true)]
    async fn the_idlest_of_the_address_that_has_most_makes_room() {
        let all = connections(4, 4);
        let honest = all.admit(address(1)).unwrap();
        answer(&honest);
        tokio::time::advance(SECOND).await;
        let mut flood = Vec::new();
        for _ in 0..3 {
            flood.push(all.admit(address(2)).unwrap());
            tokio::time::advance(SECOND).await;
        }
        flood[0].busy();
        let new = all.admit(address(3)).unwrap();
        assert!(evicted(&flood[1]), "the idlest of those with most");
        assert!(!evicted(&honest) && !evicted(&flood[0]) && !evicted(&flood[2]) && !evicted(&new));
    }

    #[tokio::test(start_paused = true)]
    async fn busy_connections_are_left_alone() {
        let all = connections(2, 2);
        let [first, second] = [1, 2].map(|last| all.admit(address(last)).unwrap());
        first.busy();
        second.busy();
        assert_eq!(all.admit(address(3)).unwrap_err(), NotAdmitted::Full);
        answer(&second);
        tokio::time::timeout(SECOND, all.freed()).await.unwrap();
        let third = all.admit(address(3)).unwrap();
        assert!(evicted(&second) && !evicted(&first));
        third.busy();
        drop(first);
        all.admit(address(4)).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_has_its_share_and_leaves_the_rest_to_others() {
        let all = connections(4, 2);
        let first = all.admit(address(1)).unwrap();
        let second = all.admit(address(1)).unwrap();
        first.busy();
        assert_eq!(
            all.admit(address(1)).unwrap_err(),
            NotAdmitted::OverShare,
            "the second is new"
        );
        tokio::time::advance(SECOND).await;
        let third = all.admit(address(1)).unwrap();
        assert!(evicted(&second), "an address gives up its own first");
        third.busy();
        assert_eq!(all.admit(address(1)).unwrap_err(), NotAdmitted::OverShare);
        let others = [2, 3].map(|last| all.admit(address(last)).unwrap());
        assert!(others.iter().all(|other| !evicted(other)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_is_waited_for_as_long_as_its_phase_allows() {
        let all = connections(4, 4);
        let connection = all.admit(address(1)).unwrap();
        let ends_after = async |connection: &Connection| {
            let began = Instant::now();
            connection.ends().await;
            began.elapsed()
        };
        assert_eq!(
            ends_after(&connection).await,
            10 * SECOND,
            "before its first request"
        );
        let connection = all.admit(address(1)).unwrap();
        connection.busy();
        assert!(
            tokio::time::timeout(1000 * SECOND, connection.ends())
                .await
                .is_err(),
            "an answer"
        );
        answer(&connection);
        assert_eq!(ends_after(&connection).await, 75 * SECOND, "between requests");
        answer(&connection);
        tokio::time::advance(70 * SECOND).await;
        connection.received();
        connection.received();
        assert_eq!(
            ends_after(&connection).await,
            10 * SECOND,
            "from the first byte of a header block"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_once_its_request_is_received_and_its_answer_written() {
        type Step = fn(&Connection, u64);
        let (request, answer, flush): (Step, Step, Step) = (
            Connection::request_ended,
            Connection::answer_ended,
            |connection, _| connection.flushed(),
        );
        for steps in [
            [request, answer, flush],
            [answer, request, flush],
            [answer, flush, request],
        ] {
            let all = connections(1, 1);
            let connection = all.admit(address(1)).unwrap();
            let number = connection.busy();
            connection.flushed();
            for step in steps {
                tokio::time::advance(SECOND).await;
                connection.received();
                let refused = all.admit(address(2)).unwrap_err();
                assert_eq!(refused, NotAdmitted::Full);
                step(&connection, number);
            }
            all.admit(address(2)).unwrap();
            assert!(evicted(&connection));
        }
    }

    /// The rest of a refused body may be read on while the next request is received.
    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_request_is_not_taken_for_that_of_the_next() {
        let all = connections(1, 1);
        let connection = all.admit(address(1)).unwrap();
        let first = connection.busy();
        connection.answer_ended(first);
        connection.flushed();
        let second = connection.busy();
        connection.answer_ended(second);
        connection.flushed();
        connection.request_ended(first);
        assert_eq!(all.admit(address(2)).unwrap_err(), NotAdmitted::Full);
        connection.request_ended(second);
        all.admit(address(2)).unwrap();
    }

    #[test]
    fn one_network_of_ipv6_is_one_address() {
        let parsed = |text: &str| network(text.parse().unwrap());
        assert_eq!(parsed("2001:db8::1"), parsed("2001:db8::ffff:1"));
        assert_ne!(parsed("2001:db8::1"), parsed("2001:db8:0:1::1"));
        assert_eq!(parsed("::ffff:192.0.2.1"), address(1));
        assert_ne!(parsed("192.0.2.1"), parsed("192.0.2.2"));
    }
}
