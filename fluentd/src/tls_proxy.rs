//! A proxy that adds what OpenSearch's security plugin adds: TLS with a certificate of a private authority, a user and a
//! password.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::{self, Body};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use test_support::tls::Authority;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Limit of a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

struct ProxyState {
    upstream: SocketAddr,
    client: reqwest::Client,
    expected: Mutex<HeaderValue>,
    forwarded: AtomicUsize,
    unauthorized: AtomicUsize,
    failed_handshakes: AtomicUsize,
}

/// Runs until it is dropped.
pub struct TlsProxy {
    address: SocketAddr,
    shared: Arc<ProxyState>,
    task: JoinHandle<()>,
}

impl TlsProxy {
    /// Starts a proxy before the server `upstream`. The authority signs its certificate.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(
        authority: &Authority,
        upstream: SocketAddr,
        user: &str,
        password: &str,
    ) -> Result<Self> {
        let shared = Arc::new(ProxyState {
            upstream,
            client: reqwest::Client::new(),
            expected: Mutex::new(basic_auth(user, password)?),
            forwarded: AtomicUsize::new(0),
            unauthorized: AtomicUsize::new(0),
            failed_handshakes: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let listener = TlsListener {
            listener,
            acceptor: TlsAcceptor::from(authority.certify(&["127.0.0.1"]).server_config(&[])),
            shared: Arc::clone(&shared),
        };
        let app = Router::new().fallback(authorize).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            // Ends with the task.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self {
            address,
            shared,
            task,
        })
    }

    /// The address that clients connect to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the accepted user and password.
    ///
    /// # Errors
    /// When they are invalid in a header.
    pub fn expect(&self, user: &str, password: &str) -> Result<()> {
        *self
            .shared
            .expected
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = basic_auth(user, password)?;
        Ok(())
    }

    /// Number of forwarded requests.
    #[must_use]
    pub fn forwarded(&self) -> usize {
        self.shared.forwarded.load(Ordering::Relaxed)
    }

    /// Number of requests with a wrong user or password.
    #[must_use]
    pub fn unauthorized(&self) -> usize {
        self.shared.unauthorized.load(Ordering::Relaxed)
    }

    /// Number of clients that did not accept the certificate.
    #[must_use]
    pub fn failed_handshakes(&self) -> usize {
        self.shared.failed_handshakes.load(Ordering::Relaxed)
    }
}

impl Drop for TlsProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn basic_auth(user: &str, password: &str) -> Result<HeaderValue> {
    let request = reqwest::Client::new()
        .get("http://127.0.0.1")
        .basic_auth(user, Some(password))
        .build()?;
    let header = request.headers().get(header::AUTHORIZATION);
    header.cloned().context("no header")
}

async fn authorize(State(shared): State<Arc<ProxyState>>, request: Request) -> Response {
    let expected = shared
        .expected
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    if request.headers().get(header::AUTHORIZATION) != Some(&expected) {
        shared.unauthorized.fetch_add(1, Ordering::Relaxed);
        return (StatusCode::UNAUTHORIZED, "Unauthorized").into_response();
    }
    shared.forwarded.fetch_add(1, Ordering::Relaxed);
    match shared.forward(request).await {
        Ok(response) => response,
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

impl ProxyState {
    async fn forward(&self, request: Request) -> Result<Response> {
        let (parts, body) = request.into_parts();
        let received = self
            .client
            .request(parts.method, format!("http://{}{}", self.upstream, parts.uri))
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .body(body::to_bytes(body, usize::MAX).await?)
            .send()
            .await?;
        let response = Response::builder()
            .status(received.status())
            .header(header::CONTENT_TYPE, "application/json");
        Ok(response.body(Body::from(received.bytes().await?))?)
    }
}

/// Accepts connections and completes their TLS handshakes.
struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    shared: Arc<ProxyState>,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, peer) = Listener::accept(&mut self.listener).await;
            match timeout(HANDSHAKE_TIMEOUT, self.acceptor.accept(stream)).await {
                Ok(Ok(stream)) => return (stream, peer),
                _ => {
                    self.shared.failed_handshakes.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
