//! The real OpenSearch of the test run.

use std::sync::LazyLock;

use logq::{
    admin::{Options, bootstrap},
    opensearch::{Client, Method, OpenSearchSettings},
};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

/// The streams have fixed names, so tests run one at a time.
static ONE: LazyLock<Mutex<()>> = LazyLock::new(|| Mutex::new(()));

/// An exclusive OpenSearch with the streams of an installation and without lines.
pub struct LogStore {
    pub client: Client,
    _alone: MutexGuard<'static, ()>,
}

impl LogStore {
    /// `None` if the machine cannot run OpenSearch, or if it is external; reports that.
    pub async fn empty(what: &str) -> Option<Self> {
        let alone = ONE.lock().await;
        if std::env::var_os("LOGQ_OPENSEARCH_URL").is_some() && !local::opensearch_is_ours(what) {
            return None;
        }
        local::opensearch(what).await.unwrap()?;
        let settings = OpenSearchSettings::read(&|name| std::env::var(name).ok()).unwrap();
        let store = Self {
            client: Client::new(&settings).unwrap(),
            _alone: alone,
        };
        store.ask(Method::Delete, "/_data_stream/logs-*", None).await;
        bootstrap(&store.client, Options::default(), &mut |_| Ok(()))
            .await
            .unwrap();
        Some(store)
    }

    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let answer = self.client.ask("do what a test wants", method, path, &[], body);
        answer.await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub async fn search(&self, body: &Value) -> Value {
        self.ask(Method::Post, "/logs-*/_search", Some(body)).await
    }

    /// Deletes all lines, but no stream.
    pub async fn delete_lines(&self) {
        let all = json!({ "query": { "match_all": {} } });
        let path = "/logs-*/_delete_by_query?refresh=true&conflicts=proceed";
        let answer = self.ask(Method::Post, path, Some(&all)).await;
        assert_eq!(answer["failures"], json!([]), "{answer}");
    }

    /// Stores documents like a shipper: data stream, id, document.
    pub async fn create(&self, documents: &[(String, String, Value)]) {
        let mut lines = String::new();
        for (stream, id, document) in documents {
            let action = json!({ "create": { "_index": stream, "_id": id } });
            lines.push_str(&format!("{action}\n{document}\n"));
        }
        let query = [("refresh", "true")];
        let sent = self
            .client
            .send_lines("take documents", "/_bulk", &query, lines.into_bytes());
        let answer = sent.await.unwrap();
        assert_eq!(answer["errors"], false, "{answer}");
    }
}
