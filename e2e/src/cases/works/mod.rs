//! From an empty cluster to a blurred photo: one deployment, uploads, images, and the log lines of irmgard and its database.

mod startup;

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use contract::Detection;
use serde_json::Value;
use tokio::time::Instant;

use super::Harness;
use crate::{
    cluster::{Condition, Deployment, Endpoints, NAMESPACE, wait_until},
    load::{AttemptResult, LoadClient, Shot, WebEndpoint, seconds},
    photos::{self, BasePhoto},
    picture::Picture,
};

pub(super) async fn run(harness: &mut Harness) -> Result<()> {
    harness.step("deleting the namespaces");
    harness.cluster.delete_namespaces().await?;
    let deployment = Deployment::new("one");
    let readiness = harness.cluster.deploy(&deployment).await?;
    for (workload, after) in readiness.in_order() {
        let row = vec![("workload", workload), ("ready after", seconds(after))];
        harness.report.row("readiness", row);
    }
    let load = harness
        .cluster
        .exec("postgres-0", "postgres", &["cat", "/proc/loadavg"], None)
        .await?;
    let load_average = load.split_whitespace().next().unwrap_or("?");
    harness.report.fact("load_average", load_average);
    check_ports(harness).await?;

    let endpoints = harness.cluster.endpoints().await?;
    let project = format!("works-{}", chrono::Utc::now().timestamp());
    let client = LoadClient::new(&endpoints.web, &project)?;
    check_tokens(harness, &endpoints.web, &project).await?;
    for (number, sample) in photos::sample_photos()?.into_iter().enumerate() {
        process_sample(harness, &client, number as u64, sample).await?;
    }
    check_log_lines(harness, &endpoints).await?;
    startup::measure_programs(harness).await?;
    check_delete_markers(harness, &endpoints, &deployment).await?;
    Ok(())
}

/// Requires that pods listen only on the ports in their manifests, because network policies use those.
async fn check_ports(harness: &mut Harness) -> Result<()> {
    let mut undeclared = Vec::new();
    let mut ports = 0;
    for component in [
        "irmgard",
        "anonymizer",
        "postgres",
        "rabbitmq",
        "object-store",
        "opensearch",
    ] {
        for pod in harness
            .cluster
            .pods(component)
            .await?
            .iter()
            .filter(|pod| pod.ready && !pod.terminating)
        {
            let (namespace, name) = (&pod.namespace, &pod.name);
            let command = format!("exec --namespace {namespace} {name} -- cat /proc/net/tcp /proc/net/tcp6");
            let sockets = harness.cluster.kubectl().run(&command).await?;
            for port in listening_ports(&sockets) {
                ports += 1;
                if !pod.ports.contains(&port) {
                    undeclared.push(format!("{} listens on {port}", pod.name));
                }
            }
        }
    }
    harness.report.require(
        "pods listen only on the ports in their manifests",
        undeclared.is_empty() && ports > 0,
        format_args!(
            "{ports} ports{}{}",
            if undeclared.is_empty() { "" } else { ": " },
            undeclared.join(", ")
        ),
    );
    Ok(())
}

/// The listening ports in /proc/net/tcp and tcp6 (proc(5): `sl local_address rem_address st`), without loopback addresses.
fn listening_ports(sockets: &str) -> BTreeSet<u64> {
    const LISTEN: &str = "0A";
    // 127.0.0.1, ::ffff:127.0.0.1 and ::1.
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

/// Requires that deleted originals leave nothing behind, not even in a bucket that had versions in an earlier release: then the Job
/// `minio-setup` removes the markers.
async fn check_delete_markers(
    harness: &mut Harness,
    endpoints: &Endpoints,
    deployment: &Deployment,
) -> Result<()> {
    const PREFIX: &str = "e2e-markers/";
    let (client, bucket) = (endpoints.store.client(), &endpoints.store.settings().input_bucket);
    let remaining = endpoints.count_versions(bucket, "photos/").await?;
    harness.report.require(
        "no version and no delete marker of an original is left",
        remaining == 0,
        format_args!("{remaining} versions and markers"),
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
    let before = endpoints.count_versions(bucket, PREFIX).await?;
    let command = format!("delete job --namespace {NAMESPACE} minio-setup --ignore-not-found");
    harness.cluster.kubectl().run(&command).await?;
    harness.cluster.apply_only(deployment, "setup").await?;
    let start = Instant::now();
    let removed = wait_until("no delete marker is left", harness.time_limit(), async || {
        let remaining = endpoints.count_versions(bucket, PREFIX).await?;
        Ok(if remaining == 0 {
            Condition::Met(())
        } else {
            Condition::Unmet(format!("{remaining} are"))
        })
    })
    .await;
    harness.report.require(
        "delete markers of a bucket that had versions are removed",
        removed.is_ok() && before == 20,
        match removed {
            Ok(()) => format!(
                "{before} markers, removed {} after the Job's start",
                seconds(start.elapsed())
            ),
            Err(error) => format!("{before} before; {error:#}"),
        },
    );
    Ok(())
}

/// Requires that the service rejects requests without a token, and with the wrong token.
async fn check_tokens(harness: &mut Harness, web: &WebEndpoint, project: &str) -> Result<()> {
    let without_token = WebEndpoint::without_tokens(&web.address);
    let camera = WebEndpoint {
        viewer: web.camera.clone(),
        ..without_token.clone()
    };
    for (what, web, status) in [
        ("a request without a token gets no photo", without_token, 401),
        ("a camera's token gets no photo", camera, 403),
    ] {
        let result = LoadClient::new(&web, project)?.get("/photos/1").await.0;
        harness
            .report
            .require(what, result == AttemptResult::Status(status), result.name());
    }
    Ok(())
}

/// Uploads a sample, waits for its image, and checks it.
async fn process_sample(
    harness: &mut Harness,
    client: &LoadClient,
    number: u64,
    sample: BasePhoto,
) -> Result<()> {
    let time_limit = harness.time_limit();
    let BasePhoto { name, file } = sample;
    harness.step(format_args!("uploading {name}"));
    let shot = Shot {
        number,
        file: file.into(),
    };
    let start = Instant::now();
    let id = client.deliver(&shot, time_limit).await?;
    let accepted = start.elapsed();
    let early = client.get(&format!("/photos/{id}/image")).await.1;
    let photo = client.wait_for_anonymized(id, time_limit).await?;
    let anonymised = start.elapsed();
    let (result, image) = client.get(&format!("/photos/{id}/image")).await;
    let image = image.with_context(|| format!("the image of photo {id}: {}", result.name()))?;

    let report = &mut harness.report;
    report.require(
        format_args!("{name}: the service never returns the original"),
        image != shot.file && early.is_none_or(|early| early != shot.file),
        format_args!("{} and {} bytes", shot.file.len(), image.len()),
    );
    let detections: Vec<Detection> =
        serde_json::from_value(photo["detections"].clone()).context("cannot parse the photo's detections")?;
    let visible = Picture::decode(&image)?
        .unobscured(&Picture::decode(&shot.file)?, &detections)
        .len();
    report.require(
        format_args!("{name}: people are found and obscured"),
        !detections.is_empty() && visible == 0,
        format_args!("{} found, {visible} not obscured", detections.len()),
    );
    let row = vec![
        ("photo", name),
        ("accepted after", seconds(accepted)),
        ("anonymised after", seconds(anonymised)),
        ("detections", detections.len().to_string()),
        ("original, bytes", shot.file.len().to_string()),
        ("image, bytes", image.len().to_string()),
    ];
    report.row("photos", row);
    Ok(())
}

/// Requires that `logq --component irmgard --with-db` shows the lines of both services.
async fn check_log_lines(harness: &mut Harness, endpoints: &Endpoints) -> Result<()> {
    let options = [
        "--component",
        "irmgard",
        "--with-db",
        "--since",
        "15m",
        "--output",
        "jsonl",
    ];
    let expected: BTreeSet<String> = ["irmgard", "postgres"].map(ToOwned::to_owned).into();
    let shown = wait_until(
        "logq shows lines of irmgard and its database",
        std::time::Duration::from_secs(90),
        async || {
            let output = harness.cluster.logq(endpoints, &options).await?;
            let components: BTreeSet<String> = output
                .lines()
                .filter_map(|line| {
                    serde_json::from_str::<Value>(line).ok()?["component"]
                        .as_str()
                        .map(ToOwned::to_owned)
                })
                .collect();
            let lines = output.lines().count();
            let observed = format!("{lines} lines of {components:?}");
            Ok(if components == expected {
                Condition::Met(observed)
            } else {
                Condition::Unmet(observed)
            })
        },
    )
    .await;
    let observed = match &shown {
        Ok(observed) => observed.clone(),
        Err(error) => format!("{error:#}"),
    };
    harness.report.require(
        "`logq --component irmgard --with-db` shows the lines of both services and no others",
        shown.is_ok(),
        observed,
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_ports_exclude_loopback() {
        let sockets = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                       0: 00000000:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000 10070 0 1\n   \
                       1: 0100007F:1F48 00000000:0000 0A 00000000:00000000 00:00000000 00000000 10070 0 1\n   \
                       2: 0A00F40A:1538 0B00F40A:8000 01 00000000:00000000 00:00000000 00000000 10070 0 1\n";
        assert_eq!(listening_ports(sockets), [5432].into());
    }
}
