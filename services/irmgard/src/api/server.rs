//! Connections: HTTP/1.1, with bounds on what a client can hold.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::impatient::Impatient;
use crate::pace::LeastRate;

/// Rest after an accept that failed, as when no descriptor is free.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// What a client can hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A request's header block must be whole by then, counted from the end
    /// of the request before: also how long a connection may be idle, and
    /// longer than the 60 s of common load balancers.
    pub header_timeout: Duration,
    /// All headers of a request, bytes; more is answered 431.
    pub header_bytes: usize,
    /// Bytes of a connection that are read ahead or not yet written.
    pub buffer_bytes: usize,
    /// What a client must take of an answer; in a window without a byte, or
    /// with fewer, its connection ends.
    pub reading: LeastRate,
    /// Connections at a time; more wait to be accepted.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(75),
            header_bytes: 32 * 1024,
            buffer_bytes: 128 * 1024,
            reading: LeastRate {
                bytes_per_second: 8 * 1024,
                window: Duration::from_secs(60),
            },
            connections: 1024,
        }
    }
}

/// Answers connections until `stop`; then takes no more, and returns when the
/// requests that were begun are answered.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    serve_within(listener, router, Limits::default(), stop).await;
}

/// The same within limits that the caller chooses.
pub async fn serve_within(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.buffer_bytes);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(limits.connections));
    while let Some(Some((stream, place))) = stop.run_until_cancelled(accept(&listener, &places)).await {
        // Answers are small and are waited for.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = graceful
            .watch(http.serve_connection(TokioIo::new(Impatient::new(stream, limits.reading)), service));
        tokio::spawn(async move {
            // How a connection ends is its client's affair; requests have lines of their own.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Some((stream, place)),
            Err(error) => {
                // One that the client closed before it was accepted is no reason to rest.
                if error.kind() != std::io::ErrorKind::ConnectionAborted {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    sleep(ACCEPT_REST).await;
                }
            }
        }
    }
}
