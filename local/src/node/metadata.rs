//! What Fluentd asks the Kubernetes API server for, answered from a list of pods: the pods, and nothing else.

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

/// The pods that are known.
#[derive(Debug, Default)]
pub struct Pods {
    file: Option<PathBuf>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// By namespace and name.
    pods: BTreeMap<(String, String), Value>,
    /// When the file was written that was read last.
    written: Option<SystemTime>,
    asked_for: usize,
}

impl Pods {
    /// Those of a `PodList`, as `kubectl get pods -A -o json` prints it. The file is read again when it has changed.
    ///
    /// # Errors
    /// When the file is not that.
    pub fn of_file(file: &Path) -> anyhow::Result<Self> {
        let pods = Self {
            held: Mutex::new(Held {
                written: written(file),
                pods: read(file)?,
                asked_for: 0,
            }),
            file: Some(file.to_owned()),
        };
        Ok(pods)
    }

    /// Makes a pod known, or replaces it.
    pub fn add(&self, pod: Value) {
        self.lock().pods.insert(name_of(&pod), pod);
    }

    /// How often a single pod was asked for.
    #[must_use]
    pub fn asked_for(&self) -> usize {
        self.lock().asked_for
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file that is being written stays as it was read before.
    fn now(&self) -> MutexGuard<'_, Held> {
        let mut held = self.lock();
        let Some(file) = &self.file else { return held };
        let now = written(file);
        if now != held.written
            && let Ok(pods) = read(file)
        {
            held.pods.extend(pods);
            held.written = now;
        }
        held
    }
}

fn written(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|data| data.modified()).ok()
}

fn read(file: &Path) -> anyhow::Result<BTreeMap<(String, String), Value>> {
    let what = || format!("{}: no list of pods", file.display());
    let list: Value = serde_json::from_slice(&fs::read(file).with_context(what)?).with_context(what)?;
    let pods = list["items"].as_array().with_context(what)?.iter();
    Ok(pods.map(|pod| (name_of(pod), pod.clone())).collect())
}

fn name_of(pod: &Value) -> (String, String) {
    let text = |name: &str| pod["metadata"][name].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

/// The part of the API that tells of pods.
pub fn routes(pods: Arc<Pods>) -> Router {
    let versions = || async { Json(json!({"kind": "APIVersions", "versions": ["v1"]})) };
    Router::new()
        .route("/api", get(versions))
        .route("/api/v1", get(resources))
        .route("/api/v1/pods", get(all))
        .route("/api/v1/namespaces/{namespace}/pods/{pod}", get(one))
        .with_state(pods)
}

async fn resources() -> Json<Value> {
    let resource = |name, kind, namespaced| json!({"name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get", "list", "watch"]});
    Json(json!({
        "kind": "APIResourceList", "groupVersion": "v1",
        "resources": [resource("pods", "Pod", true), resource("namespaces", "Namespace", false)],
    }))
}

/// All pods; a watch stays open and tells nothing.
async fn all(State(pods): State<Arc<Pods>>, Query(query): Query<BTreeMap<String, String>>) -> Response {
    if query.contains_key("watch") {
        return Body::from_stream(futures::stream::pending::<std::io::Result<Vec<u8>>>()).into_response();
    }
    let items: Vec<Value> = pods.now().pods.values().cloned().collect();
    Json(json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items}))
        .into_response()
}

async fn one(State(pods): State<Arc<Pods>>, Segments(name): Segments<(String, String)>) -> Response {
    let mut held = pods.now();
    held.asked_for += 1;
    match held.pods.get(&name) {
        Some(pod) => Json(pod.clone()).into_response(),
        None => {
            let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "message": "not found"});
            (StatusCode::NOT_FOUND, Json(status)).into_response()
        }
    }
}

/// Answers until SIGTERM or SIGINT: `local metadata`.
///
/// # Errors
/// When the address cannot be had, or the file is no list of pods.
pub async fn serve(listen: SocketAddr, file: &Path) -> anyhow::Result<()> {
    let pods = Arc::new(Pods::of_file(file)?);
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
