//! A node of three loses its power: how long no photo is taken, where the database's Service leads, how the broker's other nodes end.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::{
    process::Command,
    time::{Instant, sleep},
};

use super::{
    Stage, check, ledger, patroni,
    rabbitmq::{copies, inside},
};
use crate::{
    cluster::{Cluster, Deployment, NAMESPACE, Places, Pod, Seen, until},
    load::{Load, Pace, Record, seconds},
    settings::NodeCommands,
};

/// How long the load runs before and after.
const CALM: Duration = Duration::from_secs(8);
/// What `rabbitmqctl list_queues` may need where every node answers it. Where one cannot, it waits a minute.
const LISTED: Duration = Duration::from_secs(20);
/// How long a node of the broker may need to end: until it takes the other one for lost (net_ticktime, 60 to 75 s), and ten seconds more
/// for what it has still to send there.
const ENDED: Duration = Duration::from_secs(100);
/// When the broker's node is ended, after the loss: before the others know of it (net_ticktime, 60 s).
const UNKNOWN: Duration = Duration::from_secs(15);
/// How long photos may not be taken: Patroni's lease (30 s), its look (10 s), and what a camera waits.
const TAKEN: Duration = Duration::from_secs(45);
/// How long after the failover the Service of the primary may lead to a dead pod.
const LEADS_ASTRAY: Duration = Duration::from_secs(5);

pub(super) async fn run(stage: &mut Stage) -> Result<()> {
    let commands = stage.cluster.settings().node.clone();
    let commands = commands.context(
        "E2E_NODE_STOP and E2E_NODE_START are not set: the commands that end a node and bring it back, each given its name",
    )?;
    let nodes = stage.cluster.nodes().await?.len();
    ensure!(nodes >= 3, "the cluster has {nodes} nodes, and this wants three");
    let deployment = Deployment::new("node")
        .with("postgres-three")
        .with("rabbitmq-three")
        .replicas("irmgard", 3)
        .replicas("anonymizer", 2);
    stage.cluster.deploy(&deployment).await?;
    let spared = store_node(stage).await?;
    let places = stage.cluster.places().await?;
    let patience = stage.cluster.settings().patience;
    patroni::whole(&stage.cluster, patience).await?;
    copies(&stage.cluster, 3, patience).await?;
    listed(stage).await?;
    let lost = victim(stage, &spared).await?;
    let ended = lose(stage, &places, &commands, &lost).await;
    // Also where it broke off: what is there is somebody's cluster.
    let back = command(&commands.start, &lost).await;
    let record = ended?;
    back?;
    patroni::whole(&stage.cluster, patience).await?;
    copies(&stage.cluster, 3, patience).await?;
    // Now that all pods can be asked for their lines again.
    check(stage, &places, &record, "a node is lost").await?;
    stage.report.demand(
        "the node comes back: three pods of the database and three copies of each queue",
        true,
        &lost,
    );
    stage
        .report
        .cannot_show("The loss of the object store's node: there is one pod, and its volume is there.");
    Ok(())
}

/// Each node of the broker sends rabbitmqctl what it lists, and policies must let it.
async fn listed(stage: &mut Stage) -> Result<()> {
    for pod in 0..3 {
        let began = Instant::now();
        let words = ["rabbitmqctl", "--quiet", "list_queues", "name", "messages"];
        let listed = inside(&stage.cluster, pod, &words).await;
        let took = began.elapsed();
        stage.report.demand(
            format_args!(
                "rabbitmqctl lists the queues on rabbitmq-{pod} within {} s",
                LISTED.as_secs()
            ),
            listed.is_ok() && took < LISTED,
            match listed {
                Ok(_) => seconds(took),
                Err(error) => format!("{}: {error:#}", seconds(took)),
            },
        );
    }
    Ok(())
}

/// The node that is to go: that of the primary, which is moved first where it is beside the object store.
async fn victim(stage: &Stage, spared: &str) -> Result<String> {
    let cluster = &stage.cluster;
    let primary = patroni::primary(cluster).await?;
    if primary.node != spared {
        return Ok(primary.node);
    }
    patroni::patronictl(cluster, &primary.name, &["switchover", "--force"]).await?;
    let patience = cluster.settings().patience;
    until("the primary has moved", patience, async || {
        let now = patroni::primary(cluster).await?;
        Ok(if now.node == spared {
            Seen::NotYet(format!("{} is primary", now.name))
        } else {
            Seen::Yes(())
        })
    })
    .await?;
    patroni::whole(cluster, patience).await?;
    Ok(patroni::primary(cluster).await?.node)
}

/// The node of the object store: it stays, and the cluster is reached by it.
async fn store_node(stage: &mut Stage) -> Result<String> {
    let pods = stage.cluster.pods("object-store").await?;
    let store = pods.into_iter().find(|pod| pod.component == "store");
    let name = store.context("there is no pod of the object store")?.node;
    stage.cluster.reach_by(&name).await?;
    Ok(name)
}

async fn lose(stage: &mut Stage, places: &Places, commands: &NodeCommands, lost: &str) -> Result<Record> {
    let patience = stage.cluster.settings().patience;
    let pace = Pace::watching(stage.cluster.settings().photos_per_second);
    let load = Load::start(&places.web, "node", pace, patience).await?;
    sleep(CALM).await;
    let primary = patroni::primary(&stage.cluster).await?.name;
    stage.step(format_args!("-- {lost} is lost, with the primary {primary}"));
    let (gone, began) = (load.now(), Instant::now());
    command(&commands.stop, lost).await?;
    let (broker, database) = tokio::join!(
        async {
            sleep(UNKNOWN).await;
            end_broker(&stage.cluster, lost).await
        },
        failover(&stage.cluster, &primary, began),
    );
    let (broker, database) = (broker?, database?);
    let ready = began.elapsed();
    // Until Kubernetes has found the node out.
    sleep(Duration::from_secs(30)).await;
    let record = load.stop().await;
    let away = ledger::nothing_new(&record, gone);

    let report = &mut stage.report;
    report.section("A node is lost");
    report.text(format_args!(
        "With it go the primary of the database, a node of the broker, and pods of the programs. Its network is cut first, so its peers get no \
         packet. {}",
        ledger::LEGEND
    ));
    report.table(
        &ledger::HEADER,
        &[ledger::row("a node is lost", &record, gone, ready)],
    );
    report.table(
        &[
            "another primary after",
            "its Service leads to it alone after",
            "RabbitMQ ends after",
        ],
        &[vec![
            seconds(database.moved),
            seconds(database.alone),
            seconds(broker),
        ]],
    );
    report.demand(
        format_args!("new photos are taken again within {} s", TAKEN.as_secs()),
        away <= TAKEN,
        format_args!("none for {}", seconds(away)),
    );
    let astray = database.alone.saturating_sub(database.moved);
    report.demand(
        "the Service of the primary leads to no dead pod once there is another primary",
        astray <= LEADS_ASTRAY,
        format_args!("{} after it", seconds(astray)),
    );
    report.demand(
        format_args!(
            "a node of RabbitMQ ends within {} s while another is gone without a word",
            ENDED.as_secs()
        ),
        broker <= ENDED,
        seconds(broker),
    );
    Ok(record)
}

/// What the loss of the primary's node did; since then.
struct Failover {
    /// Another pod is primary.
    moved: Duration,
    /// The Service leads to it alone.
    alone: Duration,
}

async fn failover(cluster: &Cluster, old: &str, began: Instant) -> Result<Failover> {
    let patience = Duration::from_secs(180);
    let path = format!(
        "/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dpostgres"
    );
    let mut moved = None;
    until(
        "the Service of the primary leads to another pod alone",
        patience,
        async || {
            let behind = ready_pods(&cluster.api().list(&path).await?);
            let others = behind.iter().any(|pod| pod != old);
            if others && moved.is_none() {
                moved = Some(began.elapsed());
            }
            Ok(match moved {
                Some(moved) if others && !behind.contains(old) => Seen::Yes(Failover {
                    moved,
                    alone: began.elapsed(),
                }),
                _ => Seen::NotYet(format!("{behind:?}")),
            })
        },
    )
    .await
}

/// The pods that slices of endpoints lead to.
fn ready_pods(slices: &[Value]) -> BTreeSet<String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    slices
        .iter()
        .flat_map(|slice| list(&slice["endpoints"]))
        .filter(|endpoint| endpoint["conditions"]["ready"] != false)
        .filter_map(|endpoint| endpoint["targetRef"]["name"].as_str().map(ToOwned::to_owned))
        .collect()
}

/// Ends a node of the broker as a pod's end does, and says how long it needs until Kubernetes has started it anew.
async fn end_broker(cluster: &Cluster, lost: &str) -> Result<Duration> {
    let pods = cluster.pods("rabbitmq").await?;
    let pod = pods
        .iter()
        .find(|pod| pod.node != lost)
        .context("no pod of RabbitMQ is left")?;
    let before = restarts(cluster, pod).await?;
    let began = Instant::now();
    let words = ["sh", "-c", "kill -s TERM 1"];
    cluster.inside(&pod.name, "rabbitmq", &words, None).await?;
    let what = format!("{} ends", pod.name);
    until(&what, Duration::from_secs(300), async || {
        let now = restarts(cluster, pod).await?;
        Ok(if now > before {
            Seen::Yes(())
        } else {
            Seen::NotYet("it runs".to_owned())
        })
    })
    .await?;
    Ok(began.elapsed())
}

/// How often a pod's program has ended.
async fn restarts(cluster: &Cluster, pod: &Pod) -> Result<u64> {
    let path = format!("/api/v1/namespaces/{}/pods/{}", pod.namespace, pod.name);
    let object = cluster.api().get(&path).await?.context("the pod is gone")?;
    let status = &object["status"]["containerStatuses"][0];
    let ended = u64::from(!status["state"]["terminated"].is_null());
    Ok(status["restartCount"].as_u64().unwrap_or_default() + ended)
}

async fn command(command: &str, node: &str) -> Result<()> {
    let mut words = command.split_whitespace();
    let program = words
        .next()
        .context("a command of E2E_NODE_STOP or E2E_NODE_START is empty")?;
    let output = Command::new(program)
        .args(words)
        .arg(node)
        .output()
        .await
        .with_context(|| format!("{program} cannot be started"))?;
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
    fn a_service_leads_to_the_pods_that_are_ready() {
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
