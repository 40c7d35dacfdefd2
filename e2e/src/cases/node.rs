//! One of three nodes loses its power: the upload gap, the failover of the database's Service, and the shutdown of the broker's
//! other nodes.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::{
    process::Command,
    time::{Instant, sleep},
};

use super::{
    Harness, availability, check_photos, patroni,
    rabbitmq::{exec, wait_for_replicas},
};
use crate::{
    cluster::{Cluster, Condition, Deployment, Endpoints, NAMESPACE, Pod, wait_until},
    load::{LoadRecord, seconds},
    settings::NodeCommands,
};

/// How long the load runs before the loss.
const STEADY_LOAD: Duration = Duration::from_secs(8);
/// The limit for `rabbitmqctl list_queues`. If a node cannot answer, it waits a minute.
const LIST_LIMIT: Duration = Duration::from_secs(20);
/// The limit for the shutdown of a RabbitMQ node. It must first detect the lost node (net_ticktime, 60 to 75 s). Ten more
/// seconds are for data that it still sends there.
const BROKER_SHUTDOWN_LIMIT: Duration = Duration::from_secs(100);
/// When to end a RabbitMQ node after the loss: before it detects the loss (net_ticktime, 60 s).
const BEFORE_DETECTION: Duration = Duration::from_secs(15);
/// The limit for the upload gap: Patroni's lease (30 s), its loop interval (10 s), and a camera's retry interval.
const UPLOAD_GAP_LIMIT: Duration = Duration::from_secs(45);
/// How long after the failover the primary's Service may still contain the dead pod.
const STALE_ENDPOINT_LIMIT: Duration = Duration::from_secs(5);

pub(super) async fn run(harness: &mut Harness) -> Result<()> {
    let commands = harness.cluster.settings().node.clone();
    let commands = commands.context(
        "E2E_NODE_STOP and E2E_NODE_START are not set: set them to commands that stop and start a node, which get the node's name",
    )?;
    let nodes = harness.cluster.nodes().await?.len();
    ensure!(
        nodes >= 3,
        "the cluster has {nodes} nodes, but this case needs three"
    );
    let deployment = Deployment::new("node")
        .with("postgres-three")
        .with("rabbitmq-three")
        .replicas("irmgard", 3)
        .replicas("anonymizer", 2);
    harness.cluster.deploy(&deployment).await?;
    let store_node = use_store_node(harness).await?;
    let endpoints = harness.cluster.endpoints().await?;
    let time_limit = harness.time_limit();
    patroni::wait_until_healthy(&harness.cluster, time_limit).await?;
    wait_for_replicas(&harness.cluster, 3, time_limit).await?;
    require_queue_listing(harness).await?;
    let node = choose_node(harness, &store_node).await?;
    let result = lose_node(harness, &endpoints, &commands, &node).await;
    // Start the node again even after an error.
    let started = run_node_command(&commands.start, &node).await;
    let record = result?;
    started?;
    patroni::wait_until_healthy(&harness.cluster, time_limit).await?;
    wait_for_replicas(&harness.cluster, 3, time_limit).await?;
    // All pods can return their log lines again.
    check_photos(harness, &endpoints, &record, "node lost").await?;
    harness.report.require(
        "after the node's return: three pods of the database and three replicas of each queue",
        true,
        &node,
    );
    Ok(())
}

/// Requires that `rabbitmqctl` can list the queues on each node: network policies must allow the nodes' answers.
async fn require_queue_listing(harness: &mut Harness) -> Result<()> {
    for pod in 0..3 {
        let start = Instant::now();
        let listed = exec(
            &harness.cluster,
            pod,
            "rabbitmqctl --quiet list_queues name messages",
        )
        .await;
        let duration = start.elapsed();
        harness.report.require(
            format_args!(
                "rabbitmqctl lists the queues on rabbitmq-{pod} within {} s",
                LIST_LIMIT.as_secs()
            ),
            listed.is_ok() && duration < LIST_LIMIT,
            match listed {
                Ok(_) => seconds(duration),
                Err(error) => format!("{}: {error:#}", seconds(duration)),
            },
        );
    }
    Ok(())
}

/// The node to lose: the primary's. If the object store is there too, moves the primary first.
async fn choose_node(harness: &Harness, store_node: &str) -> Result<String> {
    let cluster = &harness.cluster;
    let primary = patroni::primary(cluster).await?;
    if primary.node != store_node {
        return Ok(primary.node);
    }
    patroni::patronictl(cluster, &primary.name, &["switchover", "--force"]).await?;
    let time_limit = cluster.settings().time_limit;
    wait_until("the primary has moved", time_limit, async || {
        let now = patroni::primary(cluster).await?;
        Ok(if now.node == store_node {
            Condition::Unmet(format!("{} is primary", now.name))
        } else {
            Condition::Met(())
        })
    })
    .await?;
    patroni::wait_until_healthy(cluster, time_limit).await?;
    Ok(patroni::primary(cluster).await?.node)
}

/// The node of the object store, which is not lost. Uses its node ports from now on.
async fn use_store_node(harness: &mut Harness) -> Result<String> {
    let pods = harness.cluster.pods("object-store").await?;
    let store = pods.into_iter().find(|pod| pod.component == "store");
    let name = store.context("the object store has no pod")?.node;
    harness.cluster.use_node(&name).await?;
    Ok(name)
}

async fn lose_node(
    harness: &mut Harness,
    endpoints: &Endpoints,
    commands: &NodeCommands,
    node: &str,
) -> Result<LoadRecord> {
    let load = harness.start_load(endpoints, "node").await?;
    sleep(STEADY_LOAD).await;
    let primary = patroni::primary(&harness.cluster).await?.name;
    harness.step(format_args!("-- losing {node}, with the primary {primary}"));
    let (lost_at, start) = (load.now(), Instant::now());
    run_node_command(&commands.stop, node).await?;
    let (broker, database) = tokio::join!(
        async {
            sleep(BEFORE_DETECTION).await;
            restart_broker_node(&harness.cluster, node).await
        },
        measure_failover(&harness.cluster, &primary, start),
    );
    let (broker, database) = (broker?, database?);
    let ready = start.elapsed();
    // Until Kubernetes marks the node as lost.
    sleep(Duration::from_secs(30)).await;
    let record = load.stop().await;
    let gap = availability::longest_upload_gap(&record, lost_at);

    let report = &mut harness.report;
    let row = availability::row("node lost", &record, lost_at, ready);
    report.row("outages", row);
    let row = vec![
        ("new primary after", seconds(database.new_primary)),
        (
            "Service contains only the new primary after",
            seconds(database.service_updated),
        ),
        ("RabbitMQ node shut down after", seconds(broker)),
    ];
    report.row("failover", row);
    report.require(
        format_args!(
            "new photos are accepted again within {} s",
            UPLOAD_GAP_LIMIT.as_secs()
        ),
        gap <= UPLOAD_GAP_LIMIT,
        format_args!("none for {}", seconds(gap)),
    );
    let stale = database.service_updated.saturating_sub(database.new_primary);
    report.require(
        "the primary's Service contains no dead pod after the failover",
        stale <= STALE_ENDPOINT_LIMIT,
        format_args!("{} after it", seconds(stale)),
    );
    report.require(
        format_args!(
            "a RabbitMQ node shuts down within {} s while another node is lost",
            BROKER_SHUTDOWN_LIMIT.as_secs()
        ),
        broker <= BROKER_SHUTDOWN_LIMIT,
        seconds(broker),
    );
    Ok(record)
}

/// Times since the loss of the primary's node.
struct Failover {
    new_primary: Duration,
    /// Until the Service contains only the new primary.
    service_updated: Duration,
}

async fn measure_failover(cluster: &Cluster, old: &str, start: Instant) -> Result<Failover> {
    let time_limit = Duration::from_secs(180);
    let path = format!(
        "/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dpostgres"
    );
    let mut new_primary = None;
    wait_until(
        "the primary's Service contains only another pod",
        time_limit,
        async || {
            let ready = ready_pods(&cluster.api().list(&path).await?);
            let has_other = ready.iter().any(|pod| pod != old);
            if has_other && new_primary.is_none() {
                new_primary = Some(start.elapsed());
            }
            Ok(match new_primary {
                Some(new_primary) if has_other && !ready.contains(old) => Condition::Met(Failover {
                    new_primary,
                    service_updated: start.elapsed(),
                }),
                _ => Condition::Unmet(format!("{ready:?}")),
            })
        },
    )
    .await
}

/// The ready pods in endpoint slices.
fn ready_pods(slices: &[Value]) -> BTreeSet<String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    slices
        .iter()
        .flat_map(|slice| list(&slice["endpoints"]))
        .filter(|endpoint| endpoint["conditions"]["ready"] != false)
        .filter_map(|endpoint| endpoint["targetRef"]["name"].as_str().map(ToOwned::to_owned))
        .collect()
}

/// Sends SIGTERM to a node of the broker, as at the end of a pod. Returns the time until the container has restarted.
async fn restart_broker_node(cluster: &Cluster, lost_node: &str) -> Result<Duration> {
    let pods = cluster.pods("rabbitmq").await?;
    let pod = pods
        .iter()
        .find(|pod| pod.node != lost_node)
        .context("RabbitMQ has no other pod")?;
    let before = restarts(cluster, pod).await?;
    let start = Instant::now();
    let words = ["sh", "-c", "kill -s TERM 1"];
    cluster.exec(&pod.name, "rabbitmq", &words, None).await?;
    let what = format!("{} ends", pod.name);
    wait_until(&what, Duration::from_secs(300), async || {
        let now = restarts(cluster, pod).await?;
        Ok(if now > before {
            Condition::Met(())
        } else {
            Condition::Unmet("it still runs".to_owned())
        })
    })
    .await?;
    Ok(start.elapsed())
}

/// The number of times a pod's container has ended.
async fn restarts(cluster: &Cluster, pod: &Pod) -> Result<u64> {
    let path = format!("/api/v1/namespaces/{}/pods/{}", pod.namespace, pod.name);
    let object = cluster
        .api()
        .get(&path)
        .await?
        .context("the pod does not exist")?;
    let status = &object["status"]["containerStatuses"][0];
    let ended = u64::from(!status["state"]["terminated"].is_null());
    Ok(status["restartCount"].as_u64().unwrap_or_default() + ended)
}

async fn run_node_command(command: &str, node: &str) -> Result<()> {
    let mut words = command.split_whitespace();
    let program = words.next().context("E2E_NODE_STOP or E2E_NODE_START is empty")?;
    let output = Command::new(program)
        .args(words)
        .arg(node)
        .output()
        .await
        .with_context(|| format!("cannot start {program}"))?;
    ensure!(
        output.status.success(),
        "{command} {node}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ready_pods_are_found_in_endpoint_slices() {
        let slices = [json!({ "endpoints": [
            { "conditions": { "ready": true }, "targetRef": { "name": "postgres-0" } },
            { "conditions": { "ready": false }, "targetRef": { "name": "postgres-1" } },
            { "conditions": {}, "targetRef": { "name": "postgres-2" } },
        ] })];
        assert_eq!(
            ready_pods(&slices),
            ["postgres-0", "postgres-2"].map(ToOwned::to_owned).into()
        );
    }
}
