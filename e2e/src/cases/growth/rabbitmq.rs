//! RabbitMQ: to three pods and back to one.

use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep};

use super::{
    super::{
        Harness, availability, check_photos,
        rabbitmq::{exec, node_name, queues, wait_for_replicas},
    },
    STEADY_LOAD, delete_claims, deployment, volume_claims,
};
use crate::{
    cluster::{Condition, Deployment, Endpoints, wait_until},
    load::{Load, seconds},
};

/// Jobs that wait for a worker while the broker grows.
const BACKLOG: u32 = 15;
/// How long to wait for automatic replicas, before `rabbitmq-queues grow`.
const AUTOMATIC_LIMIT: Duration = Duration::from_secs(180);
/// How long a restarted broker may take to count its messages.
const COUNT_LIMIT: Duration = Duration::from_secs(30);

pub(super) async fn run(harness: &mut Harness, endpoints: &Endpoints) -> Result<()> {
    grow(harness, endpoints).await?;
    shrink(harness, endpoints).await
}

/// Starts a load and builds a backlog. Returns the number of waiting jobs.
async fn start_with_backlog(harness: &mut Harness, endpoints: &Endpoints, what: &str) -> Result<(Load, u32)> {
    harness.step(format_args!("-- {what}"));
    let load = harness.start_load(endpoints, "growth").await?;
    sleep(STEADY_LOAD).await;
    let before = harness.build_backlog(endpoints, BACKLOG).await?;
    Ok((load, before))
}

async fn grow(harness: &mut Harness, endpoints: &Endpoints) -> Result<()> {
    let time_limit = harness.time_limit();
    let what = "RabbitMQ from one pod to three";
    let (load, before) = start_with_backlog(harness, endpoints, what).await?;
    report_queues(harness, "one pod").await?;
    let (from, start) = (load.now(), Instant::now());
    let without_workers =
        |components: &[&str]| -> Deployment { deployment(components).replicas("anonymizer", 0) };
    harness
        .cluster
        .deploy(&without_workers(&["rabbitmq-three"]))
        .await?;
    harness
        .cluster
        .wait_until_ready("statefulset", "rabbitmq", time_limit)
        .await?;
    let pods_ready = start.elapsed();
    let automatic = wait_for_replicas(&harness.cluster, 3, AUTOMATIC_LIMIT).await;
    if automatic.is_err() {
        for node in [1, 2] {
            let command = format!("rabbitmq-queues grow {} all", node_name(node));
            exec(&harness.cluster, 0, &command).await?;
        }
        wait_for_replicas(&harness.cluster, 3, time_limit).await?;
    }
    let ready = start.elapsed();
    report_queues(harness, "with three replicas").await?;
    harness.report.require(
        format_args!("{what}: each queue gets a replica on every node automatically"),
        automatic.is_ok(),
        match automatic {
            Ok(()) => format!(
                "{} after the pods were ready",
                seconds(ready.saturating_sub(pods_ready))
            ),
            Err(error) => format!("{error:#}; then with rabbitmq-queues grow"),
        },
    );
    require_messages(harness, what, before).await;
    let volumes = volume_claims(&harness.cluster, "rabbitmq").await?;
    harness.report.require(
        format_args!("{what}: each pod has a volume"),
        volumes.len() == 3,
        volumes.join(", "),
    );
    harness.cluster.scale("deployment/anonymizer", 2).await?;
    sleep(STEADY_LOAD).await;
    let record = load.stop().await;
    check_photos(harness, endpoints, &record, what).await?;
    harness
        .report
        .row("rabbitmq", availability::row(what, &record, from, ready));
    Ok(())
}

async fn shrink(harness: &mut Harness, endpoints: &Endpoints) -> Result<()> {
    let time_limit = harness.time_limit();
    let what = "RabbitMQ from three pods to one";
    let (load, before) = start_with_backlog(harness, endpoints, what).await?;
    let (from, start) = (load.now(), Instant::now());
    for node in [2, 1] {
        let (cluster, name) = (&harness.cluster, node_name(node));
        exec(cluster, 0, &format!("rabbitmq-queues shrink {name}")).await?;
        exec(cluster, node, "rabbitmqctl stop_app").await?;
        exec(cluster, 0, &format!("rabbitmqctl forget_cluster_node {name}")).await?;
    }
    wait_for_replicas(&harness.cluster, 1, time_limit).await?;
    harness
        .cluster
        .deploy(&deployment(&[]).replicas("anonymizer", 0))
        .await?;
    wait_until("one pod is left and ready", time_limit, async || {
        let pods = harness.cluster.pods("rabbitmq").await?;
        Ok(if pods.len() == 1 && pods[0].ready {
            Condition::Met(())
        } else {
            Condition::Unmet(format!("{} pods", pods.len()))
        })
    })
    .await?;
    let ready = start.elapsed();
    require_messages(harness, what, before).await;
    report_queues(harness, "one pod again").await?;
    harness.cluster.scale("deployment/anonymizer", 2).await?;
    sleep(STEADY_LOAD).await;
    let record = load.stop().await;
    check_photos(harness, endpoints, &record, what).await?;
    harness
        .report
        .row("rabbitmq", availability::row(what, &record, from, ready));
    delete_claims(&harness.cluster, "rabbitmq").await
}

/// Requires that the waiting messages still exist. A restarted broker counts them after some seconds.
async fn require_messages(harness: &mut Harness, what: &str, before: u32) {
    let counted = wait_until("all messages are counted", COUNT_LIMIT, async || {
        let queues = queues(&harness.cluster).await?;
        let now = queues.iter().find(|queue| queue.name == "images");
        let now = now.map_or(0, |queue| queue.messages);
        Ok(if now >= u64::from(before) {
            Condition::Met(now)
        } else {
            Condition::Unmet(format!("{now} are counted"))
        })
    })
    .await;
    harness.report.require(
        format_args!("{what}: the waiting messages still exist"),
        counted.is_ok(),
        match counted {
            Ok(now) => format!("{before} before, {now} after, under a constant load"),
            Err(error) => format!("{before} before; {error:#}"),
        },
    );
}

async fn report_queues(harness: &mut Harness, when: &str) -> Result<()> {
    for queue in queues(&harness.cluster).await? {
        let row = vec![
            ("when", when.to_owned()),
            ("queue", queue.name),
            ("messages", queue.messages.to_string()),
            ("leader", queue.leader),
            ("replicas", queue.members.to_string()),
            ("online", queue.online.to_string()),
        ];
        harness.report.row("queues", row);
    }
    Ok(())
}
