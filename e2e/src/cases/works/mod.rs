//! An empty cluster, one `apply`, photos in, blurred photos out, and the lines of the service and of its database.

mod start;

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use contract::Detection;
use serde_json::Value;
use tokio::time::Instant;

use super::Stage;
use crate::{
    cluster::{Deployment, Places},
    load::{Client, Outcome, Shot, Web, seconds},
    photos::{self, Base},
    picture::Picture,
};

pub(super) async fn run(stage: &mut Stage) -> Result<()> {
    stage.step("deleting the namespaces");
    stage.cluster.empty().await?;
    let readiness = stage.cluster.deploy(&Deployment::new("one")).await?;
    stage.report.section("From apply to ready");
    stage.report.text(
        "Seconds after `kubectl apply` began, on a cluster that had nothing but the images. Nothing starts in order: what misses \
         a server waits for it.",
    );
    stage
        .report
        .table(&["workload", "ready after"], &readiness.rows());

    let places = stage.cluster.places().await?;
    let project = format!("works-{}", chrono::Utc::now().timestamp());
    let client = Client::new(&places.web, &project)?;
    closed(stage, &places.web, &project).await?;
    let mut rows = Vec::new();
    for (number, sample) in photos::samples()?.into_iter().enumerate() {
        rows.push(one(stage, &client, number as u64, sample).await?);
    }
    stage.report.section("Photos");
    stage.report.table(
        &[
            "photo",
            "accepted after",
            "anonymised after",
            "found",
            "original, bytes",
            "image, bytes",
        ],
        &rows,
    );
    lines(stage, &places).await?;
    start::programs(stage).await?;
    stage.report.cannot_show(
        "How long images take to be pulled: on this cluster they are loaded before. Nor the start on several nodes.",
    );
    Ok(())
}

/// Nobody is let in without a token, nor with one that is for something else.
async fn closed(stage: &mut Stage, web: &Web, project: &str) -> Result<()> {
    let stranger = Web::without_tokens(&web.address);
    let camera = Web {
        viewer: web.camera.clone(),
        ..stranger.clone()
    };
    for (what, web, status) in [
        ("who has no token sees no photo", stranger, 401),
        ("a camera's token shows no photo", camera, 403),
    ] {
        let seen = Client::new(&web, project)?.get("/photos/1").await.0;
        stage
            .report
            .demand(what, seen == Outcome::Status(status), seen.name());
    }
    Ok(())
}

/// One photo, from the POST to the image; a row of the table.
async fn one(stage: &mut Stage, client: &Client, number: u64, sample: Base) -> Result<Vec<String>> {
    let patience = stage.cluster.settings().patience;
    let Base { name, file } = sample;
    stage.step(format_args!("posting {name}"));
    let shot = Shot {
        number,
        file: file.into(),
    };
    let began = Instant::now();
    let id = client.deliver(&shot, patience).await?;
    let accepted = began.elapsed();
    let early = client.get(&format!("/photos/{id}/image")).await.1;
    let photo = client.anonymized(id, patience).await?;
    let anonymised = began.elapsed();
    let (outcome, image) = client.get(&format!("/photos/{id}/image")).await;
    let image = image.with_context(|| format!("the image of photo {id}: {}", outcome.name()))?;

    let report = &mut stage.report;
    report.demand(
        format_args!("{name}: the original is never answered"),
        image != shot.file && early.is_none_or(|early| early != shot.file),
        format_args!("{} and {} bytes", shot.file.len(), image.len()),
    );
    let detections: Vec<Detection> =
        serde_json::from_value(photo["detections"].clone()).context("the photo's detections")?;
    let seen = Picture::decode(&image)?
        .unobscured(&Picture::decode(&shot.file)?, &detections)
        .len();
    report.demand(
        format_args!("{name}: people were found and cannot be recognised"),
        !detections.is_empty() && seen == 0,
        format_args!("{} found, {seen} still to be seen", detections.len()),
    );
    Ok(vec![
        name,
        seconds(accepted),
        seconds(anonymised),
        detections.len().to_string(),
        shot.file.len().to_string(),
        image.len().to_string(),
    ])
}

/// `logq --component irmgard --with-db` shows both.
async fn lines(stage: &mut Stage, places: &Places) -> Result<()> {
    let options = [
        "--component",
        "irmgard",
        "--with-db",
        "--since",
        "15m",
        "--output",
        "jsonl",
    ];
    let wanted: BTreeSet<String> = ["irmgard", "postgres"].map(ToOwned::to_owned).into();
    let seen = crate::cluster::until(
        "logq shows lines of irmgard and of its database",
        std::time::Duration::from_secs(90),
        async || {
            let shown = stage.cluster.logq(places, &options).await?;
            let components: BTreeSet<String> = shown
                .lines()
                .filter_map(|line| {
                    serde_json::from_str::<Value>(line).ok()?["component"]
                        .as_str()
                        .map(ToOwned::to_owned)
                })
                .collect();
            let lines = shown.lines().count();
            let seen = format!("{lines} lines of {components:?}");
            Ok(if components == wanted {
                crate::cluster::Seen::Yes(seen)
            } else {
                crate::cluster::Seen::NotYet(seen)
            })
        },
    )
    .await;
    let shown = match &seen {
        Ok(seen) => seen.clone(),
        Err(error) => format!("{error:#}"),
    };
    stage.report.demand(
        "`logq --component irmgard --with-db` shows both services' lines and no others",
        seen.is_ok(),
        shown,
    );
    Ok(())
}
