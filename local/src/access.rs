//! Addresses and credentials of servers, and the environment variables that pass them to our programs.

use std::collections::BTreeMap;
use std::env;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::layout::project_root;
use crate::server::account_access_key;

/// Environment variables by name.
pub type Environment = BTreeMap<String, String>;

/// Address, account and database of PostgreSQL.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PostgresAccess {
    pub host: String,
    pub port: u16,
    /// A role that may create databases.
    pub username: String,
    pub password: String,
    pub database: String,
}

/// Address, account and virtual host of RabbitMQ.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RabbitMqAccess {
    pub host: String,
    /// AMQP port.
    pub port: u16,
    pub username: String,
    pub password: String,
    pub vhost: String,
    /// URL of the management API (`http://host:port`), if it is available.
    pub management: Option<String>,
}

/// Address, keys and buckets of an S3 store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ObjectStoreAccess {
    /// The base URL.
    pub endpoint: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    /// The region for request signatures.
    pub region: String,
    /// The bucket for the originals.
    pub input_bucket: String,
    /// The bucket for the anonymised photos.
    pub output_bucket: String,
}

/// Address and account of OpenSearch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpenSearchAccess {
    /// The base URL.
    pub url: String,
    /// `None` without authentication.
    pub username: Option<String>,
    pub password: Option<String>,
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn required(server_variable: &'static str, name: &'static str) -> Result<String> {
    variable(name).ok_or(Error::MissingSetting {
        server_variable,
        missing: name,
    })
}

fn port(name: &str, default: u16) -> Result<u16> {
    variable(name).map_or(Ok(default), |text| {
        text.parse().map_err(|_| {
            Error::request(
                format!("cannot read {name}"),
                format!("{text:?} is not a port number"),
            )
        })
    })
}

/// The variable with the servers that an enclosing `local exec` started. Those servers are not external.
pub(crate) const STARTED: &str = "LOCAL_STACK_STARTED";

pub(crate) fn started_by_enclosing_stack(server: &str) -> bool {
    variable(STARTED).is_some_and(|names| names.split(',').any(|name| name == server))
}

impl PostgresAccess {
    /// The server that the environment names, if any.
    ///
    /// # Errors
    /// [`Error::MissingSetting`] without credentials.
    pub fn from_environment() -> Result<Option<Self>> {
        let Some(host) = variable("POSTGRES_HOST") else {
            return Ok(None);
        };
        Ok(Some(Self {
            host,
            port: port("POSTGRES_PORT", 5432)?,
            username: required("POSTGRES_HOST", "POSTGRES_USERNAME")?,
            password: required("POSTGRES_HOST", "POSTGRES_PASSWORD")?,
            database: variable("POSTGRES_DATABASE").unwrap_or_else(|| "irmgard".into()),
        }))
    }

    /// As [`Self::from_environment`], but `None` for a server that an enclosing `local exec` started.
    pub(crate) fn external_from_environment() -> Result<Option<Self>> {
        if started_by_enclosing_stack("postgres") {
            Ok(None)
        } else {
            Self::from_environment()
        }
    }

    /// The `postgres://` URL of the database.
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
    /// The server that the environment names, if any.
    ///
    /// # Errors
    /// [`Error::MissingSetting`] without credentials.
    pub fn from_environment() -> Result<Option<Self>> {
        let Some(host) = variable("RABBITMQ_HOST") else {
            return Ok(None);
        };
        Ok(Some(Self {
            host,
            port: port("RABBITMQ_PORT", 5672)?,
            username: required("RABBITMQ_HOST", "RABBITMQ_USERNAME")?,
            password: required("RABBITMQ_HOST", "RABBITMQ_PASSWORD")?,
            vhost: variable("RABBITMQ_VHOST").unwrap_or_else(|| "/".into()),
            management: variable("RABBITMQ_MANAGEMENT"),
        }))
    }

    pub(crate) fn external_from_environment() -> Result<Option<Self>> {
        if started_by_enclosing_stack("rabbitmq") {
            Ok(None)
        } else {
            Self::from_environment()
        }
    }

    /// The `amqp://` URL of the virtual host, whose name is percent-encoded (AMQP URI specification).
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
    /// The server that the environment names, if any.
    ///
    /// # Errors
    /// [`Error::MissingSetting`] without credentials.
    pub fn from_environment() -> Result<Option<Self>> {
        let Some(endpoint) = variable("OBJECT_STORE_ENDPOINT") else {
            return Ok(None);
        };
        Ok(Some(Self {
            endpoint,
            access_key_id: required("OBJECT_STORE_ENDPOINT", "OBJECT_STORE_ACCESS_KEY_ID")?,
            secret_access_key: required("OBJECT_STORE_ENDPOINT", "OBJECT_STORE_SECRET_ACCESS_KEY")?,
            region: variable("OBJECT_STORE_REGION").unwrap_or_else(|| "us-east-1".into()),
            input_bucket: variable("OBJECT_STORE_INPUT_BUCKET").unwrap_or_else(|| "input".into()),
            output_bucket: variable("OBJECT_STORE_OUTPUT_BUCKET").unwrap_or_else(|| "output".into()),
        }))
    }

    pub(crate) fn external_from_environment() -> Result<Option<Self>> {
        if started_by_enclosing_stack("object-store") {
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

/// Switches an environment to the object store account of one of our programs (`irmgard`, `anonymizer`, `desk`, `sweep`). The
/// account has the permissions of the manifests. Does nothing for an external store.
pub fn use_account(environment: &mut Environment, account: &str) {
    if let Some(access_key) = environment.get_mut("OBJECT_STORE_ACCESS_KEY_ID")
        && let Some(account_key) = account_access_key(access_key, account)
    {
        *access_key = account_key;
    }
}

impl OpenSearchAccess {
    /// The server that the environment names, if any.
    #[must_use]
    pub fn from_environment() -> Option<Self> {
        Some(Self {
            url: variable("LOGQ_OPENSEARCH_URL")?.trim_end_matches('/').to_owned(),
            username: variable("LOGQ_OPENSEARCH_USERNAME"),
            password: variable("LOGQ_OPENSEARCH_PASSWORD"),
        })
    }

    pub(crate) fn external_from_environment() -> Option<Self> {
        if started_by_enclosing_stack("opensearch") {
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

/// Names the ONNX Runtime library to the detector.
const ONNX_RUNTIME_VARIABLE: &str = "ORT_DYLIB_PATH";

/// The library that `local/install` puts into the project.
const ONNX_RUNTIME_FILE: &str = ".local/onnxruntime/libonnxruntime.so.1.31.1";

/// Passes `ORT_DYLIB_PATH` on. If it is not set, passes the installed library, if any.
pub(crate) fn write_onnx_runtime(environment: &mut Environment) {
    let path = variable(ONNX_RUNTIME_VARIABLE).or_else(|| {
        let path = project_root().join(ONNX_RUNTIME_FILE);
        path.is_file().then(|| path.display().to_string())
    });
    if let Some(path) = path {
        environment.insert(ONNX_RUNTIME_VARIABLE.into(), path);
    }
}

/// Percent-encodes everything except the unreserved characters of RFC 3986.
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
