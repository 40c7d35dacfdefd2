//! The containers of a cluster, and their available logs.

use std::collections::BTreeMap;

use k8s_openapi::{
    List,
    api::core::v1::{ContainerState, ContainerStatus, Pod},
};
use log_normalizer::{ContainerRef, Document, Origin, PodList, RawLine, normalize};

use super::Error;
use crate::filter::{Filter, decide_early};

#[derive(Clone, Debug)]
pub struct LogContainer {
    pub place: ContainerRef,
    pub origin: Origin,
    /// The fields of all its lines.
    pub pod_fields: Document,
    pub logs: AvailableLogs,
    /// Identifies its newest start.
    pub start_id: String,
    /// Whether the newest start is running.
    pub is_running: bool,
}

/// Which logs the API can return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AvailableLogs {
    /// Of the newest start.
    Current,
    /// Also of the previous start.
    CurrentAndPrevious,
    /// None yet; holds the reason.
    Pending(String),
}

impl LogContainer {
    /// A name for people.
    #[must_use]
    pub fn name(&self) -> String {
        let ContainerRef {
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

/// Parses a list of pods. Also returns the number of items that are not pods.
///
/// # Errors
/// [`Error::Unexpected`] if it is not a pod list.
pub fn read(json: &[u8]) -> Result<(Vec<LogContainer>, usize), Error> {
    let pods = PodList::read(json).map_err(|error| Error::Unexpected {
        reason: error.to_string(),
    })?;
    let list: List<Pod> = serde_json::from_slice(json).map_err(|error| Error::Unexpected {
        reason: error.to_string(),
    })?;
    let statuses = statuses(&list);
    let mut containers = Vec::new();
    for (namespace, pod, metadata) in pods.iter() {
        for name in &metadata.containers {
            let place = ContainerRef {
                namespace: namespace.to_owned(),
                pod: pod.to_owned(),
                uid: metadata.uid.clone().unwrap_or_default(),
                container: name.clone(),
            };
            let origin = pods.origin(place.clone());
            let pod_fields = normalize(&RawLine::plain(b"{}", 0), &origin);
            let status = statuses.get(&(namespace, pod, name.as_str()));
            let waiting = match metadata.node {
                Some(_) => "its node has not started it yet",
                None => "the pod has no node yet",
            };
            containers.push(LogContainer {
                place,
                origin,
                pod_fields,
                logs: status.map_or_else(
                    || AvailableLogs::Pending(waiting.to_owned()),
                    |status| available_logs(status),
                ),
                start_id: status.map_or_else(String::new, |status| {
                    format!("{} {:?}", status.restart_count, status.container_id)
                }),
                is_running: status.is_some_and(|status| is_running(status)),
            });
        }
    }
    Ok((containers, pods.invalid_items()))
}

/// By namespace, pod and container.
fn statuses(list: &List<Pod>) -> BTreeMap<(&str, &str, &str), &ContainerStatus> {
    let mut statuses = BTreeMap::new();
    for pod in &list.items {
        let Some(status) = &pod.status else { continue };
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        for containers in [
            &status.init_container_statuses,
            &status.container_statuses,
            &status.ephemeral_container_statuses,
        ] {
            let containers = containers.iter().flatten();
            statuses.extend(containers.map(|status| ((namespace, name, status.name.as_str()), status)));
        }
    }
    statuses
}

fn is_running(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|state| state.running.is_some())
}

/// Follows the kubelet's choice (`validateContainerLogStatus` in `pkg/kubelet/kubelet_pods.go`). The kubelet keeps one
/// ended start: if the newest has ended, a request for the previous one would return it again.
fn available_logs(status: &ContainerStatus) -> AvailableLogs {
    let ended = |state: &Option<ContainerState>| {
        let terminated = state.as_ref().and_then(|state| state.terminated.as_ref());
        terminated.is_some_and(|terminated| terminated.container_id.as_ref().is_some_and(|id| !id.is_empty()))
    };
    let before = ended(&status.last_state);
    if is_running(status) {
        return if before {
            AvailableLogs::CurrentAndPrevious
        } else {
            AvailableLogs::Current
        };
    }
    if before || ended(&status.state) {
        return AvailableLogs::Current;
    }
    let state = status.state.as_ref();
    let waiting = state.and_then(|state| state.waiting.as_ref()?.reason.as_deref());
    let terminated = state.and_then(|state| state.terminated.as_ref()?.reason.as_deref());
    AvailableLogs::Pending(waiting.or(terminated).unwrap_or("no reason given").to_owned())
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
            let typed = serde_json::from_value(status.clone()).unwrap();
            assert_eq!(available_logs(&typed), expected, "{status}");
        }
    }
}
