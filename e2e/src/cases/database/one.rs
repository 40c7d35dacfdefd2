//! One pod: it is deleted, killed, and away for longer.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep};

use super::super::{Stage, check, ledger, patroni, witness};
use crate::{
    cluster::{Deletion, Deployment, Places, Seen, until},
    load::{Load, Pace, Shot, seconds},
    photos,
};

/// How long the load runs before and after.
const CALM: Duration = Duration::from_secs(8);
/// How long the database is away.
const AWAY: Duration = Duration::from_secs(45);
/// Photos that wait for a worker when the database goes.
const BACKLOG: u32 = 15;
/// How much longer than the pod needs to serve the web service may need to notice.
const NOTICED: Duration = Duration::from_secs(10);
/// The project of the witness's photos is the load's, with this behind it.
const WITNESS: &str = "-witness";

#[derive(Default)]
struct Figures {
    outages: Vec<Vec<String>>,
    answers: Vec<Vec<String>>,
    queue: Vec<Vec<String>>,
}

pub(super) async fn run(stage: &mut Stage) -> Result<()> {
    // From one pod: where three have been, one need not be the one that was primary.
    stage.cluster.empty().await?;
    stage.cluster.deploy(&Deployment::new("database")).await?;
    let places = stage.cluster.places().await?;
    let mut figures = Figures::default();
    let played = play(stage, &places, &mut figures).await;
    tell(stage, &figures);
    played
}

async fn play(stage: &mut Stage, places: &Places, figures: &mut Figures) -> Result<()> {
    for how in [Some(Deletion::Forced), None] {
        let what = match how {
            Some(how) => format!("the only pod is {}", how.name()),
            None => format!("no pod for {} s", AWAY.as_secs()),
        };
        trial(stage, places, &what, how, figures).await.context(what)?;
    }
    Ok(())
}

async fn trial(
    stage: &mut Stage,
    places: &Places,
    what: &str,
    how: Option<Deletion>,
    figures: &mut Figures,
) -> Result<()> {
    let patience = stage.cluster.settings().patience;
    stage.step(format_args!("-- {what}"));
    stage.cluster.ready("statefulset", "postgres", patience).await?;
    let pod = patroni::primary(&stage.cluster).await?;
    let pace = Pace::watching(stage.cluster.settings().photos_per_second);
    let load = Load::start(&places.web, "database", pace, patience).await?;
    sleep(CALM).await;
    if how.is_none() {
        stage.backlog(places, BACKLOG).await?;
    }
    let shot = Shot::new(&photos::small()?, 1_000_000);
    let (gone, began) = (load.now(), Instant::now());
    stage.step(what);
    match how {
        Some(how) => stage.cluster.delete(&pod, how).await?,
        None => super::scale(stage, 0).await?,
    }
    let witness = witness::Witness::start(&places.web, &format!("database{WITNESS}"), shot)?;
    let serving = match how {
        Some(_) => None,
        None => Some(away(stage, places, figures).await?),
    };
    if how.is_none() {
        super::scale(stage, 1).await?;
    }
    let back = Instant::now();
    until("another pod serves", patience, async || {
        let now = patroni::primary(&stage.cluster).await?;
        Ok(if now.uid == pod.uid {
            Seen::NotYet("the same pod still".to_owned())
        } else {
            Seen::Yes(())
        })
    })
    .await?;
    let (ready, started) = (began.elapsed(), back.elapsed());
    stage.step(format_args!("a pod serves again after {}", seconds(ready)));
    let served = load.now();
    sleep(CALM).await;
    let answers = witness.stop().await?;
    let lines = witness::web_lines(&stage.cluster, began.elapsed()).await;
    let record = load.stop().await;
    check(stage, places, &record, what).await?;
    ledger::compare(stage, what, &record, std::slice::from_ref(&pod.name)).await?;
    figures.outages.push(ledger::row(what, &record, gone, ready));
    let late = ledger::nothing_new(&record, served);
    // The gap that ends after the pod serves reaches back to when it went.
    let after = (gone + late).saturating_sub(served);
    stage.report.demand(
        format_args!(
            "{what}: photos are taken within {} s of the pod's being ready",
            NOTICED.as_secs()
        ),
        after <= NOTICED,
        format_args!("{} after it", seconds(after)),
    );
    if let Some(serving) = serving {
        stage.report.demand(
            format_args!("{what}: the pods of irmgard stay in service and answer themselves"),
            serving,
            if serving { "all ready" } else { "some were not" },
        );
    }
    figures.answers.push(vec![
        what.to_owned(),
        witness::list(&answers, 4),
        lines.map_or_else(|error| format!("{error:#}"), |lines| witness::list(&lines, 6)),
        seconds(started),
        patroni::said(
            &stage.cluster,
            &pod.name,
            &[
                "promoted self",
                "recover",
                "starting as",
                "no action. I am (postgres-0), the leader",
            ],
        )
        .await?
        .join("; "),
    ]);
    Ok(())
}

/// While there is no database: a worker is started, and works on what waits. Whether the web service's pods stayed in service.
async fn away(stage: &mut Stage, places: &Places, figures: &mut Figures) -> Result<bool> {
    let began = Instant::now();
    let output = &places.store.settings().output_bucket;
    let before = places.keys(output, "").await?.len();
    stage.cluster.scale("deployment/anonymizer", 1).await?;
    let mut serving = true;
    let mut done = before;
    let mut looks = 0;
    while began.elapsed() < AWAY {
        let queues = places.queues().await.unwrap_or_default();
        done = places.keys(output, "").await?.len();
        let web = stage.cluster.pods("irmgard").await?;
        let ready = web.iter().filter(|pod| pod.component == "web");
        serving &= ready.clone().all(|pod| pod.ready);
        if looks % 5 == 0 {
            figures.queue.push(vec![
                seconds(began.elapsed()),
                count(&queues, "images"),
                count(&queues, "images.results"),
                (done - before).to_string(),
                format!(
                    "{} of {}",
                    ready.clone().filter(|pod| pod.ready).count(),
                    ready.count()
                ),
            ]);
        }
        looks += 1;
        sleep(Duration::from_secs(1)).await;
    }
    stage.report.demand(
        "without a database the workers go on with what waits",
        done - before >= BACKLOG as usize,
        format_args!(
            "{} photos anonymised meanwhile, {BACKLOG} and more waited",
            done - before
        ),
    );
    Ok(serving)
}

fn count(queues: &BTreeMap<String, u32>, queue: &str) -> String {
    queues.get(queue).map_or("?".to_owned(), ToString::to_string)
}

fn tell(stage: &mut Stage, figures: &Figures) {
    let report = &mut stage.report;
    report.section("One pod");
    report.text(ledger::LEGEND);
    report.table(&ledger::HEADER, &figures.outages);
    report.text(
        "What a camera is told that posts a photo every second meanwhile, and what the pods of irmgard write (warnings and errors). The \
         last: how long the pod needs to serve, since it is wanted, and what Patroni says.",
    );
    report.table(
        &[
            "what happened",
            "answers",
            "irmgard's log",
            "pod serves after",
            "Patroni",
        ],
        &figures.answers,
    );
    if !figures.queue.is_empty() {
        report.text(
            "While there is no database. A worker is started when it has gone: jobs are in the queue, photos in the store, so it needs no \
             database. Its results wait: those that irmgard holds and cannot write yet are not counted as waiting.",
        );
        report.table(
            &[
                "since the pod was gone",
                "jobs waiting",
                "results waiting",
                "photos anonymised",
                "irmgard's pods ready",
            ],
            &figures.queue,
        );
    }
}
