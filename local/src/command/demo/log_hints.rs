//! The demo's last lines: where the log lines are, and the commands that show them.

use std::path::Path;
use std::time::{Duration, Instant};

use local::{LogShipper, PersistentStack};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::photo::{PhotoResult, PhotoStatus};
use crate::command::output::{print_error, print_line};

/// How long the lines of a photo may take to arrive in OpenSearch.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(60);

/// The components that log lines for every photo.
const COMPONENTS_OF_A_TRACE: [&str; 3] = ["irmgard", "postgres", "anonymizer"];

/// Waits until one photo's lines are in OpenSearch, and prints the commands that show them. Without OpenSearch, prints
/// commands that read the files.
pub async fn print_log_hints(
    stack: &PersistentStack,
    shipper: Option<LogShipper>,
    results: &[PhotoResult],
    environment_file: &Path,
) {
    let trace_id = results.iter().rev().find_map(|result| match &result.status {
        PhotoStatus::Anonymized { trace_id, .. } => trace_id.as_deref(),
        _ => None,
    });
    let logq = match local::program("logq") {
        Ok(program) => relative(&program).display().to_string(),
        Err(_) => "logq".into(),
    };
    let Some(shipper) = shipper else {
        let pods_directory = stack.pods_directory();
        let pods = relative(&pods_directory).display();
        print_line(&"log lines        only in files, because there is no OpenSearch (see above):");
        print_line(&format!(
            "                 {logq} {pods} --component irmgard --with-db --since 5m"
        ));
        if let Some(trace_id) = trace_id {
            print_line(&format!("                 {logq} trace {trace_id} {pods}"));
        }
        return;
    };
    let url = match stack.stack().opensearch() {
        Ok(opensearch) => opensearch.access().url.clone(),
        Err(_) => String::new(),
    };
    let shipped_by = match shipper {
        LogShipper::Fluentd => "shipped by Fluentd",
        LogShipper::Logq => "shipped by logq import --follow (no fluentd on PATH, and FLUENTD is not set)",
    };
    print_line(&format!("log lines        in OpenSearch, {url}; {shipped_by}"));
    if let Some(trace_id) = trace_id
        && let Err(missing) = wait_for_lines(&url, trace_id).await
    {
        print_error(&format!(
            "the lines of trace {trace_id} are not all in OpenSearch after {ARRIVAL_LIMIT:?}: {missing}"
        ));
    }
    print_line(&format!(
        "                 set -a; . {}; set +a",
        relative(environment_file).display()
    ));
    print_line(&format!(
        "                 {logq} --component irmgard --with-db --since 5m"
    ));
    print_line(&format!("                 {logq} view webservice-db --since 5m"));
    if let Some(trace_id) = trace_id {
        print_line(&format!("                 {logq} trace {trace_id}"));
    }
}

/// The path relative to the current directory, if it is below.
fn relative(path: &Path) -> &Path {
    let current = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(current).unwrap_or(path)
}

/// Waits until OpenSearch has lines of every component that handled the photo.
async fn wait_for_lines(url: &str, trace_id: &str) -> Result<(), String> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .build()
        .map_err(|error| error.to_string())?;
    let query = json!({
        "size": 0,
        "query": { "term": { "trace_id": trace_id } },
        "aggs": { "components": { "terms": { "field": "component" } } },
    });
    let deadline = Instant::now() + ARRIVAL_LIMIT;
    loop {
        let response = client
            .post(format!("{url}/logs-*/_search"))
            .json(&query)
            .send()
            .await;
        let missing = match response {
            Ok(response) => {
                let result: Value = response.json().await.unwrap_or_default();
                let found: Vec<&str> = result["aggregations"]["components"]["buckets"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|bucket| bucket["key"].as_str())
                    .collect();
                let missing: Vec<&str> = COMPONENTS_OF_A_TRACE
                    .into_iter()
                    .filter(|component| !found.contains(component))
                    .collect();
                if missing.is_empty() {
                    return Ok(());
                }
                format!("no lines from {}", missing.join(", "))
            }
            Err(error) => error.to_string(),
        };
        if Instant::now() >= deadline {
            return Err(missing);
        }
        sleep(Duration::from_millis(200)).await;
    }
}
