//! A camera: uploads photos, retries, and records all answers in the ledger.

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

use super::{AcceptedPhoto, Ledger};
use crate::photos::{BasePhoto, with_comment};

/// How long one upload may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// A photo for an upload.
#[derive(Clone, Debug)]
pub struct CameraShot {
    /// The index of the base picture.
    pub base: usize,
    /// Distinguishes photos of the same picture.
    pub number: u64,
    pub project: String,
    pub file: Bytes,
}

impl CameraShot {
    /// The time of the photo, one second after the previous one. It identifies the photo in repeated uploads.
    pub fn taken_at(&self) -> String {
        let (hours, rest) = (self.number / 3600 % 24, self.number % 3600);
        format!("2026-01-01T{hours:02}:{:02}:{:02}Z", rest / 60, rest % 60)
    }
}

/// The response to one upload.
#[derive(Clone, Debug)]
pub struct UploadResponse {
    /// The HTTP status; `None` without an answer.
    pub status: Option<u16>,
    /// Whether it has the header `Retry-After`.
    pub retry_after: bool,
    pub duration: Duration,
    /// The photo's id, if the status is 2xx.
    pub id: Option<i64>,
}

/// Uploads photos to several irmgard processes in turn. Clones share the ledger.
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
            client: reqwest::Client::builder()
                .no_proxy()
                .timeout(REQUEST_TIMEOUT)
                .build()?,
            addresses: Arc::new(addresses.collect()),
            next_address: Arc::default(),
            next_number: Arc::default(),
            ledger: Ledger::default(),
        })
    }

    /// The next photo, made from one of these pictures.
    pub fn shoot(&self, bases: &[BasePhoto]) -> CameraShot {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let base = usize::try_from(number).unwrap_or(0) % bases.len();
        CameraShot {
            base,
            number,
            project: format!("site-{}", number % 3),
            file: with_comment(&bases[base].file, number).into(),
        }
    }

    /// Uploads a photo once.
    pub async fn post(&self, shot: &CameraShot) -> UploadResponse {
        let trace_id = format!(
            "{:032x}",
            0xe2e0_0000_0000_0000_0000_0000_u128 + u128::from(shot.number)
        );
        self.ledger
            .record_upload(hex::encode(Sha256::digest(&shot.file)), shot.base);
        let start = Instant::now();
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
        let mut result = UploadResponse {
            status: None,
            retry_after: false,
            duration: Duration::ZERO,
            id: None,
        };
        if let Ok(response) = sent {
            result.status = Some(response.status().as_u16());
            result.retry_after = response.headers().contains_key("retry-after");
            let accepted = response.status().is_success();
            let body: Option<Value> = response.json().await.ok();
            if accepted {
                result.id = body.and_then(|photo| photo["id"].as_i64());
            }
        }
        result.duration = start.elapsed();
        match result.id {
            Some(id) => self.ledger.record_acceptance(AcceptedPhoto {
                id,
                number: shot.number,
                trace_id,
            }),
            None => self.ledger.record_failure(),
        }
        result
    }

    /// Uploads a photo repeatedly until the answer is 2xx.
    pub async fn deliver(&self, shot: &CameraShot, time_limit: Duration) -> Result<i64> {
        let deadline = Instant::now() + time_limit;
        loop {
            let response = self.post(shot).await;
            match (response.id, response.status) {
                (Some(id), _) => return Ok(id),
                (None, Some(status @ 400..500)) if status != 408 && status != 429 => {
                    bail!("photo {} was refused with {status}", shot.number)
                }
                _ if Instant::now() >= deadline => {
                    bail!(
                        "photo {} was not accepted within {time_limit:?}: {response:?}",
                        shot.number
                    )
                }
                _ => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// An HTTP client that ignores the environment's proxy.
    pub const fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// `http://host:port` of the irmgard processes in turn.
    pub fn address(&self) -> String {
        let next = self.next_address.fetch_add(1, Ordering::Relaxed);
        format!("http://{}", self.addresses[next % self.addresses.len()])
    }
}
