//! The service's API, as a camera and a person outside use it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{Outcome, Shot, Web};

/// Beyond it, a request is given up.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Beyond it, a connection.
const CONNECT: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(200);

/// What a post was answered.
#[derive(Clone, Copy, Debug)]
pub struct Posted {
    /// How it ended.
    pub outcome: Outcome,
    /// The photo's id after a 2xx.
    pub id: Option<i64>,
    /// When to come again.
    pub retry_after: Option<Duration>,
}

/// Uses the service; photos go to one project.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    web: Web,
    project: String,
}

impl Client {
    /// Of this service, with its tokens.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(web: &Web, project: &str) -> Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(ATTEMPT)
            .connect_timeout(CONNECT)
            // As cameras, which come once in minutes: a connection that is kept would stay with one pod.
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self {
            http,
            web: web.clone(),
            project: project.to_owned(),
        })
    }

    /// Where its photos go.
    #[must_use]
    pub fn project(&self) -> &str {
        &self.project
    }

    /// One attempt to post a photo. With its key a photo that is known is answered before anything is stored.
    pub async fn post(&self, shot: &Shot, with_key: bool) -> Posted {
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
        let failed = |error: &reqwest::Error| Posted {
            outcome: Outcome::from(error),
            id: None,
            retry_after: None,
        };
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return failed(&error),
        };
        let outcome = Outcome::Status(response.status().as_u16());
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        match response.json::<Value>().await {
            Ok(photo) => Posted {
                outcome,
                id: outcome.is_success().then(|| photo["id"].as_i64()).flatten(),
                retry_after,
            },
            // A promise that did not arrive whole is none.
            Err(error) if outcome.is_success() => failed(&error),
            Err(_) => Posted {
                outcome,
                id: None,
                retry_after,
            },
        }
    }

    /// Posts a photo until it is answered with 2xx.
    ///
    /// # Errors
    /// When it is not within `patience`.
    pub async fn deliver(&self, shot: &Shot, patience: Duration) -> Result<i64> {
        let deadline = Instant::now() + patience;
        loop {
            let posted = self.post(shot, true).await;
            if let Some(id) = posted.id {
                return Ok(id);
            }
            ensure!(
                Instant::now() < deadline,
                "{}: a photo was not accepted within {patience:?}: {}",
                self.web,
                posted.outcome.name()
            );
            sleep(LOOK).await;
        }
    }

    /// A GET, and the body of a 2xx.
    pub async fn get(&self, path: &str) -> (Outcome, Option<Bytes>) {
        match self.web.get(&self.http, path).send().await {
            Err(error) => (Outcome::from(&error), None),
            Ok(response) => {
                let outcome = Outcome::Status(response.status().as_u16());
                match response.bytes().await {
                    Ok(body) => (outcome, outcome.is_success().then_some(body)),
                    Err(error) => (Outcome::from(&error), None),
                }
            }
        }
    }

    /// The JSON of a path.
    ///
    /// # Errors
    /// When it is not answered with 2xx and JSON.
    pub async fn json(&self, path: &str) -> Result<Value> {
        let (outcome, body) = self.get(path).await;
        let body = body.with_context(|| format!("GET {path}: {}", outcome.name()))?;
        serde_json::from_slice(&body).with_context(|| format!("GET {path}: no JSON"))
    }

    /// Waits until a photo is anonymised, and returns it.
    ///
    /// # Errors
    /// When it has failed, or is not anonymised within `patience`.
    pub async fn anonymized(&self, id: i64, patience: Duration) -> Result<Value> {
        let deadline = Instant::now() + patience;
        loop {
            let seen = self.json(&format!("/photos/{id}")).await;
            match &seen {
                Ok(photo) if photo["status"] == "anonymized" => return seen,
                Ok(photo) if photo["status"] == "failed" => bail!("photo {id} has failed: {photo}"),
                _ => {}
            }
            ensure!(
                Instant::now() < deadline,
                "photo {id} is not anonymised after {patience:?}: {seen:?}"
            );
            sleep(LOOK).await;
        }
    }

    /// All photos of the project.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn photos(&self) -> Result<Vec<Value>> {
        let mut path = format!("/projects/{}/photos?limit=500", self.project);
        let mut photos = Vec::new();
        loop {
            let mut page = self.json(&path).await?;
            match page["photos"].take() {
                Value::Array(some) => photos.extend(some),
                other => bail!("GET {path}: no photos, but {other}"),
            }
            match page["next"].as_str() {
                Some(next) => next.clone_into(&mut path),
                None => return Ok(photos),
            }
        }
    }
}
