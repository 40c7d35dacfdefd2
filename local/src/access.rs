//! Where a server is and how one is let in, and the environment that says so to our programs.

use std::collections::BTreeMap;
use std::env;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::server::access_key_of;

/// Environment variables by name.
pub type Environment = BTreeMap<String, String>;

/// PostgreSQL: address, account, database.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PostgresAccess {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Role that may create databases.
    pub username: String,
    /// Its password.
    pub password: String,
    /// The database.
    pub database: String,
}

/// RabbitMQ: address, account, virtual host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RabbitMqAccess {
    /// Host name or address.
    pub host: String,
    /// AMQP port.
    pub port: u16,
    /// User name.
    pub username: String,
    /// Its password.
    pub password: String,
    /// Virtual host.
    pub vhost: String,
    /// Address of the management API (`http://host:port`), where there is one.
    pub management: Option<String>,
}

/// An S3 store: address, keys, buckets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ObjectStoreAccess {
    /// Base URL.
    pub endpoint: String,
    /// Access key.
    pub access_key_id: String,
    /// Secret key.
    pub secret_access_key: String,
    /// Region that signatures name.
    pub region: String,
    /// Bucket of the originals.
    pub input_bucket: String,
    /// Bucket of the anonymised photos.
    pub output_bucket: String,
}

/// OpenSearch: address and account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpenSearchAccess {
    /// Base URL.
    pub url: String,
    /// User name, where one is needed.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<String>,
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn needed(given: &'static str, missing: &'static str) -> Result<String> {
    variable(missing).ok_or(Error::Incomplete { given, missing })
}

fn number(name: &str, default: u16) -> Result<u16> {
    variable(name).map_or(Ok(default), |text| {
        text.parse()
            .map_err(|_| Error::request(format!("{name} is read"), "not a port number"))
    })
}

/// Names of the servers that an enclosing `local exec` started for its command, in a variable of this name. They are the
/// command's to use but not "given from outside".
pub(crate) const STARTED: &str = "LOCAL_STACK_STARTED";

pub(crate) fn started_by_us(server: &str) -> bool {
    variable(STARTED).is_some_and(|names| names.split(',').any(|name| name == server))
}

impl PostgresAccess {
    /// The server that the environment names, if it names one.
    ///
    /// # Errors
    /// [`Error::Incomplete`] without credentials.
    pub fn from_environment() -> Result<Option<Self>> {
        let Some(host) = variable("POSTGRES_HOST") else {
            return Ok(None);
        };
        Ok(Some(Self {
            host,
            port: number("POSTGRES_PORT", 5432)?,
            username: needed("POSTGRES_HOST", "POSTGRES_USERNAME")?,
            password: needed("POSTGRES_HOST", "POSTGRES_PASSWORD")?,
            database: variable("POSTGRES_DATABASE").unwrap_or_else(|| "irmgard".into()),
        }))
    }

    /// As [`Self::from_environment`], but not a server that an enclosing `local exec` started.
    pub(crate) fn from_outside() -> Result<Option<Self>> {
        if started_by_us("postgres") {
            Ok(None)
        } else {
            Self::from_environment()
        }
    }

    /// `postgres://` URL of the database.
    #[must_use]
    pub fn url(&self) -> String {
        let Self {
            host,
            port,
            username,
            password,
            database,
        } = self;
        format!("postgres://{username}:{password}@{host}:{port}/{database}")
    }

    pub(crate) fn write(&self, environment: &mut Environment) {
        let mut set = |name: &str, value: &str| environment.insert(name.into(), value.into());
        set("POSTGRES_HOST", &self.host);
        set("POSTGRES_PORT", &self.port.to_string());
        set("POSTGRES_USERNAME", &self.username);
        set("POSTGRES_PASSWORD", &self.password);
        set("POSTGRES_DATABASE", &self.database);
    }
}

impl RabbitMqAccess {
    /// The server that the environment names, if it names one.
    ///
    /// # Errors
    /// [`Error::Incomplete`] without credentials.
    pub fn from_environment() -> Result<Option<Self>> {
        let Some(host) = variable("RABBITMQ_HOST") else {
            return Ok(None);
        };
        Ok(Some(Self {
            host,
            port: number("RABBITMQ_PORT", 5672)?,
            username: needed("RABBITMQ_HOST", "RABBITMQ_USERNAME")?,
            password: needed("RABBITMQ_HOST", "RABBITMQ_PASSWORD")?,
            vhost: variable("RABBITMQ_VHOST").unwrap_or_else(|| "/".into()),
            management: variable("RABBITMQ_MANAGEMENT"),
        }))
    }

    pub(crate) fn from_outside() -> Result<Option<Self>> {
        if started_by_us("rabbitmq") {
            Ok(None)
        } else {
            Self::from_environment()
        }
    }

    /// `amqp://` URL of the virtual host, whose name is percent-encoded as the AMQP URI rules want.
    #[must_use]
    pub fn url(&self) -> String {
        let Self {
            host,
            port,
            username,
            password,
            vhost,
            ..
        } = self;
        format!(
            "amqp://{username}:{password}@{host}:{port}/{}",
            percent_encoded(vhost)
        )
    }

    pub(crate) fn write(&self, environment: &mut Environment) {
        let mut set = |name: &str, value: &str| environment.insert(name.into(), value.into());
        set("RABBITMQ_HOST", &self.host);
        set("RABBITMQ_PORT", &self.port.to_string());
        set("RABBITMQ_USERNAME", &self.username);
        set("RABBITMQ_PASSWORD", &self.password);
        set("RABBITMQ_VHOST", &self.vhost);
        if let Some(management) = &self.management {
            set("RABBITMQ_MANAGEMENT", management);
        }
    }
}

impl ObjectStoreAccess {
    /// The server that the environment names, if it names one.
    ///
    /// # Errors
    /// [`Error::Incomplete`] without credentials.
    pub fn from_environment() -> Result<Option<Self>> {
        let Some(endpoint) = variable("OBJECT_STORE_ENDPOINT") else {
            return Ok(None);
        };
        Ok(Some(Self {
            endpoint,
            access_key_id: needed("OBJECT_STORE_ENDPOINT", "OBJECT_STORE_ACCESS_KEY_ID")?,
            secret_access_key: needed("OBJECT_STORE_ENDPOINT", "OBJECT_STORE_SECRET_ACCESS_KEY")?,
            region: variable("OBJECT_STORE_REGION").unwrap_or_else(|| "us-east-1".into()),
            input_bucket: variable("OBJECT_STORE_INPUT_BUCKET").unwrap_or_else(|| "input".into()),
            output_bucket: variable("OBJECT_STORE_OUTPUT_BUCKET").unwrap_or_else(|| "output".into()),
        }))
    }

    pub(crate) fn from_outside() -> Result<Option<Self>> {
        if started_by_us("object-store") {
            Ok(None)
        } else {
            Self::from_environment()
        }
    }

    pub(crate) fn write(&self, environment: &mut Environment) {
        let mut set = |name: &str, value: &str| environment.insert(name.into(), value.into());
        set("OBJECT_STORE_ENDPOINT", &self.endpoint);
        set("OBJECT_STORE_ACCESS_KEY_ID", &self.access_key_id);
        set("OBJECT_STORE_SECRET_ACCESS_KEY", &self.secret_access_key);
        set("OBJECT_STORE_REGION", &self.region);
        set("OBJECT_STORE_INPUT_BUCKET", &self.input_bucket);
        set("OBJECT_STORE_OUTPUT_BUCKET", &self.output_bucket);
    }
}

/// Changes an environment to the account of one of our programs (`irmgard`, `anonymizer`, `desk`, `sweep`) at the object store, which
/// may do there what the manifests allow it in a cluster. A store that is given from outside is used as it is.
pub fn under_account(environment: &mut Environment, account: &str) {
    if let Some(access_key) = environment.get_mut("OBJECT_STORE_ACCESS_KEY_ID")
        && let Some(of_account) = access_key_of(access_key, account)
    {
        *access_key = of_account;
    }
}

impl OpenSearchAccess {
    /// The server that the environment names, if it names one.
    #[must_use]
    pub fn from_environment() -> Option<Self> {
        Some(Self {
            url: variable("LOGQ_OPENSEARCH_URL")?.trim_end_matches('/').to_owned(),
            username: variable("LOGQ_OPENSEARCH_USERNAME"),
            password: variable("LOGQ_OPENSEARCH_PASSWORD"),
        })
    }

    pub(crate) fn from_outside() -> Option<Self> {
        if started_by_us("opensearch") {
            None
        } else {
            Self::from_environment()
        }
    }

    pub(crate) fn write(&self, environment: &mut Environment) {
        environment.insert("LOGQ_OPENSEARCH_URL".into(), self.url.clone());
        for (name, value) in [
            ("LOGQ_OPENSEARCH_USERNAME", &self.username),
            ("LOGQ_OPENSEARCH_PASSWORD", &self.password),
        ] {
            if let Some(value) = value {
                environment.insert(name.into(), value.clone());
            }
        }
    }
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
pub(crate) fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
