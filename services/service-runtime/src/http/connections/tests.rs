use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn connections(connections: usize, per_address: usize) -> Connections {
    Connections::new(ConnectionLimits {
        connections,
        per_address,
        header_timeout: 10 * SECOND,
        idle_timeout: 75 * SECOND,
    })
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn evicted(connection: &AdmittedConnection) -> bool {
    connection.0.entry.evicted.is_cancelled()
}

/// A complete request and a complete response.
fn complete_exchange(connection: &AdmittedConnection) {
    let number = connection.begin_request();
    connection.record_request_end(number);
    connection.record_answer_end(number);
    connection.record_flushed();
}

#[tokio::test(start_paused = true)]
async fn the_idlest_connection_of_the_largest_address_is_evicted() {
    let all = connections(4, 4);
    let honest = all.admit(address(1)).unwrap();
    complete_exchange(&honest);
    tokio::time::advance(SECOND).await;
    let mut flood = Vec::new();
    for _ in 0..3 {
        flood.push(all.admit(address(2)).unwrap());
        tokio::time::advance(SECOND).await;
    }
    flood[0].begin_request();
    let new = all.admit(address(3)).unwrap();
    assert!(evicted(&flood[1]), "the idlest of those with most");
    assert!(!evicted(&honest) && !evicted(&flood[0]) && !evicted(&flood[2]) && !evicted(&new));
}

#[tokio::test(start_paused = true)]
async fn busy_connections_are_left_alone() {
    let all = connections(2, 2);
    let [first, second] = [1, 2].map(|last| all.admit(address(last)).unwrap());
    first.begin_request();
    second.begin_request();
    assert_eq!(all.admit(address(3)).unwrap_err(), AdmitError::Full);
    complete_exchange(&second);
    tokio::time::timeout(SECOND, all.wait_until_freed())
        .await
        .unwrap();
    let third = all.admit(address(3)).unwrap();
    assert!(evicted(&second) && !evicted(&first));
    third.begin_request();
    drop(first);
    all.admit(address(4)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_address_has_a_share_and_the_rest_is_for_others() {
    let all = connections(4, 2);
    let first = all.admit(address(1)).unwrap();
    let second = all.admit(address(1)).unwrap();
    first.begin_request();
    assert_eq!(
        all.admit(address(1)).unwrap_err(),
        AdmitError::OverShare,
        "the second is new"
    );
    tokio::time::advance(SECOND).await;
    let third = all.admit(address(1)).unwrap();
    assert!(evicted(&second), "an address loses its own connections first");
    third.begin_request();
    assert_eq!(all.admit(address(1)).unwrap_err(), AdmitError::OverShare);
    let others = [2, 3].map(|last| all.admit(address(last)).unwrap());
    assert!(others.iter().all(|other| !evicted(other)));
}

#[tokio::test(start_paused = true)]
async fn each_phase_has_its_own_time_limit() {
    let all = connections(4, 4);
    let connection = all.admit(address(1)).unwrap();
    let time_until_end = async |connection: &AdmittedConnection| {
        let started = Instant::now();
        connection.wait_until_ended().await;
        started.elapsed()
    };
    assert_eq!(
        time_until_end(&connection).await,
        10 * SECOND,
        "before its first request"
    );
    let connection = all.admit(address(1)).unwrap();
    connection.begin_request();
    assert!(
        tokio::time::timeout(1000 * SECOND, connection.wait_until_ended())
            .await
            .is_err(),
        "an answer"
    );
    complete_exchange(&connection);
    assert_eq!(time_until_end(&connection).await, 75 * SECOND, "between requests");
    complete_exchange(&connection);
    tokio::time::advance(70 * SECOND).await;
    connection.record_received();
    connection.record_received();
    assert_eq!(
        time_until_end(&connection).await,
        10 * SECOND,
        "from the first byte of a header block"
    );
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_idle_once_its_request_is_received_and_its_answer_written() {
    type Step = fn(&AdmittedConnection, u64);
    let (request, answer, flush): (Step, Step, Step) = (
        AdmittedConnection::record_request_end,
        AdmittedConnection::record_answer_end,
        |connection, _| connection.record_flushed(),
    );
    for steps in [
        [request, answer, flush],
        [answer, request, flush],
        [answer, flush, request],
    ] {
        let all = connections(1, 1);
        let connection = all.admit(address(1)).unwrap();
        let number = connection.begin_request();
        connection.record_flushed();
        for step in steps {
            tokio::time::advance(SECOND).await;
            connection.record_received();
            let refused = all.admit(address(2)).unwrap_err();
            assert_eq!(refused, AdmitError::Full);
            step(&connection, number);
        }
        all.admit(address(2)).unwrap();
        assert!(evicted(&connection));
    }
}

/// The rest of a refused body may be read while the next request is received.
#[tokio::test(start_paused = true)]
async fn the_end_of_a_request_does_not_end_the_next() {
    let all = connections(1, 1);
    let connection = all.admit(address(1)).unwrap();
    let first = connection.begin_request();
    connection.record_answer_end(first);
    connection.record_flushed();
    let second = connection.begin_request();
    connection.record_answer_end(second);
    connection.record_flushed();
    connection.record_request_end(first);
    assert_eq!(all.admit(address(2)).unwrap_err(), AdmitError::Full);
    connection.record_request_end(second);
    all.admit(address(2)).unwrap();
}

#[test]
fn one_ipv6_prefix_counts_as_one_address() {
    let parsed = |text: &str| address_group(text.parse().unwrap());
    assert_eq!(parsed("2001:db8::1"), parsed("2001:db8::ffff:1"));
    assert_ne!(parsed("2001:db8::1"), parsed("2001:db8:0:1::1"));
    assert_eq!(parsed("::ffff:192.0.2.1"), address(1));
    assert_ne!(parsed("192.0.2.1"), parsed("192.0.2.2"));
}
