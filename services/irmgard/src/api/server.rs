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

/// A request's header block must be whole by then.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// All headers of a request, bytes; more is answered 431.
const MAX_HEADER_BYTES: usize = 32 * 1024;
/// Bytes of a connection that are read ahead or not yet written.
const BUFFER_BYTES: usize = 128 * 1024;
/// Connections at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 2048;
/// Rest after an accept that failed, as when no descriptor is free.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Answers connections until `stop`; then takes no more, and returns when the
/// requests that were begun are answered.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_header_size(MAX_HEADER_BYTES)
        .max_buf_size(BUFFER_BYTES);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Some(Some((stream, place))) = stop.run_until_cancelled(accept(&listener, &places)).await {
        // Answers are small and are waited for.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
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
