//! RabbitMQ.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::definitions::policies;
use super::variable::{Access, Environment, http_client, port, required, set, variable, variable_or};
use crate::error::{Error, Result};

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
            vhost: variable_or("RABBITMQ_VHOST", "/"),
            management: variable("RABBITMQ_MANAGEMENT"),
        }))
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
        format!("amqp://{username}:{password}@{host}:{port}/{}", encoded(vhost))
    }

    /// Creates the virtual host with the project's policies.
    pub(crate) async fn create_vhost(&self) -> Result<()> {
        let vhost = encoded(&self.vhost);
        self.put(&format!("/api/vhosts/{vhost}"), &json!({})).await?;
        let everything = json!({ "configure": ".*", "write": ".*", "read": ".*" });
        let user = encoded(&self.username);
        self.put(&format!("/api/permissions/{vhost}/{user}"), &everything)
            .await?;
        for policy in policies()? {
            let name = encoded(policy["name"].as_str().unwrap_or_default());
            self.put(&format!("/api/policies/{vhost}/{name}"), &policy)
                .await?;
        }
        Ok(())
    }

    /// Removes the virtual host, if it exists.
    pub(crate) async fn delete_vhost(&self) -> Result<()> {
        let path = format!("/api/vhosts/{}", encoded(&self.vhost));
        self.request_management(Method::DELETE, &path, None).await
    }

    async fn put(&self, path: &str, body: &Value) -> Result<()> {
        self.request_management(Method::PUT, path, Some(body)).await
    }

    /// Sends a request to the management API. A 404 for DELETE counts as success.
    async fn request_management(&self, method: Method, path: &str, body: Option<&Value>) -> Result<()> {
        let what = || format!("RabbitMQ management {method} {path}");
        let base = self
            .management
            .as_deref()
            .ok_or_else(|| Error::request(what(), "RABBITMQ_MANAGEMENT is not set"))?;
        let response = async {
            let mut request = http_client(Duration::from_secs(30))?
                .request(method.clone(), format!("{base}{path}"))
                .basic_auth(&self.username, Some(&self.password));
            if let Some(body) = body {
                request = request.json(body);
            }
            let response = request.send().await?;
            Ok::<_, reqwest::Error>((response.status(), response.text().await?))
        };
        let (status, text) = response.await.map_err(|error| Error::request(what(), error))?;
        let already_deleted = method == Method::DELETE && status == StatusCode::NOT_FOUND;
        if status.is_success() || already_deleted {
            Ok(())
        } else {
            Err(Error::request(what(), format!("{status} {text}")))
        }
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

impl Access for RabbitMqAccess {
    const SERVER: &'static str = "rabbitmq";

    fn find() -> Result<Option<Self>> {
        Self::from_environment()
    }

    fn write(&self, environment: &mut Environment) {
        set(
            environment,
            [
                ("RABBITMQ_HOST", &*self.host),
                ("RABBITMQ_PORT", &self.port.to_string()),
                ("RABBITMQ_USERNAME", &self.username),
                ("RABBITMQ_PASSWORD", &self.password),
                ("RABBITMQ_VHOST", &self.vhost),
            ],
        );
        let management = self.management.as_deref();
        set(environment, management.map(|url| ("RABBITMQ_MANAGEMENT", url)));
    }

    async fn probe(&self) -> std::result::Result<(), String> {
        let properties = lapin::ConnectionProperties::default().with_connection_name("local".into());
        let handshake = async {
            let connection = lapin::Connection::connect(&self.url(), properties).await?;
            connection.close(200, "ready".into()).await
        };
        handshake.await.map_err(|error| error.to_string())?;
        if self.management.is_some() {
            self.request_management(Method::GET, "/api/whoami", None)
                .await
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    async fn prepare(&self) -> Result<()> {
        timeout(Duration::from_secs(20), self.probe())
            .await
            .unwrap_or_else(|_| Err("no answer within 20 s".into()))
            .map_err(|error| {
                let what = format!("cannot use RabbitMQ at {}:{}", self.host, self.port);
                Error::request(what, error)
            })
    }
}
