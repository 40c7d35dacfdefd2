//! What the demonstration tells of the log lines: that they are in OpenSearch, and what to type.

use std::path::Path;
use std::time::{Duration, Instant};

use local::{Carrier, Lasting};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::journey::{End, Journey};
use crate::command::{complain, say};

/// How long the lines of a photo are waited for, once OpenSearch is there.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whose lines one photo's trace has.
const ON_THE_WAY: [&str; 3] = ["irmgard", "postgres", "anonymizer"];

/// Waits until one photo's lines are in OpenSearch, and says how one asks for them; from the files where there is no OpenSearch.
pub async fn tell(lasting: &Lasting, carrier: Option<Carrier>, journeys: &[Journey], environment: &Path) {
    let trace = journeys.iter().rev().find_map(|journey| match &journey.end {
        End::Anonymized { trace, .. } => trace.as_deref(),
        _ => None,
    });
    let logq = match local::program("logq") {
        Ok(program) => shortened(&program).display().to_string(),
        Err(_) => "logq".into(),
    };
    let Some(carrier) = carrier else {
        let pods = shortened(&lasting.pods()).display().to_string();
        say(&"log lines        only in the files, for there is no OpenSearch here (see above):");
        say(&format!(
            "                 {logq} {pods} --component irmgard --with-db --since 5m"
        ));
        if let Some(trace) = trace {
            say(&format!("                 {logq} trace {trace} {pods}"));
        }
        return;
    };
    let url = match lasting.stack().opensearch() {
        Ok(opensearch) => opensearch.access().url.clone(),
        Err(_) => String::new(),
    };
    let by = match carrier {
        Carrier::Fluentd => "Fluentd brings them",
        Carrier::Logq => {
            "there is no fluentd on PATH (and FLUENTD names none), so logq import --follow brings them"
        }
    };
    say(&format!("log lines        in OpenSearch, {url}; {by}"));
    if let Some(trace) = trace
        && let Err(missing) = arrived(&url, trace).await
    {
        complain(&format!(
            "the lines of trace {trace} have not all come to OpenSearch within {PATIENCE:?}: {missing}"
        ));
    }
    let environment = shortened(environment);
    say(&format!(
        "                 set -a; . {}; set +a",
        environment.display()
    ));
    say(&format!(
        "                 {logq} --component irmgard --with-db --since 5m"
    ));
    say(&format!("                 {logq} view webservice-db --since 5m"));
    if let Some(trace) = trace {
        say(&format!("                 {logq} trace {trace}"));
    }
}

/// A path as one types it here.
fn shortened(path: &Path) -> &Path {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path)
}

/// Waits until OpenSearch has lines of everybody who had to do with the photo.
async fn arrived(url: &str, trace: &str) -> Result<(), String> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .build()
        .map_err(|error| error.to_string())?;
    let question = json!({
        "size": 0,
        "query": { "term": { "trace_id": trace } },
        "aggs": { "components": { "terms": { "field": "component" } } },
    });
    let end = Instant::now() + PATIENCE;
    loop {
        let sent = client
            .post(format!("{url}/logs-*/_search"))
            .json(&question)
            .send()
            .await;
        let missing = match sent {
            Ok(answer) => {
                let answer: Value = answer.json().await.unwrap_or_default();
                let found: Vec<&str> = answer["aggregations"]["components"]["buckets"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|bucket| bucket["key"].as_str())
                    .collect();
                let missing: Vec<&str> = ON_THE_WAY
                    .into_iter()
                    .filter(|component| !found.contains(component))
                    .collect();
                if missing.is_empty() {
                    return Ok(());
                }
                format!("none of {}", missing.join(", "))
            }
            Err(error) => error.to_string(),
        };
        if Instant::now() >= end {
            return Err(missing);
        }
        sleep(Duration::from_millis(200)).await;
    }
}
