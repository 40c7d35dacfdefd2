//! Checks the pods of the cluster and their Fluentds.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use schema::{component, label};
use serde_json::Value;

use super::{arrival, finding::Finding, fluentd::FluentdMetrics};
use crate::kubernetes::Cluster;

const METRICS_PORT: u16 = 24_231;

const METRICS_TIMEOUT: Duration = Duration::from_secs(15);

const FLUENTD: &str = "Fluentd on each node";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSummary {
    namespace: String,
    name: String,
    component: String,
    node: Option<String>,
    phase: String,
}

impl PodSummary {
    fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    fn component_key(&self) -> arrival::ComponentKey {
        arrival::ComponentKey {
            component: self.component.clone(),
            namespace: self.namespace.clone(),
        }
    }

    fn is_running(&self) -> bool {
        self.phase == "Running"
    }
}

/// Parses the pages of a list of pods. Also returns the number of skipped items.
pub fn read(pages: &[Vec<u8>]) -> Result<(Vec<PodSummary>, usize), String> {
    let mut pods = Vec::new();
    let mut skipped = 0;
    for page in pages {
        let list: Value = serde_json::from_slice(page).map_err(|error| error.to_string())?;
        let items = list.get("items").and_then(Value::as_array);
        let items = items.ok_or("the list of pods has no items")?;
        let before = pods.len();
        pods.extend(items.iter().filter_map(pod));
        skipped += before + items.len() - pods.len();
    }
    Ok((pods, skipped))
}

pub fn judge_list(pods: usize, skipped: usize) -> Finding {
    let detail = format!("{pods} pods");
    if skipped == 0 {
        return Finding::ok("kubectl", detail);
    }
    Finding::warn(
        "kubectl",
        format!("{detail}; skipped {skipped} items without a name, a namespace or containers"),
        "`kubectl get pods --all-namespaces --output=json` lists them",
    )
}

fn pod(item: &Value) -> Option<PodSummary> {
    let text = |path: &str| item.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let labels = item.pointer("/metadata/labels");
    let component = label::COMPONENT_NAMES
        .iter()
        .find_map(|name| labels?.get(name)?.as_str().filter(|name| !name.is_empty()));
    Some(PodSummary {
        namespace: text("/metadata/namespace")?,
        name: text("/metadata/name")?,
        component: component
            .map(str::to_owned)
            .or_else(|| text("/spec/containers/0/name"))?,
        node: text("/spec/nodeName"),
        phase: text("/status/phase").unwrap_or_default(),
    })
}

/// Number of running pods by component. Omits Fluentd, whose own lines are not shipped.
pub fn count_running(pods: &[PodSummary]) -> BTreeMap<arrival::ComponentKey, usize> {
    let mut running = BTreeMap::new();
    let ours = pods.iter().filter(|pod| {
        pod.component != component::FLUENTD && component::ALL.contains(&pod.component.as_str())
    });
    for pod in ours {
        *running.entry(pod.component_key()).or_default() += usize::from(pod.is_running());
    }
    running
}

/// Checks that every node with pods runs a Fluentd.
pub fn check_fluentd_nodes(pods: &[PodSummary]) -> Finding {
    let fluentds: Vec<&PodSummary> = pods
        .iter()
        .filter(|pod| pod.component == component::FLUENTD)
        .collect();
    if fluentds.is_empty() {
        return Finding::warn(
            FLUENTD,
            "the cluster has no pod with app.kubernetes.io/name=fluentd",
            "apply its manifests; without it no line reaches OpenSearch",
        );
    }
    let waiting: Vec<String> = fluentds
        .iter()
        .filter(|pod| !pod.is_running())
        .map(|pod| format!("{} is {}", pod.full_name(), pod.phase))
        .collect();
    let covered: BTreeSet<&String> = fluentds.iter().filter_map(|pod| pod.node.as_ref()).collect();
    let uncovered: Vec<String> = pods
        .iter()
        .filter(|pod| pod.is_running())
        .filter_map(|pod| pod.node.as_ref())
        .collect::<BTreeSet<_>>()
        .difference(&covered)
        .map(|node| format!("{node} has none"))
        .collect();
    let problems = [waiting, uncovered].concat();
    if problems.is_empty() {
        return Finding::ok(FLUENTD, format!("{} of {}", fluentds.len(), covered.len()));
    }
    Finding::fail(
        FLUENTD,
        problems.join(", "),
        "`kubectl describe daemonset fluentd` shows the reason; lines wait in the nodes' files until these \
         are rotated",
    )
}

/// Fetches and judges the metrics of each Fluentd.
pub async fn check_fluentds(cluster: &Cluster, pods: &[PodSummary]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for pod in pods
        .iter()
        .filter(|pod| pod.component == component::FLUENTD && pod.is_running())
    {
        let path = format!(
            "/api/v1/namespaces/{}/pods/{}:{METRICS_PORT}/proxy/metrics",
            pod.namespace, pod.name
        );
        let name = pod.full_name();
        let text = cluster
            .get(&path, METRICS_TIMEOUT)
            .await
            .map_err(|error| error.to_string());
        match text.and_then(|bytes| FluentdMetrics::read(&String::from_utf8_lossy(&bytes))) {
            Ok(metrics) => findings.extend(metrics.judge(&name)),
            Err(why) => findings.push(Finding::warn(
                "Fluentd",
                format!("{name}: {why}"),
                "grant get on pods/proxy, or set the address of its metrics with --fluentd",
            )),
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::finding::CheckStatus;

    fn list(pods: &[(&str, &str, &str, &str)]) -> Vec<PodSummary> {
        let items: Vec<Value> = pods
            .iter()
            .map(|(name, component, node, phase)| {
                json!({
                    "metadata": { "namespace": "photos", "name": name, "labels": { "app.kubernetes.io/name": component } },
                    "spec": { "nodeName": node, "containers": [{ "name": "c" }] },
                    "status": { "phase": phase },
                })
            })
            .collect();
        let page = json!({ "items": items }).to_string().into_bytes();
        read(&[page]).unwrap().0
    }

    #[test]
    fn each_node_needs_a_running_fluentd() {
        let irmgard = ("irmgard-a", "irmgard", "node-1", "Running");
        let other = ("irmgard-b", "irmgard", "node-2", "Running");
        let one = ("fluentd-x", "fluentd", "node-1", "Running");
        for (pods, state, detail) in [
            (vec![irmgard, one], CheckStatus::Ok, "1 of 1"),
            (vec![irmgard], CheckStatus::Warn, "the cluster has no pod"),
            (vec![irmgard, other, one], CheckStatus::Fail, "node-2 has none"),
            (
                vec![irmgard, ("fluentd-x", "fluentd", "node-1", "Pending")],
                CheckStatus::Fail,
                "photos/fluentd-x is Pending",
            ),
        ] {
            let found = check_fluentd_nodes(&list(&pods));
            assert!(
                found.status == state && found.detail.starts_with(detail),
                "{found:?}"
            );
        }
    }

    #[test]
    fn running_pods_are_counted() {
        let pods = list(&[
            ("irmgard-a", "irmgard", "n", "Running"),
            ("irmgard-b", "irmgard", "n", "Pending"),
            ("irmgard-c", "irmgard", "n", "Running"),
            ("anonymizer-a", "anonymizer", "n", "Pending"),
            ("fluentd-x", "fluentd", "n", "Running"),
            ("etcd", "etcd", "n", "Running"),
        ]);
        let running: Vec<_> = count_running(&pods)
            .into_iter()
            .map(|(key, pods)| (key.component, pods))
            .collect();
        assert_eq!(running, [("anonymizer".to_owned(), 0), ("irmgard".to_owned(), 2)]);
    }
}
