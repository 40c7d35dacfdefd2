//! RabbitMQ: to three and back.

use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep};

use super::{
    super::{
        Stage, check, ledger,
        rabbitmq::{Queue, copies, inside, name, queues},
    },
    CALM, claims, deployment, drop_claims,
};
use crate::{
    cluster::{Deployment, Places, Seen, until},
    load::{Load, Pace, seconds},
};

/// Photos that wait for a worker while the broker grows.
const WAITING: u32 = 15;
/// How long queues may need to get their copies by themselves, before they are told to.
const BY_THEMSELVES: Duration = Duration::from_secs(180);
/// How long a broker that has started may need to know how many messages it has.
const COUNTED: Duration = Duration::from_secs(30);

pub(super) async fn run(stage: &mut Stage, places: &Places) -> Result<()> {
    let (mut rows, mut queues) = (Vec::new(), Vec::new());
    let grown = grow(stage, places, &mut rows, &mut queues).await;
    let back = match grown {
        Ok(()) => shrink(stage, places, &mut rows, &mut queues).await,
        Err(error) => Err(error),
    };
    let report = &mut stage.report;
    report.section("RabbitMQ");
    report.table(&ledger::HEADER, &rows);
    report.table(
        &["when", "queue", "messages", "leader", "copies", "of them there"],
        &queues,
    );
    report.text(
        "To three: `components: [rabbitmq-three]`, and deploy. The pod that was there is made anew, for its farewell (preStop) is another one; \
         irmgard keeps its jobs in the outbox meanwhile. Queues get their copies by themselves (continuous membership reconciliation), or at \
         once with `rabbitmq-queues grow NODE all`. Back is not only a number: a node that merely goes stays a member, and one of three that \
         is left stops (pause_minority). For rabbitmq-2, then rabbitmq-1: `rabbitmq-queues shrink NODE`, `rabbitmqctl stop_app` there, \
         `rabbitmqctl forget_cluster_node NODE` on rabbitmq-0; then deploy without the component, and delete the claims of the pods that \
         went: their data is of a cluster that knows them no more.",
    );
    back
}

/// Photos come in, and some wait for a worker: how many.
async fn begin(stage: &mut Stage, places: &Places, what: &str) -> Result<(Load, u32)> {
    let patience = stage.cluster.settings().patience;
    stage.step(format_args!("-- {what}"));
    let load = Load::start(&places.web, "growth", pace(stage), patience).await?;
    sleep(CALM).await;
    let before = stage.backlog(places, WAITING).await?;
    Ok((load, before))
}

async fn grow(
    stage: &mut Stage,
    places: &Places,
    rows: &mut Vec<Vec<String>>,
    told: &mut Vec<Vec<String>>,
) -> Result<()> {
    let patience = stage.cluster.settings().patience;
    let what = "RabbitMQ from one pod to three";
    let (load, before) = begin(stage, places, what).await?;
    note(told, "one pod", &queues(&stage.cluster).await?);
    let (from, began) = (load.now(), Instant::now());
    let idle = |components: &[&str]| -> Deployment { deployment(components).replicas("anonymizer", 0) };
    stage.cluster.deploy(&idle(&["rabbitmq-three"])).await?;
    stage.cluster.ready("statefulset", "rabbitmq", patience).await?;
    let pods = began.elapsed();
    let by_themselves = copies(&stage.cluster, 3, BY_THEMSELVES).await;
    if by_themselves.is_err() {
        for node in [1, 2] {
            inside(
                &stage.cluster,
                0,
                &["rabbitmq-queues", "grow", &name(node), "all"],
            )
            .await?;
        }
        copies(&stage.cluster, 3, patience).await?;
    }
    let ready = began.elapsed();
    note(told, "with three copies", &queues(&stage.cluster).await?);
    stage.report.demand(
        format_args!("{what}: each queue gets a copy on every node by itself"),
        by_themselves.is_ok(),
        match by_themselves {
            Ok(()) => format!(
                "{} after the pods were there",
                seconds(ready.saturating_sub(pods))
            ),
            Err(error) => format!("{error:#}; then with rabbitmq-queues grow"),
        },
    );
    still_there(stage, what, before).await;
    let volumes = claims(&stage.cluster, "rabbitmq").await?;
    stage.report.demand(
        format_args!("{what}: each pod has a volume"),
        volumes.len() == 3,
        volumes.join(", "),
    );
    stage.cluster.scale("deployment/anonymizer", 2).await?;
    sleep(CALM).await;
    let record = load.stop().await;
    check(stage, places, &record, what).await?;
    rows.push(ledger::row(what, &record, from, ready));
    Ok(())
}

async fn shrink(
    stage: &mut Stage,
    places: &Places,
    rows: &mut Vec<Vec<String>>,
    told: &mut Vec<Vec<String>>,
) -> Result<()> {
    let patience = stage.cluster.settings().patience;
    let what = "RabbitMQ from three pods to one";
    let (load, before) = begin(stage, places, what).await?;
    let (from, began) = (load.now(), Instant::now());
    for node in [2, 1] {
        inside(&stage.cluster, 0, &["rabbitmq-queues", "shrink", &name(node)]).await?;
        inside(&stage.cluster, node, &["rabbitmqctl", "stop_app"]).await?;
        inside(
            &stage.cluster,
            0,
            &["rabbitmqctl", "forget_cluster_node", &name(node)],
        )
        .await?;
    }
    copies(&stage.cluster, 1, patience).await?;
    stage
        .cluster
        .deploy(&deployment(&[]).replicas("anonymizer", 0))
        .await?;
    until("one pod is left, and serves", patience, async || {
        let pods = stage.cluster.pods("rabbitmq").await?;
        Ok(if pods.len() == 1 && pods[0].ready {
            Seen::Yes(())
        } else {
            Seen::NotYet(format!("{} pods", pods.len()))
        })
    })
    .await?;
    let ready = began.elapsed();
    still_there(stage, what, before).await;
    note(told, "one pod again", &queues(&stage.cluster).await?);
    stage.cluster.scale("deployment/anonymizer", 2).await?;
    sleep(CALM).await;
    let record = load.stop().await;
    check(stage, places, &record, what).await?;
    rows.push(ledger::row(what, &record, from, ready));
    drop_claims(&stage.cluster, "rabbitmq").await
}

/// Demands that the messages that waited are there. A broker that has just started counts them some seconds later.
async fn still_there(stage: &mut Stage, what: &str, before: u32) {
    let there = until("the messages are there", COUNTED, async || {
        let queues = queues(&stage.cluster).await?;
        let now = queues.iter().find(|queue| queue.name == "images");
        let now = now.map_or(0, |queue| queue.messages);
        Ok(if now >= u64::from(before) {
            Seen::Yes(now)
        } else {
            Seen::NotYet(format!("{now} wait"))
        })
    })
    .await;
    stage.report.demand(
        format_args!("{what}: the messages that waited are still there"),
        there.is_ok(),
        match there {
            Ok(now) => format!("{before} before, {now} after, and photos came in all the time"),
            Err(error) => format!("{before} before; {error:#}"),
        },
    );
}

fn note(rows: &mut Vec<Vec<String>>, when: &str, queues: &[Queue]) {
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

fn pace(stage: &Stage) -> Pace {
    Pace::watching(stage.cluster.settings().photos_per_second)
}
