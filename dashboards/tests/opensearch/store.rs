//! The real OpenSearch of the test run.

use std::sync::LazyLock;

use logq::{
    admin::{Options, bootstrap},
    opensearch::{Client, Method, Settings},
};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

/// One test at a time: the streams have fixed names.
static ONE: LazyLock<Mutex<()>> = LazyLock::new(|| Mutex::new(()));

/// OpenSearch as an installation has it, without a line in it, for one test alone.
pub struct Store {
    pub client: Client,
    _alone: MutexGuard<'static, ()>,
}

impl Store {
    /// None where the machine cannot have one, or where it is somebody else's; that is said.
    pub async fn empty(what: &str) -> Option<Self> {
        let alone = ONE.lock().await;
        if std::env::var_os("LOGQ_OPENSEARCH_URL").is_some() && !local::opensearch_is_ours(what) {
            return None;
        }
        local::opensearch(what).await.unwrap()?;
        let settings = Settings::read(&|name| std::env::var(name).ok()).unwrap();
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

    /// Removes all lines, and leaves the streams.
    pub async fn forget(&self) {
        let all = json!({ "query": { "match_all": {} } });
        let path = "/logs-*/_delete_by_query?refresh=true&conflicts=proceed";
        let answer = self.ask(Method::Post, path, Some(&all)).await;
        assert_eq!(answer["failures"], json!([]), "{answer}");
    }

    /// Stores documents as every shipper does: data stream, id, document.
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
