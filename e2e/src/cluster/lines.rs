//! Log lines of photos, counted through `logq`.

use std::{collections::BTreeSet, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use tokio::{
    process::Command,
    time::{Instant, sleep},
};

use super::{Cluster, NAMESPACE, Places};
use crate::pipeline::program;

/// Who is asked for lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// OpenSearch, where Fluentd brings them: no line may be missing.
    OpenSearch,
    /// The pods: lines of pods that were deleted are not to be had.
    Pods,
}

impl Lines {
    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenSearch => "OpenSearch (Fluentd brings them)",
            Self::Pods => "the pods (`kubectl logs`; no Fluentd)",
        }
    }
}

/// Photos that have the lines that each must have.
#[derive(Clone, Debug, Default)]
pub struct PhotoLines {
    /// irmgard's, that the photo was accepted.
    pub accepted: BTreeSet<i64>,
    /// The anonymizer's, that it was anonymised.
    pub anonymised: BTreeSet<i64>,
}

impl PhotoLines {
    /// Notes what a line says.
    fn note(&mut self, line: &Value) {
        let field = |name: &str| at(line, name);
        let Some(id) = field("photo.id").and_then(Value::as_i64) else {
            return;
        };
        match field("message").and_then(Value::as_str).unwrap_or_default() {
            "request answered" => {
                let post = field("http.request.method").is_some_and(|method| method == "POST");
                let status = field("http.response.status_code").and_then(Value::as_u64);
                if post && matches!(status, Some(200..=299)) {
                    self.accepted.insert(id);
                }
            }
            // The second where a worker died between the result and its line.
            "anonymised a photo" | "the photo had been anonymised already" => {
                self.anonymised.insert(id);
            }
            _ => {}
        }
    }

    /// Lines that these photos must have and that are not there.
    #[must_use]
    pub fn missing<'a>(&self, photos: impl Iterator<Item = &'a i64> + Clone) -> usize {
        let without = |lines: &BTreeSet<i64>| photos.clone().filter(|id| !lines.contains(id)).count();
        without(&self.accepted) + without(&self.anonymised)
    }
}

/// A field by its dotted name, in a document that may have it as objects in objects.
pub(crate) fn at<'a>(line: &'a Value, name: &str) -> Option<&'a Value> {
    if let Some(value) = line.get(name) {
        return Some(value);
    }
    name.match_indices('.')
        .find_map(|(dot, _)| at(line.get(&name[..dot])?, &name[dot + 1..]))
}

impl Cluster {
    /// Where lines are, in this deployment.
    #[must_use]
    pub fn lines(&self) -> Lines {
        if self.settings().with_fluentd() {
            Lines::OpenSearch
        } else {
            Lines::Pods
        }
    }

    /// `logq` with these options; what it prints.
    ///
    /// # Errors
    /// When it is not built, or fails.
    pub async fn logq(&self, places: &Places, options: &[&str]) -> Result<String> {
        let program = program("logq").context("run make programs")?;
        let mut command = Command::new(program);
        // What the person who runs this has settled is not asked.
        command
            .env("LOGQ_CONFIG", "")
            .env("LOGQ_OPENSEARCH_URL", &places.opensearch);
        if let Some(kubectl) = self.kubectl().alone() {
            command.env("LOGQ_KUBECTL", kubectl);
        }
        let source = match self.lines() {
            Lines::OpenSearch => "opensearch",
            Lines::Pods => "kubectl",
        };
        let output = command
            .args(["--source", source, "--namespace", NAMESPACE, "--pager", "never"])
            .args(options)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        // 1: nothing was found.
        ensure!(
            matches!(output.status.code(), Some(0 | 1)),
            "logq {}: {}",
            options.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The lines of these photos since a time. Lines are on their way for a while: it looks until none is missing, or patience ends.
    ///
    /// # Errors
    /// When logq fails to the end.
    pub async fn photo_lines(
        &self,
        places: &Places,
        since: DateTime<Utc>,
        photos: &BTreeSet<i64>,
        patience: Duration,
    ) -> Result<PhotoLines> {
        let since = since.to_rfc3339_opts(SecondsFormat::Millis, true);
        let options = [
            "--component=irmgard,anonymizer",
            "--field=photo.id exists",
            "--since",
            since.as_str(),
            "--output=jsonl",
        ];
        let deadline = Instant::now() + patience;
        loop {
            let shown = self.logq(places, &options).await;
            let last = Instant::now() >= deadline;
            match shown {
                Ok(text) => {
                    let mut lines = PhotoLines::default();
                    for line in text.lines() {
                        lines.note(&serde_json::from_str(line).context("a line of logq is no JSON")?);
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
    fn lines_of_photos_are_told_apart() {
        let mut lines = PhotoLines::default();
        let answered = |id: i64, method: &str, status: u16| {
            json!({
                "message": "request answered",
                "photo": { "id": id },
                "http": { "request": { "method": method }, "response": { "status_code": status } },
            })
        };
        lines.note(&answered(1, "POST", 202));
        lines.note(&answered(2, "GET", 200));
        lines.note(&answered(3, "POST", 503));
        lines.note(&json!({ "message": "anonymised a photo", "photo.id": 1 }));
        lines.note(&json!({ "message": "result received", "photo": { "id": 3 } }));
        assert_eq!(lines.missing([1].iter()), 0);
        assert_eq!(lines.missing([1, 2, 3].iter()), 4);
    }
}
