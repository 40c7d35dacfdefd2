//! One HTTP server stands in for OpenSearch and the Kubernetes API server.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use local::metadata::{self, ServedPods};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The response for a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkVerdict {
    /// 201, or 409 for a known id.
    Stored,
    /// 429: Fluentd sends the document again.
    TooMany,
    /// 400: the document becomes a dead letter.
    Rejected,
}

type BulkVerdictFn = Box<dyn Fn(&Value) -> BulkVerdict + Send>;

struct StoredDocuments {
    /// Documents by id, each with the data stream in `_stream`.
    documents: BTreeMap<String, Value>,
    /// Number of documents with a known id.
    repeated: usize,
    verdict: BulkVerdictFn,
}

/// Stand-ins for both servers at one address.
pub struct Servers {
    store: Arc<Mutex<StoredDocuments>>,
    pods: Arc<ServedPods>,
    address: SocketAddr,
    task: Option<JoinHandle<()>>,
}

impl Servers {
    /// Starts the servers with the pods of a `PodList` file, the output of `kubectl get pods -A -o json`.
    ///
    /// # Errors
    /// When the file is not a `PodList`, or no port is free.
    pub async fn start(pods: &Path) -> Result<Self> {
        let store = StoredDocuments {
            documents: BTreeMap::new(),
            repeated: 0,
            verdict: Box::new(|_| BulkVerdict::Stored),
        };
        let mut servers = Self {
            store: Arc::new(Mutex::new(store)),
            pods: Arc::new(ServedPods::from_file(pods)?),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            task: None,
        };
        servers.start_again().await?;
        Ok(servers)
    }

    /// The address that clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes all connections and refuses new ones.
    pub async fn stop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            // An aborted task returns an error.
            let _ = task.await;
        }
    }

    /// Listens at the same address again.
    ///
    /// # Errors
    /// When another process has the port.
    pub async fn start_again(&mut self) -> Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        self.address = listener.local_addr()?;
        let app = Router::new()
            .route("/", get(about))
            .route("/_bulk", post(bulk).put(bulk))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&self.store))
            .merge(metadata::routes(Arc::clone(&self.pods)));
        self.task = Some(tokio::spawn(async move {
            // Ends with the task.
            let _ = axum::serve(listener, app).await;
        }));
        Ok(())
    }

    /// Sets the response for each document from now on.
    pub fn set_verdict(&self, verdict: impl Fn(&Value) -> BulkVerdict + Send + 'static) {
        lock(&self.store).verdict = Box::new(verdict);
    }

    /// The stored documents by id.
    #[must_use]
    pub fn documents(&self) -> Vec<Value> {
        lock(&self.store).documents.values().cloned().collect()
    }

    /// Number of stored documents.
    #[must_use]
    pub fn count(&self) -> usize {
        lock(&self.store).documents.len()
    }

    /// Number of documents with a known id.
    #[must_use]
    pub fn repeated(&self) -> usize {
        lock(&self.store).repeated
    }

    /// Adds or replaces a pod.
    pub fn add_pod(&self, pod: Value) {
        self.pods.add(pod);
    }

    /// Number of requests for a single pod.
    #[must_use]
    pub fn pod_requests(&self) -> usize {
        self.pods.request_count()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

fn lock(store: &Mutex<StoredDocuments>) -> MutexGuard<'_, StoredDocuments> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn about() -> Json<Value> {
    Json(json!({"name": "stand-in", "version": {"distribution": "opensearch", "number": "3.6.0"}}))
}

async fn bulk(State(store): State<Arc<Mutex<StoredDocuments>>>, body: String) -> Json<Value> {
    let mut store = lock(&store);
    let mut items = Vec::new();
    let mut lines = body.lines();
    while let (Some(action), Some(document)) = (lines.next(), lines.next()) {
        let read = |text| serde_json::from_str::<Value>(text).unwrap_or_default();
        items.push(json!({"create": store.create(&read(action)["create"], read(document))}));
    }
    let errors = items.iter().any(|item| item["create"].get("error").is_some());
    Json(json!({"took": 1, "errors": errors, "items": items}))
}

impl StoredDocuments {
    /// Answers one action of a bulk request.
    fn create(&mut self, action: &Value, mut document: Value) -> Value {
        let error = |status: u16, kind: &str| json!({"status": status, "error": {"type": kind, "reason": "so it is"}});
        let (Some(id), Some(index)) = (action["_id"].as_str(), action["_index"].as_str()) else {
            return error(400, "action_request_validation_exception");
        };
        match (self.verdict)(&document) {
            BulkVerdict::TooMany => error(429, "rejected_execution_exception"),
            BulkVerdict::Rejected => error(400, "mapper_parsing_exception"),
            BulkVerdict::Stored if self.documents.contains_key(id) => {
                self.repeated += 1;
                error(409, "version_conflict_engine_exception")
            }
            BulkVerdict::Stored => {
                document["_stream"] = index.strip_prefix("logs-").unwrap_or(index).into();
                self.documents.insert(id.to_owned(), document);
                json!({"status": 201})
            }
        }
    }
}
