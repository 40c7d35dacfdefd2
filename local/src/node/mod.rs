//! Gives the persistent stack the logs of a Kubernetes node. Each process is the container of a pod, with its output in
//! `pods/<namespace>_<pod>_<uid>/<container>/0.log`. `pods.json` has the format of `kubectl get pods -A -o json`.

pub mod metadata;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use schema::{component, environment, label};
use serde_json::{Value, json};

use crate::access::Environment;
use crate::container_log::Limits;
use crate::error::{Context, Error, Result};
use crate::process::{ContainerLog, LogDestination};
use crate::secret;

const NAMESPACE: &str = "irmgard";
const NODE: &str = "local";
const INSTANCE: &str = "local";
const PART_OF: &str = "irmgard";
const POD_LIST: &str = "pods.json";

/// Override the kubelet's limits for log files.
const FILE_BYTES: &str = "LOCAL_LOG_FILE_BYTES";
const FILES: &str = "LOCAL_LOG_FILES";

/// The pod of a component, with its role and the components that it uses.
struct ComponentPod {
    component: &'static str,
    role: &'static str,
    uses: &'static [(&'static str, &'static str)],
}

const DATABASE: (&str, &str) = (label::USES_DATABASE, component::POSTGRES);
const QUEUE: (&str, &str) = (label::USES_QUEUE, component::RABBITMQ);
const STORE: (&str, &str) = (label::USES_STORE, component::OBJECT_STORE);

const fn pod(
    component: &'static str,
    role: &'static str,
    uses: &'static [(&'static str, &'static str)],
) -> ComponentPod {
    ComponentPod {
        component,
        role,
        uses,
    }
}

const PODS: [ComponentPod; 8] = [
    pod(component::IRMGARD, "web", &[DATABASE, QUEUE, STORE]),
    pod(component::ANONYMIZER, "worker", &[QUEUE, STORE]),
    pod(component::POSTGRES, "database", &[]),
    pod(component::RABBITMQ, "broker", &[]),
    pod(component::OBJECT_STORE, "object-store", &[]),
    pod(component::OPENSEARCH, "log-store", &[]),
    pod(component::FLUENTD, "log-collector", &[]),
    pod(component::LOGQ, "log-collector", &[]),
];

impl ComponentPod {
    fn for_component(component: &str) -> Result<&'static Self> {
        PODS.iter()
            .find(|pod| pod.component == component)
            .ok_or_else(|| Error::request("cannot find a pod", format!("unknown component {component}")))
    }

    fn name(&self) -> String {
        format!("{}-0", self.component)
    }

    fn labels(&self) -> BTreeMap<&'static str, &'static str> {
        let mut labels = BTreeMap::from([
            (label::NAME, self.component),
            (label::COMPONENT, self.role),
            (label::PART_OF, PART_OF),
            (label::INSTANCE, INSTANCE),
        ]);
        // The versions of other programs are unknown here.
        if [component::IRMGARD, component::ANONYMIZER, component::LOGQ].contains(&self.component) {
            labels.insert(label::VERSION, env!("CARGO_PKG_VERSION"));
        }
        labels.extend(self.uses.iter().copied());
        labels
    }

    /// The Kubernetes object.
    fn object(&self, uid: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": self.name(), "namespace": NAMESPACE, "uid": uid, "labels": self.labels() },
            "spec": { "nodeName": NODE, "containers": [{ "name": self.component }] },
            "status": { "phase": "Running" },
        })
    }
}

fn limits_from_environment() -> Result<Limits> {
    let default = Limits::default();
    let number = |name: &str, default: u64| match env::var(name) {
        Ok(text) if !text.is_empty() => {
            text.parse::<u64>()
                .ok()
                .filter(|number| *number > 0)
                .ok_or_else(|| {
                    Error::request(
                        format!("cannot read {name}"),
                        format!("{text:?} is not a number from 1"),
                    )
                })
        }
        _ => Ok(default),
    };
    Ok(Limits {
        bytes: number(FILE_BYTES, default.bytes)?,
        files: usize::try_from(number(FILES, default.files as u64)?).unwrap_or(usize::MAX),
    })
}

/// The pods of one stack. A pod enters the list at its first use.
#[derive(Debug)]
pub(crate) struct Node {
    directory: PathBuf,
    /// Pod uids by component. They stay the same for the life of the stack.
    uids: Mutex<BTreeMap<String, String>>,
}

impl Node {
    /// Opens the node in this directory, or creates it.
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        let node = Self {
            directory: directory.to_owned(),
            uids: Mutex::default(),
        };
        fs::create_dir_all(node.pods_directory())
            .context(|| format!("cannot create {}", node.pods_directory().display()))?;
        let list = fs::read(node.pod_list()).ok();
        let list: Value = list
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        let items = list["items"].as_array().into_iter().flatten();
        let uids = items.filter_map(|item| {
            let component = item.pointer("/metadata/labels")?.get(label::NAME)?.as_str()?;
            let uid = item.pointer("/metadata/uid")?.as_str()?;
            Some((component.to_owned(), uid.to_owned()))
        });
        *node.uids.lock().unwrap_or_else(PoisonError::into_inner) = uids.collect();
        Ok(node)
    }

    /// The folder of all pods' logs.
    pub(crate) fn pods_directory(&self) -> PathBuf {
        self.directory.join("pods")
    }

    /// The file with the list of pods.
    pub(crate) fn pod_list(&self) -> PathBuf {
        self.directory.join(POD_LIST)
    }

    /// The container log of a component.
    pub(crate) fn output(&self, component: &str) -> Result<LogDestination> {
        let pod = ComponentPod::for_component(component)?;
        let uid = self.uid(pod)?;
        let pod = format!("{NAMESPACE}_{}_{uid}", pod.name());
        Ok(LogDestination::Container(ContainerLog {
            directory: self.pods_directory().join(pod).join(component),
            fifos: Vec::new(),
            limits: limits_from_environment()?,
            writer_errors: self.directory.join("log-writer.out"),
        }))
    }

    /// The downward API's variables for a component.
    pub(crate) fn environment(&self, component: &str) -> Result<Environment> {
        let pod = ComponentPod::for_component(component)?;
        let labels: Vec<String> = pod
            .labels()
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let variable = |name: &str, value: String| (name.to_owned(), value);
        Ok(Environment::from([
            variable(environment::NAMESPACE, NAMESPACE.into()),
            variable(environment::POD_NAME, pod.name()),
            variable(environment::POD_UID, self.uid(pod)?),
            variable(environment::CONTAINER_NAME, component.into()),
            variable(environment::NODE_NAME, NODE.into()),
            variable(environment::POD_LABELS, labels.join(",")),
        ]))
    }

    fn uid(&self, pod: &ComponentPod) -> Result<String> {
        let mut uids = self.uids.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(uid) = uids.get(pod.component) {
            return Ok(uid.clone());
        }
        let uid = secret::uuid()?;
        uids.insert(pod.component.into(), uid.clone());
        self.write_pod_list(&uids)?;
        Ok(uid)
    }

    /// Writes the list of pods. This happens before the first log line of a pod, so that readers always find the pod.
    fn write_pod_list(&self, uids: &BTreeMap<String, String>) -> Result<()> {
        let items: Vec<Value> = PODS
            .iter()
            .filter_map(|pod| Some(pod.object(uids.get(pod.component)?)))
            .collect();
        let list = json!({ "apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": items });
        let text = format!("{list:#}\n");
        let new = self.pod_list().with_extension("new");
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, self.pod_list()))
            .context(|| format!("cannot write {}", self.pod_list().display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_keeps_its_uid_and_labels_the_components_it_uses() {
        let folder = tempfile::tempdir().unwrap();
        let uid = |node: &Node| node.environment("irmgard").unwrap()[environment::POD_UID].clone();
        let node = Node::open(folder.path()).unwrap();
        let first = uid(&node);
        assert_eq!(uid(&node), first);
        assert_eq!(uid(&Node::open(folder.path()).unwrap()), first);

        let list: Value = serde_json::from_slice(&fs::read(node.pod_list()).unwrap()).unwrap();
        let items = list["items"].as_array().unwrap();
        assert_eq!(items.len(), 1, "only pods in use");
        let labels = &items[0]["metadata"]["labels"];
        assert_eq!(labels[label::USES_DATABASE], "postgres");
        assert_eq!(items[0]["metadata"]["uid"], first);
        let LogDestination::Container(container) = node.output("irmgard").unwrap() else {
            panic!("no container");
        };
        let directory = format!("pods/irmgard_irmgard-0_{first}/irmgard");
        assert!(container.directory.ends_with(&directory), "{container:?}");
    }

    #[test]
    fn every_component_has_a_pod() {
        for component in component::ALL {
            let labels = ComponentPod::for_component(component).unwrap().labels();
            assert_eq!(labels[label::NAME], component);
        }
        assert!(ComponentPod::for_component("else").is_err());
    }
}
