//! Prometheus metrics of the API.

use std::{fmt, time::Duration};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::ConstGauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use crate::{breaker::Breaker, upload::MemoryBudget};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug)]
pub struct ApiMetrics {
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram>,
    uploads: Family<OutcomeLabel, Counter>,
    upload_bytes: Counter,
    image_bytes: Counter,
}

impl Default for ApiMetrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            // 1 ms to 33 s.
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 2.0, 16))),
            uploads: Family::default(),
            upload_bytes: Counter::default(),
            image_bytes: Counter::default(),
        }
    }
}

impl ApiMetrics {
    /// Registers all metrics, so that `/metrics` shows them.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "irmgard_http_requests",
            "Requests, by method, route and status; status 499: the client disconnected",
            self.requests.clone(),
        );
        registry.register(
            "irmgard_http_request_duration_seconds",
            "Time from the header of a request to the header of its response",
            self.seconds.clone(),
        );
        registry.register(
            "irmgard_uploads",
            "Accepted photos, by outcome: new, known (sent before) or again (queued again after a failure)",
            self.uploads.clone(),
        );
        registry.register(
            "irmgard_upload_bytes",
            "Bytes of accepted photos",
            self.upload_bytes.clone(),
        );
        registry.register(
            "irmgard_image_bytes",
            "Bytes of anonymised photos sent to clients",
            self.image_bytes.clone(),
        );
    }

    /// Registers gauges that are read at scrape time: breakers and upload memory.
    pub fn register_live_gauges(registry: &mut Registry, breakers: Vec<Breaker>, budget: MemoryBudget) {
        registry.register_collector(Box::new(LiveGauges { breakers, budget }));
    }

    /// Counts a request that was answered.
    pub(super) fn request(&self, method: &'static str, route: &str, status: u16, duration: Duration) {
        let route = route.to_owned();
        let timed = RouteLabels {
            method,
            route: route.clone(),
        };
        self.requests
            .get_or_create(&RequestLabels {
                method,
                route,
                status,
            })
            .inc();
        self.seconds.get_or_create(&timed).observe(duration.as_secs_f64());
    }

    /// Counts an accepted photo.
    pub(super) fn upload(&self, outcome: &'static str, bytes: u64) {
        self.uploads.get_or_create(&OutcomeLabel { outcome }).inc();
        self.upload_bytes.inc_by(bytes);
    }

    /// Counts the bytes of an image that is sent to a client.
    pub(super) fn image(&self, bytes: u64) {
        self.image_bytes.inc_by(bytes);
    }
}

#[derive(Debug)]
struct LiveGauges {
    breakers: Vec<Breaker>,
    budget: MemoryBudget,
}

impl Collector for LiveGauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let open = ConstGauge::new(0_i64);
        let mut family = encoder.encode_descriptor(
            "irmgard_breaker_open",
            "1 while requests to a server fail at once because it did not answer",
            None,
            open.metric_type(),
        )?;
        for breaker in &self.breakers {
            let labels = [("server", breaker.name())];
            ConstGauge::new(i64::from(breaker.is_open())).encode(family.encode_family(&labels)?)?;
        }
        let free = ConstGauge::new(i64::try_from(self.budget.free_bytes()).unwrap_or(i64::MAX));
        free.encode(encoder.encode_descriptor(
            "irmgard_upload_memory_free_bytes",
            "Free memory for bodies of unknown length",
            None,
            free.metric_type(),
        )?)
    }
}
