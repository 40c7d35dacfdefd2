//! PostgreSQL: to three pods and back to one.

use anyhow::{Context, Result, ensure};
use tokio::time::{Instant, sleep};

use super::{
    super::{Harness, availability, check_photos, patroni},
    STEADY_LOAD, delete_claims, deployment, volume_claims,
};
use crate::{
    cluster::{Condition, Endpoints, wait_until},
    load::LoadRecord,
};

/// Turns synchronous replication off, before the standbys are removed.
const ASYNCHRONOUS: [&str; 7] = [
    "edit-config",
    "--force",
    "--quiet",
    "-s",
    "synchronous_mode_strict=false",
    "-s",
    "synchronous_mode=false",
];

pub(super) async fn run(harness: &mut Harness, endpoints: &Endpoints) -> Result<()> {
    grow(harness, endpoints).await?;
    shrink(harness, endpoints).await
}

async fn grow(harness: &mut Harness, endpoints: &Endpoints) -> Result<()> {
    let time_limit = harness.time_limit();
    let what = "PostgreSQL from one pod to three";
    harness.step(format_args!("-- {what}"));
    let load = harness.start_load(endpoints, "growth").await?;
    sleep(STEADY_LOAD).await;
    let (from, start) = (load.now(), Instant::now());
    harness.cluster.deploy(&deployment(&["postgres-three"])).await?;
    patroni::wait_until_healthy(&harness.cluster, time_limit).await?;
    let ready = start.elapsed();
    sleep(STEADY_LOAD).await;
    let primary = patroni::primary(&harness.cluster).await?.name;
    let standbys = patroni::standbys(&harness.cluster, &primary).await?;
    let record = load.stop().await;
    harness
        .report
        .row("postgres", availability::row(what, &record, from, ready));
    check_data(
        harness,
        endpoints,
        what,
        &record,
        &["postgres-0", "postgres-1", "postgres-2"],
    )
    .await?;
    harness.report.require(
        format_args!("{what}: two standbys stream, and one is synchronous"),
        standbys.len() == 2 && standbys.iter().any(|row| row.contains(&"sync".to_owned())),
        format_args!("primary {primary}; {}", format_rows(&standbys)),
    );
    let volumes = volume_claims(&harness.cluster, "postgres").await?;
    let three = volumes.len() == 3 && volumes.iter().all(|claim| claim.ends_with("Bound"));
    harness.report.require(
        format_args!("{what}: each pod has a volume"),
        three,
        volumes.join(", "),
    );
    Ok(())
}

async fn shrink(harness: &mut Harness, endpoints: &Endpoints) -> Result<()> {
    let time_limit = harness.time_limit();
    let what = "PostgreSQL from three pods to one";
    harness.step(format_args!("-- {what}"));
    let load = harness.start_load(endpoints, "growth").await?;
    sleep(STEADY_LOAD).await;
    let (from, start) = (load.now(), Instant::now());
    let primary = patroni::primary(&harness.cluster).await?.name;
    patroni::patronictl(&harness.cluster, &primary, &ASYNCHRONOUS).await?;
    wait_until("synchronous replication is off", time_limit, async || {
        let names = patroni::query(&harness.cluster, &primary, "show synchronous_standby_names").await?;
        Ok(if names.is_empty() {
            Condition::Met(())
        } else {
            Condition::Unmet(format_rows(&names))
        })
    })
    .await?;
    if primary != "postgres-0" {
        let words = ["switchover", "--force", "--candidate", "postgres-0"];
        patroni::patronictl(&harness.cluster, &primary, &words).await?;
    }
    wait_until("postgres-0 is primary", time_limit, async || {
        let now = patroni::primary(&harness.cluster).await?.name;
        Ok(if now == "postgres-0" {
            Condition::Met(())
        } else {
            Condition::Unmet(now)
        })
    })
    .await?;
    harness.cluster.deploy(&deployment(&[])).await?;
    wait_until("one pod is left", time_limit, async || {
        let pods = patroni::pods(&harness.cluster).await?;
        Ok(if pods.len() == 1 {
            Condition::Met(())
        } else {
            Condition::Unmet(format!("{} pods", pods.len()))
        })
    })
    .await?;
    let ready = start.elapsed();
    sleep(STEADY_LOAD).await;
    let record = load.stop().await;
    harness
        .report
        .row("postgres", availability::row(what, &record, from, ready));
    check_data(harness, endpoints, what, &record, &["postgres-0"]).await?;
    delete_claims(&harness.cluster, "postgres").await
}

async fn check_data(
    harness: &mut Harness,
    endpoints: &Endpoints,
    what: &str,
    record: &LoadRecord,
    pods: &[&str],
) -> Result<()> {
    check_photos(harness, endpoints, record, what)
        .await
        .context(what.to_owned())?;
    let pods: Vec<_> = pods.iter().map(ToString::to_string).collect();
    availability::require_rows(harness, what, record, &pods).await?;
    let all: i64 = sqlx::query_scalar("select count(*) from photo")
        .fetch_one(&endpoints.database)
        .await?;
    ensure!(all > 0, "the database has no photos");
    harness.step(format_args!("{all} photos in the database"));
    Ok(())
}

fn format_rows(rows: &[Vec<String>]) -> String {
    let rows: Vec<_> = rows.iter().map(|row| row.join(" ")).collect();
    if rows.is_empty() {
        "none".to_owned()
    } else {
        rows.join("; ")
    }
}
