//! An HTTP/1.1 server that limits the resources of each client.

mod connections;
mod min_rate_stream;

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, response::Response};
use http_body::{Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use self::{
    connections::{AdmitError, AdmittedConnection, ConnectionLimits, Connections},
    min_rate_stream::MinRateStream,
};
use crate::min_rate::MinRate;

/// Pause after a failed accept, for example when no file descriptor is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Response to a client whose address has its share of connections.
const REFUSAL_RESPONSE: &str = concat!(
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 1\r\n",
    "Connection: close\r\nContent-Length: 114\r\n\r\n",
    r#"{"type":"about:blank","title":"Too many connections from your address","status":503,"code":"too-many-connections"}"#,
);
/// Maximum number of concurrent refusals; further connections are closed without a response.
const MAX_REFUSALS: usize = 64;
/// How long a refused client may take to read the response and close.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// The peer of the connection; an extension of each request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// Limits per client and connection.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// Time limit for a request's header block. It starts with the connection, or with the block's first byte
    /// on a connection that was used before.
    pub header_timeout: Duration,
    /// How long a used connection may be idle: longer than the 60 s of common load balancers.
    pub idle_timeout: Duration,
    /// Maximum size of a request's headers, bytes; more is answered 431.
    pub header_bytes: usize,
    /// Maximum size of a connection's read and write buffers, bytes.
    pub buffer_bytes: usize,
    /// Minimum rate at which a client must receive a response; below it the connection ends.
    pub reading: MinRate,
    /// Maximum number of connections. One more replaces the one that is idle for longest, or waits while all are busy.
    pub connections: usize,
    /// Maximum number of connections per client address. One more replaces the address's connection that is
    /// idle for longest, or is refused while all are busy.
    pub per_address: usize,
}

impl ServerLimits {
    /// Default limits for this many connections; three quarters of them for any one address.
    #[must_use]
    pub const fn with_connections(connections: usize) -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            header_bytes: 32 * 1024,
            buffer_bytes: 128 * 1024,
            reading: MinRate {
                bytes_per_second: 8 * 1024,
                window: Duration::from_secs(60),
            },
            connections,
            per_address: share(connections),
        }
    }
}

/// Default number of connections per address.
#[must_use]
pub const fn share(connections: usize) -> usize {
    connections.div_ceil(4) * 3
}

/// Serves connections until `stop`, then finishes the started requests.
pub async fn serve(listener: TcpListener, router: Router, limits: ServerLimits, stop: CancellationToken) {
    let mut http = http1::Builder::new();
    // hyper's timeout does not tell an idle connection from a slow header block; `Connection::wait_until_ended` does.
    http.header_read_timeout(None)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.buffer_bytes);
    let graceful = GracefulShutdown::new();
    let connections = Connections::new(ConnectionLimits {
        connections: limits.connections,
        per_address: limits.per_address,
        header_timeout: limits.header_timeout,
        idle_timeout: limits.idle_timeout,
    });
    let refusals = Arc::new(Semaphore::new(MAX_REFUSALS));
    while let Some((stream, peer, admitted)) = stop.run_until_cancelled(accept(&listener, &connections)).await
    {
        let Some(connection) = admitted else {
            if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
                tokio::spawn(async move {
                    refuse(stream).await;
                    drop(permit);
                });
            }
            continue;
        };
        // Responses are small and clients wait for them.
        let _ = stream.set_nodelay(true);
        let io = TokioIo::new(MinRateStream::new(stream, limits.reading, connection.clone()));
        let answers = service(router.clone(), connection.clone(), peer);
        let served = graceful.watch(http.serve_connection(io, answers));
        tokio::spawn(async move {
            tokio::select! {
                outcome = served => log_malformed(outcome, peer),
                () = connection.wait_until_ended() => {}
            }
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// Logs malformed requests, which hyper has answered. Other connection errors are not logged: requests have
/// log lines of their own.
fn log_malformed(outcome: hyper::Result<()>, peer: Peer) {
    if let Err(error) = outcome
        && error.is_parse()
    {
        tracing::warn!(
            client.address = %peer.0.to_canonical(),
            outcome = "malformed-http",
            %error,
            "a malformed HTTP/1.1 request was refused"
        );
    }
}

/// Accepts the next connection; without an admission if its address has its share.
async fn accept(
    listener: &TcpListener,
    connections: &Connections,
) -> (TcpStream, Peer, Option<AdmittedConnection>) {
    let (stream, peer) = loop {
        match listener.accept().await {
            Ok(accepted) => break accepted,
            Err(error) => {
                // A connection that the client closed before it was accepted needs no pause.
                if error.kind() != std::io::ErrorKind::ConnectionAborted {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    (stream, Peer(peer.ip()), admit(connections, peer).await)
}

async fn admit(connections: &Connections, peer: SocketAddr) -> Option<AdmittedConnection> {
    loop {
        match connections.admit(peer.ip()) {
            Ok(connection) => return Some(connection),
            Err(AdmitError::OverShare) => {
                tracing::debug!(client.address = %peer.ip(), "too many connections from this address");
                return None;
            }
            Err(AdmitError::Full) => connections.wait_until_freed().await,
        }
    }
}

/// Responds before the request is read, and lets the client close.
async fn refuse(mut stream: TcpStream) {
    let refusal = async {
        stream.write_all(REFUSAL_RESPONSE.as_bytes()).await?;
        stream.shutdown().await?;
        // A reset would discard the response of a client that is still sending.
        let mut ignored = [0; 4096];
        while stream.read(&mut ignored).await? > 0 {}
        std::io::Result::Ok(())
    };
    let _ = timeout(REFUSAL_TIMEOUT, refusal).await;
}

/// A service that answers with the router and records the progress of each request.
fn service(
    router: Router,
    connection: AdmittedConnection,
    peer: Peer,
) -> impl hyper::service::HttpService<Incoming, ResBody = ObservedBody<Body>, Error = Infallible, Future: Send>
{
    service_fn(move |mut request: Request<Incoming>| {
        let number = connection.begin_request();
        request.extensions_mut().insert(peer);
        let request = request.map(|body| {
            Body::new(ObservedBody::new(
                body,
                &connection,
                number,
                AdmittedConnection::record_request_end,
            ))
        });
        let (router, connection) = (router.clone(), connection.clone());
        async move {
            let response: Response = router.oneshot(request).await?;
            Ok::<_, Infallible>(response.map(|body| {
                ObservedBody::new(body, &connection, number, AdmittedConnection::record_answer_end)
            }))
        }
    })
}

/// A body that reports its end to its connection, once: when it is read completely or dropped.
struct ObservedBody<B> {
    body: B,
    connection: AdmittedConnection,
    number: u64,
    report_end: Option<fn(&AdmittedConnection, u64)>,
}

impl<B: http_body::Body> ObservedBody<B> {
    fn new(
        body: B,
        connection: &AdmittedConnection,
        number: u64,
        report_end: fn(&AdmittedConnection, u64),
    ) -> Self {
        let mut observed = Self {
            body,
            connection: connection.clone(),
            number,
            report_end: Some(report_end),
        };
        if observed.body.is_end_stream() {
            observed.report();
        }
        observed
    }
}

impl<B> ObservedBody<B> {
    fn report(&mut self) {
        if let Some(report_end) = self.report_end.take() {
            report_end(&self.connection, self.number);
        }
    }
}

impl<B: http_body::Body + Unpin> http_body::Body for ObservedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) || self.body.is_end_stream() {
            self.report();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for ObservedBody<B> {
    fn drop(&mut self) {
        self.report();
    }
}
