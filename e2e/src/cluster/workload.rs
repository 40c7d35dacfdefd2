//! Workloads and pods, as the API tells of them.

use std::fmt;

use serde_json::Value;

/// A Deployment, StatefulSet, DaemonSet or Job, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Its kind, in lower case.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Pods that it wants.
    pub wanted: u64,
    /// Pods of its present form that serve.
    pub ready: u64,
    /// Whether nothing of an earlier form is left, and its controller has seen the present one.
    pub settled: bool,
}

impl Workload {
    /// From the API's object.
    #[must_use]
    pub fn from(kind: &'static str, object: &Value) -> Self {
        let status = &object["status"];
        let count = |name: &str| status[name].as_u64().unwrap_or(0);
        let spec = object["spec"]["replicas"].as_u64().unwrap_or(1);
        let seen = status["observedGeneration"].as_u64() >= object["metadata"]["generation"].as_u64();
        let (wanted, ready, settled) = match kind {
            "deployment" => (
                spec,
                count("availableReplicas").min(count("updatedReplicas")),
                seen && count("replicas") == spec && count("updatedReplicas") == spec,
            ),
            "statefulset" => (
                spec,
                count("readyReplicas").min(count("updatedReplicas")),
                seen && count("replicas") == spec && status["currentRevision"] == status["updateRevision"],
            ),
            "daemonset" => {
                let wanted = count("desiredNumberScheduled");
                (
                    wanted,
                    count("numberAvailable").min(count("updatedNumberScheduled")),
                    seen && wanted > 0,
                )
            }
            _ => (1, count("succeeded"), true),
        };
        Self {
            kind,
            name: object["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
            wanted,
            ready,
            settled,
        }
    }

    /// Whether all that it wants serves, or a Job is through.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.settled && self.ready >= self.wanted
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} {} of {}", self.kind, self.name, self.ready, self.wanted)
    }
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// It is another one where this is.
    pub uid: String,
    /// Its address.
    pub ip: String,
    /// The node where it is.
    pub node: String,
    /// Whether it serves.
    pub ready: bool,
    /// Whether it is being deleted.
    pub ending: bool,
    /// Its label `app.kubernetes.io/component`: pods of Jobs have another one than those of the service.
    pub component: String,
    /// Patroni's role, where it has one.
    pub role: Option<String>,
    /// Its containers' images.
    pub images: Vec<String>,
    /// The ports that its containers name.
    pub ports: Vec<u64>,
}

impl Pod {
    /// From the API's object.
    #[must_use]
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
            ending: !metadata["deletionTimestamp"].is_null(),
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
        assert!(!Workload::from("deployment", &object).is_ready(), "not seen yet");
    }

    #[test]
    fn what_has_no_status_yet_is_not_ready() {
        let object = json!({ "metadata": { "name": "x", "generation": 1 }, "spec": { "replicas": 1 } });
        for kind in ["deployment", "statefulset", "daemonset", "job"] {
            assert!(!Workload::from(kind, &object).is_ready(), "{kind}");
        }
    }

    #[test]
    fn a_workload_that_wants_nobody_is_ready() {
        let object = json!({
            "metadata": { "name": "desk", "generation": 1 },
            "spec": { "replicas": 0 },
            "status": { "observedGeneration": 1 },
        });
        assert!(Workload::from("deployment", &object).is_ready());
    }

    #[test]
    fn a_pod_tells_whether_it_serves_and_ends() {
        let pod = Pod::from(&json!({
            "metadata": { "name": "postgres-0", "deletionTimestamp": "2026-01-01T00:00:00Z", "labels": { "role": "primary" } },
            "status": { "podIP": "10.0.0.1", "conditions": [{ "type": "Ready", "status": "True" }] },
            "spec": { "containers": [{ "image": "postgres:17" }] },
        }));
        assert!(pod.ready && pod.ending);
        assert_eq!(
            (pod.role.as_deref(), pod.images.as_slice()),
            (Some("primary"), &["postgres:17".to_owned()][..])
        );
    }
}
