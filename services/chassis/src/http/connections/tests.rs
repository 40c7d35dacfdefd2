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
