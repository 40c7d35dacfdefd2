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

use super::classify::{self, Asked};
use super::settings::Identity;
use super::way::Way;
use super::{Error, Result, Settings};

static CRYPTOGRAPHY: Once = Once::new();

/// Most of an answer that is read: the first page of lines fits, all of them as long as a line may be.
const MOST_ANSWER_BYTES: u64 = 256 * 1024 * 1024;

/// OpenSearch, as one who asks questions sees it. Cheap to clone; connections
/// are kept and shared.
#[derive(Clone)]
pub struct Client {
    way: Way,
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
pub fn path_part(name: &str) -> String {
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
        CRYPTOGRAPHY.call_once(|| {
            // Another one may have been chosen by the program: as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let connect = {
            let settings = settings.clone();
            Box::new(move |url| transport(&settings, url))
        };
        Ok(Self {
            way: Way::of(settings, connect)?,
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
        self.way.command()
    }

    /// What a person should know of the way to it since the last time.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.way.notes()
    }

    /// Makes the way to it, where it is in a cluster and there is none.
    ///
    /// # Errors
    /// [`Error::Forward`].
    pub async fn open(&self) -> Result<()> {
        self.way.path().await.map(|_| ())
    }

    fn asked<'a>(&'a self, what: &'a str) -> Asked<'a> {
        Asked {
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
        self.open().await?;
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
            .ok_or_else(|| self.strange(what, "its answer has no version"))
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
            Err(error) if error.rejected_with() == Some(404) => Ok(None),
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
        let sent = self.send(what, Method::Post, path, query, lines, "application/x-ndjson");
        Ok(sent.await?.0)
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
        let way = self.way.path().await?;
        let sent = way
            .api
            .transport()
            .send(method, path, headers, query, body, None)
            .await;
        match self.answer(what, &way.url, sent).await {
            Err(error) => Err(self.way.told(&way, error).await),
            answer => answer,
        }
    }

    /// What an answer says: its JSON and its length, or what is wrong. An answer to a search out of some of the shards only is
    /// an error, and so is one of another place than was asked.
    async fn answer(
        &self,
        what: &str,
        url: &Url,
        sent: std::result::Result<Response, opensearch::Error>,
    ) -> Result<(Value, usize)> {
        let asked = self.asked(what);
        let response = sent.map_err(|error| classify::exchange(asked, &error))?;
        let status = response.status_code().as_u16();
        if let Some(error) = classify::sent_on(asked, url, response.url()) {
            return Err(error);
        }
        let too_long = |bytes| Error::TooLong {
            url: self.url.clone(),
            what: what.to_owned(),
            bytes,
        };
        if let Some(bytes) = response
            .content_length()
            .filter(|bytes| *bytes > MOST_ANSWER_BYTES)
        {
            return Err(too_long(bytes));
        }
        let body = response
            .bytes()
            .await
            .map_err(|error| classify::exchange(asked, &error))?;
        if body.len() as u64 > MOST_ANSWER_BYTES {
            return Err(too_long(body.len() as u64));
        }
        if !(200..300).contains(&status) {
            return Err(classify::refusal(asked, status, &body));
        }
        if body.is_empty() {
            return Ok((Value::Null, 0));
        }
        let answer: Value =
            serde_json::from_slice(&body).map_err(|error| self.strange(what, &error.to_string()))?;
        classify::whole(asked, &answer)?;
        Ok((answer, body.len()))
    }

    pub(crate) fn strange(&self, what: &str, reason: &str) -> Error {
        Error::Strange {
            url: self.url.clone(),
            what: what.into(),
            reason: reason.into(),
        }
    }
}

/// What is spoken through to this address, as the settings say.
fn transport(settings: &Settings, url: Url) -> Result<Transport> {
    let wrong = |variable: &str, error: &dyn StdError| {
        let cause = error
            .source()
            .map_or_else(String::new, |cause| format!(": {cause}"));
        Error::Settings(format!("{variable}: {error}{cause}"))
    };
    let mut builder = TransportBuilder::new(SingleNodeConnectionPool::new(url)).timeout(settings.timeout);
    if settings.is_local() || settings.place().is_some() {
        builder = builder.disable_proxy();
    }
    let mut shown = None;
    match &settings.identity {
        Identity::Nobody => {}
        Identity::Basic(user, password) => {
            shown = Some(Credentials::Basic(user.clone(), password.expose_secret().into()));
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
        let authorities = Certificate::from_pem(pem).map_err(|error| wrong("LOGQ_OPENSEARCH_CA", &error))?;
        builder = builder.cert_validation(CertificateValidation::Full(authorities));
    }
    if let Some(certificate) = &settings.certificate {
        if let Some(Credentials::Basic(user, password)) = shown.take() {
            builder = builder.header(AUTHORIZATION, basic(&user, &password)?);
        }
        shown = Some(ClientCertificate::Pem(certificate.pem.clone()).into());
    }
    if let Some(credentials) = shown {
        builder = builder.auth(credentials);
    }
    let variable = if settings.certificate.is_some() {
        "LOGQ_OPENSEARCH_CLIENT_CERT, LOGQ_OPENSEARCH_CLIENT_KEY"
    } else {
        "LOGQ_OPENSEARCH_CA"
    };
    builder.build().map_err(|error| wrong(variable, &error))
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
