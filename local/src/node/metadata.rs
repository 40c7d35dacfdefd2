//! Stand-in for the Kubernetes API server: serves a list of pods to Fluentd, and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use anyhow::Context;
use axum::body::Body;
use axum::extract::{Path as Segments, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// The pods that the server returns.
#[derive(Debug, Default)]
pub struct ServedPods {
    file: Option<PathBuf>,
    table: Mutex<PodTable>,
}

#[derive(Debug, Default)]
struct PodTable {
    /// By namespace and name.
    pods: BTreeMap<(String, String), Value>,
    /// The file's modification time at the last read.
    modified: Option<SystemTime>,
    /// Requests for a single pod.
    requests: usize,
}

impl ServedPods {
    /// The pods of a `PodList` file, as `kubectl get pods -A -o json` prints it. The server reads the file again when it
    /// changes.
    ///
    /// # Errors
    /// When the file is not a `PodList`.
    pub fn from_file(file: &Path) -> anyhow::Result<Self> {
        let pods = Self {
            table: Mutex::new(PodTable {
                modified: modified(file),
                pods: read_pods(file)?,
                requests: 0,
            }),
            file: Some(file.to_owned()),
        };
        Ok(pods)
    }

    /// Adds or replaces a pod.
    pub fn add(&self, pod: Value) {
        self.lock().pods.insert(namespace_and_name(&pod), pod);
    }

    /// The number of requests for a single pod.
    #[must_use]
    pub fn request_count(&self) -> usize {
        self.lock().requests
    }

    fn lock(&self) -> MutexGuard<'_, PodTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table, after a new read if the file has changed. While the file is incomplete, the old pods stay.
    fn refresh(&self) -> MutexGuard<'_, PodTable> {
        let mut table = self.lock();
        let Some(file) = &self.file else { return table };
        let now = modified(file);
        if now != table.modified
            && let Ok(pods) = read_pods(file)
        {
            table.pods.extend(pods);
            table.modified = now;
        }
        table
    }
}

fn modified(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|data| data.modified()).ok()
}

fn read_pods(file: &Path) -> anyhow::Result<BTreeMap<(String, String), Value>> {
    let what = || format!("{} is not a list of pods", file.display());
    let list: Value = serde_json::from_slice(&fs::read(file).with_context(what)?).with_context(what)?;
    let pods = list["items"].as_array().with_context(what)?.iter();
    Ok(pods.map(|pod| (namespace_and_name(pod), pod.clone())).collect())
}

fn namespace_and_name(pod: &Value) -> (String, String) {
    let text = |name: &str| pod["metadata"][name].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

/// The part of the API for pods.
pub fn routes(pods: Arc<ServedPods>) -> Router {
    let versions = || async { Json(json!({"kind": "APIVersions", "versions": ["v1"]})) };
    Router::new()
        .route("/api", get(versions))
        .route("/api/v1", get(resources))
        .route("/api/v1/pods", get(list_pods))
        .route("/api/v1/namespaces/{namespace}/pods/{pod}", get(get_pod))
        .with_state(pods)
}

async fn resources() -> Json<Value> {
    let resource = |name, kind, namespaced| json!({"name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get", "list", "watch"]});
    Json(json!({
        "kind": "APIResourceList", "groupVersion": "v1",
        "resources": [resource("pods", "Pod", true), resource("namespaces", "Namespace", false)],
    }))
}

/// All pods. A watch stays open without events.
async fn list_pods(
    State(pods): State<Arc<ServedPods>>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    if query.contains_key("watch") {
        return Body::from_stream(futures::stream::pending::<std::io::Result<Vec<u8>>>()).into_response();
    }
    let items: Vec<Value> = pods.refresh().pods.values().cloned().collect();
    Json(json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items}))
        .into_response()
}

async fn get_pod(
    State(pods): State<Arc<ServedPods>>,
    Segments(name): Segments<(String, String)>,
) -> Response {
    let mut table = pods.refresh();
    table.requests += 1;
    match table.pods.get(&name) {
        Some(pod) => Json(pod.clone()).into_response(),
        None => {
            let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "message": "not found"});
            (StatusCode::NOT_FOUND, Json(status)).into_response()
        }
    }
}

/// `local metadata`: serves until SIGTERM or SIGINT.
///
/// # Errors
/// When the address cannot be used, or the file is not a list of pods.
pub async fn serve(listen: SocketAddr, file: &Path) -> anyhow::Result<()> {
    let pods = Arc::new(ServedPods::from_file(file)?);
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}"))?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        served = async { axum::serve(listener, routes(pods)).await } => Ok(served?),
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}
