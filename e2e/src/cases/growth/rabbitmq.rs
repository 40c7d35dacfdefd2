//! RabbitMQ: to three pods and back to one.

use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep};

use super::{
    super::{
        Harness, availability, check_photos,
        rabbitmq::{Queue, exec, node_name, queues, wait_for_replicas},
    },
    STEADY_LOAD, delete_claims, deployment, volume_claims,
};
use crate::{
    cluster::{Condition, Deployment, Endpoints, wait_until},
    load::{Load, Rates, seconds},
};

/// Jobs that wait for a worker while the broker grows.
const BACKLOG: u32 = 15;
/// How long to wait for automatic replicas, before `rabbitmq-queues grow`.
const AUTOMATIC_LIMIT: Duration = Duration::from_secs(180);
/// How long a restarted broker may take to count its messages.
const COUNT_LIMIT: Duration = Duration::from_secs(30);

pub(super) async fn run(harness: &mut Harness, endpoints: &Endpoints) -> Result<()> {
    let (mut rows, mut queue_rows) = (Vec::new(), Vec::new());
    let result = grow(harness, endpoints, &mut rows, &mut queue_rows).await;
    let result = match result {
        Ok(()) => shrink(harness, endpoints, &mut rows, &mut queue_rows).await,
        Err(error) => Err(error),
    };
    let report = &mut harness.report;
    report.section("RabbitMQ");
    report.table(&availability::HEADER, &rows);
    report.table(
        &["when", "queue", "messages", "leader", "replicas", "online"],
        &queue_rows,
    );
    report.text(
        "To three pods: add `components: [rabbitmq-three]` and deploy. The existing pod restarts, because its preStop hook changes; irmgard \
         keeps its jobs in the outbox meanwhile. Queues get replicas automatically (continuous membership reconciliation), or at once with \
         `rabbitmq-queues grow NODE all`. Scaling alone does not shrink the cluster: a stopped node stays a member, and the last of three nodes \
         pauses (pause_minority). For rabbitmq-2, then rabbitmq-1: `rabbitmq-queues shrink NODE`, `rabbitmqctl stop_app` on that pod, \
         `rabbitmqctl forget_cluster_node NODE` on rabbitmq-0. Then deploy without the component, and delete the volume claims of the removed \
         pods: their data belongs to a cluster that no longer has these members.",
    );
    result
}

/// Starts a load and builds a backlog. Returns the number of waiting jobs.
async fn start_with_backlog(harness: &mut Harness, endpoints: &Endpoints, what: &str) -> Result<(Load, u32)> {
    let time_limit = harness.cluster.settings().time_limit;
    harness.step(format_args!("-- {what}"));
    let load = Load::start(&endpoints.web, "growth", rates(harness), time_limit).await?;
    sleep(STEADY_LOAD).await;
    let before = harness.build_backlog(endpoints, BACKLOG).await?;
    Ok((load, before))
}

async fn grow(
    harness: &mut Harness,
    endpoints: &Endpoints,
    rows: &mut Vec<Vec<String>>,
    queue_rows: &mut Vec<Vec<String>>,
) -> Result<()> {
    let time_limit = harness.cluster.settings().time_limit;
    let what = "RabbitMQ from one pod to three";
    let (load, before) = start_with_backlog(harness, endpoints, what).await?;
    add_queue_rows(queue_rows, "one pod", &queues(&harness.cluster).await?);
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
            exec(
                &harness.cluster,
                0,
                &["rabbitmq-queues", "grow", &node_name(node), "all"],
            )
            .await?;
        }
        wait_for_replicas(&harness.cluster, 3, time_limit).await?;
    }
    let ready = start.elapsed();
    add_queue_rows(
        queue_rows,
        "with three replicas",
        &queues(&harness.cluster).await?,
    );
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
    rows.push(availability::row(what, &record, from, ready));
    Ok(())
}

async fn shrink(
    harness: &mut Harness,
    endpoints: &Endpoints,
    rows: &mut Vec<Vec<String>>,
    queue_rows: &mut Vec<Vec<String>>,
) -> Result<()> {
    let time_limit = harness.cluster.settings().time_limit;
    let what = "RabbitMQ from three pods to one";
    let (load, before) = start_with_backlog(harness, endpoints, what).await?;
    let (from, start) = (load.now(), Instant::now());
    for node in [2, 1] {
        exec(
            &harness.cluster,
            0,
            &["rabbitmq-queues", "shrink", &node_name(node)],
        )
        .await?;
        exec(&harness.cluster, node, &["rabbitmqctl", "stop_app"]).await?;
        exec(
            &harness.cluster,
            0,
            &["rabbitmqctl", "forget_cluster_node", &node_name(node)],
        )
        .await?;
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
    add_queue_rows(queue_rows, "one pod again", &queues(&harness.cluster).await?);
    harness.cluster.scale("deployment/anonymizer", 2).await?;
    sleep(STEADY_LOAD).await;
    let record = load.stop().await;
    check_photos(harness, endpoints, &record, what).await?;
    rows.push(availability::row(what, &record, from, ready));
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

fn add_queue_rows(rows: &mut Vec<Vec<String>>, when: &str, queues: &[Queue]) {
    rows.extend(queues.iter().map(|queue| {
        vec![
            when.to_owned(),
            queue.name.clone(),
            queue.messages.to_string(),
            queue.leader.clone(),
            queue.members.to_string(),
            queue.online.to_string(),
        ]
    }));
}

fn rates(harness: &Harness) -> Rates {
    Rates::with_probes(harness.cluster.settings().photos_per_second)
}
