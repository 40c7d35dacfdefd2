//! TCP connections that end with their peer.
//!
//! A peer that vanished from the network sends nothing, not even an end. Without limits the kernel keeps such a
//! connection for two hours where it is idle, and for some 15 minutes where data are on their way.

use std::{io, os::fd::AsFd, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::time::{Instant, timeout};

/// An idle connection is tested after this time.
pub(crate) const KEEPALIVE_IDLE: Duration = Duration::from_secs(4);
/// Time between two tests.
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// Tests without an answer after which the connection ends.
pub(crate) const KEEPALIVE_RETRIES: u32 = 3;
/// How long data may be on their way without being acknowledged. As long as the tests of an idle connection take:
/// Linux counts their time by this limit too.
pub(crate) const USER_TIMEOUT: Duration = Duration::from_secs(10);

/// Limits how long the peer may be silent, by `TCP_USER_TIMEOUT` and keepalives.
pub(crate) fn limit_silence(socket: &impl AsFd) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_RETRIES);
    let socket = SockRef::from(socket);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

/// Connects to one of these addresses: tries them in order, each for its share of the time that is left, so that one
/// that does not answer leaves time for the others.
///
/// # Errors
/// The last address's error; without addresses a timeout.
pub(crate) async fn connect_any<A, T>(
    addresses: &[A],
    limit: Duration,
    connect: impl AsyncFn(&A) -> io::Result<T>,
) -> io::Result<T> {
    let deadline = Instant::now() + limit;
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    for (tried, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left.div_f64((addresses.len() - tried) as f64);
        match timeout(share, connect(address)).await {
            Ok(Ok(connected)) => return Ok(connected),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_address_is_tried_in_time() {
        let connect = async |address: &&str| match *address {
            "silent" => std::future::pending().await,
            "refuses" => Err(io::ErrorKind::ConnectionRefused.into()),
            works => Ok(works.to_owned()),
        };
        let limit = Duration::from_secs(4);
        for addresses in [
            &["works"][..],
            &["refuses", "works"],
            &["silent", "works"],
            &["silent", "refuses", "silent", "works"],
        ] {
            let began = Instant::now();
            let connected = connect_any(addresses, limit, connect).await;
            assert_eq!(connected.expect("an address works"), "works");
            assert!(began.elapsed() < limit, "{addresses:?}: {:?}", began.elapsed());
        }
        for (addresses, kind) in [
            (&["silent", "refuses"][..], io::ErrorKind::ConnectionRefused),
            (&["refuses", "silent"], io::ErrorKind::TimedOut),
            (&[], io::ErrorKind::TimedOut),
        ] {
            let began = Instant::now();
            let failed = connect_any(addresses, limit, connect).await;
            assert_eq!(
                failed.expect_err("no address works").kind(),
                kind,
                "{addresses:?}"
            );
            assert!(began.elapsed() <= limit);
        }
    }
}
