//! A closed load: each camera uploads the next photo after the answer to the previous one.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use reqwest::{
    Body, Client, Request, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};

use crate::service::BenchedService;

/// The format of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UploadFormat {
    /// `POST /projects/{project}/photos`, the photo as the body.
    Body,
    /// The same without `Content-Length`.
    Chunked,
    /// `POST /`, the photo in the multipart field `image`: the original API.
    Form,
}

impl UploadFormat {
    /// The name in the table.
    pub fn label(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Chunked => "chunked",
            Self::Form => "form",
        }
    }
}

/// The photo, the number of cameras and uploads, and the time limit.
pub struct UploadLoad {
    photo: Vec<u8>,
    form: Vec<u8>,
    cameras: usize,
    requests: usize,
    max_duration: Duration,
}

/// The results of one run.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Run {
    /// Accepted photos per second.
    pub per_second: f64,
    /// Median latency, milliseconds.
    pub p50_ms: f64,
    /// 99th percentile of latency, milliseconds.
    pub p99_ms: f64,
    /// CPU milliseconds of the service for each photo.
    pub cpu_ms: f64,
    /// Peak resident memory of the service, MiB.
    pub peak_mib: f64,
    /// The number of accepted photos.
    pub photos: usize,
    /// Uploads answered with 503, for example when a server stalls on a busy machine.
    pub refused: usize,
}

/// The pause of a camera after a 503.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

const BOUNDARY: &str = "irmgard-bench-7d1b0f4e9c";

impl UploadLoad {
    /// `requests` uploads of `photo_bytes` each by `cameras` concurrent cameras, for at most `max_duration`.
    pub fn new(photo_bytes: usize, cameras: usize, requests: usize, max_duration: Duration) -> Result<Self> {
        let photo = photo_of_size(photo_bytes)?;
        let mut form = format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"image\"; filename=\"bench.jpg\"\r\n\
             content-type: image/jpeg\r\n\r\n"
        )
        .into_bytes();
        form.extend_from_slice(&photo);
        form.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
        Ok(Self {
            photo,
            form,
            cameras,
            requests,
            max_duration,
        })
    }

    /// The same load with two uploads per camera.
    pub fn warm_up(&self) -> Self {
        let requests = self.cameras * 2;
        Self {
            photo: self.photo.clone(),
            form: self.form.clone(),
            requests,
            ..*self
        }
    }

    /// Uploads the photos and measures the service.
    pub async fn run(&self, format: UploadFormat, service: &BenchedService) -> Result<Run> {
        let client = Client::builder().pool_max_idle_per_host(self.cameras).build()?;
        let body = bytes::Bytes::copy_from_slice(match format {
            UploadFormat::Body | UploadFormat::Chunked => &self.photo,
            UploadFormat::Form => &self.form,
        });
        let (started, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
        service.process.reset_peak()?;
        let cpu_before = service.process.cpu_seconds()?;
        let start = Instant::now();
        let camera = async || -> Result<Vec<f64>> {
            let mut latencies = Vec::new();
            while started.fetch_add(1, Ordering::Relaxed) < self.requests
                && start.elapsed() < self.max_duration
            {
                let upload_start = Instant::now();
                let response = client.execute(request(format, service, body.clone())?).await?;
                let status = response.status();
                let text = response.text().await?;
                if status == StatusCode::SERVICE_UNAVAILABLE {
                    refused.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(RETRY_INTERVAL).await;
                    continue;
                }
                ensure!(status.is_success(), "{} answered {status}: {text}", service.name);
                latencies.push(upload_start.elapsed().as_secs_f64() * 1_000.0);
            }
            Ok(latencies)
        };
        let mut latencies: Vec<f64> = futures::future::try_join_all((0..self.cameras).map(|_| camera()))
            .await?
            .into_iter()
            .flatten()
            .collect();
        let seconds = start.elapsed().as_secs_f64();
        latencies.sort_by(f64::total_cmp);
        ensure!(!latencies.is_empty(), "{} accepted no photo", service.name);
        let photos = latencies.len();
        Ok(Run {
            per_second: photos as f64 / seconds,
            p50_ms: percentile(&latencies, 0.50),
            p99_ms: percentile(&latencies, 0.99),
            cpu_ms: (service.process.cpu_seconds()? - cpu_before) * 1_000.0 / photos as f64,
            peak_mib: service.process.peak_mib()?,
            photos,
            refused: refused.into_inner(),
        })
    }
}

fn request(format: UploadFormat, service: &BenchedService, body: bytes::Bytes) -> Result<Request> {
    let (path, media_type) = match format {
        UploadFormat::Body | UploadFormat::Chunked => ("/projects/bench/photos", "image/jpeg".to_owned()),
        UploadFormat::Form => ("/", format!("multipart/form-data; boundary={BOUNDARY}")),
    };
    let mut request = Request::new(reqwest::Method::POST, format!("{}{path}", service.url).parse()?);
    request.headers_mut().insert(CONTENT_TYPE, media_type.parse()?);
    *request.body_mut() = Some(if format == UploadFormat::Chunked {
        let whole = futures::stream::once(async { Ok::<_, std::convert::Infallible>(body) });
        Body::wrap_stream(whole)
    } else {
        request.headers_mut().insert(CONTENT_LENGTH, body.len().into());
        Body::from(body)
    });
    Ok(request)
}

/// A percentile by nearest rank. `sorted` must not be empty.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// A file with the header of a real photo and incompressible bytes. The web service checks only the header.
fn photo_of_size(bytes: usize) -> Result<Vec<u8>> {
    let sample = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../local/photos/Solvay_conference_1927_Version2_2126x1463.jpg");
    let mut photo = std::fs::read(&sample).with_context(|| format!("cannot read {}", sample.display()))?;
    photo.truncate(bytes);
    // xorshift64*, Vigna 2014.
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    while photo.len() < bytes {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        photo.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    photo.truncate(bytes);
    Ok(photo)
}
