//! Three pods: the primary goes, or standbys do, or another is asked to be primary.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep};

use super::super::{Stage, check, held, ledger, patroni};
use crate::{
    cluster::{Deletion, Deployment, Places, Pod, Seen, until},
    load::{Load, Pace, Record, seconds},
};

/// How long the load runs before and after.
const CALM: Duration = Duration::from_secs(8);
/// How long pods stay away whose place stays empty: longer than Patroni's lease (ttl, 30 s).
const AWAY: Duration = Duration::from_secs(50);
/// A commit that was on its way when the last standby went, and the look of Patroni that goes with it.
const ON_ITS_WAY: Duration = Duration::from_secs(5);
/// How much longer than the lease another primary may need.
const FAILOVER: Duration = Duration::from_secs(50);
/// What a planned switchover may need.
const SWITCHOVER: Duration = Duration::from_secs(20);

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    /// Another is asked to be primary.
    Switchover,
    /// The primary is killed, and another pod is made in its place at once.
    Killed,
    /// It is killed, and its place stays empty.
    Lost,
    /// A standby that commits wait for is.
    Standby,
    /// Both standbys are.
    Both,
}

const BLOWS: [Blow; 5] = [
    Blow::Switchover,
    Blow::Killed,
    Blow::Lost,
    Blow::Standby,
    Blow::Both,
];

impl Blow {
    const fn name(self) -> &'static str {
        match self {
            Self::Switchover => "planned switchover",
            Self::Killed => "primary killed",
            Self::Lost => "primary lost for 50 s",
            Self::Standby => "synchronous standby lost for 50 s",
            Self::Both => "both standbys lost for 50 s",
        }
    }

    /// Pods that go, of these.
    fn victims(self, pods: &[Pod], primary: &str, lease: &patroni::Lease) -> Vec<Pod> {
        let named = |name: &str| pods.iter().filter(|pod| pod.name == name).cloned().collect();
        match self {
            Self::Switchover => Vec::new(),
            Self::Killed | Self::Lost => named(primary),
            Self::Standby => lease.standbys.first().map_or(Vec::new(), |name| named(name)),
            Self::Both => pods.iter().filter(|pod| pod.name != primary).cloned().collect(),
        }
    }

    /// Whether the place of what goes stays empty.
    const fn is_held(self) -> bool {
        matches!(self, Self::Lost | Self::Standby | Self::Both)
    }

    /// Whether there must be another primary.
    const fn moves(self) -> bool {
        matches!(self, Self::Switchover | Self::Lost)
    }
}

#[derive(Default)]
struct Figures {
    outages: Vec<Vec<String>>,
    leaders: Vec<Vec<String>>,
    standbys: Vec<Vec<String>>,
}

pub(super) async fn run(stage: &mut Stage) -> Result<()> {
    // From one pod, in place, where that is what is there.
    let deployment = Deployment::new("database").with("postgres-three");
    stage.cluster.deploy(&deployment).await?;
    let places = stage.cluster.places().await?;
    let mut figures = Figures::default();
    let played = play(stage, &places, &mut figures).await;
    tell(stage, &figures);
    played
}

async fn play(stage: &mut Stage, places: &Places, figures: &mut Figures) -> Result<()> {
    for blow in BLOWS {
        trial(stage, places, blow, figures).await.context(blow.name())?;
    }
    Ok(())
}

async fn trial(stage: &mut Stage, places: &Places, blow: Blow, figures: &mut Figures) -> Result<()> {
    let patience = stage.cluster.settings().patience;
    let what = blow.name();
    stage.step(format_args!("-- {what}"));
    let primary = patroni::whole(&stage.cluster, patience).await?;
    let lease = patroni::Lease::of(&stage.cluster).await?;
    let pods = patroni::pods(&stage.cluster).await?;
    let victims = blow.victims(&pods, &primary, &lease);
    let pace = Pace::watching(stage.cluster.settings().photos_per_second);
    let load = Load::start(&places.web, "database", pace, patience).await?;
    sleep(CALM).await;
    for mut row in patroni::standbys(&stage.cluster, &primary).await? {
        row.insert(0, format!("before: {what}"));
        figures.standbys.push(row);
    }

    stage.step(format_args!(
        "{what}: primary {primary}, commits wait for {}",
        lease.standbys.join(", ")
    ));
    let (gone, began) = (load.now(), Instant::now());
    if let Err(error) = strike(stage, blow, &primary, &victims).await {
        // An object that is kept would keep the namespace.
        held::release(&stage.cluster, &victims).await?;
        return Err(error);
    }
    let moved = if blow.moves() {
        other_primary(stage, &primary, began).await
    } else {
        Ok(None)
    };
    if blow.is_held() {
        sleep(AWAY.saturating_sub(began.elapsed())).await;
    }
    let freed = load.now();
    if blow.is_held() {
        held::release(&stage.cluster, &victims).await?;
    }
    let moved = moved?;
    let now = patroni::whole(&stage.cluster, patience).await?;
    let ready = began.elapsed();
    stage.step(format_args!(
        "whole again after {}, primary {now}",
        seconds(ready)
    ));
    sleep(CALM).await;
    let record = load.stop().await;
    check(stage, places, &record, what).await?;
    let all: Vec<_> = pods.iter().map(|pod| pod.name.clone()).collect();
    ledger::compare(stage, what, &record, &all).await?;
    demand(stage, blow, &record, gone, freed, moved);
    figures.outages.push(ledger::row(what, &record, gone, ready));
    figures.leaders.push(vec![
        what.to_owned(),
        primary.clone(),
        now,
        moved.map_or("–".to_owned(), seconds),
        seconds(ready),
        returned(stage, victims.first().map_or(&primary, |pod| &pod.name)).await?,
    ]);
    Ok(())
}

async fn strike(stage: &Stage, blow: Blow, primary: &str, victims: &[Pod]) -> Result<()> {
    match blow {
        Blow::Switchover => {
            let words = ["switchover", "--force"];
            patroni::patronictl(&stage.cluster, primary, &words)
                .await
                .map(drop)
        }
        Blow::Killed => {
            for victim in victims {
                stage.cluster.delete(victim, Deletion::Forced).await?;
            }
            Ok(())
        }
        Blow::Lost | Blow::Standby | Blow::Both => held::kill(&stage.cluster, victims).await,
    }
}

/// Until another pod is primary: when.
async fn other_primary(stage: &Stage, old: &str, began: Instant) -> Result<Option<Duration>> {
    let patience = Duration::from_secs(120);
    until("another pod is primary", patience, async || {
        let now = patroni::primary(&stage.cluster).await?.name;
        Ok(if now == old {
            Seen::NotYet(format!("{old} still is"))
        } else {
            Seen::Yes(Some(began.elapsed()))
        })
    })
    .await
}

/// What must hold of each blow, beside that nothing is lost.
fn demand(
    stage: &mut Stage,
    blow: Blow,
    record: &Record,
    gone: Duration,
    freed: Duration,
    moved: Option<Duration>,
) {
    let what = blow.name();
    let away = ledger::nothing_new(record, gone);
    let limit = match blow {
        Blow::Switchover => SWITCHOVER,
        Blow::Killed | Blow::Lost => FAILOVER,
        // No longer than it takes to make the other standby the one that commits wait for.
        Blow::Standby => FAILOVER,
        Blow::Both => {
            let taken = record
                .answers
                .acknowledged()
                .values()
                .filter(|known| (gone + ON_ITS_WAY..freed).contains(&known.at))
                .count();
            stage.report.demand(
                format_args!("{what}: no new photo is answered with 2xx while no standby could have it"),
                taken == 0,
                format_args!("{taken} were"),
            );
            return;
        }
    };
    stage.report.demand(
        format_args!("{what}: new photos are taken again within {} s", limit.as_secs()),
        away <= limit,
        match moved {
            Some(moved) => format!(
                "none for {}; another primary after {}",
                seconds(away),
                seconds(moved)
            ),
            None => format!("none for {}", seconds(away)),
        },
    );
}

/// How a pod came back, in Patroni's words.
async fn returned(stage: &Stage, pod: &str) -> Result<String> {
    let words = [
        "running pg_rewind from postgres",
        "pg_rewind exit code",
        "promoted self",
        "replica has been created",
        "starting as",
    ];
    let mut said = patroni::said(&stage.cluster, pod, &words).await?;
    said.truncate(4);
    Ok(said.join("; "))
}

fn tell(stage: &mut Stage, figures: &Figures) {
    let report = &mut stage.report;
    report.section("Three pods");
    report.text(
        "Patroni, `synchronous_mode_strict`: a commit is answered when a standby has it. *Lost*: its processes \
         stop, it is killed without a farewell, and for 50 s no other pod is made in its place, longer than the primary's lease of 30 s. \
         *Killed*: `--grace-period=0 --force`, which leaves it 2 s; another pod comes at once, with the same name and volume.",
    );
    report.table(&ledger::HEADER, &figures.outages);
    report.section("Who is primary");
    report.table(
        &[
            "what happened",
            "primary before",
            "and in the end",
            "another after",
            "whole again",
            "what Patroni says in the pod that went",
        ],
        &figures.leaders,
    );
    report.section("How far the standbys are behind");
    let mut header = vec!["when"];
    header.extend(patroni::STANDBYS);
    report.table(&header, &figures.standbys);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str) -> Pod {
        Pod::from(&serde_json::json!({ "metadata": { "name": name } }))
    }

    #[test]
    fn who_goes() {
        let pods = ["postgres-0", "postgres-1", "postgres-2"].map(pod);
        let lease = patroni::Lease {
            leader: "postgres-1".to_owned(),
            standbys: vec!["postgres-2".to_owned()],
        };
        let names = |blow: Blow| -> Vec<String> {
            let victims = blow.victims(&pods, "postgres-1", &lease);
            victims.into_iter().map(|pod| pod.name).collect()
        };
        assert_eq!(names(Blow::Lost), ["postgres-1"]);
        assert_eq!(names(Blow::Standby), ["postgres-2"]);
        assert_eq!(names(Blow::Both), ["postgres-0", "postgres-2"]);
        assert!(names(Blow::Switchover).is_empty());
    }
}
