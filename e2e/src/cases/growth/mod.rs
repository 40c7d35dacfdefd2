//! PostgreSQL and RabbitMQ from one pod to three in place, with data and under load, and back; OpenSearch to three.

mod broker;
mod database;
mod search;

use std::time::Duration;

use anyhow::{Context, Result};

use super::Stage;
use crate::cluster::{Cluster, Deployment, NAMESPACE, Places};

/// How long the load runs before and after each change.
const CALM: Duration = Duration::from_secs(10);

/// What is brought over itself again and again, so that it grows.
fn deployment(components: &[&str]) -> Deployment {
    components
        .iter()
        .fold(Deployment::new("growth"), |deployment, component| {
            deployment.with(component)
        })
}

pub(super) async fn run(stage: &mut Stage) -> Result<()> {
    if ["postgres", "rabbitmq"]
        .iter()
        .any(|part| stage.cluster.settings().wants(part))
    {
        // From one pod each, also where this has run before.
        stage.cluster.empty().await?;
        stage.cluster.deploy(&deployment(&[])).await?;
        let places = stage.cluster.places().await?;
        services(stage, &places).await;
    }
    if stage.cluster.settings().wants("opensearch") {
        let ended = search::run(stage).await;
        stage.part("OpenSearch", ended);
    }
    stage.report.cannot_show(
        "Copies on other nodes and zones: all pods, and the directories of their volumes, are on one node. With several the pods spread over \
         them by the manifests' constraints; the steps are the same.",
    );
    Ok(())
}

async fn services(stage: &mut Stage, places: &Places) {
    if stage.cluster.settings().wants("postgres") {
        let ended = database::run(stage, places).await;
        stage.part("PostgreSQL", ended);
    }
    if stage.cluster.settings().wants("rabbitmq") {
        let ended = broker::run(stage, places).await;
        stage.part("RabbitMQ", ended);
    }
}

/// The claims of a workload's pods: name, size, state.
async fn claims(cluster: &Cluster, workload: &str) -> Result<Vec<String>> {
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

/// Deletes the claims of pods that are gone for good: what is on them is of a cluster that knows them no more.
async fn drop_claims(cluster: &Cluster, workload: &str) -> Result<()> {
    let (one, two) = (format!("data-{workload}-1"), format!("data-{workload}-2"));
    let arguments = [
        "delete",
        "persistentvolumeclaim",
        "--namespace",
        NAMESPACE,
        &one,
        &two,
        "--ignore-not-found",
        "--timeout=60s",
    ];
    let deleted = cluster.kubectl().run(&arguments).await;
    deleted.map(drop).context("the volumes of pods that are gone")
}
