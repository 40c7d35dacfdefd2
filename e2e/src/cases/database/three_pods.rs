//! Three pods: loss of the primary, loss of standbys, and a planned switchover.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep};

use super::super::{Harness, availability, check_photos, patroni};
use crate::{
    cluster::{Condition, Deletion, Deployment, Endpoints, Pod, wait_until},
    load::{LoadRecord, seconds},
};

/// How long the load runs before and after the failure.
const STEADY_LOAD: Duration = Duration::from_secs(8);
/// How long killed pods are held: longer than Patroni's lease (ttl, 30 s).
const OUTAGE: Duration = Duration::from_secs(50);
/// Commits in flight when the last standby is lost may still be acknowledged for this long.
const IN_FLIGHT: Duration = Duration::from_secs(5);
/// The limit for a failover, including Patroni's lease.
const FAILOVER_LIMIT: Duration = Duration::from_secs(50);
/// The limit for a planned switchover.
const SWITCHOVER_LIMIT: Duration = Duration::from_secs(20);

/// A failure of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DatabaseFailure {
    /// A planned switchover to another primary.
    Switchover,
    /// The primary is killed. A replacement pod starts at once.
    PrimaryKilled,
    /// The primary is killed and held, so no replacement starts.
    PrimaryLost,
    /// A synchronous standby is killed and held.
    StandbyLost,
    /// Both standbys are killed and held.
    BothStandbysLost,
}

const FAILURES: [DatabaseFailure; 5] = [
    DatabaseFailure::Switchover,
    DatabaseFailure::PrimaryKilled,
    DatabaseFailure::PrimaryLost,
    DatabaseFailure::StandbyLost,
    DatabaseFailure::BothStandbysLost,
];

impl DatabaseFailure {
    const fn name(self) -> &'static str {
        match self {
            Self::Switchover => "planned switchover",
            Self::PrimaryKilled => "primary killed",
            Self::PrimaryLost => "primary lost for 50 s",
            Self::StandbyLost => "synchronous standby lost for 50 s",
            Self::BothStandbysLost => "both standbys lost for 50 s",
        }
    }

    /// The pods to kill.
    fn pods_to_kill(self, pods: &[Pod], primary: &str, leadership: &patroni::Leadership) -> Vec<Pod> {
        let pod_named = |name: &str| pods.iter().filter(|pod| pod.name == name).cloned().collect();
        match self {
            Self::Switchover => Vec::new(),
            Self::PrimaryKilled | Self::PrimaryLost => pod_named(primary),
            Self::StandbyLost => leadership
                .standbys
                .first()
                .map_or(Vec::new(), |name| pod_named(name)),
            Self::BothStandbysLost => pods.iter().filter(|pod| pod.name != primary).cloned().collect(),
        }
    }

    /// Whether killed pods are held, so that no replacement starts.
    const fn keeps_pods_down(self) -> bool {
        matches!(
            self,
            Self::PrimaryLost | Self::StandbyLost | Self::BothStandbysLost
        )
    }

    /// Whether another pod must become primary.
    const fn moves_primary(self) -> bool {
        matches!(self, Self::Switchover | Self::PrimaryLost)
    }
}

pub(super) async fn run(harness: &mut Harness) -> Result<()> {
    // Scales an existing deployment with one pod in place.
    let deployment = Deployment::new("database").with("postgres-three");
    harness.cluster.deploy(&deployment).await?;
    let endpoints = harness.cluster.endpoints().await?;
    for failure in FAILURES {
        run_trial(harness, &endpoints, failure)
            .await
            .context(failure.name())?;
    }
    Ok(())
}

async fn run_trial(harness: &mut Harness, endpoints: &Endpoints, failure: DatabaseFailure) -> Result<()> {
    let time_limit = harness.time_limit();
    let what = failure.name();
    harness.step(format_args!("-- {what}"));
    let primary = patroni::wait_until_healthy(&harness.cluster, time_limit).await?;
    let leadership = patroni::Leadership::read(&harness.cluster).await?;
    let pods = patroni::pods(&harness.cluster).await?;
    let killed = failure.pods_to_kill(&pods, &primary, &leadership);
    let load = harness.start_load(endpoints, "database").await?;
    sleep(STEADY_LOAD).await;
    for standby in patroni::standbys(&harness.cluster, &primary).await? {
        let mut row = vec![("when", format!("before: {what}"))];
        row.extend(patroni::STANDBY_COLUMNS.into_iter().zip(standby));
        harness.report.row("standbys", row);
    }

    harness.step(format_args!(
        "{what}: primary {primary}, synchronous standbys {}",
        leadership.standbys.join(", ")
    ));
    let (failed_at, start) = (load.now(), Instant::now());
    if let Err(error) = inject(harness, failure, &primary, &killed).await {
        // A held pod would block the deletion of the namespace.
        harness.cluster.release_pods(&killed).await?;
        return Err(error);
    }
    let moved_after = if failure.moves_primary() {
        wait_for_other_primary(harness, &primary, start).await
    } else {
        Ok(None)
    };
    if failure.keeps_pods_down() {
        sleep(OUTAGE.saturating_sub(start.elapsed())).await;
    }
    let released_at = load.now();
    if failure.keeps_pods_down() {
        harness.cluster.release_pods(&killed).await?;
    }
    let moved_after = moved_after?;
    let now = patroni::wait_until_healthy(&harness.cluster, time_limit).await?;
    let ready = start.elapsed();
    harness.step(format_args!(
        "healthy again after {}, primary {now}",
        seconds(ready)
    ));
    sleep(STEADY_LOAD).await;
    let record = load.stop().await;
    check_photos(harness, endpoints, &record, what).await?;
    let all: Vec<_> = pods.iter().map(|pod| pod.name.clone()).collect();
    availability::require_rows(harness, what, &record, &all).await?;
    require_upload_gap(harness, failure, &record, failed_at, released_at, moved_after);
    let row = availability::row(what, &record, failed_at, ready);
    harness.report.row("three_pods", row);
    let failed_pod = killed.first().map_or(&primary, |pod| &pod.name);
    let messages = recovery_messages(harness, failed_pod).await?;
    let row = vec![
        ("failure", what.to_owned()),
        ("primary before", primary),
        ("primary at the end", now),
        ("new primary after", moved_after.map_or("–".to_owned(), seconds)),
        ("healthy again after", seconds(ready)),
        ("Patroni's messages in the failed pod", messages),
    ];
    harness.report.row("primary", row);
    Ok(())
}

async fn inject(harness: &Harness, failure: DatabaseFailure, primary: &str, killed: &[Pod]) -> Result<()> {
    match failure {
        DatabaseFailure::Switchover => {
            let words = ["switchover", "--force"];
            patroni::patronictl(&harness.cluster, primary, &words)
                .await
                .map(drop)
        }
        DatabaseFailure::PrimaryKilled => {
            for pod in killed {
                harness.cluster.delete(pod, Deletion::Forced).await?;
            }
            Ok(())
        }
        DatabaseFailure::PrimaryLost | DatabaseFailure::StandbyLost | DatabaseFailure::BothStandbysLost => {
            harness.cluster.kill_and_hold(killed).await
        }
    }
}

/// Waits until another pod is primary. Returns the time since the failure.
async fn wait_for_other_primary(harness: &Harness, old: &str, start: Instant) -> Result<Option<Duration>> {
    let time_limit = Duration::from_secs(120);
    wait_until("another pod is primary", time_limit, async || {
        let now = patroni::primary(&harness.cluster).await?.name;
        Ok(if now == old {
            Condition::Unmet(format!("still {old}"))
        } else {
            Condition::Met(Some(start.elapsed()))
        })
    })
    .await
}

/// Requires that new photos are accepted again in time. While both standbys are lost, requires that none is accepted.
fn require_upload_gap(
    harness: &mut Harness,
    failure: DatabaseFailure,
    record: &LoadRecord,
    failed_at: Duration,
    released_at: Duration,
    moved_after: Option<Duration>,
) {
    let what = failure.name();
    let gap = availability::longest_upload_gap(record, failed_at);
    let limit = match failure {
        DatabaseFailure::Switchover => SWITCHOVER_LIMIT,
        DatabaseFailure::PrimaryKilled | DatabaseFailure::PrimaryLost => FAILOVER_LIMIT,
        // Until the other standby is synchronous.
        DatabaseFailure::StandbyLost => FAILOVER_LIMIT,
        DatabaseFailure::BothStandbysLost => {
            let accepted = record
                .acknowledgements
                .acknowledged()
                .values()
                .filter(|photo| (failed_at + IN_FLIGHT..released_at).contains(&photo.at))
                .count();
            harness.report.require(
                format_args!("{what}: no new photo is accepted while there is no standby"),
                accepted == 0,
                format_args!("{accepted} were"),
            );
            return;
        }
    };
    harness.report.require(
        format_args!(
            "{what}: new photos are accepted again within {} s",
            limit.as_secs()
        ),
        gap <= limit,
        match moved_after {
            Some(moved_after) => format!(
                "none for {}; new primary after {}",
                seconds(gap),
                seconds(moved_after)
            ),
            None => format!("none for {}", seconds(gap)),
        },
    );
}

/// Patroni's messages about a pod's recovery.
async fn recovery_messages(harness: &Harness, pod: &str) -> Result<String> {
    let words = [
        "running pg_rewind from postgres",
        "pg_rewind exit code",
        "promoted self",
        "replica has been created",
        "starting as",
    ];
    let mut messages = patroni::log_messages(&harness.cluster, pod, &words).await?;
    messages.truncate(4);
    Ok(messages.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str) -> Pod {
        Pod::from(&serde_json::json!({ "metadata": { "name": name } }))
    }

    #[test]
    fn each_failure_kills_the_right_pods() {
        let pods = ["postgres-0", "postgres-1", "postgres-2"].map(pod);
        let leadership = patroni::Leadership {
            leader: "postgres-1".to_owned(),
            standbys: vec!["postgres-2".to_owned()],
        };
        let names = |failure: DatabaseFailure| -> Vec<String> {
            let killed = failure.pods_to_kill(&pods, "postgres-1", &leadership);
            killed.into_iter().map(|pod| pod.name).collect()
        };
        assert_eq!(names(DatabaseFailure::PrimaryLost), ["postgres-1"]);
        assert_eq!(names(DatabaseFailure::StandbyLost), ["postgres-2"]);
        assert_eq!(
            names(DatabaseFailure::BothStandbysLost),
            ["postgres-0", "postgres-2"]
        );
        assert!(names(DatabaseFailure::Switchover).is_empty());
    }
}
