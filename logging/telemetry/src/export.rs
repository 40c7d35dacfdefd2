//! Spans to a collector, OTLP over gRPC.
//!
//! Policy: the collector is a convenience. Whatever it does, requests and jobs
//! go on as without it; what cannot be sent is dropped. One warning says so,
//! another line says when it works again.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use opentelemetry::KeyValue;
use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter},
};
use tokio::runtime::Runtime;

/// The least time between two warnings about the same outage.
const WARN_EVERY: Duration = Duration::from_secs(300);

/// Makes spans, and sends them where the settings say.
#[derive(Debug)]
pub(crate) struct Traces {
    pub(crate) provider: SdkTracerProvider,
    /// The export's own thread: it neither waits for the program's tasks nor
    /// holds them up, and works in programs without a runtime.
    runtime: Option<Runtime>,
}

impl Traces {
    /// Makes spans and their ids; exports none.
    pub(crate) fn local(sampler: Sampler) -> Self {
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler)
            .with_resource(Resource::builder_empty().build())
            .build();
        Self {
            provider,
            runtime: None,
        }
    }

    /// Exports spans to `endpoint`. Connects when the first ones are sent.
    pub(crate) fn exported(sampler: Sampler, resource: Resource, endpoint: &str) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("otlp-export")
            .enable_all()
            .build()
            .map_err(|e| format!("no thread for the export of spans: {e}"))?;
        let within = runtime.enter();
        let otlp = OtlpExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .build()
            .map_err(|e| format!("OTEL_EXPORTER_OTLP_ENDPOINT: {e}"))?;
        drop(within);
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler)
            .with_resource(resource)
            .with_span_processor(BatchSpanProcessor::builder(Watched::new(otlp)).build())
            .build();
        Ok(Self {
            provider,
            runtime: Some(runtime),
        })
    }

    /// Sends what is left, for no longer than `limit`.
    pub(crate) fn end(&mut self, limit: Duration) {
        // What cannot be sent in time has been warned about.
        let _ = self.provider.shutdown_with_timeout(limit);
        if let Some(runtime) = self.runtime.take() {
            // Not dropped: that blocks, and panics within another runtime.
            runtime.shutdown_background();
        }
    }
}

/// `service.*` and what `OTEL_RESOURCE_ATTRIBUTES` adds.
pub(crate) fn resource(name: String, version: &'static str) -> Resource {
    Resource::builder()
        .with_service_name(name)
        .with_attribute(KeyValue::new(schema::field::SERVICE_VERSION, version))
        .build()
}

/// An exporter whose outages are told once.
#[derive(Debug)]
struct Watched<E> {
    exporter: E,
    lost_spans: AtomicU64,
    warned: Mutex<Option<Instant>>,
}

impl<E> Watched<E> {
    const fn new(exporter: E) -> Self {
        Self {
            exporter,
            lost_spans: AtomicU64::new(0),
            warned: Mutex::new(None),
        }
    }

    fn note(&self, spans: u64, result: &OTelSdkResult) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => {
                if warned.take().is_some() {
                    let lost = self.lost_spans.swap(0, Ordering::Relaxed);
                    tracing::info!(
                        count = lost,
                        "traces are exported again; spans were lost meanwhile"
                    );
                }
            }
            Err(error) => {
                let lost = self.lost_spans.fetch_add(spans, Ordering::Relaxed) + spans;
                if warned.is_none_or(|last| last.elapsed() >= WARN_EVERY) {
                    *warned = Some(Instant::now());
                    tracing::warn!(
                        count = lost,
                        error.message = %error,
                        "traces cannot be exported; everything else goes on"
                    );
                }
            }
        }
    }
}

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let result = self.exporter.export(batch).await;
        self.note(spans, &result);
        // The SDK would only log it once more.
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
