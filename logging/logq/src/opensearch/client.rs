//! A client for OpenSearch, based on the official client's transport.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Once;
use std::time::Duration;

use opensearch::auth::{ClientCertificate, Credentials};
use opensearch::cert::{Certificate, CertificateValidation};
use opensearch::http::Method;
use opensearch::http::headers::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use opensearch::http::response::Response;
use opensearch::http::transport::{SingleNodeConnectionPool, Transport, TransportBuilder};
use secrecy::ExposeSecret;
use serde_json::Value;
use url::Url;

use super::classify::{self, RequestContext};
use super::settings::ClientIdentity;
use super::transport::ClientTransport;
use super::{Error, OpenSearchSettings, Result};

static CRYPTO_PROVIDER: Once = Once::new();

/// Maximum size of a response. The first page fits, even if each line has the maximum length.
const MAX_ANSWER_BYTES: u64 = 256 * 1024 * 1024;

/// A client for OpenSearch. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    transport: ClientTransport,
    url: String,
    identity: String,
    timeout: Duration,
}

/// The transport would print the password.
impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "OpenSearch at {} {}", self.url, self.identity)
    }
}

impl Client {
    /// Creates a client without connecting.
    ///
    /// # Errors
    /// [`Error::Settings`] for an invalid certificate or key.
    pub fn new(settings: &OpenSearchSettings) -> Result<Self> {
        // One crypto provider for the whole process.
        CRYPTO_PROVIDER.call_once(|| {
            // The program may have installed another one, which works as well.
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let connect = {
            let settings = settings.clone();
            Box::new(move |url| transport(&settings, url))
        };
        Ok(Self {
            transport: ClientTransport::new(settings, connect)?,
            url: settings.url.to_string(),
            identity: settings.identity(),
            timeout: settings.timeout,
        })
    }

    /// The URL of OpenSearch, without a password.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Describes the port-forward, if there is one.
    #[must_use]
    pub fn port_forward(&self) -> Option<String> {
        self.transport.port_forward()
    }

    /// Takes the messages about the port-forward since the last call.
    #[must_use]
    pub fn take_notes(&self) -> Vec<String> {
        self.transport.take_notes()
    }

    /// Opens the port-forward, if one is needed and not open.
    ///
    /// # Errors
    /// [`Error::Forward`].
    pub async fn connect(&self) -> Result<()> {
        self.transport.connection().await.map(|_| ())
    }

    fn request_context<'a>(&'a self, what: &'a str) -> RequestContext<'a> {
        RequestContext {
            url: &self.url,
            identity: &self.identity,
            what,
            timeout: self.timeout,
        }
    }

    /// Connects and authenticates within `patience`; returns OpenSearch's version.
    ///
    /// # Errors
    /// [`Error::Unreachable`], also if the server accepts the connection but stays silent.
    pub async fn reach(&self, patience: Duration) -> Result<String> {
        let what = "report its version";
        // The port-forward has its own timeout.
        self.connect().await?;
        let hello = self.ask(what, Method::Get, "/", &[], None);
        let answer = match tokio::time::timeout(patience, hello).await {
            Ok(answer) => answer?,
            Err(_) => {
                return Err(Error::Unreachable {
                    url: self.url.clone(),
                    reason: super::Unreachable::Timeout(patience),
                });
            }
        };
        answer
            .pointer("/version/number")
            .and_then(Value::as_str)
            .map(str::to_owned)
            .ok_or_else(|| self.unexpected(what, "the response has no version"))
    }

    /// Sends a request and returns the response. `what` completes "is asked to …" in an error message.
    ///
    /// # Errors
    /// Every [`Error`].
    pub async fn ask(
        &self,
        what: &str,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value> {
        let (answer, _) = self.ask_for(what, method, path, query, body).await?;
        Ok(answer)
    }

    /// Sends a GET request.
    ///
    /// # Errors
    /// Every [`Error`].
    pub async fn get(&self, what: &str, path: &str, query: &[(&str, &str)]) -> Result<Value> {
        self.ask(what, Method::Get, path, query, None).await
    }

    /// Sends a PUT request.
    ///
    /// # Errors
    /// Every [`Error`].
    pub async fn put(&self, what: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        self.ask(what, Method::Put, path, &[], body).await
    }

    /// Like [`Self::ask`]; also returns the size of the response.
    ///
    /// # Errors
    /// Every [`Error`].
    pub async fn ask_for(
        &self,
        what: &str,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<(Value, usize)> {
        let body = body.map(|body| body.to_string().into_bytes());
        self.send(what, method, path, query, body, "application/json")
            .await
    }

    /// Like [`Self::ask`]; None if the object does not exist (404).
    ///
    /// # Errors
    /// Every [`Error`].
    pub async fn find(&self, what: &str, path: &str) -> Result<Option<Value>> {
        match self.ask(what, Method::Get, path, &[], None).await {
            Err(error) if error.rejection_status() == Some(404) => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// Sends NDJSON (`_bulk`, `_msearch`), with a newline after each line.
    ///
    /// # Errors
    /// Every [`Error`]. The response contains the results of single items.
    pub async fn send_lines(
        &self,
        what: &str,
        path: &str,
        query: &[(&str, &str)],
        lines: Vec<u8>,
    ) -> Result<Value> {
        let lines = Some(lines);
        let response = self.send(what, Method::Post, path, query, lines, "application/x-ndjson");
        Ok(response.await?.0)
    }

    async fn send(
        &self,
        what: &str,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<Vec<u8>>,
        content_type: &'static str,
    ) -> Result<(Value, usize)> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let query = (!query.is_empty()).then_some(query);
        let connection = self.transport.connection().await?;
        let response = connection
            .api
            .transport()
            .send(method, path, headers, query, body, None)
            .await;
        match self.answer(what, &connection.url, response).await {
            Err(error) => Err(self.transport.explain_error(&connection, error).await),
            answer => answer,
        }
    }

    /// Parses a response; returns its JSON and size. Rejects partial search results and responses from another origin.
    async fn answer(
        &self,
        what: &str,
        url: &Url,
        response: std::result::Result<Response, opensearch::Error>,
    ) -> Result<(Value, usize)> {
        let context = self.request_context(what);
        let response = response.map_err(|error| classify::from_transport_error(context, &error))?;
        let status = response.status_code().as_u16();
        if let Some(error) = classify::redirected(context, url, response.url()) {
            return Err(error);
        }
        let too_long = |bytes| Error::TooLong {
            url: self.url.clone(),
            what: what.to_owned(),
            bytes,
        };
        if let Some(bytes) = response
            .content_length()
            .filter(|bytes| *bytes > MAX_ANSWER_BYTES)
        {
            return Err(too_long(bytes));
        }
        let body = response
            .bytes()
            .await
            .map_err(|error| classify::from_transport_error(context, &error))?;
        if body.len() as u64 > MAX_ANSWER_BYTES {
            return Err(too_long(body.len() as u64));
        }
        if !(200..300).contains(&status) {
            return Err(classify::from_status(context, status, &body));
        }
        if body.is_empty() {
            return Ok((Value::Null, 0));
        }
        let answer: Value =
            serde_json::from_slice(&body).map_err(|error| self.unexpected(what, &error.to_string()))?;
        classify::check_all_shards(context, &answer)?;
        Ok((answer, body.len()))
    }

    pub(crate) fn unexpected(&self, what: &str, reason: &str) -> Error {
        Error::Unexpected {
            url: self.url.clone(),
            what: what.into(),
            reason: reason.into(),
        }
    }
}

/// Creates the transport for a URL.
fn transport(settings: &OpenSearchSettings, url: Url) -> Result<Transport> {
    let settings_error = |variable: &str, error: &dyn StdError| {
        let cause = error
            .source()
            .map_or_else(String::new, |cause| format!(": {cause}"));
        Error::Settings(format!("{variable}: {error}{cause}"))
    };
    let mut builder = TransportBuilder::new(SingleNodeConnectionPool::new(url)).timeout(settings.timeout);
    if settings.is_local() || settings.service().is_some() {
        builder = builder.disable_proxy();
    }
    let mut credentials = None;
    match &settings.identity {
        ClientIdentity::Anonymous => {}
        ClientIdentity::Basic(user, password) => {
            credentials = Some(Credentials::Basic(user.clone(), password.expose_secret().into()));
        }
        ClientIdentity::Bearer(token) => {
            let header = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()));
            let mut header = header.map_err(|_| {
                Error::Settings(
                    "LOGQ_OPENSEARCH_TOKEN contains a control character, for example a line break".into(),
                )
            })?;
            header.set_sensitive(true);
            builder = builder.header(AUTHORIZATION, header);
        }
    }
    if let Some((_, pem)) = &settings.authorities {
        let authorities =
            Certificate::from_pem(pem).map_err(|error| settings_error("LOGQ_OPENSEARCH_CA", &error))?;
        builder = builder.cert_validation(CertificateValidation::Full(authorities));
    }
    if let Some(certificate) = &settings.certificate {
        if let Some(Credentials::Basic(user, password)) = credentials.take() {
            builder = builder.header(AUTHORIZATION, basic(&user, &password)?);
        }
        credentials = Some(ClientCertificate::Pem(certificate.pem.clone()).into());
    }
    if let Some(credentials) = credentials {
        builder = builder.auth(credentials);
    }
    let variable = if settings.certificate.is_some() {
        "LOGQ_OPENSEARCH_CLIENT_CERT, LOGQ_OPENSEARCH_CLIENT_KEY"
    } else {
        "LOGQ_OPENSEARCH_CA"
    };
    builder.build().map_err(|error| settings_error(variable, &error))
}

/// The header of basic authentication (RFC 7617). A client certificate takes the transport's only slot for credentials.
fn basic(user: &str, password: &str) -> Result<HeaderValue> {
    let request = reqwest::Client::new()
        .get("http://localhost/")
        .basic_auth(user, Some(password))
        .build()
        .map_err(|_| {
            Error::Settings(
                "LOGQ_OPENSEARCH_PASSWORD contains characters that HTTP does not \
            allow"
                    .into(),
            )
        })?;
    request.headers().get(AUTHORIZATION).cloned().ok_or_else(|| {
        Error::Settings(
            "LOGQ_OPENSEARCH_PASSWORD contains characters that HTTP does not \
            allow"
                .into(),
        )
    })
}
