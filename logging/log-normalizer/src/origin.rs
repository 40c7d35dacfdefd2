//! The origin of a line.

use std::{collections::BTreeMap, path::Path};

use schema::{field, label};
use serde_json::{Map, Value};
use thiserror::Error;

/// The origin of a line, as its source knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A container of a pod. Its metadata replaces the line's.
    Pod(PodContainer),
    /// A file or a stream of this name.
    Source(String),
}

/// A container, as in the path of a log file: `<namespace>_<pod>_<uid>/<container>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerRef {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's uid.
    pub uid: String,
    /// The container's name.
    pub container: String,
}

impl ContainerRef {
    /// Parses the path of a pod's log file, `…/<namespace>_<pod>_<uid>/<container>/<file>`; None for other files.
    #[must_use]
    pub fn from_log_path(path: &Path) -> Option<Self> {
        let mut parts = path.iter().rev().skip(1).map(|part| part.to_str());
        let container = parts.next()??;
        // Names of namespaces and pods contain no `_`.
        let mut names = parts.next()??.split('_');
        let place = Self {
            namespace: names.next()?.to_owned(),
            pod: names.next()?.to_owned(),
            uid: names.next()?.to_owned(),
            container: container.to_owned(),
        };
        let whole = names.next().is_none()
            && ![&place.namespace, &place.pod, &place.uid, &place.container]
                .into_iter()
                .any(String::is_empty);
        whole.then_some(place)
    }
}

/// Kubernetes' metadata of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The uid in the paths of its log files. A static pod's differs from the API's.
    pub uid: Option<String>,
    /// Its containers, including init and ephemeral containers.
    pub containers: Vec<String>,
    /// The node that it runs on.
    pub node: Option<String>,
    /// Its labels under their names in Kubernetes.
    pub labels: BTreeMap<String, String>,
}

/// One container of one pod, with its metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodContainer {
    place: ContainerRef,
    component: String,
    /// The member `kubernetes` of each of its lines.
    block: Map<String, Value>,
}

impl PodContainer {
    /// Combines the path with Kubernetes' metadata.
    #[must_use]
    pub fn new(place: ContainerRef, metadata: &Metadata) -> Self {
        let component = label::COMPONENT_NAMES
            .into_iter()
            .find_map(|name| metadata.labels.get(name).filter(|value| !value.is_empty()))
            .unwrap_or(&place.container)
            .clone();
        Self {
            block: block(&place, metadata),
            component,
            place,
        }
    }

    #[must_use]
    pub const fn container(&self) -> &ContainerRef {
        &self.place
    }

    /// The component according to the pod's labels, otherwise the container's name.
    #[must_use]
    pub fn component(&self) -> &str {
        &self.component
    }

    /// The member `kubernetes` of each document.
    pub(crate) const fn block(&self) -> &Map<String, Value> {
        &self.block
    }
}

/// A field's name without the object that it is in.
pub(crate) fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn block(place: &ContainerRef, metadata: &Metadata) -> Map<String, Value> {
    let mut block = Map::new();
    let mut set = |name: &str, value: &String| {
        block.insert(last(name).to_owned(), Value::String(value.clone()));
    };
    set(field::KUBERNETES_NAMESPACE, &place.namespace);
    set(field::KUBERNETES_POD, &place.pod);
    set(field::KUBERNETES_POD_UID, &place.uid);
    set(field::KUBERNETES_CONTAINER, &place.container);
    if let Some(node) = &metadata.node {
        set(field::KUBERNETES_NODE, node);
    }
    let (mut labels, mut others) = (Map::new(), Map::new());
    for (name, value) in &metadata.labels {
        let value = Value::String(value.clone());
        match label::stored(name) {
            Some(name) => labels.insert(name, value),
            None => others.insert(name.clone(), value),
        };
    }
    for (name, labels) in [
        (field::KUBERNETES_LABELS, labels),
        (field::KUBERNETES_OTHER_LABELS, others),
    ] {
        if !labels.is_empty() {
            block.insert(last(name).to_owned(), Value::Object(labels));
        }
    }
    block
}

/// The pods of a cluster, from `kubectl get pods -A -o json`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodList {
    /// By namespace and name.
    known: BTreeMap<(String, String), Metadata>,
    invalid_items: usize,
}

/// Why a list of pods could not be read.
#[derive(Debug, Error)]
pub enum PodListError {
    #[error("the list of pods is not valid JSON")]
    Json(#[from] serde_json::Error),
    #[error("the list of pods has no array `items`")]
    NoItems,
}

impl PodList {
    /// Reads a `PodList`. Items without a namespace or a name are left out: see [`Self::invalid_items`].
    ///
    /// # Errors
    ///
    /// [`PodListError`].
    pub fn read(json: &[u8]) -> Result<Self, PodListError> {
        let list: Value = serde_json::from_slice(json)?;
        let items = list
            .get("items")
            .and_then(Value::as_array)
            .ok_or(PodListError::NoItems)?;
        let known: BTreeMap<_, _> = items.iter().filter_map(pod).collect();
        let invalid_items = items.iter().filter(|item| pod(item).is_none()).count();
        Ok(Self { known, invalid_items })
    }

    /// Adds the pods of another list. For a pod in both lists, the other list counts.
    pub fn extend(&mut self, other: &Self) {
        let known = other
            .known
            .iter()
            .map(|(name, metadata)| (name.clone(), metadata.clone()));
        self.known.extend(known);
        self.invalid_items += other.invalid_items;
    }

    /// Number of items of the list that are not pods.
    #[must_use]
    pub const fn invalid_items(&self) -> usize {
        self.invalid_items
    }

    /// A pod's metadata.
    #[must_use]
    pub fn get(&self, namespace: &str, pod: &str) -> Option<&Metadata> {
        self.known.get(&(namespace.to_owned(), pod.to_owned()))
    }

    /// A container's origin: with labels and node if the pod is in the list.
    ///
    /// The uid is the path's. It is not compared, because a static pod's files have another uid than the API.
    #[must_use]
    pub fn origin(&self, place: ContainerRef) -> Origin {
        let nothing = Metadata::default();
        let metadata = self.get(&place.namespace, &place.pod).unwrap_or(&nothing);
        Origin::Pod(PodContainer::new(place, metadata))
    }

    /// Each pod's namespace, name and metadata.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &Metadata)> {
        self.known
            .iter()
            .map(|((namespace, pod), metadata)| (namespace.as_str(), pod.as_str(), metadata))
    }
}

fn pod(item: &Value) -> Option<((String, String), Metadata)> {
    let text = |pointer: &str| item.pointer(pointer)?.as_str().map(ToOwned::to_owned);
    let labels = item.pointer("/metadata/labels").and_then(Value::as_object);
    let containers = [
        "/spec/initContainers",
        "/spec/containers",
        "/spec/ephemeralContainers",
    ];
    let metadata = Metadata {
        uid: text("/metadata/annotations/kubernetes.io~1config.hash").or_else(|| text("/metadata/uid")),
        containers: containers
            .into_iter()
            .filter_map(|pointer| item.pointer(pointer)?.as_array())
            .flatten()
            .filter_map(|container| container.get("name")?.as_str().map(ToOwned::to_owned))
            .collect(),
        node: text("/spec/nodeName").filter(|node| !node.is_empty()),
        labels: labels
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect(),
    };
    Some(((text("/metadata/namespace")?, text("/metadata/name")?), metadata))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{"kind":"List","items":[
        {"metadata":{"namespace":"photos","name":"postgres-0","uid":"u","labels":
            {"app.kubernetes.io/name":"postgres","app":"pg","irmgard.dev/x.y":"z"}},"spec":{"nodeName":"n1",
            "containers":[{"name":"main"},{}],"initContainers":[{"name":"init"}]}},
        {"metadata":{"namespace":"kube-system","name":"dns","uid":"v",
            "annotations":{"kubernetes.io/config.hash":"h"},"labels":{"k8s-app":"kube-dns","app":"x"}},"spec":{}},
        {"metadata":{"name":"nowhere"}}, 5]}"#;

    fn place(namespace: &str, pod: &str) -> ContainerRef {
        let path = format!("/var/log/pods/{namespace}_{pod}_a-b/main/0.log");
        ContainerRef::from_log_path(Path::new(&path)).unwrap()
    }

    fn known(namespace: &str, pod: &str) -> PodContainer {
        match PodList::read(LIST.as_bytes())
            .unwrap()
            .origin(place(namespace, pod))
        {
            Origin::Pod(pod) => pod,
            Origin::Source(source) => panic!("{source}"),
        }
    }

    #[test]
    fn the_path_of_a_log_file_names_its_container() {
        let place = ContainerRef::from_log_path(Path::new("pods/a_b_c/d/0.log.20261122-101500")).unwrap();
        assert_eq!(
            (&*place.namespace, &*place.pod, &*place.uid, &*place.container),
            ("a", "b", "c", "d")
        );
        for path in [
            "",
            "0.log",
            "a_b/c/0.log",
            "a_b_c_d/c/0.log",
            "a__c/d/0.log",
            "/x/../0.log",
        ] {
            assert_eq!(ContainerRef::from_log_path(Path::new(path)), None, "{path}");
        }
    }

    #[test]
    fn labels_are_kept_by_their_prefix() {
        let pod = known("photos", "postgres-0");
        assert_eq!(pod.component(), "postgres");
        assert_eq!(
            Value::Object(pod.block().clone()),
            serde_json::json!({
                "namespace": "photos", "pod": "postgres-0", "pod_uid": "a-b", "container": "main", "node": "n1",
                "labels": {"app_kubernetes_io/name": "postgres", "irmgard_dev/x_y": "z"},
                "other_labels": {"app": "pg"},
            })
        );
    }

    #[test]
    fn labels_name_the_component() {
        assert_eq!(known("kube-system", "dns").component(), "kube-dns");
        let unknown = known("photos", "gone");
        assert_eq!(unknown.component(), "main");
        assert!(!unknown.block().contains_key("labels"));
    }

    #[test]
    fn other_metadata_of_a_container() {
        let pods = PodList::read(LIST.as_bytes()).unwrap();
        assert_eq!(pods.invalid_items(), 2);
        let known: Vec<_> = pods
            .iter()
            .map(|(_, pod, metadata)| (pod, metadata.uid.as_deref(), metadata.containers.join(" ")))
            .collect();
        // The files of a static pod have the hash of its manifest.
        let expected = [
            ("dns", Some("h"), String::new()),
            ("postgres-0", Some("u"), "init main".to_owned()),
        ];
        assert_eq!(known, expected);
    }

    #[test]
    fn invalid_lists() {
        assert!(matches!(PodList::read(b"{"), Err(PodListError::Json(_))));
        assert!(matches!(PodList::read(b"{}"), Err(PodListError::NoItems)));
        assert_eq!(PodList::read(br#"{"items":[]}"#).unwrap().iter().count(), 0);
    }
}
