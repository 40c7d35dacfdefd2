//! An empty cluster, one `apply`, photos in, blurred photos out, and the lines of the service and of its database.

mod start;

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use contract::Detection;
use serde_json::Value;
use tokio::time::Instant;

use super::Stage;
use crate::{
    cluster::{Deployment, NAMESPACE, Places, Seen, until},
    load::{Client, Outcome, Shot, Web, seconds},
    photos::{self, Base},
    picture::Picture,
};

pub(super) async fn run(stage: &mut Stage) -> Result<()> {
    stage.step("deleting the namespaces");
    stage.cluster.empty().await?;
    let deployment = Deployment::new("one");
    let readiness = stage.cluster.deploy(&deployment).await?;
    stage.report.section("From apply to ready");
    stage.report.text(
        "Seconds after `kubectl apply` began, on a cluster that had nothing but the images. Nothing starts in order: what misses \
         a server waits for it.",
    );
    stage
        .report
        .table(&["workload", "ready after"], &readiness.rows());
    let load = stage
        .cluster
        .inside("postgres-0", "postgres", &["cat", "/proc/loadavg"], None)
        .await?;
    stage.report.text(format_args!(
        "How busy the node was: {} processes wanted a core in the last minute (load average, when all was ready).",
        load.split_whitespace().next().unwrap_or("?")
    ));
    ports(stage).await?;

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
    markers(stage, &places, &deployment).await?;
    stage.report.cannot_show(
        "How long images take to be pulled: on this cluster they are loaded before. Nor the start on several nodes.",
    );
    Ok(())
}

/// Every port on which a pod listens for others is one that its manifest names: network policies are held to those.
async fn ports(stage: &mut Stage) -> Result<()> {
    let mut unnamed = Vec::new();
    let mut seen = 0;
    for path in [
        "irmgard",
        "anonymizer",
        "postgres",
        "rabbitmq",
        "object-store",
        "opensearch",
    ] {
        for pod in stage
            .cluster
            .pods(path)
            .await?
            .iter()
            .filter(|pod| pod.ready && !pod.ending)
        {
            let words = ["cat", "/proc/net/tcp", "/proc/net/tcp6"];
            let arguments = [
                &["exec", "--namespace", &pod.namespace, &pod.name, "--"][..],
                &words,
            ]
            .concat();
            let sockets = stage.cluster.kubectl().run(&arguments).await?;
            for port in listening(&sockets) {
                seen += 1;
                if !pod.ports.contains(&port) {
                    unnamed.push(format!("{} listens on {port}", pod.name));
                }
            }
        }
    }
    stage.report.demand(
        "pods listen on the ports that their manifests name, and on no others",
        unnamed.is_empty() && seen > 0,
        format_args!(
            "{seen} ports{}{}",
            if unnamed.is_empty() { "" } else { ": " },
            unnamed.join(", ")
        ),
    );
    Ok(())
}

/// Ports on which others are waited for, from /proc/net/tcp and tcp6 (proc(5)): `sl local_address rem_address st`. Not those that only
/// the pod itself can reach.
fn listening(sockets: &str) -> BTreeSet<u64> {
    const LISTEN: &str = "0A";
    // 127.0.0.1, as IPv6 as well, and ::1.
    const LOOPBACK: [&str; 3] = [
        "0100007F",
        "0000000000000000FFFF00000100007F",
        "00000000000000000000000001000000",
    ];
    sockets
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().take(4).collect();
            let [_, local, _, LISTEN] = fields[..] else {
                return None;
            };
            let (address, port) = local.split_once(':')?;
            (!LOOPBACK.contains(&address)).then(|| u64::from_str_radix(port, 16).ok())?
        })
        .collect()
}

/// A deleted original leaves nothing behind, also where an earlier release has left the bucket with versions: the Job that sees to the
/// buckets runs once more.
async fn markers(stage: &mut Stage, places: &Places, deployment: &Deployment) -> Result<()> {
    const PREFIX: &str = "e2e-markers/";
    let (client, bucket) = (places.store.client(), &places.store.settings().input_bucket);
    let left = places.versions(bucket, "photos/").await?;
    stage.report.demand(
        "of the originals nothing is left in the store, no marker either",
        left == 0,
        format_args!("{left} versions and markers"),
    );
    let suspended = VersioningConfiguration::builder()
        .status(BucketVersioningStatus::Suspended)
        .build();
    client
        .put_bucket_versioning()
        .bucket(bucket)
        .versioning_configuration(suspended)
        .send()
        .await?;
    for number in 0..20 {
        let key = format!("{PREFIX}{number}");
        client.put_object().bucket(bucket).key(&key).send().await?;
        client.delete_object().bucket(bucket).key(&key).send().await?;
    }
    let before = places.versions(bucket, PREFIX).await?;
    let arguments = [
        "delete",
        "job",
        "--namespace",
        NAMESPACE,
        "minio-setup",
        "--ignore-not-found",
    ];
    stage.cluster.kubectl().run(&arguments).await?;
    stage.cluster.apply_only(deployment, "setup").await?;
    let began = Instant::now();
    let gone = until(
        "no marker is left",
        stage.cluster.settings().patience,
        async || {
            let left = places.versions(bucket, PREFIX).await?;
            Ok(if left == 0 {
                Seen::Yes(())
            } else {
                Seen::NotYet(format!("{left} are"))
            })
        },
    )
    .await;
    stage.report.demand(
        "markers of a bucket that had versions go by themselves",
        gone.is_ok() && before == 20,
        match gone {
            Ok(()) => format!(
                "{before}, gone {} after the Job was applied",
                seconds(began.elapsed())
            ),
            Err(error) => format!("{before} before; {error:#}"),
        },
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
    let seen = until(
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
                Seen::Yes(seen)
            } else {
                Seen::NotYet(seen)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_others_reach_are_found() {
        let sockets = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                       0: 00000000:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000 10070 0 1\n   \
                       1: 0100007F:1F48 00000000:0000 0A 00000000:00000000 00:00000000 00000000 10070 0 1\n   \
                       2: 0A00F40A:1538 0B00F40A:8000 01 00000000:00000000 00:00000000 00000000 10070 0 1\n";
        assert_eq!(listening(sockets), [5432].into());
    }
}
