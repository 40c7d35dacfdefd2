//! Reads the log lines of photos with `logq`.

use std::{collections::BTreeSet, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use tokio::{
    process::Command,
    time::{Instant, sleep},
};

use super::{Cluster, Endpoints, NAMESPACE};
use crate::pipeline::program;

/// Where log lines are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogSource {
    /// OpenSearch, filled by Fluentd. No line may be missing.
    OpenSearch,
    /// The pods. The lines of deleted pods are lost.
    Pods,
}

impl LogSource {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenSearch => "OpenSearch (shipped by Fluentd)",
            Self::Pods => "the pods (`kubectl logs`; no Fluentd)",
        }
    }
}

/// The photos that have the required log lines.
#[derive(Clone, Debug, Default)]
pub struct PhotoLines {
    /// Photos with irmgard's line about the accepted upload.
    pub accepted: BTreeSet<i64>,
    /// Photos with the anonymizer's line about the anonymisation.
    pub anonymised: BTreeSet<i64>,
}

impl PhotoLines {
    fn add(&mut self, line: &Value) {
        let Some(id) = field(line, "photo.id").and_then(Value::as_i64) else {
            return;
        };
        match field(line, "message").and_then(Value::as_str).unwrap_or_default() {
            "request answered" => {
                let is_post = field(line, "http.request.method").is_some_and(|method| method == "POST");
                let status = field(line, "http.response.status_code").and_then(Value::as_u64);
                if is_post && matches!(status, Some(200..=299)) {
                    self.accepted.insert(id);
                }
            }
            // The second message appears when a worker died between the result and its first message.
            "anonymised a photo" | "the photo had been anonymised already" => {
                self.anonymised.insert(id);
            }
            _ => {}
        }
    }

    /// The number of required lines that are missing for these photos.
    pub fn missing<'a>(&self, photos: impl Iterator<Item = &'a i64> + Clone) -> usize {
        let count_missing = |found: &BTreeSet<i64>| photos.clone().filter(|id| !found.contains(id)).count();
        count_missing(&self.accepted) + count_missing(&self.anonymised)
    }
}

/// A field by its dotted name. The document may contain it as nested objects.
pub(crate) fn field<'a>(line: &'a Value, name: &str) -> Option<&'a Value> {
    if let Some(value) = line.get(name) {
        return Some(value);
    }
    name.match_indices('.')
        .find_map(|(dot, _)| field(line.get(&name[..dot])?, &name[dot + 1..]))
}

impl Cluster {
    /// The log source of this deployment.
    pub fn log_source(&self) -> LogSource {
        if self.settings().with_fluentd() {
            LogSource::OpenSearch
        } else {
            LogSource::Pods
        }
    }

    /// Runs `logq` with these options and returns its output.
    pub async fn logq(&self, endpoints: &Endpoints, options: &[&str]) -> Result<String> {
        let program = program("logq").context("run make programs")?;
        let mut command = Command::new(program);
        // Ignores the user's configuration file.
        command
            .env("LOGQ_CONFIG", "")
            .env("LOGQ_OPENSEARCH_URL", &endpoints.opensearch);
        let source = match self.log_source() {
            LogSource::OpenSearch => "opensearch",
            LogSource::Pods => "kubectl",
        };
        let output = command
            .args(["--source", source, "--namespace", NAMESPACE, "--pager", "never"])
            .args(options)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        // Exit code 1: no line matches.
        ensure!(
            matches!(output.status.code(), Some(0 | 1)),
            "logq {}: {}",
            options.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The lines of these photos since a time. Lines need some time to arrive, so this repeats the query until none is missing
    /// or the time limit ends.
    pub async fn photo_lines(
        &self,
        endpoints: &Endpoints,
        since: DateTime<Utc>,
        photos: &BTreeSet<i64>,
        time_limit: Duration,
    ) -> Result<PhotoLines> {
        let since = since.to_rfc3339_opts(SecondsFormat::Millis, true);
        let options = [
            "--component=irmgard,anonymizer",
            "--field=photo.id exists",
            "--since",
            since.as_str(),
            "--output=jsonl",
        ];
        let deadline = Instant::now() + time_limit;
        loop {
            let output = self.logq(endpoints, &options).await;
            let last = Instant::now() >= deadline;
            match output {
                Ok(text) => {
                    let mut lines = PhotoLines::default();
                    for line in text.lines() {
                        lines
                            .add(&serde_json::from_str(line).context("a line of logq's output is not JSON")?);
                    }
                    if last || lines.missing(photos.iter()) == 0 {
                        return Ok(lines);
                    }
                }
                Err(error) if last => return Err(error),
                Err(_) => {}
            }
            sleep(Duration::from_secs(1)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_are_assigned_to_photos() {
        let mut lines = PhotoLines::default();
        let answered = |id: i64, method: &str, status: u16| {
            json!({
                "message": "request answered",
                "photo": { "id": id },
                "http": { "request": { "method": method }, "response": { "status_code": status } },
            })
        };
        lines.add(&answered(1, "POST", 202));
        lines.add(&answered(2, "GET", 200));
        lines.add(&answered(3, "POST", 503));
        lines.add(&json!({ "message": "anonymised a photo", "photo.id": 1 }));
        lines.add(&json!({ "message": "result received", "photo": { "id": 3 } }));
        assert_eq!(lines.missing([1].iter()), 0);
        assert_eq!(lines.missing([1, 2, 3].iter()), 4);
    }
}
