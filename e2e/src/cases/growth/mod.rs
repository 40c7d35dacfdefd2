//! Grows PostgreSQL and RabbitMQ from one pod to three in place, with data and under load, and shrinks them again. Grows OpenSearch
//! to three pods.

mod opensearch;
mod postgres;
mod rabbitmq;

use std::time::Duration;

use anyhow::{Context, Result};

use super::Harness;
use crate::cluster::{Cluster, Deployment, Endpoints, NAMESPACE};

/// How long the load runs before and after each change.
const STEADY_LOAD: Duration = Duration::from_secs(10);

/// The deployment with these components. All variants have one name, so that each is applied over the previous one.
fn deployment(components: &[&str]) -> Deployment {
    components
        .iter()
        .fold(Deployment::new("growth"), |deployment, component| {
            deployment.with(component)
        })
}

pub(super) async fn run(harness: &mut Harness) -> Result<()> {
    if ["postgres", "rabbitmq"]
        .iter()
        .any(|part| harness.cluster.settings().includes(part))
    {
        // Starts with one pod each, even after an earlier run.
        harness.cluster.delete_namespaces().await?;
        harness.cluster.deploy(&deployment(&[])).await?;
        let endpoints = harness.cluster.endpoints().await?;
        grow_services(harness, &endpoints).await;
    }
    if harness.cluster.settings().includes("opensearch") {
        let result = opensearch::run(harness).await;
        harness.require_completion("OpenSearch", result);
    }
    Ok(())
}

async fn grow_services(harness: &mut Harness, endpoints: &Endpoints) {
    if harness.cluster.settings().includes("postgres") {
        let result = postgres::run(harness, endpoints).await;
        harness.require_completion("PostgreSQL", result);
    }
    if harness.cluster.settings().includes("rabbitmq") {
        let result = rabbitmq::run(harness, endpoints).await;
        harness.require_completion("RabbitMQ", result);
    }
}

/// The volume claims of a workload's pods: name, size, phase.
async fn volume_claims(cluster: &Cluster, workload: &str) -> Result<Vec<String>> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims");
    let items = cluster.api().list(&path).await?;
    let mut claims: Vec<_> = items
        .iter()
        .filter_map(|item| {
            let name = item["metadata"]["name"].as_str()?;
            let size = item["status"]["capacity"]["storage"].as_str().unwrap_or("?");
            let phase = item["status"]["phase"].as_str().unwrap_or("?");
            name.starts_with(&format!("data-{workload}-"))
                .then(|| format!("{name} {size} {phase}"))
        })
        .collect();
    claims.sort_unstable();
    Ok(claims)
}

/// Deletes the volume claims of removed pods. Their data belongs to a cluster that no longer has these members.
async fn delete_claims(cluster: &Cluster, workload: &str) -> Result<()> {
    let command = format!(
        "delete persistentvolumeclaim --namespace {NAMESPACE} data-{workload}-1 data-{workload}-2 --ignore-not-found --timeout=60s"
    );
    let deleted = cluster.kubectl().run(&command).await;
    deleted
        .map(drop)
        .context("cannot delete the volumes of removed pods")
}
