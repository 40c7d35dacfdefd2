//! Errors of the connection to OpenSearch.

#![expect(clippy::unwrap_used, reason = "a test fails with a panic")]

mod answers;
mod authority;
mod hostile;
mod identity;
mod peer;
mod tls;

use std::collections::HashMap;

use logq::opensearch::{Client, Error, Method, OpenSearchSettings, OpenSearchSettingsError};

const PASSWORD: &str = "hunter2-never-shown";

fn settings(values: &[(&str, &str)]) -> Result<OpenSearchSettings, OpenSearchSettingsError> {
    let values: HashMap<String, String> = values
        .iter()
        .map(|(name, value)| (format!("LOGQ_OPENSEARCH_{name}"), (*value).to_owned()))
        .collect();
    OpenSearchSettings::read(&|name| values.get(name).cloned())
}

fn client(values: &[(&str, &str)]) -> Client {
    Client::new(&settings(values).unwrap()).unwrap()
}

async fn search(client: &Client) -> Result<serde_json::Value, Error> {
    client
        .ask(
            "find lines",
            Method::Post,
            "/logs-*/_search",
            &[],
            Some(&serde_json::json!({})),
        )
        .await
}
