//! How large our images are, and how long our programs take from their start to their first work.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::{
    cases::Stage,
    cluster::{Deletion, NAMESPACE, Pod, Seen, at, until},
    load::seconds,
};

/// What must not be reached: an autoscaler's new pod is to help at once.
const LIMIT: Duration = Duration::from_secs(1);
/// Prints when process 1 began, in clock ticks since boot, the uptime in seconds, and the present time in seconds.
const CLOCKS: &str = "cat /proc/1/stat /proc/uptime && date +%s.%N";
/// Of /proc/*/stat: `USER_HZ`, on every architecture that Kubernetes runs on (proc(5), sysconf(3)).
const TICKS_PER_SECOND: f64 = 100.0;
/// Prints how many nanoseconds `logq --version` takes.
const LOGQ: &str = "from=$(date +%s%N); logq --version >/dev/null; to=$(date +%s%N); echo $((to - from))";

/// Both, in the report. Everything must serve already, so that no program waits for another.
pub(super) async fn programs(stage: &mut Stage) -> Result<()> {
    stage.step("starting one of each program anew");
    let mut rows = Vec::new();
    let mut longest = Duration::ZERO;
    for (name, component, first) in [
        ("irmgard", "web", "irmgard serves"),
        ("anonymizer", "worker", "anonymizer takes jobs"),
    ] {
        let pod = anew(stage, name, component).await?;
        let took = until_line(stage, &pod, name, first).await?;
        longest = longest.max(took);
        rows.push(vec![
            name.to_owned(),
            megabytes(stage, &pod.images).await?,
            seconds(took),
            format!("its line \"{first}\""),
        ]);
    }
    let image = stage.cluster.image("logq").await?;
    let took = logq(stage, &image).await?;
    longest = longest.max(took);
    rows.push(vec![
        "logq".to_owned(),
        megabytes(stage, &[image]).await?,
        seconds(took),
        "the end of `logq --version`".to_owned(),
    ]);
    for name in ["postgres", "rabbitmq"] {
        let image = stage.cluster.image(name).await?;
        let none = "–".to_owned();
        rows.push(vec![
            name.to_owned(),
            megabytes(stage, &[image]).await?,
            none.clone(),
            none,
        ]);
    }
    let report = &mut stage.report;
    report.section("Our images and programs");
    report.text(
        "The size is what the node says (10⁶ bytes, not compressed). The time is that of one new pod where everything else serves: from \
         the start of the process to what is named.",
    );
    report.table(&["image", "MB", "start", "until"], &rows);
    report.demand(
        "each of our programs starts in less than a second",
        longest < LIMIT,
        format_args!("{} at most", seconds(longest)),
    );
    Ok(())
}

/// Deletes a pod of a Deployment, and waits for the one that takes its place.
async fn anew(stage: &Stage, name: &str, component: &str) -> Result<Pod> {
    let cluster = &stage.cluster;
    let before = cluster.pods(name).await?;
    let gone = before
        .iter()
        .find(|pod| pod.component == component)
        .with_context(|| format!("{name} has no pod"))?;
    cluster.delete(gone, Deletion::Plain).await?;
    until(
        &format!("a new pod of {name} serves"),
        cluster.settings().patience,
        async || {
            let pods = cluster.pods(name).await?;
            let new = pods.into_iter().find(|pod| {
                pod.component == component && pod.ready && before.iter().all(|old| old.uid != pod.uid)
            });
            Ok(match new {
                Some(pod) => Seen::Yes(pod),
                None => Seen::NotYet("none yet".to_owned()),
            })
        },
    )
    .await
}

/// From the start of a container's process to its line with this message.
async fn until_line(stage: &Stage, pod: &Pod, container: &str, message: &str) -> Result<Duration> {
    let cluster = &stage.cluster;
    let clocks = cluster
        .inside(&pod.name, container, &["sh", "-c", CLOCKS], None)
        .await?;
    let began = began(&clocks).with_context(|| format!("the clocks of {}: {clocks}", pod.name))?;
    let arguments = [
        "logs",
        "--namespace",
        NAMESPACE,
        &pod.name,
        "--container",
        container,
    ];
    let shown = cluster.kubectl().run(&arguments).await?;
    let line = shown
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|line| at(line, "message").is_some_and(|text| text == message))
        .with_context(|| format!("{} has no line \"{message}\"", pod.name))?;
    let time: DateTime<Utc> = at(&line, "@timestamp")
        .and_then(Value::as_str)
        .context("a line has no @timestamp")?
        .parse()
        .context("a line's @timestamp")?;
    let written = Duration::from_micros(u64::try_from(time.timestamp_micros())?);
    Ok(written.saturating_sub(began))
}

/// When process 1 began, since 1970, from what [`CLOCKS`] prints. To 10 ms: that is the kernel's tick.
fn began(clocks: &str) -> Option<Duration> {
    let mut lines = clocks.lines();
    // The name in parentheses may hold anything; the 22nd field is the 20th after it.
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

/// How long `logq --version` takes, in a pod of its own.
async fn logq(stage: &Stage, image: &str) -> Result<Duration> {
    const POD: &str = "logq-start";
    let cluster = &stage.cluster;
    let pod = json!({ "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": POD, "namespace": NAMESPACE },
        "spec": { "restartPolicy": "Never", "automountServiceAccountToken": false,
            "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{ "name": POD, "image": image, "command": ["sh", "-c", LOGQ],
                "securityContext": { "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                    "capabilities": { "drop": ["ALL"] } } }] } });
    let kubectl = cluster.kubectl();
    kubectl
        .feed(&["create", "--filename=-"], Some(&pod.to_string()))
        .await?;
    let waited = format!("--timeout={}s", cluster.settings().patience.as_secs());
    let name = format!("pod/{POD}");
    let done = [
        "wait",
        "--namespace",
        NAMESPACE,
        &name,
        "--for=jsonpath={.status.phase}=Succeeded",
        &waited,
    ];
    kubectl.run(&done).await?;
    let said = kubectl.run(&["logs", "--namespace", NAMESPACE, &name]).await?;
    kubectl
        .run(&["delete", "--namespace", NAMESPACE, &name, "--wait=false"])
        .await?;
    let took = said
        .trim()
        .parse()
        .with_context(|| format!("the pod says: {said}"))?;
    Ok(Duration::from_nanos(took))
}

/// The size of one of these images in 10⁶ bytes.
async fn megabytes(stage: &Stage, images: &[String]) -> Result<String> {
    let nodes = stage.cluster.nodes().await?;
    let size = size(&nodes, images);
    ensure!(size.is_some(), "no node knows an image {}", images.join(" or "));
    Ok(size.unwrap_or_default().div_ceil(1_000_000).to_string())
}

/// What a node says about the size of one of these images, in bytes. It knows them by their full names.
fn size(nodes: &[Value], images: &[String]) -> Option<u64> {
    nodes
        .iter()
        .filter_map(|node| node["status"]["images"].as_array())
        .flatten()
        .find(|known| {
            known["names"].as_array().is_some_and(|names| {
                names.iter().filter_map(Value::as_str).any(|name| {
                    images
                        .iter()
                        .any(|image| name == image || name.ends_with(&format!("/{image}")))
                })
            })
        })?["sizeBytes"]
        .as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_began_so_many_ticks_after_boot() {
        let stat = "1 (a ) b) S 0 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 25050 1 1";
        let clocks = format!("{stat}\n300.75 500.00\n1700000100.250000000\n");
        // Up since 1,699,999,799.5; and 250.5 s later.
        assert_eq!(began(&clocks), Some(Duration::from_millis(1_700_000_050_000)));
        assert_eq!(began("nothing"), None);
    }

    #[test]
    fn an_image_is_known_by_its_full_name() {
        let nodes = [json!({ "status": { "images": [
            { "names": ["registry.example/irmgard/logq:0.1.0-rc"], "sizeBytes": 1 },
            { "names": ["sha256:1", "registry.example/irmgard/logq:0.1.0"], "sizeBytes": 2 },
        ] } })];
        assert_eq!(size(&nodes, &["irmgard/logq:0.1.0".to_owned()]), Some(2));
        assert_eq!(size(&nodes, &["logq:0.2.0".to_owned()]), None);
    }
}
