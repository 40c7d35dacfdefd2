//! How the services are reached from outside of the cluster.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use chassis::{
    broker::{BrokerSettings, Publisher},
    settings::Reader,
    store::{Store, StoreSettings},
};
use serde_json::Value;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{Cluster, NAMESPACE};
use crate::load::Web;

/// Passwords, by the names of `manifests/secrets/generated/values`.
#[derive(Clone)]
pub struct Secrets(BTreeMap<String, String>);

impl Secrets {
    /// Of lines `name=value`.
    pub(super) fn parse(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| line.split_once('='));
        Self(
            lines
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        )
    }

    /// One of them.
    ///
    /// # Errors
    /// When it is not there.
    pub fn get(&self, name: &str) -> Result<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.with_context(|| {
            format!("manifests/secrets/generated/values does not say {name}: run make secrets")
        })
    }
}

/// Ways to the services by ports of a node.
pub struct Places {
    /// The web service, with the tokens of a camera and of a viewer.
    pub web: Web,
    /// OpenSearch, `http://host:port`.
    pub opensearch: String,
    /// The primary, as the role of the web service. Connects when it is asked.
    pub database: PgPool,
    /// The object store, as its root: it may list what irmgard may not.
    pub store: Store,
    /// The broker, as its operator.
    pub broker: BrokerSettings,
}

impl Cluster {
    /// How the services are reached.
    ///
    /// # Errors
    /// When they have no ports on the nodes.
    pub async fn places(&self) -> Result<Places> {
        let (secrets, _) = self.secrets().await?;
        let (host, port) = self.outside("postgres-outside").await?;
        let options = PgConnectOptions::new()
            .host(&host)
            .port(port)
            .username("irmgard")
            .password(secrets.get("postgres-runtime")?)
            .database("irmgard")
            .application_name("e2e");
        let database = PgPoolOptions::new()
            .max_connections(2)
            .acquire_timeout(Duration::from_secs(5))
            .connect_lazy_with(options);
        let (broker, amqp) = self.outside("rabbitmq-outside").await?;
        let variables: BTreeMap<String, String> = [
            ("OBJECT_STORE_ENDPOINT", self.url("minio-outside").await?),
            ("OBJECT_STORE_ACCESS_KEY_ID", "root-of-minio".to_owned()),
            (
                "OBJECT_STORE_SECRET_ACCESS_KEY",
                secrets.get("minio-root")?.to_owned(),
            ),
            ("RABBITMQ_HOST", broker),
            ("RABBITMQ_PORT", amqp.to_string()),
            ("RABBITMQ_USERNAME", "operator".to_owned()),
            ("RABBITMQ_PASSWORD", secrets.get("rabbitmq-operator")?.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let mut reader = Reader::new(&variables);
        let store = StoreSettings::read(&mut reader, Duration::from_secs(20));
        let broker = BrokerSettings::read(&mut reader, "e2e");
        reader.finish()?;
        Ok(Places {
            web: Web {
                address: self.url("irmgard-outside").await?,
                camera: Some(secrets.get("token-camera")?.to_owned()),
                viewer: Some(secrets.get("token-viewer")?.to_owned()),
            },
            opensearch: self.url("opensearch-outside").await?,
            database,
            store: Store::new(store)?,
            broker,
        })
    }

    /// From now on the ports of the nodes are reached at this node, unless the settings say where.
    ///
    /// # Errors
    /// When there is no such node, or it has no address.
    pub async fn reach_by(&mut self, node: &str) -> Result<()> {
        if self.settings.host.is_none() {
            let nodes = self.nodes().await?;
            let node = nodes.iter().find(|known| known["metadata"]["name"] == node);
            let address = node.and_then(address).context("a node has no InternalIP")?;
            self.settings.host = Some(address);
        }
        Ok(())
    }

    async fn url(&self, service: &str) -> Result<String> {
        let (host, port) = self.outside(service).await?;
        Ok(format!("http://{host}:{port}"))
    }

    /// Host and port of a Service on the nodes.
    ///
    /// # Errors
    /// When it has none.
    pub async fn outside(&self, service: &str) -> Result<(String, u16)> {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/services/{service}");
        let object = self.api.get(&path).await?;
        let port = object
            .as_ref()
            .and_then(|object| object["spec"]["ports"][0]["nodePort"].as_u64())
            .and_then(|port| u16::try_from(port).ok());
        let port = port.with_context(|| format!("the Service {service} has no port on the nodes"))?;
        let host = match &self.settings.host {
            Some(host) => host.clone(),
            None => self
                .nodes()
                .await?
                .first()
                .and_then(address)
                .context("no node has an InternalIP: say in E2E_HOST where one is reached")?,
        };
        Ok((host, port))
    }
}

fn address(node: &Value) -> Option<String> {
    let addresses = node["status"]["addresses"].as_array()?;
    let internal = addresses.iter().find(|address| address["type"] == "InternalIP")?;
    internal["address"].as_str().map(ToOwned::to_owned)
}

impl Places {
    /// Messages in each queue that nobody is at work on.
    ///
    /// # Errors
    /// When the broker does not say.
    pub async fn queues(&self) -> Result<BTreeMap<String, u32>> {
        let publisher = Publisher::start(self.broker.clone());
        publisher.connected().await;
        let mut queues = BTreeMap::new();
        for queue in self.broker.queues.all() {
            queues.insert(queue.to_owned(), publisher.messages_ready(queue).await?);
        }
        publisher.close().await;
        Ok(queues)
    }

    /// Jobs that wait in the outbox.
    ///
    /// # Errors
    /// When the database does not say.
    pub async fn outbox(&self) -> Result<i64> {
        let count = sqlx::query_scalar("select count(*) from outbox");
        Ok(count.fetch_one(&self.database).await?)
    }

    /// Keys in a bucket that begin so.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn keys(&self, bucket: &str, prefix: &str) -> Result<Vec<String>> {
        let list = self
            .store
            .client()
            .list_objects_v2()
            .bucket(bucket)
            .prefix(prefix);
        let mut pages = list.into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.with_context(|| format!("the bucket {bucket} cannot be listed"))?;
            keys.extend(
                page.contents()
                    .iter()
                    .filter_map(|object| object.key().map(ToOwned::to_owned)),
            );
        }
        Ok(keys)
    }

    /// How much a bucket keeps under keys that begin so: objects, their older versions, and markers of deleted ones.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn versions(&self, bucket: &str, prefix: &str) -> Result<usize> {
        let list = self
            .store
            .client()
            .list_object_versions()
            .bucket(bucket)
            .prefix(prefix);
        let (mut key, mut version, mut count) = (None, None, 0);
        loop {
            let page = list
                .clone()
                .set_key_marker(key)
                .set_version_id_marker(version)
                .send()
                .await
                .with_context(|| format!("the versions in the bucket {bucket} cannot be listed"))?;
            count += page.versions().len() + page.delete_markers().len();
            if page.is_truncated() != Some(true) {
                return Ok(count);
            }
            (key, version) = (page.next_key_marker, page.next_version_id_marker);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_is_reached_by_its_internal_address() {
        let node = json!({ "status": { "addresses": [
            { "type": "Hostname", "address": "node" },
            { "type": "InternalIP", "address": "192.0.2.1" },
        ] } });
        assert_eq!(address(&node).as_deref(), Some("192.0.2.1"));
        assert_eq!(address(&Value::Null), None);
    }

    #[test]
    fn a_password_that_is_missing_is_named() {
        let secrets = Secrets::parse("minio-root=a=b\n");
        assert_eq!(secrets.get("minio-root").unwrap(), "a=b");
        let error = secrets.get("postgres-runtime").err().unwrap().to_string();
        assert!(error.contains("postgres-runtime"), "{error}");
    }
}
