//! The containers of a cluster, and their available logs.

use std::collections::BTreeMap;

use line::{Document, Line, Origin, Place, Pods, normalize};
use serde_json::Value;

use super::Error;
use crate::filter::{Filter, decide_early};

#[derive(Clone, Debug)]
pub struct Container {
    pub place: Place,
    pub origin: Origin,
    /// The fields of all its lines.
    pub pod_fields: Document,
    pub logs: AvailableLogs,
    /// Identifies its newest start.
    pub start_id: String,
    /// Whether the newest start is running.
    pub is_running: bool,
}

/// Which logs `kubectl logs` can return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AvailableLogs {
    /// Of the newest start.
    Current,
    /// Also of the previous start (`--previous`).
    CurrentAndPrevious,
    /// None yet; holds the reason.
    Pending(String),
}

impl Container {
    /// A name for people.
    #[must_use]
    pub fn name(&self) -> String {
        let Place {
            namespace,
            pod,
            container,
            ..
        } = &self.place;
        format!("{namespace}/{pod}, container {container}")
    }

    #[must_use]
    pub fn may_match(&self, filter: &Filter) -> bool {
        decide_early(filter, &self.pod_fields, &is_pod_field) != Some(false)
    }
}

/// Fields that come from the pod, not the line.
fn is_pod_field(name: &str) -> bool {
    name == schema::field::COMPONENT || name == "kubernetes" || name.starts_with("kubernetes.")
}

/// Parses the output of `kubectl get pods -o json`. Also returns the number of items that are not pods.
///
/// # Errors
/// [`Error::Unexpected`] if it is not a pod list.
pub fn read(json: &[u8]) -> Result<(Vec<Container>, usize), Error> {
    let unexpected = |reason: String| Error::Unexpected { reason };
    let pods = Pods::read(json).map_err(|error| unexpected(error.to_string()))?;
    let list: Value = serde_json::from_slice(json).map_err(|error| unexpected(error.to_string()))?;
    let statuses = read_statuses(&list);
    let mut containers = Vec::new();
    for (namespace, pod, metadata) in pods.iter() {
        for container in &metadata.containers {
            let place = Place {
                namespace: namespace.to_owned(),
                pod: pod.to_owned(),
                uid: metadata.uid.clone().unwrap_or_default(),
                container: container.clone(),
            };
            let origin = pods.origin(place.clone());
            let pod_fields = normalize(&Line::plain(b"{}", 0), &origin);
            let waiting = || {
                AvailableLogs::Pending(match metadata.node {
                    Some(_) => "its node has not started it yet".to_owned(),
                    None => "the pod has no node yet".to_owned(),
                })
            };
            let status = statuses.get(&(namespace, pod, container.as_str())).cloned();
            let ContainerStatus {
                logs,
                start_id,
                is_running,
            } = status.unwrap_or_else(|| ContainerStatus {
                logs: waiting(),
                start_id: String::new(),
                is_running: false,
            });
            containers.push(Container {
                place,
                origin,
                pod_fields,
                logs,
                start_id,
                is_running,
            });
        }
    }
    Ok((containers, pods.strange()))
}

type Statuses<'a> = BTreeMap<(&'a str, &'a str, &'a str), ContainerStatus>;

#[derive(Clone)]
struct ContainerStatus {
    logs: AvailableLogs,
    start_id: String,
    is_running: bool,
}

fn read_statuses(list: &Value) -> Statuses<'_> {
    let mut statuses = Statuses::new();
    let items = list.get("items").and_then(Value::as_array).into_iter().flatten();
    for item in items {
        let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (namespace, pod) = (text("/metadata/namespace"), text("/metadata/name"));
        for kind in [
            "/status/initContainerStatuses",
            "/status/containerStatuses",
            "/status/ephemeralContainerStatuses",
        ] {
            let container_statuses = item.pointer(kind).and_then(Value::as_array).into_iter().flatten();
            for status in container_statuses {
                if let Some(container) = status.get("name").and_then(Value::as_str) {
                    statuses.insert((namespace, pod, container), container_status(status));
                }
            }
        }
    }
    statuses
}

/// Follows the kubelet's choice for `kubectl logs` (`validateContainerLogStatus` in `pkg/kubelet/kubelet_pods.go`). The
/// kubelet keeps one ended start: if the newest has ended, `--previous` would return it again.
fn available_logs(status: &Value) -> AvailableLogs {
    let has = |pointer: &str| {
        let id = status.pointer(pointer).and_then(Value::as_str);
        id.is_some_and(|id| !id.is_empty())
    };
    let before = has("/lastState/terminated/containerID");
    let is = |pointer: &str| status.pointer(pointer).is_some_and(|value| !value.is_null());
    if is("/state/running") {
        if before {
            AvailableLogs::CurrentAndPrevious
        } else {
            AvailableLogs::Current
        }
    } else if has("/state/terminated/containerID") || before {
        AvailableLogs::Current
    } else {
        let reason = ["waiting", "terminated"]
            .iter()
            .find_map(|state| status.pointer(&format!("/state/{state}/reason"))?.as_str());
        AvailableLogs::Pending(reason.unwrap_or("no reason given").to_owned())
    }
}

fn container_status(status: &Value) -> ContainerStatus {
    let text = |name: &str| status.get(name).map(ToString::to_string).unwrap_or_default();
    let running = status.pointer("/state/running");
    ContainerStatus {
        logs: available_logs(status),
        start_id: format!("{} {}", text("restartCount"), text("containerID")),
        is_running: running.is_some_and(|value| !value.is_null()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn container_starts_with_lines() {
        let ended = json!({ "terminated": { "containerID": "containerd://a" } });
        for (status, expected) in [
            (
                json!({ "state": { "running": {} }, "lastState": {} }),
                AvailableLogs::Current,
            ),
            (
                json!({ "state": { "running": {} }, "lastState": ended }),
                AvailableLogs::CurrentAndPrevious,
            ),
            (json!({ "state": ended, "lastState": {} }), AvailableLogs::Current),
            (
                json!({ "state": ended, "lastState": ended }),
                AvailableLogs::Current,
            ),
            (
                json!({ "state": { "waiting": { "reason": "CrashLoopBackOff" } }, "lastState": ended }),
                AvailableLogs::Current,
            ),
            (
                json!({ "state": { "waiting": { "reason": "ErrImagePull" } }, "lastState": {} }),
                AvailableLogs::Pending("ErrImagePull".to_owned()),
            ),
            (
                json!({ "state": { "terminated": { "reason": "ContainerStatusUnknown", "containerID": "" } } }),
                AvailableLogs::Pending("ContainerStatusUnknown".to_owned()),
            ),
        ] {
            assert_eq!(available_logs(&status), expected, "{status}");
        }
    }
}
