//! PostgreSQL: to three and back.

use anyhow::{Context, Result, ensure};
use tokio::time::{Instant, sleep};

use super::{
    super::{Stage, check, ledger, patroni},
    CALM, claims, deployment, drop_claims,
};
use crate::{
    cluster::{Places, Seen, until},
    load::{Load, Pace, Record},
};

/// Commits that wait for no standby: before the pods go that they would wait for.
const ALONE: [&str; 7] = [
    "edit-config",
    "--force",
    "--quiet",
    "-s",
    "synchronous_mode_strict=false",
    "-s",
    "synchronous_mode=false",
];

pub(super) async fn run(stage: &mut Stage, places: &Places) -> Result<()> {
    let mut rows = Vec::new();
    let grown = grow(stage, places, &mut rows).await;
    let back = match grown {
        Ok(()) => shrink(stage, places, &mut rows).await,
        Err(error) => Err(error),
    };
    let report = &mut stage.report;
    report.section("PostgreSQL");
    report.text(ledger::LEGEND);
    report.table(&ledger::HEADER, &rows);
    report.text(
        "To three: `components: [postgres-three]`, and deploy. The Job postgres-settings tells the running cluster that commits wait for a \
         standby from then on, once one streams. Back, in this order: `patronictl edit-config -s \
         synchronous_mode_strict=false -s synchronous_mode=false`; `patronictl switchover --candidate postgres-0`, because the pod that stays \
         must be primary before the others go; deploy without the component; delete the claims of the pods that went.",
    );
    back
}

async fn grow(stage: &mut Stage, places: &Places, rows: &mut Vec<Vec<String>>) -> Result<()> {
    let patience = stage.cluster.settings().patience;
    let what = "PostgreSQL from one pod to three";
    stage.step(format_args!("-- {what}"));
    let load = Load::start(&places.web, "growth", pace(stage), patience).await?;
    sleep(CALM).await;
    let (from, began) = (load.now(), Instant::now());
    stage.cluster.deploy(&deployment(&["postgres-three"])).await?;
    patroni::whole(&stage.cluster, patience).await?;
    let ready = began.elapsed();
    sleep(CALM).await;
    let primary = patroni::primary(&stage.cluster).await?.name;
    let standbys = patroni::standbys(&stage.cluster, &primary).await?;
    let record = load.stop().await;
    rows.push(ledger::row(what, &record, from, ready));
    verify(
        stage,
        places,
        what,
        &record,
        &["postgres-0", "postgres-1", "postgres-2"],
    )
    .await?;
    stage.report.demand(
        format_args!("{what}: two standbys stream, commits wait for one"),
        standbys.len() == 2 && standbys.iter().any(|row| row.contains(&"sync".to_owned())),
        format_args!("primary {primary}; {}", told(&standbys)),
    );
    let volumes = claims(&stage.cluster, "postgres").await?;
    let three = volumes.len() == 3 && volumes.iter().all(|claim| claim.ends_with("Bound"));
    stage.report.demand(
        format_args!("{what}: each pod has a volume"),
        three,
        volumes.join(", "),
    );
    Ok(())
}

async fn shrink(stage: &mut Stage, places: &Places, rows: &mut Vec<Vec<String>>) -> Result<()> {
    let patience = stage.cluster.settings().patience;
    let what = "PostgreSQL from three pods to one";
    stage.step(format_args!("-- {what}"));
    let load = Load::start(&places.web, "growth", pace(stage), patience).await?;
    sleep(CALM).await;
    let (from, began) = (load.now(), Instant::now());
    let primary = patroni::primary(&stage.cluster).await?.name;
    patroni::patronictl(&stage.cluster, &primary, &ALONE).await?;
    until("commits wait for nobody", patience, async || {
        let alone = patroni::rows(&stage.cluster, &primary, "show synchronous_standby_names").await?;
        Ok(if alone.is_empty() {
            Seen::Yes(())
        } else {
            Seen::NotYet(told(&alone))
        })
    })
    .await?;
    if primary != "postgres-0" {
        let words = ["switchover", "--force", "--candidate", "postgres-0"];
        patroni::patronictl(&stage.cluster, &primary, &words).await?;
    }
    until("postgres-0 is primary", patience, async || {
        let now = patroni::primary(&stage.cluster).await?.name;
        Ok(if now == "postgres-0" {
            Seen::Yes(())
        } else {
            Seen::NotYet(now)
        })
    })
    .await?;
    stage.cluster.deploy(&deployment(&[])).await?;
    until("one pod is left", patience, async || {
        let pods = patroni::pods(&stage.cluster).await?;
        Ok(if pods.len() == 1 {
            Seen::Yes(())
        } else {
            Seen::NotYet(format!("{} pods", pods.len()))
        })
    })
    .await?;
    let ready = began.elapsed();
    sleep(CALM).await;
    let record = load.stop().await;
    rows.push(ledger::row(what, &record, from, ready));
    verify(stage, places, what, &record, &["postgres-0"]).await?;
    drop_claims(&stage.cluster, "postgres").await
}

async fn verify(
    stage: &mut Stage,
    places: &Places,
    what: &str,
    record: &Record,
    pods: &[&str],
) -> Result<()> {
    check(stage, places, record, what)
        .await
        .context(what.to_owned())?;
    let pods: Vec<_> = pods.iter().map(ToString::to_string).collect();
    ledger::compare(stage, what, record, &pods).await?;
    let all: i64 = sqlx::query_scalar("select count(*) from photo")
        .fetch_one(&places.database)
        .await?;
    ensure!(all > 0, "the database has no photos");
    stage.step(format_args!("{all} photos in the database"));
    Ok(())
}

fn pace(stage: &Stage) -> Pace {
    Pace::watching(stage.cluster.settings().photos_per_second)
}

fn told(rows: &[Vec<String>]) -> String {
    let rows: Vec<_> = rows.iter().map(|row| row.join(" ")).collect();
    if rows.is_empty() {
        "none".to_owned()
    } else {
        rows.join("; ")
    }
}
