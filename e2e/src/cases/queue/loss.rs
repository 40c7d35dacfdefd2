//! Nodes of the broker go while messages are published and consumed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::Result;
use tokio::time::{Instant, sleep};

use super::{
    super::{Stage, held, rabbitmq},
    doors::{Doors, QUEUES},
    losses::{Losses, Span, first, of_queues, served},
    notes::Notes,
    traffic::Traffic,
};
use crate::{
    cluster::{Places, Pod, Seen, until},
    load::seconds,
};

/// Messages of each queue that are published at once.
const AT_ONCE: usize = 2;
/// Between a message and the next.
const PAUSE: Duration = Duration::from_millis(20);
/// How long all is well, before and after.
const CALM: Duration = Duration::from_secs(5);
/// How long the nodes stay away.
const AWAY: Duration = Duration::from_secs(30);
/// Until a node that is killed is gone, and the one that is left knows it.
const ON_ITS_WAY: Duration = Duration::from_secs(12);
/// In the end of the time without a node, messages must be confirmed.
const IN_THE_END: Duration = Duration::from_secs(5);

/// What goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// The only node.
    Only,
    /// One of three.
    One,
    /// Two of three.
    Two,
}

impl Blow {
    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Only => "the only node lost for 30 s",
            Self::One => "one of three lost for 30 s",
            Self::Two => "two of three lost for 30 s",
        }
    }

    /// Pods that go: first those that most connections lead to.
    fn victims(self, pods: &[Pod], connections: &BTreeMap<String, String>) -> Vec<Pod> {
        let mut sorted = pods.to_vec();
        let count = |pod: &Pod| connections.values().filter(|to| **to == pod.name).count();
        sorted.sort_by_key(|pod| std::cmp::Reverse(count(pod)));
        sorted.truncate(match self {
            Self::Only | Self::One => 1,
            Self::Two => 2,
        });
        sorted
    }

    /// Whether what is left is the greater part.
    pub const fn has_quorum(self) -> bool {
        matches!(self, Self::One)
    }
}

/// When it happened.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    /// The nodes were killed.
    pub gone: Instant,
    /// They might come back.
    pub freed: Instant,
    /// All copies of all queues were there again.
    pub whole: Instant,
    /// Jobs in irmgard's outbox just before they might.
    pub outbox: Option<i64>,
}

/// Nodes go while messages come and go, stay away, and come back.
///
/// # Errors
/// When the broker does not come back.
pub async fn trial(
    stage: &mut Stage,
    places: &Places,
    doors: &mut Doors,
    blow: Blow,
    losses: &mut Losses,
) -> Result<Moments> {
    let patience = stage.cluster.settings().patience;
    let what = blow.name();
    stage.step(format_args!("-- {what}"));
    doors.look(&stage.cluster).await?;
    let traffic = Traffic::start(&doors.lanes_by_the_service(), AT_ONCE, PAUSE).await?;
    let began = Instant::now() - traffic.now();
    sleep(CALM).await;
    let connections = rabbitmq::connections(&stage.cluster).await?;
    let mut pods = stage.cluster.pods("rabbitmq").await?;
    pods.retain(|pod| pod.component == "broker");
    let victims = blow.victims(&pods, &connections);
    let lost: BTreeSet<String> = victims.iter().map(|pod| pod.name.clone()).collect();
    stage.step(format_args!("{what}: {lost:?}"));
    let gone = Instant::now();
    let killed = held::kill(&stage.cluster, &victims).await;
    if killed.is_ok() {
        sleep(AWAY.saturating_sub(gone.elapsed())).await;
    }
    let outbox = places.outbox().await.ok();
    let freed = Instant::now();
    // Also where not all were killed: an object that is kept would keep the namespace.
    held::release(&stage.cluster, &victims).await?;
    killed?;
    stage.cluster.ready("statefulset", "rabbitmq", patience).await?;
    rabbitmq::copies(&stage.cluster, doors.nodes(), patience).await?;
    let whole = Instant::now();
    stage.step(format_args!(
        "all copies are there again after {}",
        seconds(whole - gone)
    ));
    let since = freed - began;
    let back = until("every queue confirms and delivers again", patience, async || {
        let notes = traffic.notes();
        let served = served(&notes, since, Duration::MAX);
        Ok(if served == QUEUES {
            Seen::Yes(())
        } else {
            Seen::NotYet(format!("{served} of {QUEUES} do"))
        })
    })
    .await;
    sleep(CALM).await;
    let ended = traffic.now();
    let notes = traffic.stop().await;
    let span = Span {
        gone: gone - began,
        freed: since,
        ended,
    };
    demand(stage, blow, &notes, span, back);
    losses.note(blow, &notes, span, whole - freed);
    if blow == Blow::One {
        losses.queues = of_queues(doors, &notes, span, &connections, &lost)?;
    }
    Ok(Moments {
        gone,
        freed,
        whole,
        outbox,
    })
}

fn demand(stage: &mut Stage, blow: Blow, notes: &Notes, span: Span, back: Result<()>) {
    let (what, report) = (blow.name(), &mut stage.report);
    let confirmed = notes.confirms().count();
    report.demand(
        format_args!("{what}: every message that was confirmed is delivered"),
        confirmed > 0 && notes.missing() == 0,
        format_args!("{confirmed} confirmed, {} not delivered", notes.missing()),
    );
    if blow.has_quorum() {
        let served = served(notes, span.freed.saturating_sub(IN_THE_END), span.freed);
        report.demand(
            format_args!("{what}: every queue confirms and delivers without it"),
            served == QUEUES,
            format_args!(
                "{served} of {QUEUES}, in the last {} s of the time",
                IN_THE_END.as_secs()
            ),
        );
    } else {
        let without = span.gone + ON_ITS_WAY..span.freed;
        let taken = notes.confirms().filter(|moment| without.contains(moment)).count();
        report.demand(
            format_args!("{what}: nothing is confirmed meanwhile"),
            taken == 0,
            format_args!(
                "{taken} messages, from {} s after the blow on",
                ON_ITS_WAY.as_secs()
            ),
        );
    }
    report.demand(
        format_args!("{what}: every queue confirms and delivers again, and nobody did anything for it"),
        back.is_ok(),
        match back {
            Ok(()) if blow.has_quorum() => "they went on".to_owned(),
            Ok(()) => format!(
                "the first confirm {} after the nodes might come back",
                seconds(first(notes, span))
            ),
            Err(error) => format!("{error:#}"),
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_go_that_most_connections_lead_to() {
        let pods = ["rabbitmq-0", "rabbitmq-1", "rabbitmq-2"]
            .map(|name| Pod::from(&serde_json::json!({ "metadata": { "name": name } })));
        let connections = [("a", "rabbitmq-2"), ("b", "rabbitmq-1"), ("c", "rabbitmq-2")]
            .map(|(name, pod)| (name.to_owned(), pod.to_owned()))
            .into();
        let names = |blow: Blow| -> Vec<String> {
            let victims = blow.victims(&pods, &connections);
            victims.into_iter().map(|pod| pod.name).collect()
        };
        assert_eq!(names(Blow::One), ["rabbitmq-2"]);
        assert_eq!(names(Blow::Two), ["rabbitmq-2", "rabbitmq-1"]);
    }
}
