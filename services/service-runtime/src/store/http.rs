//! The HTTP client of the SDK.
//!
//! The SDK's default client has no limits for silent connections, and uses one HTTP/2 connection for all
//! requests if the server supports it. If that connection becomes silent, every request fails until the
//! kernel gives up. This client uses HTTP/1.1 with one request per connection, and drops idle connections
//! once one of them does not answer in time.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::body::SdkBody;
use axum::http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector as TcpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::{net::TcpStream, time::timeout};
use tower::Service;
use tower_http::timeout::TimeoutBody;

use super::{StoreError, StoreSettings};
use crate::tcp;

/// Maximum number of idle connections.
const IDLE_CONNECTIONS: usize = 64;
/// Shorter than the keep-alive time of common servers, so that a request rarely gets a connection that is being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// A client that trusts the system's certificates and those in the settings.
///
/// # Errors
/// The certificates cannot be parsed.
pub(super) fn http_client(settings: &StoreSettings) -> Result<StoreHttp, StoreError> {
    let mut tcp = TcpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    // Divided among the addresses of the host.
    tcp.set_connect_timeout(Some(settings.connect_timeout));
    tcp.set_keepalive(Some(tcp::KEEPALIVE_IDLE));
    tcp.set_keepalive_interval(Some(tcp::KEEPALIVE_INTERVAL));
    tcp.set_keepalive_retries(Some(tcp::KEEPALIVE_RETRIES));
    tcp.set_tcp_user_timeout(Some(tcp::USER_TIMEOUT));
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls(settings)?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    let connector = Connector {
        https,
        limit: settings.connect_timeout,
    };
    Ok(StoreHttp {
        pool: Arc::new(Mutex::new(connector.pool())),
        connector,
    })
}

fn tls(settings: &StoreSettings) -> Result<ClientConfig, StoreError> {
    let unusable = |error: &dyn std::fmt::Display| StoreError::Unavailable(error.to_string());
    let mut roots = RootCertStore::empty();
    if settings.endpoint.starts_with("https:") {
        // System certificates that cannot be parsed are not trusted.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for certificate in CertificateDer::pem_slice_iter(settings.ca.as_deref().unwrap_or("").as_bytes()) {
            let added = certificate.map(|certificate| roots.add(certificate));
            added
                .map_err(|error| unusable(&error))?
                .map_err(|error| unusable(&error))?;
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// A client with its idle connections.
#[derive(Clone, Debug)]
struct HttpPool {
    client: Client<Connector, SdkBody>,
    created_at: Instant,
}

/// Opens connections, each within a time limit.
#[derive(Clone, Debug)]
struct Connector {
    https: HttpsConnector<TcpConnector>,
    limit: Duration,
}

impl Connector {
    fn pool(&self) -> HttpPool {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(self.clone());
        HttpPool {
            client,
            created_at: Instant::now(),
        }
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = timeout(self.limit, self.https.call(uri));
        Box::pin(async move {
            connecting
                .await
                .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
        })
    }
}

/// The current pool. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct StoreHttp {
    pool: Arc<Mutex<HttpPool>>,
    connector: Connector,
}

impl StoreHttp {
    fn pool(&self) -> MutexGuard<'_, HttpPool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the pool, and with it its idle connections, unless it was created after `since`.
    pub(super) fn replace_pool(&self, since: Instant) {
        let mut pool = self.pool();
        if pool.created_at <= since {
            *pool = self.connector.pool();
        }
    }
}

impl HttpClient for StoreHttp {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(LimitedConnector {
            http: self.clone(),
            limit: settings.read_timeout(),
        })
    }
}

/// Sends requests whose responses must begin within an optional limit and may not pause for longer.
#[derive(Debug)]
struct LimitedConnector {
    http: StoreHttp,
    limit: Option<Duration>,
}

impl HttpConnector for LimitedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into()))),
        };
        let http = self.http.clone();
        let client = http.pool().client.clone();
        let since = Instant::now();
        let limit = self.limit;
        HttpConnectorFuture::new(async move {
            let answer = client.request(request);
            let answer = match limit {
                Some(limit) => timeout(limit, answer).await.map_err(|error| {
                    http.replace_pool(since);
                    ConnectorError::timeout(error.into())
                })?,
                None => answer.await,
            };
            let answer = answer.map_err(|error| ConnectorError::io(error.into()))?;
            let answer = answer.map(|body| match limit {
                Some(limit) => SdkBody::from_body_1_x(TimeoutBody::new(limit, body)),
                None => SdkBody::from_body_1_x(body),
            });
            HttpResponse::try_from(answer).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}
