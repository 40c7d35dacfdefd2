//! An HTTP/1.1 server with bounds on what a client can hold.

mod connections;
mod impatient;

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
    connections::{Bounds, Connection, Connections, NotAdmitted},
    impatient::Impatient,
};
use crate::pace::LeastRate;

/// Rest after an accept that failed, as when no descriptor is free.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Answer to a client whose address has its share of connections.
const REFUSAL: &str = concat!(
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 1\r\n",
    "Connection: close\r\nContent-Length: 114\r\n\r\n",
    r#"{"type":"about:blank","title":"Too many connections from your address","status":503,"code":"too-many-connections"}"#,
);
/// Refusals on their way at a time; more connections are closed without an answer.
const REFUSALS: usize = 64;
/// How long a refused client may take to read its answer and to end.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// The other end of the connection that a request came by: an extension of the request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// What a client can hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A request's header block must be whole within this time, counted from the connection's begin, or from the
    /// block's first byte on a connection that was used before.
    pub header_timeout: Duration,
    /// How long a connection that was used may be idle: longer than the 60 s of common load balancers.
    pub idle_timeout: Duration,
    /// All headers of a request, bytes; more is answered 431.
    pub header_bytes: usize,
    /// Bytes of a connection that are read ahead or not yet written.
    pub buffer_bytes: usize,
    /// What a client must take of an answer; in a window without a byte, or
    /// with fewer, its connection ends.
    pub reading: LeastRate,
    /// Connections at a time. One more ends the idlest; more wait to be accepted while all are busy.
    pub connections: usize,
    /// Connections of one client address at a time. One more ends its idlest, or is refused while all are busy.
    pub per_address: usize,
}

impl Limits {
    /// With so many connections, three quarters of them for any one address.
    #[must_use]
    pub const fn with_connections(connections: usize) -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            header_bytes: 32 * 1024,
            buffer_bytes: 128 * 1024,
            reading: LeastRate {
                bytes_per_second: 8 * 1024,
                window: Duration::from_secs(60),
            },
            connections,
            per_address: share(connections),
        }
    }
}

/// The connections that one address may have where nothing else is set.
#[must_use]
pub const fn share(connections: usize) -> usize {
    connections.div_ceil(4) * 3
}

/// Answers connections until `stop`; then takes no more, and returns when the
/// requests that were begun are answered.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let mut http = http1::Builder::new();
    // Its own time limit does not tell an idle connection from a slow header block: `Connection::ends` does.
    http.header_read_timeout(None)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.buffer_bytes);
    let graceful = GracefulShutdown::new();
    let connections = Connections::new(Bounds {
        connections: limits.connections,
        per_address: limits.per_address,
        header_timeout: limits.header_timeout,
        idle_timeout: limits.idle_timeout,
    });
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    while let Some((stream, peer, admitted)) = stop.run_until_cancelled(accept(&listener, &connections)).await
    {
        let Some(place) = admitted else {
            if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
                tokio::spawn(async move {
                    refuse(stream).await;
                    drop(permit);
                });
            }
            continue;
        };
        // Answers are small and are waited for.
        let _ = stream.set_nodelay(true);
        let io = TokioIo::new(Impatient::new(stream, limits.reading, place.clone()));
        let answers = service(router.clone(), place.clone(), peer);
        let connection = graceful.watch(http.serve_connection(io, answers));
        tokio::spawn(async move {
            tokio::select! {
                outcome = connection => log_malformed(outcome, peer),
                () = place.ends() => {}
            }
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// How a connection ends is its client's affair, and requests have lines of their own: but for one that could not be
/// read, which hyper has answered.
fn log_malformed(outcome: hyper::Result<()>, peer: Peer) {
    if let Err(error) = outcome
        && error.is_parse()
    {
        tracing::warn!(
            client.address = %peer.0.to_canonical(),
            outcome = "malformed-http",
            %error,
            "a request was refused: it is no HTTP/1.1"
        );
    }
}

/// The next connection, with its place; without one where its address has its share.
async fn accept(listener: &TcpListener, connections: &Connections) -> (TcpStream, Peer, Option<Connection>) {
    let (stream, peer) = loop {
        match listener.accept().await {
            Ok(accepted) => break accepted,
            Err(error) => {
                // One that the client closed before it was accepted is no reason to rest.
                if error.kind() != std::io::ErrorKind::ConnectionAborted {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    sleep(ACCEPT_REST).await;
                }
            }
        }
    };
    (stream, Peer(peer.ip()), place(connections, peer).await)
}

async fn place(connections: &Connections, peer: SocketAddr) -> Option<Connection> {
    loop {
        match connections.admit(peer.ip()) {
            Ok(place) => return Some(place),
            Err(NotAdmitted::OverShare) => {
                tracing::debug!(client.address = %peer.ip(), "too many connections from this address");
                return None;
            }
            Err(NotAdmitted::Full) => connections.freed().await,
        }
    }
}

/// Answers before the request has been read, and lets the client end.
async fn refuse(mut stream: TcpStream) {
    let refusal = async {
        stream.write_all(REFUSAL.as_bytes()).await?;
        stream.shutdown().await?;
        // A reset would take the answer from a client that is still sending.
        let mut ignored = [0; 4096];
        while stream.read(&mut ignored).await? > 0 {}
        std::io::Result::Ok(())
    };
    let _ = timeout(REFUSAL_TIMEOUT, refusal).await;
}

/// The router's answers; notes how far the connection is with each.
fn service(
    router: Router,
    place: Connection,
    peer: Peer,
) -> impl hyper::service::HttpService<Incoming, ResBody = Noted<Body>, Error = Infallible, Future: Send> {
    service_fn(move |mut request: Request<Incoming>| {
        let number = place.busy();
        request.extensions_mut().insert(peer);
        let request =
            request.map(|body| Body::new(Noted::new(body, &place, number, Connection::request_ended)));
        let (router, place) = (router.clone(), place.clone());
        async move {
            let response: Response = router.oneshot(request).await?;
            Ok::<_, Infallible>(
                response.map(|body| Noted::new(body, &place, number, Connection::answer_ended)),
            )
        }
    })
}

/// A body whose end is noted at its connection: once, whether it was read to the end or dropped before.
struct Noted<B> {
    body: B,
    place: Connection,
    number: u64,
    note: Option<fn(&Connection, u64)>,
}

impl<B: http_body::Body> Noted<B> {
    fn new(body: B, place: &Connection, number: u64, note: fn(&Connection, u64)) -> Self {
        let mut noted = Self {
            body,
            place: place.clone(),
            number,
            note: Some(note),
        };
        if noted.body.is_end_stream() {
            noted.ended();
        }
        noted
    }
}

impl<B> Noted<B> {
    fn ended(&mut self) {
        if let Some(note) = self.note.take() {
            note(&self.place, self.number);
        }
    }
}

impl<B: http_body::Body + Unpin> http_body::Body for Noted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) || self.body.is_end_stream() {
            self.ended();
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

impl<B> Drop for Noted<B> {
    fn drop(&mut self) {
        self.ended();
    }
}
