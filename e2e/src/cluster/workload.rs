//! Workloads and pods, from the API's objects.

use std::fmt;

use serde_json::Value;

/// A Deployment, StatefulSet, DaemonSet or Job with its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// In lower case.
    pub kind: &'static str,
    pub name: String,
    /// The desired number of pods.
    pub desired: u64,
    /// Ready pods of the current revision.
    pub ready: u64,
    /// Whether its controller has observed the current revision, and no pod of an earlier one is left.
    pub up_to_date: bool,
}

impl Workload {
    pub fn from(kind: &'static str, object: &Value) -> Self {
        let status = &object["status"];
        let count = |name: &str| status[name].as_u64().unwrap_or(0);
        let replicas = object["spec"]["replicas"].as_u64().unwrap_or(1);
        let observed = status["observedGeneration"].as_u64() >= object["metadata"]["generation"].as_u64();
        let (desired, ready, up_to_date) = match kind {
            "deployment" => (
                replicas,
                count("availableReplicas").min(count("updatedReplicas")),
                observed && count("replicas") == replicas && count("updatedReplicas") == replicas,
            ),
            "statefulset" => (
                replicas,
                count("readyReplicas").min(count("updatedReplicas")),
                observed
                    && count("replicas") == replicas
                    && status["currentRevision"] == status["updateRevision"],
            ),
            "daemonset" => {
                let desired = count("desiredNumberScheduled");
                (
                    desired,
                    count("numberAvailable").min(count("updatedNumberScheduled")),
                    observed && desired > 0,
                )
            }
            _ => (1, count("succeeded"), true),
        };
        Self {
            kind,
            name: object["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
            desired,
            ready,
            up_to_date,
        }
    }

    /// Whether all desired pods are ready, or a Job is complete.
    pub const fn is_ready(&self) -> bool {
        self.up_to_date && self.ready >= self.desired
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{} {} of {}",
            self.kind, self.name, self.ready, self.desired
        )
    }
}

/// A pod with its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    pub namespace: String,
    pub name: String,
    /// Distinguishes the pod from a replacement with the same name.
    pub uid: String,
    pub ip: String,
    pub node: String,
    pub ready: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// The label `app.kubernetes.io/component`. Pods of Jobs and of the service have different ones.
    pub component: String,
    /// Patroni's role, if any.
    pub role: Option<String>,
    /// The images of its containers.
    pub images: Vec<String>,
    /// The ports that its containers declare.
    pub ports: Vec<u64>,
}

impl Pod {
    pub fn from(object: &Value) -> Self {
        let metadata = &object["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        Self {
            namespace: text(&metadata["namespace"]),
            name: text(&metadata["name"]),
            uid: text(&metadata["uid"]),
            ip: text(&object["status"]["podIP"]),
            node: text(&object["spec"]["nodeName"]),
            ready: list(&object["status"]["conditions"])
                .iter()
                .any(|condition| condition["type"] == "Ready" && condition["status"] == "True"),
            terminating: !metadata["deletionTimestamp"].is_null(),
            component: text(&metadata["labels"]["app.kubernetes.io/component"]),
            role: metadata["labels"]["role"].as_str().map(ToOwned::to_owned),
            images: list(&object["spec"]["containers"])
                .iter()
                .map(|container| text(&container["image"]))
                .collect(),
            ports: list(&object["spec"]["containers"])
                .iter()
                .flat_map(|container| list(&container["ports"]))
                .filter_map(|port| port["containerPort"].as_u64())
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deployment_is_ready_when_no_old_pod_is_left() {
        let mut object = json!({
            "metadata": { "name": "irmgard", "generation": 2 },
            "spec": { "replicas": 2 },
            "status": { "observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 3 },
        });
        assert!(!Workload::from("deployment", &object).is_ready());
        object["status"]["replicas"] = json!(2);
        assert!(Workload::from("deployment", &object).is_ready());
        object["metadata"]["generation"] = json!(3);
        assert!(
            !Workload::from("deployment", &object).is_ready(),
            "not observed yet"
        );
    }

    #[test]
    fn a_workload_without_status_is_not_ready() {
        let object = json!({ "metadata": { "name": "x", "generation": 1 }, "spec": { "replicas": 1 } });
        for kind in ["deployment", "statefulset", "daemonset", "job"] {
            assert!(!Workload::from(kind, &object).is_ready(), "{kind}");
        }
    }

    #[test]
    fn a_workload_with_zero_replicas_is_ready() {
        let object = json!({
            "metadata": { "name": "operator-shell", "generation": 1 },
            "spec": { "replicas": 0 },
            "status": { "observedGeneration": 1 },
        });
        assert!(Workload::from("deployment", &object).is_ready());
    }

    #[test]
    fn a_pods_status_is_parsed() {
        let pod = Pod::from(&json!({
            "metadata": { "name": "postgres-0", "deletionTimestamp": "2026-01-01T00:00:00Z", "labels": { "role": "primary" } },
            "status": { "podIP": "10.0.0.1", "conditions": [{ "type": "Ready", "status": "True" }] },
            "spec": { "containers": [{ "image": "postgres:17" }] },
        }));
        assert!(pod.ready && pod.terminating);
        assert_eq!(
            (pod.role.as_deref(), pod.images.as_slice()),
            (Some("primary"), &["postgres:17".to_owned()][..])
        );
    }
}
