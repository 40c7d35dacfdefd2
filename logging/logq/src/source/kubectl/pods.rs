//! Which containers there are, and which of their starts have lines.

use std::collections::BTreeMap;

use line::{Document, Line, Origin, Place, Pods, normalize};
use serde_json::Value;

use super::Error;
use crate::filter::{Filter, decided};

/// One container of a pod.
#[derive(Clone, Debug)]
pub struct Container {
    /// Where it is.
    pub place: Place,
    /// What is known of it.
    pub origin: Origin,
    /// What every line of it has, whatever the line says.
    pub known: Document,
    /// Which lines it can have.
    pub state: State,
    /// Which of its starts is the newest, by a name that no other has.
    pub newest: String,
    /// Whether that runs.
    pub runs: bool,
}

/// Which lines a container can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Those of its newest start.
    Started,
    /// Also those of the start before.
    Restarted,
    /// None yet, and why not.
    Waiting(String),
}

impl Container {
    /// As people name it.
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

    /// Whether lines of it can match.
    #[must_use]
    pub fn may_match(&self, filter: &Filter) -> bool {
        decided(filter, &self.known, &is_of_pod) != Some(false)
    }
}

/// Fields that a pod's lines have from the pod.
fn is_of_pod(name: &str) -> bool {
    name == schema::field::COMPONENT || name == "kubernetes" || name.starts_with("kubernetes.")
}

/// The containers in a list that `kubectl get pods -o json` has printed, and how many of its items are no pods.
///
/// # Errors
/// [`Error::Strange`] when it is none.
pub fn read(json: &[u8]) -> Result<(Vec<Container>, usize), Error> {
    let strange = |reason: String| Error::Strange { reason };
    let pods = Pods::read(json).map_err(|error| strange(error.to_string()))?;
    let list: Value = serde_json::from_slice(json).map_err(|error| strange(error.to_string()))?;
    let states = states(&list);
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
            let known = normalize(&Line::plain(b"{}", 0), &origin);
            let waiting = || {
                State::Waiting(match metadata.node {
                    Some(_) => "its node has not taken it up yet".to_owned(),
                    None => "the pod has no node yet".to_owned(),
                })
            };
            let now = states.get(&(namespace, pod, container.as_str())).cloned();
            let Now { state, newest, runs } = now.unwrap_or_else(|| Now {
                state: waiting(),
                newest: String::new(),
                runs: false,
            });
            containers.push(Container {
                place,
                origin,
                known,
                state,
                newest,
                runs,
            });
        }
    }
    Ok((containers, pods.strange()))
}

type States<'a> = BTreeMap<(&'a str, &'a str, &'a str), Now>;

/// How a container is.
#[derive(Clone)]
struct Now {
    state: State,
    newest: String,
    runs: bool,
}

fn states(list: &Value) -> States<'_> {
    let mut states = States::new();
    let items = list.get("items").and_then(Value::as_array).into_iter().flatten();
    for item in items {
        let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (namespace, pod) = (text("/metadata/namespace"), text("/metadata/name"));
        for kind in [
            "/status/initContainerStatuses",
            "/status/containerStatuses",
            "/status/ephemeralContainerStatuses",
        ] {
            let statuses = item.pointer(kind).and_then(Value::as_array).into_iter().flatten();
            for status in statuses {
                if let Some(container) = status.get("name").and_then(Value::as_str) {
                    states.insert((namespace, pod, container), now(status));
                }
            }
        }
    }
    states
}

/// As the kubelet chooses what `kubectl logs` gives (`validateContainerLogStatus`
/// in `pkg/kubelet/kubelet_pods.go`). Of starts that have ended it keeps one:
/// where the newest has ended, that is the newest, which `--previous` would
/// give a second time.
fn state(status: &Value) -> State {
    let has = |pointer: &str| {
        let id = status.pointer(pointer).and_then(Value::as_str);
        id.is_some_and(|id| !id.is_empty())
    };
    let before = has("/lastState/terminated/containerID");
    let is = |pointer: &str| status.pointer(pointer).is_some_and(|value| !value.is_null());
    if is("/state/running") {
        if before { State::Restarted } else { State::Started }
    } else if has("/state/terminated/containerID") || before {
        State::Started
    } else {
        let reason = ["waiting", "terminated"]
            .iter()
            .find_map(|state| status.pointer(&format!("/state/{state}/reason"))?.as_str());
        State::Waiting(reason.unwrap_or("no reason given").to_owned())
    }
}

fn now(status: &Value) -> Now {
    let text = |name: &str| status.get(name).map(ToString::to_string).unwrap_or_default();
    let running = status.pointer("/state/running");
    Now {
        state: state(status),
        newest: format!("{} {}", text("restartCount"), text("containerID")),
        runs: running.is_some_and(|value| !value.is_null()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn which_starts_have_lines() {
        let ended = json!({ "terminated": { "containerID": "containerd://a" } });
        for (status, wanted) in [
            (
                json!({ "state": { "running": {} }, "lastState": {} }),
                State::Started,
            ),
            (
                json!({ "state": { "running": {} }, "lastState": ended }),
                State::Restarted,
            ),
            (json!({ "state": ended, "lastState": {} }), State::Started),
            (json!({ "state": ended, "lastState": ended }), State::Started),
            (
                json!({ "state": { "waiting": { "reason": "CrashLoopBackOff" } }, "lastState": ended }),
                State::Started,
            ),
            (
                json!({ "state": { "waiting": { "reason": "ErrImagePull" } }, "lastState": {} }),
                State::Waiting("ErrImagePull".to_owned()),
            ),
            (
                json!({ "state": { "terminated": { "reason": "ContainerStatusUnknown", "containerID": "" } } }),
                State::Waiting("ContainerStatusUnknown".to_owned()),
            ),
        ] {
            assert_eq!(state(&status), wanted, "{status}");
        }
    }
}
