//! One photo through the whole system: upload, wait, result.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::sleep;

const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How long one photo may take: far more than a slow machine with a backlog needs.
const RESULT_LIMIT: Duration = Duration::from_secs(600);

/// How long a refused upload (503) is retried.
const RETRY_LIMIT: Duration = Duration::from_secs(30);

/// Detections with at least this score (0 to 1) are counted. The service also hides less certain ones, to be safe; counting
/// those would say little about the photo.
pub const MIN_SCORE: f64 = 0.5;

/// The result for one photo in one project.
#[derive(Debug)]
pub struct PhotoResult {
    /// The file's name.
    pub name: String,
    pub project: String,
    /// From the start of the POST until the result.
    pub duration: Duration,
    pub status: PhotoStatus,
}

#[derive(Debug)]
pub enum PhotoStatus {
    Anonymized {
        id: i64,
        /// People with at least [`MIN_SCORE`].
        people: usize,
        /// Faces with at least [`MIN_SCORE`].
        faces: usize,
        /// All hidden boxes.
        hidden: usize,
        /// The URL of the anonymised photo.
        url: String,
        trace_id: Option<String>,
    },
    /// The service accepted the photo, but the anonymisation failed.
    Failed { id: i64, reason: String },
    /// The service did not accept the photo.
    Refused { reason: String },
}

impl PhotoResult {
    pub fn is_anonymized(&self) -> bool {
        matches!(self.status, PhotoStatus::Anonymized { .. })
    }
}

/// A client of the web service.
#[derive(Debug)]
pub struct DemoClient {
    http: reqwest::Client,
    base: String,
}

#[derive(Debug, Deserialize)]
struct Accepted {
    id: i64,
}

#[derive(Debug, Deserialize)]
struct Detection {
    class: String,
    score: f64,
}

impl DemoClient {
    /// A client of the service at this URL.
    pub fn new(base: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(120))
            .build()?;
        Ok(Self {
            http,
            base: base.into(),
        })
    }

    /// Posts a photo and waits for its result.
    pub async fn anonymize(&self, project: &str, file: &Path) -> PhotoResult {
        let start = Instant::now();
        let status = self
            .upload_and_wait(project, file)
            .await
            .unwrap_or_else(|error| PhotoStatus::Refused {
                reason: format!("{error:#}"),
            });
        PhotoResult {
            name: file
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            project: project.into(),
            duration: start.elapsed(),
            status,
        }
    }

    async fn upload_and_wait(&self, project: &str, file: &Path) -> anyhow::Result<PhotoStatus> {
        let bytes = tokio::fs::read(file).await?;
        let request = self
            .http
            .post(format!("{}/projects/{project}/photos", self.base))
            .header("content-type", media_type(file))
            .body(bytes);
        let deadline = Instant::now() + RETRY_LIMIT;
        let response = loop {
            let request = request.try_clone().context("the request cannot be sent twice")?;
            let response = request.send().await.context("the web service did not answer")?;
            match retry_after(&response) {
                Some(wait) if Instant::now() + wait < deadline => sleep(wait).await,
                _ => break response,
            }
        };
        if !response.status().is_success() {
            return Ok(PhotoStatus::Refused {
                reason: problem_text(response).await,
            });
        }
        let Accepted { id } = response
            .json()
            .await
            .context("cannot parse the answer to the upload")?;
        self.wait_for_result(id).await
    }

    async fn wait_for_result(&self, id: i64) -> anyhow::Result<PhotoStatus> {
        let deadline = Instant::now() + RESULT_LIMIT;
        loop {
            let photo: Value = self
                .http
                .get(format!("{}/photos/{id}", self.base))
                .send()
                .await
                .and_then(reqwest::Response::error_for_status)
                .context("cannot get the photo's status")?
                .json()
                .await?;
            match photo["status"].as_str() {
                Some("anonymized") => {
                    let detections: Vec<Detection> =
                        serde_json::from_value(photo["detections"].clone()).unwrap_or_default();
                    return Ok(PhotoStatus::Anonymized {
                        id,
                        people: count_certain(&detections, "person"),
                        faces: count_certain(&detections, "face"),
                        hidden: detections.len(),
                        url: format!("{}/photos/{id}/image", self.base),
                        trace_id: text(&photo["trace_id"]),
                    });
                }
                Some("failed") => {
                    return Ok(PhotoStatus::Failed {
                        id,
                        reason: failure_reason(&photo),
                    });
                }
                _ if Instant::now() >= deadline => {
                    let reason = format!("no result after {RESULT_LIMIT:?}");
                    return Ok(PhotoStatus::Failed { id, reason });
                }
                _ => sleep(POLL_INTERVAL).await,
            }
        }
    }
}

/// The number of detections of a class with at least [`MIN_SCORE`].
fn count_certain(detections: &[Detection], class: &str) -> usize {
    let is_certain = |detection: &&Detection| detection.class == class && detection.score >= MIN_SCORE;
    detections.iter().filter(is_certain).count()
}

/// How long to wait before the next attempt, if the service answers 503 with `Retry-After`.
fn retry_after(response: &reqwest::Response) -> Option<Duration> {
    let seconds = response
        .headers()
        .get("retry-after")?
        .to_str()
        .ok()?
        .parse()
        .ok()?;
    (response.status() == 503).then(|| Duration::from_secs(seconds))
}

/// The header that a camera would send. The service checks the content itself.
fn media_type(file: &Path) -> &'static str {
    let extension = file
        .extension()
        .map(|extension| extension.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("png") => "image/png",
        Some("webp") => "image/webp",
        _ => "application/octet-stream",
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn failure_reason(photo: &Value) -> String {
    let reason = text(&photo["failure_reason"]).unwrap_or_else(|| "no reason given".into());
    match text(&photo["failure_detail"]) {
        Some(detail) => format!("{reason}: {detail}"),
        None => reason,
    }
}

/// Status and detail or title of a problem document (RFC 9457).
async fn problem_text(response: reqwest::Response) -> String {
    let status = response.status();
    let body: Value = response.json().await.unwrap_or_default();
    let title = text(&body["detail"]).or_else(|| text(&body["title"]));
    title.map_or_else(
        || status.to_string(),
        |title| format!("{}: {title}", status.as_u16()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_certain_detections_of_the_class_are_counted() {
        let detections =
            [("face", 0.9), ("face", 0.5), ("face", 0.3), ("person", 0.9)].map(|(class, score)| Detection {
                class: class.into(),
                score,
            });
        assert_eq!(count_certain(&detections, "face"), 2);
        assert_eq!(count_certain(&detections, "person"), 1);
        assert_eq!(count_certain(&detections, "car"), 0);
    }
}
