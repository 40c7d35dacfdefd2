//! Connection settings.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, fs};

use secrecy::SecretString;
use url::{Host, Url};

use crate::kubernetes::{ClusterOptions, SCHEME, ServiceRef};

pub const DEFAULT_URL: &str = "http://localhost:9200";

const URL: &str = "LOGQ_OPENSEARCH_URL";

/// All variables with descriptions, for help and documentation.
pub const VARIABLES: [(&str, &str); 10] = [
    (
        "LOGQ_OPENSEARCH_URL",
        "http://…, https://…, or kubernetes://NAMESPACE/SERVICE for OpenSearch in a cluster",
    ),
    ("LOGQ_OPENSEARCH_USERNAME", "user for basic authentication"),
    ("LOGQ_OPENSEARCH_PASSWORD", "password of the user"),
    ("LOGQ_OPENSEARCH_PASSWORD_FILE", "file with the password"),
    ("LOGQ_OPENSEARCH_TOKEN", "bearer token, instead of a user"),
    ("LOGQ_OPENSEARCH_TOKEN_FILE", "file with the token"),
    ("LOGQ_OPENSEARCH_CA", "PEM file of additional trusted authorities"),
    (
        "LOGQ_OPENSEARCH_CLIENT_CERT",
        "PEM file of the client certificate",
    ),
    (
        "LOGQ_OPENSEARCH_CLIENT_KEY",
        "PEM file of the client certificate's key",
    ),
    (
        "LOGQ_OPENSEARCH_TIMEOUT",
        "timeout of a request in seconds; default 60",
    ),
];

/// Looks up a variable: in the environment, a configuration file, or a map in a test.
pub type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// How logq authenticates.
#[derive(Clone, Debug)]
pub(super) enum ClientIdentity {
    Anonymous,
    Basic(String, SecretString),
    Bearer(SecretString),
}

#[derive(Clone)]
pub(super) struct ClientCertificate {
    pub path: PathBuf,
    pub pem: Vec<u8>,
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(formatter)
    }
}

/// Connection settings.
#[derive(Clone, Debug)]
pub struct OpenSearchSettings {
    pub(super) url: Url,
    /// The service in a cluster.
    service: Option<ServiceRef>,
    cluster: ClusterOptions,
    has_explicit_url: bool,
    pub(super) identity: ClientIdentity,
    pub(super) authorities: Option<(PathBuf, Vec<u8>)>,
    pub(super) certificate: Option<ClientCertificate>,
    pub(super) timeout: Duration,
}

/// All errors in the settings. They name variables but contain no values.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct OpenSearchSettingsError(pub Vec<String>);

impl OpenSearchSettings {
    /// Reads the variables of [`VARIABLES`].
    ///
    /// # Errors
    /// [`OpenSearchSettingsError`] with all errors.
    pub fn read(lookup: &Lookup<'_>) -> Result<Self, OpenSearchSettingsError> {
        let mut reader = SettingsReader {
            lookup,
            errors: Vec::new(),
        };
        let url = reader.url();
        let identity = reader.identity();
        let authorities = reader
            .value("LOGQ_OPENSEARCH_CA")
            .map(PathBuf::from)
            .and_then(|path| {
                let bytes = reader.file("LOGQ_OPENSEARCH_CA", &path)?;
                Some((path, bytes))
            });
        let certificate = reader.certificate();
        let timeout = reader.timeout();
        if certificate.is_some() && matches!(url, Some((_, Some(_)))) {
            reader.add_error(
                "LOGQ_OPENSEARCH_CLIENT_CERT does not work through a port-forward, which uses no TLS: set \
                 OpenSearch's Ingress in LOGQ_OPENSEARCH_URL, or use a user or a token",
            );
        }
        match (url, reader.errors.is_empty()) {
            (Some((url, service)), true) => Ok(Self {
                url,
                service,
                cluster: ClusterOptions::default(),
                has_explicit_url: reader.value(URL).is_some(),
                identity,
                authorities,
                certificate,
                timeout,
            }),
            _ => Err(OpenSearchSettingsError(reader.errors)),
        }
    }

    /// Sets the cluster for port-forwards.
    #[must_use]
    pub fn with_cluster(mut self, cluster: &ClusterOptions) -> Self {
        self.cluster = cluster.clone();
        self
    }

    /// Settings for the distribution's OpenSearch in the current cluster, if no URL is configured. None with
    /// credentials: they are meant for a specific server.
    #[must_use]
    pub fn in_cluster(&self) -> Option<Self> {
        let default_service = ServiceRef::default_opensearch();
        let url = Url::parse(&default_service.url()).ok()?;
        let is_anonymous = matches!(self.identity, ClientIdentity::Anonymous) && self.certificate.is_none();
        (!self.has_explicit_url && is_anonymous).then(|| Self {
            url,
            service: Some(default_service),
            ..self.clone()
        })
    }

    #[must_use]
    pub const fn service(&self) -> Option<&ServiceRef> {
        self.service.as_ref()
    }

    /// Describes the port-forward, if the URL needs one.
    #[must_use]
    pub fn port_forward(&self) -> Option<String> {
        let service = self.service()?;
        let context = self.cluster.context_name();
        let context = context.map_or_else(String::new, |name| format!(" of the context {name}"));
        Some(format!("a port-forward to {service}{context}"))
    }

    #[must_use]
    pub const fn cluster(&self) -> &ClusterOptions {
        &self.cluster
    }

    /// The URL, without a password.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whether the host is this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self.url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    /// Whether a URL is configured.
    #[must_use]
    pub const fn has_explicit_url(&self) -> bool {
        self.has_explicit_url
    }

    /// Describes the credentials without secrets.
    #[must_use]
    pub fn identity(&self) -> String {
        let certificate = self
            .certificate
            .as_ref()
            .map(|certificate| format!("the client certificate {}", certificate.path.display()));
        match (&self.identity, certificate) {
            (ClientIdentity::Anonymous, None) => "without credentials".into(),
            (ClientIdentity::Anonymous, Some(certificate)) => format!("with {certificate}"),
            (ClientIdentity::Basic(user, _), None) => format!("as the user {user}"),
            (ClientIdentity::Basic(user, _), Some(certificate)) => {
                format!("as the user {user}, with {certificate}")
            }
            (ClientIdentity::Bearer(_), None) => "with a bearer token".into(),
            (ClientIdentity::Bearer(_), Some(certificate)) => {
                format!("with a bearer token and {certificate}")
            }
        }
    }
}

/// Parses OpenSearch's URL. The error does not contain the text, which may include a password.
fn parse(text: &str) -> Result<(Url, Option<ServiceRef>), &'static str> {
    let url = Url::parse(text).map_err(|_| "is not a URL (http://host:9200 or https://…)")?;
    if !matches!(url.scheme(), "http" | "https" | SCHEME) || url.host_str().is_none() {
        return Err("must be http://HOST, https://HOST or kubernetes://NAMESPACE/SERVICE");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "contains a user or a password: use LOGQ_OPENSEARCH_USERNAME and LOGQ_OPENSEARCH_PASSWORD",
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must not contain ? or #");
    }
    let service = (url.scheme() == SCHEME)
        .then(|| ServiceRef::from_url(&url))
        .transpose()?;
    Ok((url, service))
}

struct SettingsReader<'a> {
    lookup: &'a Lookup<'a>,
    errors: Vec<String>,
}

impl SettingsReader<'_> {
    fn value(&self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|value| !value.is_empty())
    }

    fn add_error(&mut self, text: impl Into<String>) {
        self.errors.push(text.into());
    }

    fn url(&mut self) -> Option<(Url, Option<ServiceRef>)> {
        let text = self.value(URL).unwrap_or_else(|| DEFAULT_URL.into());
        match parse(&text) {
            Ok(parsed) => Some(parsed),
            Err(why) => {
                self.add_error(format!("LOGQ_OPENSEARCH_URL {why}"));
                None
            }
        }
    }

    fn file(&mut self, name: &str, path: &Path) -> Option<Vec<u8>> {
        match fs::read(path) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.add_error(format!("{name}: cannot read {}: {error}", path.display()));
                None
            }
        }
    }

    /// Reads `name`, or the file that `name_FILE` names without its trailing newlines.
    fn secret(&mut self, name: &str) -> Option<SecretString> {
        let variable = format!("{name}_FILE");
        match (self.value(name), self.value(&variable)) {
            (Some(_), Some(_)) => {
                self.add_error(format!("{name} and {variable} are both set"));
                None
            }
            (Some(value), None) => Some(value.into()),
            (None, Some(path)) => {
                let bytes = self.file(&variable, Path::new(&path))?;
                match String::from_utf8(bytes) {
                    Ok(text) => Some(text.trim_end_matches(['\r', '\n']).into()),
                    Err(_) => {
                        self.add_error(format!("{variable}: {path} is not UTF-8"));
                        None
                    }
                }
            }
            (None, None) => None,
        }
    }

    fn identity(&mut self) -> ClientIdentity {
        let before = self.errors.len();
        let user = self.value("LOGQ_OPENSEARCH_USERNAME");
        let password = self.secret("LOGQ_OPENSEARCH_PASSWORD");
        let token = self.secret("LOGQ_OPENSEARCH_TOKEN");
        match (user, password, token) {
            (Some(_), _, Some(_)) => {
                self.add_error(
                    "LOGQ_OPENSEARCH_USERNAME and LOGQ_OPENSEARCH_TOKEN are both set: set only one",
                );
            }
            (Some(user), Some(password), None) => return ClientIdentity::Basic(user, password),
            (None, None, Some(token)) => return ClientIdentity::Bearer(token),
            (Some(_), None, None) if self.errors.len() == before => {
                self.add_error("LOGQ_OPENSEARCH_USERNAME is set, but LOGQ_OPENSEARCH_PASSWORD is not");
            }
            (None, Some(_), _) => {
                self.add_error("LOGQ_OPENSEARCH_PASSWORD is set, but LOGQ_OPENSEARCH_USERNAME is not");
            }
            _ => {}
        }
        ClientIdentity::Anonymous
    }

    fn certificate(&mut self) -> Option<ClientCertificate> {
        const CERTIFICATE: &str = "LOGQ_OPENSEARCH_CLIENT_CERT";
        const KEY: &str = "LOGQ_OPENSEARCH_CLIENT_KEY";
        match (self.value(CERTIFICATE), self.value(KEY)) {
            (Some(certificate), Some(key)) => {
                let path = PathBuf::from(certificate);
                let pem = self.file(CERTIFICATE, &path);
                let key = self.file(KEY, Path::new(&key));
                let mut pem = pem?;
                pem.push(b'\n');
                pem.extend(key?);
                Some(ClientCertificate { path, pem })
            }
            (Some(_), None) => {
                self.add_error(format!("{CERTIFICATE} is set, but {KEY} is not"));
                None
            }
            (None, Some(_)) => {
                self.add_error(format!("{KEY} is set, but {CERTIFICATE} is not"));
                None
            }
            (None, None) => None,
        }
    }

    fn timeout(&mut self) -> Duration {
        const NAME: &str = "LOGQ_OPENSEARCH_TIMEOUT";
        let default = Duration::from_secs(60);
        self.value(NAME).map_or(default, |text| {
            text.parse::<u64>()
                .ok()
                .filter(|seconds| (1..=3600).contains(seconds))
                .map(Duration::from_secs)
                .unwrap_or_else(|| {
                    self.add_error(format!("{NAME} must be a whole number of seconds from 1 to 3600"));
                    default
                })
        })
    }
}
