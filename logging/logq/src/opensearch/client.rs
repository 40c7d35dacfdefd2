//! One connection to OpenSearch, over the official client's transport.

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
use super::settings::Identity;
use super::transport::ClientTransport;
use super::{Error, Result, Settings};

static CRYPTO_PROVIDER: Once = Once::new();

/// Most of an answer that is read: the first page of lines fits, all of them as long as a line may be.
const MAX_ANSWER_BYTES: u64 = 256 * 1024 * 1024;

/// OpenSearch, as one who asks questions sees it. Cheap to clone; connections
/// are kept and shared.
#[derive(Clone)]
pub struct Client {
    transport: ClientTransport,
    url: String,
    identity: String,
    timeout: Duration,
}

/// The transport would show the password.
impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "OpenSearch at {} {}", self.url, self.identity)
    }
}

/// A name as a part of a URL's path.
#[must_use]
pub fn encode_path_segment(name: &str) -> String {
    url::form_urlencoded::byte_serialize(name.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

impl Client {
    /// A client; nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Settings`] where a certificate or a key is none.
    pub fn new(settings: &Settings) -> Result<Self> {
        // One cryptography in the whole process, however many the dependencies bring.
        CRYPTO_PROVIDER.call_once(|| {
            // Another one may have been chosen by the program: as good.
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

    /// Where OpenSearch is; holds no password.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The command that makes the way to it, where it is in a cluster.
    #[must_use]
    pub fn command(&self) -> Option<String> {
        self.transport.command()
    }

    /// What a person should know of the way to it since the last time.
    #[must_use]
    pub fn take_notes(&self) -> Vec<String> {
        self.transport.take_notes()
    }

    /// Makes the way to it, where it is in a cluster and there is none.
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

    /// Sees within `patience` whether it can be reached and lets us in, and
    /// returns its version.
    ///
    /// # Errors
    /// [`Error::Unreachable`] also when it takes the connection and is silent.
    pub async fn reach(&self, patience: Duration) -> Result<String> {
        let what = "say its version";
        // It has a patience of its own.
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
            .ok_or_else(|| self.unexpected(what, "its answer has no version"))
    }

    /// Asks, and returns the answer. `what` completes "is asked to …" in an
    /// error.
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

    /// As [`Self::ask`]; also how many bytes the answer has taken.
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

    /// As [`Self::ask`]; none where there is no such thing (404).
    ///
    /// # Errors
    /// Every [`Error`].
    pub async fn find(&self, what: &str, path: &str) -> Result<Option<Value>> {
        match self.ask(what, Method::Get, path, &[], None).await {
            Err(error) if error.rejection_status() == Some(404) => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// Sends lines of JSON (`_bulk`, `_msearch`), each ending in a line break.
    ///
    /// # Errors
    /// Every [`Error`]; what happened to single items is in the answer.
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

    /// What an answer says: its JSON and its length, or what is wrong. An answer to a search out of some of the shards only is
    /// an error, and so is one of another place than was asked.
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

/// What is spoken through to this address, as the settings say.
fn transport(settings: &Settings, url: Url) -> Result<Transport> {
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
        Identity::Anonymous => {}
        Identity::Basic(user, password) => {
            credentials = Some(Credentials::Basic(user.clone(), password.expose_secret().into()));
        }
        Identity::Bearer(token) => {
            let header = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()));
            let mut header = header.map_err(|_| {
                Error::Settings(
                    "LOGQ_OPENSEARCH_TOKEN cannot be sent: it holds a line break or the like".into(),
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

/// The header of basic authentication (RFC 7617), for when a client
/// certificate takes the place of the transport's credentials.
fn basic(user: &str, password: &str) -> Result<HeaderValue> {
    let request = reqwest::Client::new()
        .get("http://localhost/")
        .basic_auth(user, Some(password))
        .build()
        .map_err(|_| Error::Settings("LOGQ_OPENSEARCH_PASSWORD cannot be sent".into()))?;
    request
        .headers()
        .get(AUTHORIZATION)
        .cloned()
        .ok_or_else(|| Error::Settings("LOGQ_OPENSEARCH_PASSWORD cannot be sent".into()))
}
