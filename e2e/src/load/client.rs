//! A client of the web service: camera and viewer.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{AttemptResult, Shot, WebEndpoint};

/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection attempt may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The response to an upload.
#[derive(Clone, Copy, Debug)]
pub struct PostResponse {
    pub result: AttemptResult,
    /// The photo's id, if the status is 2xx.
    pub id: Option<i64>,
    /// From the header `Retry-After`.
    pub retry_after: Option<Duration>,
}

/// A client of the web service. It uploads photos to one project.
#[derive(Clone, Debug)]
pub struct LoadClient {
    http: reqwest::Client,
    web: WebEndpoint,
    project: String,
}

impl LoadClient {
    pub fn new(web: &WebEndpoint, project: &str) -> Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(REQUEST_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            // Cameras connect once in some minutes. A kept connection would always lead to the same pod.
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self {
            http,
            web: web.clone(),
            project: project.to_owned(),
        })
    }

    /// The project of its photos.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// Uploads a photo once. With the idempotency key, the service answers for a known photo before it stores anything.
    pub async fn post(&self, shot: &Shot, with_key: bool) -> PostResponse {
        let path = format!("/projects/{}/photos?taken_at={}", self.project, shot.taken_at());
        let request = self
            .web
            .post(&self.http, &path)
            .header("content-type", "image/jpeg")
            .body(shot.file.clone());
        let request = if with_key {
            request.header("idempotency-key", format!("\"photo-{}\"", shot.number))
        } else {
            request
        };
        let failed = |error: &reqwest::Error| PostResponse {
            result: AttemptResult::from(error),
            id: None,
            retry_after: None,
        };
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return failed(&error),
        };
        let result = AttemptResult::Status(response.status().as_u16());
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        match response.json::<Value>().await {
            Ok(photo) => PostResponse {
                result,
                id: result.is_success().then(|| photo["id"].as_i64()).flatten(),
                retry_after,
            },
            // An incomplete confirmation does not count.
            Err(error) if result.is_success() => failed(&error),
            Err(_) => PostResponse {
                result,
                id: None,
                retry_after,
            },
        }
    }

    /// Uploads a photo repeatedly until the service answers 2xx.
    pub async fn deliver(&self, shot: &Shot, time_limit: Duration) -> Result<i64> {
        let deadline = Instant::now() + time_limit;
        loop {
            let posted = self.post(shot, true).await;
            if let Some(id) = posted.id {
                return Ok(id);
            }
            ensure!(
                Instant::now() < deadline,
                "{}: a photo was not accepted within {time_limit:?}: {}",
                self.web,
                posted.result.name()
            );
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Sends a GET request. Returns the body if the status is 2xx.
    pub async fn get(&self, path: &str) -> (AttemptResult, Option<Bytes>) {
        match self.web.get(&self.http, path).send().await {
            Err(error) => (AttemptResult::from(&error), None),
            Ok(response) => {
                let result = AttemptResult::Status(response.status().as_u16());
                match response.bytes().await {
                    Ok(body) => (result, result.is_success().then_some(body)),
                    Err(error) => (AttemptResult::from(&error), None),
                }
            }
        }
    }

    /// Gets JSON.
    pub async fn json(&self, path: &str) -> Result<Value> {
        let (result, body) = self.get(path).await;
        let body = body.with_context(|| format!("GET {path}: {}", result.name()))?;
        serde_json::from_slice(&body).with_context(|| format!("GET {path}: the answer is not JSON"))
    }

    /// Waits until a photo is anonymised, and returns it.
    pub async fn wait_for_anonymized(&self, id: i64, time_limit: Duration) -> Result<Value> {
        let deadline = Instant::now() + time_limit;
        loop {
            let photo = self.json(&format!("/photos/{id}")).await;
            match &photo {
                Ok(object) if object["status"] == "anonymized" => return photo,
                Ok(object) if object["status"] == "failed" => bail!("photo {id} has failed: {object}"),
                _ => {}
            }
            ensure!(
                Instant::now() < deadline,
                "photo {id} is not anonymised after {time_limit:?}: {photo:?}"
            );
            sleep(POLL_INTERVAL).await;
        }
    }

    /// All photos of the project.
    pub async fn photos(&self) -> Result<Vec<Value>> {
        let mut path = format!("/projects/{}/photos?limit=500", self.project);
        let mut photos = Vec::new();
        loop {
            let mut page = self.json(&path).await?;
            match page["photos"].take() {
                Value::Array(some) => photos.extend(some),
                other => bail!("GET {path}: no photos: {other}"),
            }
            match page["next"].as_str() {
                Some(next) => next.clone_into(&mut path),
                None => return Ok(photos),
            }
        }
    }
}
