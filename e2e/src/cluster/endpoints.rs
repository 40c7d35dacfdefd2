//! Clients and addresses of the services, from outside the cluster.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use serde_json::Value;
use service_runtime::{
    broker::{BrokerSettings, Publisher},
    settings::SettingsReader,
    store::{Store, StoreSettings},
};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{Cluster, NAMESPACE};
use crate::load::WebEndpoint;

/// Passwords by their names in `manifests/secrets/generated/values`.
#[derive(Clone)]
pub struct Secrets(BTreeMap<String, String>);

impl Secrets {
    /// Parses lines `name=value`.
    pub(super) fn parse(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| line.split_once('='));
        Self(
            lines
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        )
    }

    pub fn get(&self, name: &str) -> Result<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.with_context(|| format!("manifests/secrets/generated/values has no {name}: run make secrets"))
    }
}

/// The services, reached through node ports.
pub struct Endpoints {
    /// The web service, with the tokens of a camera and a viewer.
    pub web: WebEndpoint,
    /// OpenSearch, `http://host:port`.
    pub opensearch: String,
    /// PostgreSQL's primary, with the role of the web service. Connects at the first query.
    pub database: PgPool,
    /// The object store, with its root account, which may list more than irmgard.
    pub store: Store,
    /// The broker, with its operator account.
    pub broker: BrokerSettings,
}

impl Cluster {
    /// The services of this cluster.
    pub async fn endpoints(&self) -> Result<Endpoints> {
        let (secrets, _) = self.secrets().await?;
        let (host, port) = self.node_port("postgres-outside").await?;
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
        let (broker, amqp) = self.node_port("rabbitmq-outside").await?;
        let variables: BTreeMap<String, String> = [
            (
                "OBJECT_STORE_ENDPOINT",
                self.node_port_url("minio-outside").await?,
            ),
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
        let mut reader = SettingsReader::new(&variables);
        let store = StoreSettings::read(&mut reader, Duration::from_secs(20));
        let broker = BrokerSettings::read(&mut reader, "e2e");
        reader.finish()?;
        Ok(Endpoints {
            web: WebEndpoint {
                address: self.node_port_url("irmgard-outside").await?,
                camera: Some(secrets.get("token-camera")?.to_owned()),
                viewer: Some(secrets.get("token-viewer")?.to_owned()),
            },
            opensearch: self.node_port_url("opensearch-outside").await?,
            database,
            store: Store::new(store)?,
            broker,
        })
    }

    /// Uses the node ports of this node from now on, unless the settings name a host.
    pub async fn use_node(&mut self, node: &str) -> Result<()> {
        if self.settings.host.is_none() {
            let nodes = self.nodes().await?;
            let node = nodes.iter().find(|object| object["metadata"]["name"] == node);
            let address = node.and_then(internal_ip).context("a node has no InternalIP")?;
            self.settings.host = Some(address);
        }
        Ok(())
    }

    async fn node_port_url(&self, service: &str) -> Result<String> {
        let (host, port) = self.node_port(service).await?;
        Ok(format!("http://{host}:{port}"))
    }

    /// Host and node port of a Service.
    pub async fn node_port(&self, service: &str) -> Result<(String, u16)> {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/services/{service}");
        let object = self.api.get(&path).await?;
        let port = object
            .as_ref()
            .and_then(|object| object["spec"]["ports"][0]["nodePort"].as_u64())
            .and_then(|port| u16::try_from(port).ok());
        let port = port.with_context(|| format!("the Service {service} has no node port"))?;
        let host = match &self.settings.host {
            Some(host) => host.clone(),
            None => self
                .nodes()
                .await?
                .first()
                .and_then(internal_ip)
                .context("no node has an InternalIP: set E2E_HOST to the address of a node")?,
        };
        Ok((host, port))
    }
}

fn internal_ip(node: &Value) -> Option<String> {
    let addresses = node["status"]["addresses"].as_array()?;
    let internal = addresses.iter().find(|address| address["type"] == "InternalIP")?;
    internal["address"].as_str().map(ToOwned::to_owned)
}

impl Endpoints {
    /// The number of ready messages in each queue.
    pub async fn queue_lengths(&self) -> Result<BTreeMap<String, u32>> {
        let publisher = Publisher::start(self.broker.clone());
        publisher.connected().await;
        let mut queues = BTreeMap::new();
        for queue in self.broker.queues.all() {
            queues.insert(queue.to_owned(), publisher.messages_ready(queue).await?);
        }
        publisher.close().await;
        Ok(queues)
    }

    /// The number of jobs in the outbox.
    pub async fn outbox_length(&self) -> Result<i64> {
        let count = sqlx::query_scalar("select count(*) from outbox");
        Ok(count.fetch_one(&self.database).await?)
    }

    /// The keys in a bucket with this prefix.
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
            let page = page.with_context(|| format!("cannot list the bucket {bucket}"))?;
            keys.extend(
                page.contents()
                    .iter()
                    .filter_map(|object| object.key().map(ToOwned::to_owned)),
            );
        }
        Ok(keys)
    }

    /// The number of object versions and delete markers in a bucket under this prefix.
    pub async fn count_versions(&self, bucket: &str, prefix: &str) -> Result<usize> {
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
                .with_context(|| format!("cannot list the versions in the bucket {bucket}"))?;
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
    fn a_node_has_an_internal_address() {
        let node = json!({ "status": { "addresses": [
            { "type": "Hostname", "address": "node" },
            { "type": "InternalIP", "address": "192.0.2.1" },
        ] } });
        assert_eq!(internal_ip(&node).as_deref(), Some("192.0.2.1"));
        assert_eq!(internal_ip(&Value::Null), None);
    }

    #[test]
    fn the_error_names_the_missing_password() {
        let secrets = Secrets::parse("minio-root=a=b\n");
        assert_eq!(secrets.get("minio-root").unwrap(), "a=b");
        let error = secrets.get("postgres-runtime").err().unwrap().to_string();
        assert!(error.contains("postgres-runtime"), "{error}");
    }
}
