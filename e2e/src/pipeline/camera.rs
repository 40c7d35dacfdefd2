//! A camera: it posts, comes again as it was told to, and remembers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, bail};
use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::{Answered, Ledger};
use crate::photos::{Base, numbered};

/// Beyond it, a camera gives an attempt up.
const ATTEMPT: Duration = Duration::from_secs(15);

/// A photo that a camera has taken.
#[derive(Clone, Debug)]
pub struct Shot {
    /// Which base picture.
    pub base: usize,
    /// Distinguishes photos of the same picture.
    pub number: u64,
    /// The timelapse project.
    pub project: String,
    /// The file.
    pub file: Bytes,
}

impl Shot {
    /// When it was taken: a second after the one before. It makes attempts
    /// with the same photo one photo.
    #[must_use]
    pub fn taken_at(&self) -> String {
        let (hours, rest) = (self.number / 3600 % 24, self.number % 3600);
        format!("2026-01-01T{hours:02}:{:02}:{:02}Z", rest / 60, rest % 60)
    }
}

/// An answer to one attempt.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status; `None` when there was no answer.
    pub status: Option<u16>,
    /// Whether it says when to come again.
    pub retry_after: bool,
    /// How long the attempt took.
    pub took: Duration,
    /// The photo's number after a 2xx.
    pub id: Option<i64>,
}

/// Posts photos to any of several irmgards; clones share the ledger.
#[derive(Clone, Debug)]
pub struct Camera {
    client: reqwest::Client,
    addresses: Arc<Vec<String>>,
    next_address: Arc<AtomicUsize>,
    next_number: Arc<AtomicU64>,
    ledger: Ledger,
}

impl Camera {
    pub(super) fn new(addresses: impl Iterator<Item = String>) -> Result<Self> {
        Ok(Self {
            client: reqwest::Client::builder().no_proxy().timeout(ATTEMPT).build()?,
            addresses: Arc::new(addresses.collect()),
            next_address: Arc::default(),
            next_number: Arc::default(),
            ledger: Ledger::default(),
        })
    }

    /// The next photo, of one of these pictures in turn.
    #[must_use]
    pub fn shoot(&self, bases: &[Base]) -> Shot {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let base = usize::try_from(number).unwrap_or(0) % bases.len();
        Shot {
            base,
            number,
            project: format!("site-{}", number % 3),
            file: numbered(&bases[base].file, number).into(),
        }
    }

    /// One attempt.
    pub async fn post(&self, shot: &Shot) -> Answer {
        let trace_id = format!(
            "{:032x}",
            0xe2e0_0000_0000_0000_0000_0000_u128 + u128::from(shot.number)
        );
        self.ledger
            .posted(hex::encode(Sha256::digest(&shot.file)), shot.base);
        let began = Instant::now();
        let sent = self
            .client
            .post(format!(
                "{}/projects/{}/photos?taken_at={}",
                self.address(),
                shot.project,
                shot.taken_at()
            ))
            .header("traceparent", format!("00-{trace_id}-00f067aa0ba902b7-01"))
            .header("content-type", "image/jpeg")
            .body(shot.file.clone())
            .send()
            .await;
        let mut answer = Answer {
            status: None,
            retry_after: false,
            took: Duration::ZERO,
            id: None,
        };
        if let Ok(response) = sent {
            answer.status = Some(response.status().as_u16());
            answer.retry_after = response.headers().contains_key("retry-after");
            let accepted = response.status().is_success();
            let body: Option<Value> = response.json().await.ok();
            if accepted {
                answer.id = body.and_then(|photo| photo["id"].as_i64());
            }
        }
        answer.took = began.elapsed();
        match answer.id {
            Some(id) => self.ledger.answered(Answered {
                id,
                number: shot.number,
                trace_id,
            }),
            None => self.ledger.unanswered(),
        }
        answer
    }

    /// Attempts until one is answered with 2xx.
    ///
    /// # Errors
    /// When none was within `patience`, or the photo was refused.
    pub async fn deliver(&self, shot: &Shot, patience: Duration) -> Result<i64> {
        let deadline = Instant::now() + patience;
        loop {
            let answer = self.post(shot).await;
            match (answer.id, answer.status) {
                (Some(id), _) => return Ok(id),
                (None, Some(status @ 400..500)) if status != 408 && status != 429 => {
                    bail!("photo {} was refused with {status}", shot.number)
                }
                _ if Instant::now() >= deadline => {
                    bail!(
                        "photo {} was not accepted within {patience:?}: {answer:?}",
                        shot.number
                    )
                }
                _ => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    /// What was posted and answered.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// An HTTP client that uses no proxy of the environment.
    #[must_use]
    pub const fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// `http://host:port` of one irmgard after the other.
    #[must_use]
    pub fn address(&self) -> String {
        let next = self.next_address.fetch_add(1, Ordering::Relaxed);
        format!("http://{}", self.addresses[next % self.addresses.len()])
    }
}
