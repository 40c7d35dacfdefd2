//! The lasting stack as a node of a Kubernetes cluster, as far as logs go: each process is the container of a pod, its output lies
//! in `pods/<namespace>_<pod>_<uid>/<container>/0.log` as the kubelet keeps it, and `pods.json` beside that is what
//! `kubectl get pods -A -o json` would print.

pub mod log_writer;
pub mod metadata;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use schema::{component, environment, label};
use serde_json::{Value, json};

use self::log_writer::Limits;
use crate::access::Environment;
use crate::error::{Context, Error, Result};
use crate::process::{Container, Output};
use crate::secret;

const NAMESPACE: &str = "irmgard";
const NODE: &str = "local";
const INSTANCE: &str = "local";
const PART_OF: &str = "irmgard";
const PODS: &str = "pods.json";

/// Other limits for log files than the kubelet's.
const FILE_BYTES: &str = "LOCAL_LOG_FILE_BYTES";
const FILES: &str = "LOCAL_LOG_FILES";

/// What a component's pod is called, its role within the system, and the components that it uses.
struct Pod {
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
) -> Pod {
    Pod {
        component,
        role,
        uses,
    }
}

const KNOWN: [Pod; 8] = [
    pod(component::IRMGARD, "web", &[DATABASE, QUEUE, STORE]),
    pod(component::ANONYMIZER, "worker", &[QUEUE, STORE]),
    pod(component::POSTGRES, "database", &[]),
    pod(component::RABBITMQ, "broker", &[]),
    pod(component::OBJECT_STORE, "object-store", &[]),
    pod(component::OPENSEARCH, "log-store", &[]),
    pod(component::FLUENTD, "log-collector", &[]),
    pod(component::LOGQ, "log-collector", &[]),
];

impl Pod {
    fn of(component: &str) -> Result<&'static Self> {
        KNOWN
            .iter()
            .find(|pod| pod.component == component)
            .ok_or_else(|| Error::request("a pod is named", format!("no component {component}")))
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
        // Of other programs it is not known here which version is started.
        if [component::IRMGARD, component::ANONYMIZER, component::LOGQ].contains(&self.component) {
            labels.insert(label::VERSION, env!("CARGO_PKG_VERSION"));
        }
        labels.extend(self.uses.iter().copied());
        labels
    }

    /// As the API server tells it.
    fn object(&self, uid: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": self.name(), "namespace": NAMESPACE, "uid": uid, "labels": self.labels() },
            "spec": { "nodeName": NODE, "containers": [{ "name": self.component }] },
            "status": { "phase": "Running" },
        })
    }
}

fn limits() -> Result<Limits> {
    let usual = Limits::default();
    let number = |name: &str, usual: u64| match env::var(name) {
        Ok(text) if !text.is_empty() => {
            text.parse::<u64>()
                .ok()
                .filter(|number| *number > 0)
                .ok_or_else(|| {
                    Error::request(format!("{name} is read"), format!("{text:?} is no number from 1"))
                })
        }
        _ => Ok(usual),
    };
    Ok(Limits {
        bytes: number(FILE_BYTES, usual.bytes)?,
        files: usize::try_from(number(FILES, usual.files as u64)?).unwrap_or(usize::MAX),
    })
}

/// The pods of one stack. A pod is in the list from when it is first asked for.
#[derive(Debug)]
pub(crate) struct Node {
    directory: PathBuf,
    /// Uids by component: the same for as long as the stack lasts.
    uids: Mutex<BTreeMap<String, String>>,
}

impl Node {
    /// The node whose files are in this directory; a new one where there is none.
    pub(crate) fn at(directory: &Path) -> Result<Self> {
        let node = Self {
            directory: directory.to_owned(),
            uids: Mutex::default(),
        };
        fs::create_dir_all(node.pods()).context(|| format!("cannot create {}", node.pods().display()))?;
        let known = fs::read(node.list()).ok();
        let known: Value = known
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        let items = known["items"].as_array().into_iter().flatten();
        let uids = items.filter_map(|item| {
            let component = item.pointer("/metadata/labels")?.get(label::NAME)?.as_str()?;
            let uid = item.pointer("/metadata/uid")?.as_str()?;
            Some((component.to_owned(), uid.to_owned()))
        });
        *node.uids.lock().unwrap_or_else(PoisonError::into_inner) = uids.collect();
        Ok(node)
    }

    /// The folder of all pods' logs.
    pub(crate) fn pods(&self) -> PathBuf {
        self.directory.join("pods")
    }

    /// The list of pods.
    pub(crate) fn list(&self) -> PathBuf {
        self.directory.join(PODS)
    }

    /// Where a component's output goes.
    pub(crate) fn output(&self, component: &str) -> Result<Output> {
        let pod = Pod::of(component)?;
        let uid = self.uid(pod)?;
        let pod = format!("{NAMESPACE}_{}_{uid}", pod.name());
        Ok(Output::Container(Container {
            directory: self.pods().join(pod).join(component),
            fifos: Vec::new(),
            limits: limits()?,
            complaints: self.directory.join("log-writer.out"),
        }))
    }

    /// What the downward API tells a component's program.
    pub(crate) fn environment(&self, component: &str) -> Result<Environment> {
        let pod = Pod::of(component)?;
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

    fn uid(&self, pod: &Pod) -> Result<String> {
        let mut uids = self.uids.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(uid) = uids.get(pod.component) {
            return Ok(uid.clone());
        }
        let uid = secret::uuid()?;
        uids.insert(pod.component.into(), uid.clone());
        self.write(&uids)?;
        Ok(uid)
    }

    /// Before the first line of a pod is written, so that nobody reads a line of a pod that is not known.
    fn write(&self, uids: &BTreeMap<String, String>) -> Result<()> {
        let items: Vec<Value> = KNOWN
            .iter()
            .filter_map(|pod| Some(pod.object(uids.get(pod.component)?)))
            .collect();
        let list = json!({ "apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": items });
        let text = format!("{list:#}\n");
        let new = self.list().with_extension("new");
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, self.list()))
            .context(|| format!("cannot write {}", self.list().display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_keeps_its_uid_and_says_whom_it_uses() {
        let folder = tempfile::tempdir().unwrap();
        let uid = |node: &Node| node.environment("irmgard").unwrap()[environment::POD_UID].clone();
        let node = Node::at(folder.path()).unwrap();
        let first = uid(&node);
        assert_eq!(uid(&node), first);
        assert_eq!(uid(&Node::at(folder.path()).unwrap()), first);

        let list: Value = serde_json::from_slice(&fs::read(node.list()).unwrap()).unwrap();
        let items = list["items"].as_array().unwrap();
        assert_eq!(items.len(), 1, "only pods that there are");
        let labels = &items[0]["metadata"]["labels"];
        assert_eq!(labels[label::USES_DATABASE], "postgres");
        assert_eq!(items[0]["metadata"]["uid"], first);
        let Output::Container(container) = node.output("irmgard").unwrap() else {
            panic!("no container");
        };
        let place = format!("pods/irmgard_irmgard-0_{first}/irmgard");
        assert!(container.directory.ends_with(&place), "{container:?}");
    }

    #[test]
    fn every_component_has_a_pod() {
        for component in component::ALL {
            let labels = Pod::of(component).unwrap().labels();
            assert_eq!(labels[label::NAME], component);
        }
        assert!(Pod::of("else").is_err());
    }
}
