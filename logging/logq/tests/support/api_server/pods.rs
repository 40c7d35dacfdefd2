//! The list of pods.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
};

use axum::{
    body::Body,
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
};
use futures::stream;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ApiServerState, ListFault, lock, port_forward, status};

#[derive(Deserialize)]
pub struct ListQuery {
    limit: Option<usize>,
    #[serde(rename = "continue", default)]
    start: usize,
}

pub async fn list(
    State(cluster): State<Arc<ApiServerState>>,
    namespace: Option<Path<String>>,
    Query(query): Query<ListQuery>,
) -> Response {
    let namespace = namespace.map(|Path(namespace)| namespace);
    let fault = lock(&cluster.list_fault).clone();
    match fault {
        None => {}
        Some(ListFault::Status(code, message)) => return status(code, "", &message),
        Some(ListFault::Text(text)) => return text.into_response(),
        Some(ListFault::Silent) => return std::future::pending().await,
        Some(ListFault::Endless) => {
            let blanks = stream::repeat_with(|| Ok::<_, std::io::Error>([b' '; 65_536].as_slice()));
            return Body::from_stream(blanks).into_response();
        }
    }
    if namespace.as_deref() == Some("forbidden") {
        let message = "pods is forbidden: User \"somebody\" cannot list resource \"pods\" in API group \"\" \
                       in the namespace \"forbidden\"";
        return status(403, "Forbidden", message);
    }
    if namespace.as_deref() == Some("irmgard") {
        return json!({ "kind": "PodList", "items": port_forward::pods(&cluster) })
            .to_string()
            .into_response();
    }
    let mut items: Vec<Value> = cluster.pods().unwrap_or_default();
    // It ignores the selector: logq tests it on each line, too.
    if let Some(namespace) = namespace {
        items.retain(|pod| text(pod, "/metadata/namespace") == namespace);
    }
    for pod in &mut items {
        let status = cluster.status(pod);
        if let Some(pod) = pod.as_object_mut() {
            pod.insert("status".to_owned(), status);
        }
    }
    let size = cluster
        .page_size
        .load(Ordering::Acquire)
        .min(query.limit.unwrap_or(usize::MAX));
    let next = query.start.saturating_add(size);
    let token = if next < items.len() {
        next.to_string()
    } else {
        String::new()
    };
    let page: Vec<Value> = items.into_iter().skip(query.start).take(size).collect();
    let list = json!({ "kind": "PodList", "metadata": { "continue": token }, "items": page });
    list.to_string().into_response()
}

/// Fluentd's metrics, through the API server's proxy.
pub async fn metrics(
    State(cluster): State<Arc<ApiServerState>>,
    Path((_, pod)): Path<(String, String)>,
) -> Response {
    match fs::read_to_string(cluster.folder.join(format!("{pod}.metrics"))) {
        Ok(metrics) => metrics.into_response(),
        Err(_) => status(404, "NotFound", &format!("pods \"{pod}\" not found")),
    }
}

pub fn text<'a>(pod: &'a Value, pointer: &str) -> &'a str {
    pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

impl ApiServerState {
    /// The pods in `pods.json`; None while the test replaces it.
    pub fn pods(&self) -> Option<Vec<Value>> {
        let json = fs::read(self.folder.join("pods.json")).ok()?;
        let mut list: Value = serde_json::from_slice(&json).ok()?;
        match list.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Some(items),
            _ => None,
        }
    }

    /// The container's folder, and the numbers of its starts that have a file.
    pub fn starts(&self, pod: &Value, container: &str) -> (PathBuf, Vec<u64>) {
        let [namespace, name, uid] =
            ["namespace", "name", "uid"].map(|part| text(pod, &format!("/metadata/{part}")));
        let place = self
            .folder
            .join(format!("pods/{namespace}_{name}_{uid}/{container}"));
        let files = fs::read_dir(&place).into_iter().flatten().flatten();
        let mut starts: Vec<u64> = files
            .filter_map(|file| file.file_name().to_str()?.strip_suffix(".log")?.parse().ok())
            .collect();
        starts.sort_unstable();
        (place, starts)
    }

    fn status(&self, pod: &Value) -> Value {
        let states = |kind: &str| {
            let containers = pod.pointer(&format!("/spec/{kind}")).and_then(Value::as_array);
            let states = containers.into_iter().flatten().map(|container| {
                let name = text(container, "/name");
                let (_, starts) = self.starts(pod, name);
                let id = |start: &u64| format!("containerd://{start}");
                let state = if starts.is_empty() {
                    json!({ "waiting": { "reason": "ContainerCreating" } })
                } else {
                    json!({ "running": {} })
                };
                let before = starts.iter().rev().nth(1).map(id);
                let last = before.map_or(json!({}), |id| json!({ "terminated": { "containerID": id } }));
                json!({
                    "name": name, "state": state, "lastState": last,
                    "containerID": starts.last().map(id), "restartCount": starts.len().saturating_sub(1),
                })
            });
            states.collect::<Vec<_>>()
        };
        let containers = states("containers");
        let phase = if containers
            .iter()
            .any(|state| state.pointer("/state/running").is_some())
        {
            "Running"
        } else {
            "Pending"
        };
        json!({
            "phase": phase, "containerStatuses": containers, "initContainerStatuses": states("initContainers"),
        })
    }
}
