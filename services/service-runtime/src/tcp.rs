//! TCP connections that end if the peer is silent.
//!
//! A peer that vanished from the network sends nothing, not even a FIN. Without limits the kernel keeps such
//! a connection for two hours if it is idle, and for about 15 minutes if data are in flight.

use std::{io, os::fd::AsFd, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::time::{Instant, timeout};

/// Idle time before the first keepalive probe.
pub(crate) const KEEPALIVE_IDLE: Duration = Duration::from_secs(4);
/// Time between keepalive probes.
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// Number of unanswered keepalive probes after which the connection ends.
pub(crate) const KEEPALIVE_RETRIES: u32 = 3;
/// How long sent data may stay unacknowledged. As long as the keepalive probes take, because Linux applies
/// this limit to them, too.
pub(crate) const USER_TIMEOUT: Duration = Duration::from_secs(10);

/// Limits how long the peer may be silent, with `TCP_USER_TIMEOUT` and keepalives.
pub(crate) fn limit_silence(socket: &impl AsFd) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_RETRIES);
    let socket = SockRef::from(socket);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

/// Connects to one of the addresses. Tries them in order, each for its share of the remaining time, so that a
/// silent address leaves time for the others.
///
/// # Errors
/// The error of the last address; a timeout if there are no addresses.
pub(crate) async fn connect_any<A, T>(
    addresses: &[A],
    limit: Duration,
    connect: impl AsyncFn(&A) -> io::Result<T>,
) -> io::Result<T> {
    let deadline = Instant::now() + limit;
    let mut last_error = io::Error::from(io::ErrorKind::TimedOut);
    for (tried, address) in addresses.iter().enumerate() {
        let remaining = deadline.saturating_duration_since(Instant::now());
        let share = remaining.div_f64((addresses.len() - tried) as f64);
        match timeout(share, connect(address)).await {
            Ok(Ok(connected)) => return Ok(connected),
            Ok(Err(error)) => last_error = error,
            Err(_) => last_error = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_address_is_tried_within_the_limit() {
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
            let started = Instant::now();
            let connected = connect_any(addresses, limit, connect).await;
            assert_eq!(connected.expect("an address works"), "works");
            assert!(
                started.elapsed() < limit,
                "{addresses:?}: {:?}",
                started.elapsed()
            );
        }
        for (addresses, kind) in [
            (&["silent", "refuses"][..], io::ErrorKind::ConnectionRefused),
            (&["refuses", "silent"], io::ErrorKind::TimedOut),
            (&[], io::ErrorKind::TimedOut),
        ] {
            let started = Instant::now();
            let failed = connect_any(addresses, limit, connect).await;
            assert_eq!(
                failed.expect_err("no address works").kind(),
                kind,
                "{addresses:?}"
            );
            assert!(started.elapsed() <= limit);
        }
    }
}
