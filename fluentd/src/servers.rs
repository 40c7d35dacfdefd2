//! One HTTP server in the place of OpenSearch and of the Kubernetes API
//! server: what is asked is kept, and answered as a test wants it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use local::metadata::{self, Pods};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How a document is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is stored, or 409 where its id is there already.
    Stored,
    /// 429: to be sent again.
    TooMany,
    /// 400: never to be stored.
    Refused,
}

type Judge = Box<dyn Fn(&Value) -> Verdict + Send>;

/// What the servers hold.
struct Held {
    /// Documents by id, each with the data stream in `_stream`.
    documents: BTreeMap<String, Value>,
    /// Documents that came with an id that was there already.
    repeated: usize,
    judge: Judge,
}

/// Both servers at one address.
pub struct Servers {
    held: Arc<Mutex<Held>>,
    pods: Arc<Pods>,
    address: SocketAddr,
    task: Option<JoinHandle<()>>,
}

impl Servers {
    /// Starts them, with the pods of a `PodList` as `kubectl get pods -A -o json` prints it.
    ///
    /// # Errors
    /// When the file is not that, or no port can be had.
    pub async fn start(pods: &Path) -> Result<Self> {
        let held = Held {
            documents: BTreeMap::new(),
            repeated: 0,
            judge: Box::new(|_| Verdict::Stored),
        };
        let mut servers = Self {
            held: Arc::new(Mutex::new(held)),
            pods: Arc::new(Pods::of_file(pods)?),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            task: None,
        };
        servers.come_back().await?;
        Ok(servers)
    }

    /// Where they are.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes all connections; what connects now is refused.
    pub async fn go_away(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            // It has been aborted; only its end matters.
            let _ = task.await;
        }
    }

    /// Listens again, at the same address.
    ///
    /// # Errors
    /// When the port was taken meanwhile.
    pub async fn come_back(&mut self) -> Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        self.address = listener.local_addr()?;
        let app = Router::new()
            .route("/", get(about))
            .route("/_bulk", post(bulk).put(bulk))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&self.held))
            .merge(metadata::routes(Arc::clone(&self.pods)));
        self.task = Some(tokio::spawn(async move {
            // Ends with the task.
            let _ = axum::serve(listener, app).await;
        }));
        Ok(())
    }

    /// How documents are answered from now on.
    pub fn judge(&self, judge: impl Fn(&Value) -> Verdict + Send + 'static) {
        lock(&self.held).judge = Box::new(judge);
    }

    /// What is stored, in order of the ids.
    #[must_use]
    pub fn documents(&self) -> Vec<Value> {
        lock(&self.held).documents.values().cloned().collect()
    }

    /// How many are stored.
    #[must_use]
    pub fn count(&self) -> usize {
        lock(&self.held).documents.len()
    }

    /// How many came once more.
    #[must_use]
    pub fn repeated(&self) -> usize {
        lock(&self.held).repeated
    }

    /// Makes a pod known, or replaces it.
    pub fn add_pod(&self, pod: Value) {
        self.pods.add(pod);
    }

    /// How often a pod was asked for.
    #[must_use]
    pub fn pods_asked_for(&self) -> usize {
        self.pods.asked_for()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn about() -> Json<Value> {
    Json(json!({"name": "stand-in", "version": {"distribution": "opensearch", "number": "3.6.0"}}))
}

async fn bulk(State(held): State<Arc<Mutex<Held>>>, body: String) -> Json<Value> {
    let mut held = lock(&held);
    let mut items = Vec::new();
    let mut lines = body.lines();
    while let (Some(action), Some(document)) = (lines.next(), lines.next()) {
        let read = |text| serde_json::from_str::<Value>(text).unwrap_or_default();
        items.push(json!({"create": held.answer(&read(action)["create"], read(document))}));
    }
    let errors = items.iter().any(|item| item["create"].get("error").is_some());
    Json(json!({"took": 1, "errors": errors, "items": items}))
}

impl Held {
    fn answer(&mut self, action: &Value, mut document: Value) -> Value {
        let error = |status: u16, kind: &str| json!({"status": status, "error": {"type": kind, "reason": "so it is"}});
        let (Some(id), Some(index)) = (action["_id"].as_str(), action["_index"].as_str()) else {
            return error(400, "action_request_validation_exception");
        };
        match (self.judge)(&document) {
            Verdict::TooMany => error(429, "rejected_execution_exception"),
            Verdict::Refused => error(400, "mapper_parsing_exception"),
            Verdict::Stored if self.documents.contains_key(id) => {
                self.repeated += 1;
                error(409, "version_conflict_engine_exception")
            }
            Verdict::Stored => {
                document["_stream"] = index.strip_prefix("logs-").unwrap_or(index).into();
                self.documents.insert(id.to_owned(), document);
                json!({"status": 201})
            }
        }
    }
}
