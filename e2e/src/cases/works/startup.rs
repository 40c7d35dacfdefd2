//! The size of our images, and the startup time of our programs.

use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::{
    cases::Harness,
    cluster::{Condition, Deletion, NAMESPACE, Pod, field, wait_until},
    load::seconds,
};

/// The limit for the startup time, because an autoscaler's new pod must help at once.
const STARTUP_LIMIT: Duration = Duration::from_secs(1);
/// Prints the start of process 1 in clock ticks since boot, the uptime in seconds, and the current time in seconds.
const CLOCKS: &str = "cat /proc/1/stat /proc/uptime && date +%s.%N";
/// `USER_HZ` of /proc/*/stat on every architecture of Kubernetes (proc(5), sysconf(3)).
const TICKS_PER_SECOND: f64 = 100.0;
/// Prints the duration of `logq --version` in nanoseconds.
const LOGQ: &str = "from=$(date +%s%N); logq --version >/dev/null; to=$(date +%s%N); echo $((to - from))";

/// Measures image sizes and startup times. All servers must be ready, so that no program waits for another.
pub(super) async fn measure_programs(harness: &mut Harness) -> Result<()> {
    harness.step("restarting one pod of each program");
    let mut longest = Duration::ZERO;
    for (name, component, first) in [
        ("irmgard", "web", "irmgard started"),
        ("anonymizer", "worker", "anonymizer started"),
    ] {
        let pod = replace_pod(harness, name, component).await?;
        let startup = time_until_line(harness, &pod, name, first).await?;
        longest = longest.max(startup);
        let event = format!("its line \"{first}\"");
        add_row(harness, name, &pod.images, &seconds(startup), &event).await?;
    }
    let image = harness.cluster.image("logq").await?;
    let startup = logq_startup(harness, &image).await?;
    longest = longest.max(startup);
    let event = "the end of `logq --version`";
    add_row(harness, "logq", &[image], &seconds(startup), event).await?;
    for name in ["postgres", "rabbitmq"] {
        let image = harness.cluster.image(name).await?;
        add_row(harness, name, &[image], "–", "–").await?;
    }
    harness.report.require(
        "each of our programs starts in less than a second",
        longest < STARTUP_LIMIT,
        format_args!("{} at most", seconds(longest)),
    );
    Ok(())
}

/// Deletes a pod of a Deployment, and waits for its replacement.
async fn replace_pod(harness: &Harness, name: &str, component: &str) -> Result<Pod> {
    let cluster = &harness.cluster;
    let before = cluster.pods(name).await?;
    let old_pod = before
        .iter()
        .find(|pod| pod.component == component)
        .with_context(|| format!("{name} has no pod"))?;
    cluster.delete(old_pod, Deletion::Graceful).await?;
    wait_until(
        &format!("a new pod of {name} is ready"),
        cluster.settings().time_limit,
        async || {
            let pods = cluster.pods(name).await?;
            let new = pods.into_iter().find(|pod| {
                pod.component == component && pod.ready && before.iter().all(|old| old.uid != pod.uid)
            });
            Ok(match new {
                Some(pod) => Condition::Met(pod),
                None => Condition::Unmet("none yet".to_owned()),
            })
        },
    )
    .await
}

/// The time from the start of a container's process until its log line with this message.
async fn time_until_line(harness: &Harness, pod: &Pod, container: &str, message: &str) -> Result<Duration> {
    let cluster = &harness.cluster;
    let clocks = cluster
        .exec(&pod.name, container, &["sh", "-c", CLOCKS], None)
        .await?;
    let start = process_start(&clocks)
        .with_context(|| format!("cannot parse the clocks of {}: {clocks}", pod.name))?;
    let command = format!(
        "logs --namespace {NAMESPACE} {} --container {container}",
        pod.name
    );
    let log = cluster.kubectl().run(&command).await?;
    let line = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|line| field(line, "message").is_some_and(|text| text == message))
        .with_context(|| format!("{} has no line \"{message}\"", pod.name))?;
    let time: DateTime<Utc> = field(&line, "@timestamp")
        .and_then(Value::as_str)
        .context("a line has no @timestamp")?
        .parse()
        .context("cannot parse a line's @timestamp")?;
    let written = Duration::from_micros(u64::try_from(time.timestamp_micros())?);
    Ok(written.saturating_sub(start))
}

/// The start of process 1 since 1970, from the output of [`CLOCKS`]. Its precision is the kernel's tick, 10 ms.
fn process_start(clocks: &str) -> Option<Duration> {
    let mut lines = clocks.lines();
    // The name in parentheses may contain anything. The 22nd field is the 20th after it.
    let ticks: f64 = lines
        .next()?
        .rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)?
        .parse()
        .ok()?;
    let uptime: f64 = lines.next()?.split_whitespace().next()?.parse().ok()?;
    let now: f64 = lines.next()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(now - uptime + ticks / TICKS_PER_SECOND).ok()
}

/// The duration of `logq --version` in a separate pod.
async fn logq_startup(harness: &Harness, image: &str) -> Result<Duration> {
    const POD: &str = "logq-start";
    let cluster = &harness.cluster;
    let pod = json!({ "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": POD, "namespace": NAMESPACE },
        "spec": { "restartPolicy": "Never", "automountServiceAccountToken": false,
            "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{ "name": POD, "image": image, "command": ["sh", "-c", LOGQ],
                "securityContext": { "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                    "capabilities": { "drop": ["ALL"] } } }] } });
    let kubectl = cluster.kubectl();
    kubectl
        .run_with_input(&["create", "--filename=-"], Some(&pod.to_string()))
        .await?;
    let timeout = cluster.settings().time_limit.as_secs();
    let wait = format!("wait pod/{POD} --for=jsonpath={{.status.phase}}=Succeeded --timeout={timeout}s");
    kubectl.run(&format!("--namespace {NAMESPACE} {wait}")).await?;
    let output = kubectl
        .run(&format!("--namespace {NAMESPACE} logs pod/{POD}"))
        .await?;
    kubectl
        .run(&format!("--namespace {NAMESPACE} delete pod/{POD} --wait=false"))
        .await?;
    let nanoseconds = output
        .trim()
        .parse()
        .with_context(|| format!("the pod's output is not a number: {output}"))?;
    Ok(Duration::from_nanos(nanoseconds))
}

async fn add_row(
    harness: &mut Harness,
    name: &str,
    images: &[String],
    startup: &str,
    event: &str,
) -> Result<()> {
    let nodes = harness.cluster.nodes().await?;
    let size = image_size(&nodes, images);
    let size = size.with_context(|| format!("no node has an image {}", images.join(" or ")))?;
    let row = vec![
        ("image", name.to_owned()),
        ("MB", size.div_ceil(1_000_000).to_string()),
        ("startup", startup.to_owned()),
        ("until", event.to_owned()),
    ];
    harness.report.row("programs", row);
    Ok(())
}

/// The size in bytes of one of these images on a node. Nodes list images by their full names.
fn image_size(nodes: &[Value], images: &[String]) -> Option<u64> {
    nodes
        .iter()
        .filter_map(|node| node["status"]["images"].as_array())
        .flatten()
        .find(|image| {
            image["names"].as_array().is_some_and(|names| {
                names.iter().filter_map(Value::as_str).any(|name| {
                    images
                        .iter()
                        .any(|short| name == short || name.ends_with(&format!("/{short}")))
                })
            })
        })?["sizeBytes"]
        .as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_computed_from_ticks_since_boot() {
        let stat = "1 (a ) b) S 0 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 25050 1 1";
        let clocks = format!("{stat}\n300.75 500.00\n1700000100.250000000\n");
        // Up since 1,699,999,799.5; and 250.5 s later.
        assert_eq!(
            process_start(&clocks),
            Some(Duration::from_millis(1_700_000_050_000))
        );
        assert_eq!(process_start("nothing"), None);
    }

    #[test]
    fn an_image_is_found_by_its_full_name() {
        let nodes = [json!({ "status": { "images": [
            { "names": ["registry.example/irmgard/logq:0.1.0-rc"], "sizeBytes": 1 },
            { "names": ["sha256:1", "registry.example/irmgard/logq:0.1.0"], "sizeBytes": 2 },
        ] } })];
        assert_eq!(image_size(&nodes, &["irmgard/logq:0.1.0".to_owned()]), Some(2));
        assert_eq!(image_size(&nodes, &["logq:0.2.0".to_owned()]), None);
    }
}
