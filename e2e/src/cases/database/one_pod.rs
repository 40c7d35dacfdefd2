//! One pod: it is killed, and it is missing for longer.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep};

use super::super::{Harness, availability, check_photos, patroni, upload_probe};
use crate::{
    cluster::{Condition, Deletion, Deployment, Endpoints, wait_until},
    load::{Shot, seconds},
    photos,
};

/// How long the load runs before and after the outage.
const STEADY_LOAD: Duration = Duration::from_secs(8);
/// The duration of the long outage.
const OUTAGE: Duration = Duration::from_secs(45);
/// Jobs that wait for a worker when the outage starts.
const BACKLOG: u32 = 15;
/// How long after the pod is ready the web service may refuse uploads.
const RECOVERY_LIMIT: Duration = Duration::from_secs(10);
/// The project of the upload probe.
const PROBE_PROJECT: &str = "database-witness";

pub(super) async fn run(harness: &mut Harness) -> Result<()> {
    // A cluster that had three pods might keep one that was not the primary.
    harness.cluster.delete_namespaces().await?;
    harness.cluster.deploy(&Deployment::new("database")).await?;
    let endpoints = harness.cluster.endpoints().await?;
    for how in [Some(Deletion::Forced), None] {
        let what = match how {
            Some(how) => format!("the only pod is {}", how.name()),
            None => format!("no pod for {} s", OUTAGE.as_secs()),
        };
        run_trial(harness, &endpoints, &what, how).await.context(what)?;
    }
    Ok(())
}

async fn run_trial(
    harness: &mut Harness,
    endpoints: &Endpoints,
    what: &str,
    how: Option<Deletion>,
) -> Result<()> {
    let time_limit = harness.time_limit();
    harness.step(format_args!("-- {what}"));
    harness
        .cluster
        .wait_until_ready("statefulset", "postgres", time_limit)
        .await?;
    let pod = patroni::primary(&harness.cluster).await?;
    let load = harness.start_load(endpoints, "database").await?;
    sleep(STEADY_LOAD).await;
    if how.is_none() {
        harness.build_backlog(endpoints, BACKLOG).await?;
    }
    let shot = Shot::new(&photos::cutouts()?, 1_000_000);
    let (failed_at, start) = (load.now(), Instant::now());
    harness.step(what);
    match how {
        Some(how) => harness.cluster.delete(&pod, how).await?,
        None => super::scale(harness, 0).await?,
    }
    let probe = upload_probe::UploadProbe::start(&endpoints.web, PROBE_PROJECT, shot)?;
    let stayed_ready = match how {
        Some(_) => None,
        None => Some(observe_outage(harness, endpoints).await?),
    };
    if how.is_none() {
        super::scale(harness, 1).await?;
    }
    let scaled_up = Instant::now();
    wait_until("a new pod is ready", time_limit, async || {
        let now = patroni::primary(&harness.cluster).await?;
        Ok(if now.uid == pod.uid {
            Condition::Unmet("still the same pod".to_owned())
        } else {
            Condition::Met(())
        })
    })
    .await?;
    let (ready, startup) = (start.elapsed(), scaled_up.elapsed());
    harness.step(format_args!("a pod is ready again after {}", seconds(ready)));
    let ready_at = load.now();
    sleep(STEADY_LOAD).await;
    let answers = probe.stop().await?;
    let lines = upload_probe::web_warnings(&harness.cluster, start.elapsed()).await;
    let record = load.stop().await;
    check_photos(harness, endpoints, &record, what).await?;
    availability::require_rows(harness, what, &record, std::slice::from_ref(&pod.name)).await?;
    let row = availability::row(what, &record, failed_at, ready);
    harness.report.row("one_pod", row);
    let gap = availability::longest_upload_gap(&record, ready_at);
    // That gap starts at the failure.
    let recovery = (failed_at + gap).saturating_sub(ready_at);
    harness.report.require(
        format_args!(
            "{what}: photos are accepted within {} s after the pod is ready",
            RECOVERY_LIMIT.as_secs()
        ),
        recovery <= RECOVERY_LIMIT,
        format_args!("{} after it", seconds(recovery)),
    );
    if let Some(stayed_ready) = stayed_ready {
        harness.report.require(
            format_args!("{what}: the pods of irmgard stay ready"),
            stayed_ready,
            if stayed_ready {
                "all ready"
            } else {
                "some were not"
            },
        );
    }
    let messages = [
        "promoted self",
        "recover",
        "starting as",
        "no action. I am (postgres-0), the leader",
    ];
    let messages = patroni::log_messages(&harness.cluster, &pod.name, &messages).await?;
    let warnings = lines.map_or_else(
        |error| format!("{error:#}"),
        |lines| upload_probe::format_counts(&lines, 6),
    );
    let row = vec![
        ("failure", what.to_owned()),
        ("answers", upload_probe::format_counts(&answers, 4)),
        ("irmgard's log", warnings),
        ("pod ready after", seconds(startup)),
        ("Patroni", messages.join("; ")),
    ];
    harness.report.row("answers", row);
    Ok(())
}

/// Starts a worker during the outage and records its progress. Returns whether the web service's pods stayed ready.
async fn observe_outage(harness: &mut Harness, endpoints: &Endpoints) -> Result<bool> {
    let start = Instant::now();
    let output = &endpoints.store.settings().output_bucket;
    let before = endpoints.keys(output, "").await?.len();
    harness.cluster.scale("deployment/anonymizer", 1).await?;
    let mut stayed_ready = true;
    let mut done = before;
    let mut polls = 0;
    while start.elapsed() < OUTAGE {
        let queues = endpoints.queue_lengths().await.unwrap_or_default();
        done = endpoints.keys(output, "").await?.len();
        let web = harness.cluster.pods("irmgard").await?;
        let web_pods = web.iter().filter(|pod| pod.component == "web");
        stayed_ready &= web_pods.clone().all(|pod| pod.ready);
        if polls % 5 == 0 {
            let ready = web_pods.clone().filter(|pod| pod.ready).count();
            let row = vec![
                ("since the failure", seconds(start.elapsed())),
                ("jobs waiting", count(&queues, "images")),
                ("results waiting", count(&queues, "images.results")),
                ("photos anonymised", (done - before).to_string()),
                ("irmgard's pods ready", format!("{ready} of {}", web_pods.count())),
            ];
            harness.report.row("backlog", row);
        }
        polls += 1;
        sleep(Duration::from_secs(1)).await;
    }
    harness.report.require(
        "without a database the workers continue with the waiting jobs",
        done - before >= BACKLOG as usize,
        format_args!(
            "{} photos anonymised meanwhile, at least {BACKLOG} jobs waited",
            done - before
        ),
    );
    Ok(stayed_ready)
}

fn count(queues: &BTreeMap<String, u32>, queue: &str) -> String {
    queues.get(queue).map_or("?".to_owned(), ToString::to_string)
}
