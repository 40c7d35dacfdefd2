//! The API server of a cluster that exists only in a folder: `pods.json`, and `pods/` in the kubelet's format.
//!
//! It answers with the messages of Kubernetes 1.34. The annotation `test/fault` of a pod injects a fault into its logs:
//! see [`logs`]. [`ForwardFault`] injects one into port-forwards.

#![allow(dead_code, reason = "each test program uses a part of it")]

mod logs;
mod pods;
mod port_forward;

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicUsize, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{StatusCode, header::AUTHORIZATION},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use tokio::{runtime::Runtime, sync::Notify};

pub use port_forward::ForwardFault;

/// The context of the kubeconfig.
pub const CONTEXT: &str = "there";

/// What the server answers instead of a list of pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListFault {
    Status(u16, String),
    Text(String),
    Endless,
    Silent,
}

/// A running API server.
pub struct ApiServer {
    state: Arc<ApiServerState>,
    url: String,
    runtime: Option<Runtime>,
}

/// What the handlers share.
pub struct ApiServerState {
    folder: PathBuf,
    requests: Mutex<Vec<String>>,
    token: Mutex<Option<String>>,
    list_fault: Mutex<Option<ListFault>>,
    forward_fault: Mutex<Option<ForwardFault>>,
    /// `HOST:PORT` behind the service `irmgard/opensearch`.
    opensearch: Mutex<Option<String>>,
    /// Pods per page of a list.
    page_size: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
    forwards: AtomicUsize,
    pod_lost: Notify,
}

impl ApiServer {
    /// Starts a server for a folder, and writes a kubeconfig into it.
    pub fn start(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        write_kubeconfig(folder, &url, json!({}));
        let state = Arc::new(ApiServerState {
            folder: folder.to_owned(),
            requests: Mutex::default(),
            token: Mutex::default(),
            list_fault: Mutex::default(),
            forward_fault: Mutex::default(),
            opensearch: Mutex::default(),
            page_size: AtomicUsize::new(usize::MAX),
            open: AtomicUsize::default(),
            most_open: AtomicUsize::default(),
            forwards: AtomicUsize::default(),
            pod_lost: Notify::new(),
        });
        let pods = "/api/v1/namespaces/{namespace}/pods";
        let router = Router::new()
            .route("/api/v1/pods", get(pods::list))
            .route(pods, get(pods::list))
            .route(&format!("{pods}/{{pod}}/log"), get(logs::log))
            .route(&format!("{pods}/{{pod}}/portforward"), get(port_forward::forward))
            .route(&format!("{pods}/{{pod}}/proxy/metrics"), get(pods::metrics))
            .route(
                "/api/v1/namespaces/{namespace}/services/{service}",
                get(port_forward::service),
            )
            .layer(middleware::from_fn_with_state(Arc::clone(&state), record))
            .with_state(Arc::clone(&state));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
        Self {
            state,
            url,
            runtime: Some(runtime),
        }
    }

    /// Configures this cluster as the current one.
    pub fn configure(&self, command: &mut Command) {
        command.env("KUBECONFIG", self.state.folder.join("kubeconfig"));
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Rejects requests without this bearer token.
    pub fn require_token(&self, token: &str) {
        *lock(&self.state.token) = Some(format!("Bearer {token}"));
    }

    /// The paths of all requests since the last call.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.state.requests))
    }

    pub fn set_list_fault(&self, fault: Option<ListFault>) {
        *lock(&self.state.list_fault) = fault;
    }

    pub fn set_forward_fault(&self, fault: Option<ForwardFault>) {
        *lock(&self.state.forward_fault) = fault;
    }

    /// Creates the service `irmgard/opensearch` with one pod, in which this server listens.
    pub fn set_opensearch(&self, address: &str) {
        *lock(&self.state.opensearch) = Some(address.to_owned());
    }

    pub fn set_page_size(&self, pods: usize) {
        self.state.page_size.store(pods, Ordering::Release);
    }

    /// Number of port-forward connections so far, also of failed ones.
    pub fn forwards(&self) -> usize {
        self.state.forwards.load(Ordering::Acquire)
    }

    /// Maximum number of concurrent streams so far.
    pub fn most_open(&self) -> usize {
        self.state.most_open.load(Ordering::Acquire)
    }

    /// Deletes OpenSearch's pod: its connections break.
    pub fn lose_pod(&self) {
        self.state.pod_lost.notify_waiters();
        self.wait_until_closed();
    }

    /// Waits until no log and no port-forward is open.
    pub fn wait_until_closed(&self) {
        let start = Instant::now();
        while self.state.open.load(Ordering::Acquire) > 0 {
            assert!(start.elapsed() < Duration::from_secs(20), "a stream is left open");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        // A test may drop it in a task, which must not block.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Writes a kubeconfig with one context.
pub fn write_kubeconfig(folder: &Path, server: &str, user: serde_json::Value) {
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": CONTEXT,
        "clusters": [{ "name": "cluster", "cluster": { "server": server } }],
        "users": [{ "name": "user", "user": user }],
        "contexts": [{ "name": CONTEXT, "context": { "cluster": "cluster", "user": "user" } }],
    });
    fs::write(folder.join("kubeconfig"), kubeconfig.to_string()).unwrap();
}

/// An open stream.
struct OpenStream(Arc<ApiServerState>);

impl OpenStream {
    fn new(cluster: &Arc<ApiServerState>) -> Self {
        let open = cluster.open.fetch_add(1, Ordering::AcqRel) + 1;
        cluster.most_open.fetch_max(open, Ordering::AcqRel);
        Self(Arc::clone(cluster))
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

async fn record(State(cluster): State<Arc<ApiServerState>>, request: Request, next: Next) -> Response {
    let path = request.uri().to_string().replace("?&", "?");
    lock(&cluster.requests).push(path);
    let authorization = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let is_rejected = lock(&cluster.token)
        .as_deref()
        .is_some_and(|token| authorization != Some(token));
    if is_rejected {
        return status(401, "Unauthorized", "Unauthorized");
    }
    next.run(request).await
}

/// A `Status`, as the API server sends it with an error.
fn status(code: u16, reason: &str, message: &str) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    (StatusCode::from_u16(code).unwrap(), Json(status)).into_response()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
