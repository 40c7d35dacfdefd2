//! One photo's way: posted, waited for, seen.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::sleep;

use super::found::{Detection, count};

const POLL: Duration = Duration::from_millis(100);

/// How long one photo may take. Far beyond what a photo takes on a slow machine, with a backlog before it.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long a camera comes again that is told to.
const BUSY: Duration = Duration::from_secs(30);

/// What became of one photo in one project.
#[derive(Debug)]
pub struct Journey {
    /// The file's name.
    pub name: String,
    /// The project it was posted to.
    pub project: String,
    /// From the start of the POST to the moment the result was seen.
    pub duration: Duration,
    /// The result.
    pub end: End,
}

/// How a photo's way ended.
#[derive(Debug)]
pub enum End {
    /// Anonymised: id, what was found, where the result is, the trace of its way.
    Anonymized {
        id: i64,
        people: usize,
        faces: usize,
        hidden: usize,
        url: String,
        trace: Option<String>,
    },
    /// Taken and not anonymised: the reason.
    Failed { id: i64, reason: String },
    /// Not taken: why.
    Refused { reason: String },
}

impl Journey {
    /// Whether the photo was anonymised.
    pub fn succeeded(&self) -> bool {
        matches!(self.end, End::Anonymized { .. })
    }
}

/// The web service, as a camera and a viewer see it.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
}

#[derive(Debug, Deserialize)]
struct Accepted {
    id: i64,
}

impl Client {
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
    pub async fn journey(&self, project: &str, file: &Path) -> Journey {
        let start = Instant::now();
        let end = self
            .travel(project, file)
            .await
            .unwrap_or_else(|error| End::Refused {
                reason: format!("{error:#}"),
            });
        Journey {
            name: file
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            project: project.into(),
            duration: start.elapsed(),
            end,
        }
    }

    async fn travel(&self, project: &str, file: &Path) -> anyhow::Result<End> {
        let bytes = tokio::fs::read(file).await?;
        let request = self
            .http
            .post(format!("{}/projects/{project}/photos", self.base))
            .header("content-type", media_type(file))
            .body(bytes);
        let deadline = Instant::now() + BUSY;
        let answer = loop {
            let request = request.try_clone().context("the request cannot be sent twice")?;
            let answer = request.send().await.context("the web service did not answer")?;
            match retry_after(&answer) {
                Some(wait) if Instant::now() + wait < deadline => sleep(wait).await,
                _ => break answer,
            }
        };
        if !answer.status().is_success() {
            return Ok(End::Refused {
                reason: problem(answer).await,
            });
        }
        let Accepted { id } = answer
            .json()
            .await
            .context("the answer to the upload was not understood")?;
        self.wait(id).await
    }

    async fn wait(&self, id: i64) -> anyhow::Result<End> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let photo: Value = self
                .http
                .get(format!("{}/photos/{id}", self.base))
                .send()
                .await
                .and_then(reqwest::Response::error_for_status)
                .context("the photo's state was not told")?
                .json()
                .await?;
            match photo["status"].as_str() {
                Some("anonymized") => {
                    let detections: Vec<Detection> =
                        serde_json::from_value(photo["detections"].clone()).unwrap_or_default();
                    return Ok(End::Anonymized {
                        id,
                        people: count(&detections, "person"),
                        faces: count(&detections, "face"),
                        hidden: detections.len(),
                        url: format!("{}/photos/{id}/image", self.base),
                        trace: text(&photo["trace_id"]),
                    });
                }
                Some("failed") => {
                    return Ok(End::Failed {
                        id,
                        reason: reason(&photo),
                    });
                }
                _ if Instant::now() >= deadline => {
                    let reason = format!("no result after {PATIENCE:?}");
                    return Ok(End::Failed { id, reason });
                }
                _ => sleep(POLL).await,
            }
        }
    }
}

/// How long a service that cannot take the photo now asks the camera to wait.
fn retry_after(answer: &reqwest::Response) -> Option<Duration> {
    let seconds = answer.headers().get("retry-after")?.to_str().ok()?.parse().ok()?;
    (answer.status() == 503).then(|| Duration::from_secs(seconds))
}

/// The service looks at the content; the header is what a camera would send.
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

fn reason(photo: &Value) -> String {
    let reason = text(&photo["failure_reason"]).unwrap_or_else(|| "no reason was told".into());
    match text(&photo["failure_detail"]) {
        Some(detail) => format!("{reason}: {detail}"),
        None => reason,
    }
}

/// Status and title of a problem document (RFC 9457).
async fn problem(answer: reqwest::Response) -> String {
    let status = answer.status();
    let body: Value = answer.json().await.unwrap_or_default();
    let title = text(&body["detail"]).or_else(|| text(&body["title"]));
    title.map_or_else(
        || status.to_string(),
        |title| format!("{}: {title}", status.as_u16()),
    )
}
