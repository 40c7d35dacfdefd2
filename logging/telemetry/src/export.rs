//! Exports spans to a collector by OTLP over gRPC.
//!
//! An unavailable collector never affects requests and jobs: spans that cannot be sent are dropped. One warning reports
//! the outage, and another line its end.

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

/// Minimum time between two warnings about the same outage.
const WARN_EVERY: Duration = Duration::from_secs(300);

/// Creates spans and exports them according to the settings.
#[derive(Debug)]
pub(crate) struct SpanExport {
    pub(crate) provider: SdkTracerProvider,
    /// The export has its own thread, so that it neither delays the program's tasks nor waits for them, and works in
    /// programs without a runtime.
    runtime: Option<Runtime>,
}

impl SpanExport {
    /// Creates spans and their ids; exports none.
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

    /// Exports spans to `endpoint`. Connects when the first spans are sent.
    pub(crate) fn exported(sampler: Sampler, resource: Resource, endpoint: &str) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("otlp-export")
            .enable_all()
            .build()
            .map_err(|e| format!("cannot start the thread that exports spans: {e}"))?;
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
            .with_span_processor(BatchSpanProcessor::builder(ReportingExporter::new(otlp)).build())
            .build();
        Ok(Self {
            provider,
            runtime: Some(runtime),
        })
    }

    /// Sends the remaining spans, for at most `limit`.
    pub(crate) fn shut_down(&mut self, limit: Duration) {
        // The exporter warns about spans that it cannot send.
        let _ = self.provider.shutdown_with_timeout(limit);
        if let Some(runtime) = self.runtime.take() {
            // Not dropped: that blocks, and panics within another runtime.
            runtime.shutdown_background();
        }
    }
}

/// `service.*` and the attributes of `OTEL_RESOURCE_ATTRIBUTES`.
pub(crate) fn resource(name: String, version: &'static str) -> Resource {
    Resource::builder()
        .with_service_name(name)
        .with_attribute(KeyValue::new(schema::field::SERVICE_VERSION, version))
        .build()
}

/// An exporter that logs the begin and the end of an outage.
#[derive(Debug)]
struct ReportingExporter<E> {
    exporter: E,
    lost_spans: AtomicU64,
    warned: Mutex<Option<Instant>>,
}

impl<E> ReportingExporter<E> {
    const fn new(exporter: E) -> Self {
        Self {
            exporter,
            lost_spans: AtomicU64::new(0),
            warned: Mutex::new(None),
        }
    }

    fn report(&self, spans: u64, result: &OTelSdkResult) {
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
                        "cannot export traces; log lines are not affected"
                    );
                }
            }
        }
    }
}

impl<E: SpanExporter> SpanExporter for ReportingExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let result = self.exporter.export(batch).await;
        self.report(spans, &result);
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
