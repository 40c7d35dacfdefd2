//! The entrance to OpenSearch as the security plugin makes it: TLS with a
//! certificate of one's own authority, user and password. What is let in goes
//! to the stand-in behind it.

use std::net::SocketAddr;
use std::path::Path;
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
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// How long a client may take to greet.
const GREETING: Duration = Duration::from_secs(10);

/// An authority that signs a server's certificate.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A new one, which nobody trusts yet.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Without a name of its own OpenSSL takes what it signs for signed by itself.
        params
            .distinguished_name
            .push(DnType::CommonName, "an authority of a test");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self { issuer })
    }

    /// Writes its certificate, for who shall trust it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        std::fs::write(path, self.issuer.pem()).with_context(|| path.display().to_string())
    }

    fn server(&self) -> Result<ServerConfig> {
        let key = KeyPair::generate()?;
        let certificate =
            CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        Ok(
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], key)?,
        )
    }
}

/// Who is let in, and who was not.
struct Guard {
    behind: SocketAddr,
    client: reqwest::Client,
    expected: Mutex<HeaderValue>,
    let_in: AtomicUsize,
    refused: AtomicUsize,
    broken_off: AtomicUsize,
}

/// The entrance, while it lives.
pub struct Gate {
    address: SocketAddr,
    guard: Arc<Guard>,
    task: JoinHandle<()>,
}

impl Gate {
    /// Opens one before the server at `behind`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn open(authority: &Authority, behind: SocketAddr, user: &str, password: &str) -> Result<Self> {
        let guard = Arc::new(Guard {
            behind,
            client: reqwest::Client::new(),
            expected: Mutex::new(basic(user, password)?),
            let_in: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            broken_off: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let listener = Door {
            listener,
            acceptor: TlsAcceptor::from(Arc::new(authority.server()?)),
            guard: Arc::clone(&guard),
        };
        let app = Router::new().fallback(pass).with_state(Arc::clone(&guard));
        let task = tokio::spawn(async move {
            // Ends with the task.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { address, guard, task })
    }

    /// Where it is.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Who is let in from now on.
    ///
    /// # Errors
    /// When that fits no header.
    pub fn expect(&self, user: &str, password: &str) -> Result<()> {
        *self.guard.expected.lock().unwrap_or_else(PoisonError::into_inner) = basic(user, password)?;
        Ok(())
    }

    /// How many requests went through.
    #[must_use]
    pub fn let_in(&self) -> usize {
        self.guard.let_in.load(Ordering::Relaxed)
    }

    /// How many requests had a wrong name or password.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.guard.refused.load(Ordering::Relaxed)
    }

    /// How many clients went away when they saw the certificate.
    #[must_use]
    pub fn broken_off(&self) -> usize {
        self.guard.broken_off.load(Ordering::Relaxed)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn basic(user: &str, password: &str) -> Result<HeaderValue> {
    let request = reqwest::Client::new()
        .get("http://127.0.0.1")
        .basic_auth(user, Some(password))
        .build()?;
    let header = request.headers().get(header::AUTHORIZATION);
    header.cloned().context("no header")
}

async fn pass(State(guard): State<Arc<Guard>>, request: Request) -> Response {
    let expected = guard
        .expected
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    if request.headers().get(header::AUTHORIZATION) != Some(&expected) {
        guard.refused.fetch_add(1, Ordering::Relaxed);
        return (StatusCode::UNAUTHORIZED, "Unauthorized").into_response();
    }
    guard.let_in.fetch_add(1, Ordering::Relaxed);
    match guard.forward(request).await {
        Ok(answer) => answer,
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

impl Guard {
    async fn forward(&self, request: Request) -> Result<Response> {
        let (parts, body) = request.into_parts();
        let sent = self
            .client
            .request(parts.method, format!("http://{}{}", self.behind, parts.uri))
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .body(body::to_bytes(body, usize::MAX).await?)
            .send()
            .await?;
        let status = sent.status();
        let answer = Response::builder()
            .status(status)
            .header(header::CONTENT_TYPE, "application/json");
        Ok(answer.body(Body::from(sent.bytes().await?))?)
    }
}

/// Takes connections after their TLS greeting.
struct Door {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    guard: Arc<Guard>,
}

impl Listener for Door {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, peer) = Listener::accept(&mut self.listener).await;
            match timeout(GREETING, self.acceptor.accept(stream)).await {
                Ok(Ok(stream)) => return (stream, peer),
                _ => {
                    self.guard.broken_off.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
