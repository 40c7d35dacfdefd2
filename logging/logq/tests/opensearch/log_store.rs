//! The OpenSearch of the test run.

use std::sync::LazyLock;

use local::OpenSearchAccess;
use logq::admin::{self, Change, Options, RetentionPolicy, bootstrap, managed_objects, retain};
use logq::opensearch::{Client, Method, OpenSearchSettings};
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};

/// One test at a time, because the names of the streams are fixed.
static ONE: LazyLock<Mutex<()>> = LazyLock::new(|| Mutex::new(()));

/// OpenSearch, exclusively for one test.
pub struct LogStore {
    pub client: Client,
    access: OpenSearchAccess,
    _alone: MutexGuard<'static, ()>,
}

impl LogStore {
    /// The server from the environment, unchanged. None, with a message, if there is no server.
    pub async fn from_environment(what: &str) -> Option<Self> {
        let alone = ONE.lock().await;
        let access = local::opensearch(what).await.unwrap()?;
        let settings = OpenSearchSettings::read(&|name| std::env::var(name).ok()).unwrap();
        Some(Self {
            client: Client::new(&settings).unwrap(),
            access,
            _alone: alone,
        })
    }

    /// The same, without any Irmgard objects. Only a server of this run is cleared.
    pub async fn empty(what: &str) -> Option<Self> {
        if std::env::var_os("LOGQ_OPENSEARCH_URL").is_some() && !local::opensearch_is_ours(what) {
            return None;
        }
        let store = Self::from_environment(what).await?;
        store.delete("/_data_stream/logs-*").await;
        // A failed test may have created an index with this name.
        store.delete("/logs-postgres").await;
        for piece in managed_objects().unwrap().iter().rev() {
            store.delete(&piece.path()).await;
        }
        store.delete("/_index_template/rival").await;
        Some(store)
    }

    pub fn url(&self) -> &str {
        &self.access.url
    }

    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let answer = self
            .client
            .ask("do what a test wants", method, path, &[], body)
            .await;
        answer.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub async fn get(&self, path: &str) -> Value {
        self.ask(Method::Get, path, None).await
    }

    /// Ignores a missing object.
    async fn delete(&self, path: &str) {
        match self.client.ask("forget", Method::Delete, path, &[], None).await {
            Err(error) if error.rejection_status().is_none() => panic!("{path}: {error}"),
            _ => {}
        }
    }

    pub async fn bootstrap(&self) -> Vec<Change> {
        self.try_bootstrap(Options::default()).await.unwrap()
    }

    pub async fn try_bootstrap(&self, options: Options) -> admin::Result<Vec<Change>> {
        let mut report = Vec::new();
        bootstrap(&self.client, options, &mut |change| {
            report.push(change);
            Ok(())
        })
        .await?;
        Ok(report)
    }

    pub async fn retain(&self, policy: RetentionPolicy) -> Vec<Change> {
        self.apply_retention(policy, false).await
    }

    /// A dry run.
    pub async fn plan_retention(&self, policy: RetentionPolicy) -> Vec<Change> {
        self.apply_retention(policy, true).await
    }

    async fn apply_retention(&self, policy: RetentionPolicy, dry_run: bool) -> Vec<Change> {
        let mut report = Vec::new();
        retain(&self.client, policy, dry_run, &mut |change| {
            report.push(change);
            Ok(())
        })
        .await
        .unwrap();
        report
    }

    /// Stores documents like a shipper; returns each status, with the reason of an error.
    pub async fn create(&self, documents: &[(String, String, String)]) -> Vec<(u64, String)> {
        let mut results = Vec::new();
        for page in documents.chunks(200) {
            let mut lines = String::new();
            for (stream, id, document) in page {
                let action = serde_json::json!({ "create": { "_index": stream, "_id": id } });
                lines.push_str(&format!("{action}\n{document}\n"));
            }
            let query = [("refresh", "true")];
            let answer = self
                .client
                .send_lines("take documents", "/_bulk", &query, lines.into_bytes())
                .await
                .unwrap();
            for item in answer["items"].as_array().unwrap() {
                let item = &item["create"];
                results.push((item["status"].as_u64().unwrap(), item["error"].to_string()));
            }
        }
        results
    }

    /// The same for documents with an explicit arrival time: OpenSearch otherwise sets the current time.
    pub async fn create_with_arrival(&self, documents: &[(String, String, String)]) {
        let pipeline = async |name: &str| {
            let settings = serde_json::json!({ "index": { "final_pipeline": name } });
            self.ask(Method::Put, "/logs-*/_settings", Some(&settings)).await;
        };
        pipeline("_none").await;
        for (status, reason) in self.create(documents).await {
            assert_eq!(status, 201, "{reason}");
        }
        pipeline("irmgard-logs").await;
    }

    pub async fn count(&self, index: &str, query: &Value) -> u64 {
        let body = serde_json::json!({ "query": query });
        self.ask(Method::Post, &format!("/{index}/_count"), Some(&body))
            .await["count"]
            .as_u64()
            .unwrap()
    }

    pub async fn indices(&self, stream: &str) -> Vec<String> {
        self.get(&format!("/_data_stream/{stream}")).await["data_streams"][0]["indices"]
            .as_array()
            .unwrap()
            .iter()
            .map(|index| index["index_name"].as_str().unwrap().to_owned())
            .collect()
    }
}
