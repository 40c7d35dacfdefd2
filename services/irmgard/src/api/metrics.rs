//! What the API tells Prometheus.

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

use crate::{breaker::Breaker, upload::Budget};

/// Labels of a counted request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: &'static str,
    route: String,
    status: u16,
}

/// Labels of a timed request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    method: &'static str,
    route: String,
}

/// A label that says what became of something.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// Requests and uploads.
#[derive(Clone, Debug)]
pub struct ApiMetrics {
    requests: Family<Request, Counter>,
    seconds: Family<Route, Histogram>,
    uploads: Family<Outcome, Counter>,
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
    /// Makes them part of what `/metrics` shows.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "irmgard_http_requests",
            "Requests, by method, route and status; status 499: the client went away",
            self.requests.clone(),
        );
        registry.register(
            "irmgard_http_request_duration_seconds",
            "Time from a request's header to its answer's header",
            self.seconds.clone(),
        );
        registry.register(
            "irmgard_uploads",
            "Photos that were accepted: new, known from before, or to be worked on again",
            self.uploads.clone(),
        );
        registry.register(
            "irmgard_upload_bytes",
            "Bytes of accepted photos",
            self.upload_bytes.clone(),
        );
        registry.register(
            "irmgard_image_bytes",
            "Bytes of anonymised photos that were asked for",
            self.image_bytes.clone(),
        );
    }

    /// Shows breakers and the memory budget as they are when asked.
    pub fn register_state(registry: &mut Registry, breakers: Vec<Breaker>, budget: Budget) {
        registry.register_collector(Box::new(State { breakers, budget }));
    }

    /// An answered request.
    pub(super) fn request(&self, method: &'static str, route: &str, status: u16, duration: Duration) {
        let route = route.to_owned();
        let timed = Route {
            method,
            route: route.clone(),
        };
        self.requests
            .get_or_create(&Request {
                method,
                route,
                status,
            })
            .inc();
        self.seconds.get_or_create(&timed).observe(duration.as_secs_f64());
    }

    /// An accepted photo.
    pub(super) fn upload(&self, outcome: &'static str, bytes: u64) {
        self.uploads.get_or_create(&Outcome { outcome }).inc();
        self.upload_bytes.inc_by(bytes);
    }

    /// A picture on its way to a client.
    pub(super) fn image(&self, bytes: u64) {
        self.image_bytes.inc_by(bytes);
    }
}

#[derive(Debug)]
struct State {
    breakers: Vec<Breaker>,
    budget: Budget,
}

impl Collector for State {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let open = ConstGauge::new(0_i64);
        let mut family = encoder.encode_descriptor(
            "irmgard_breaker_open",
            "1 while a server is taken for down and is not asked by every request",
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
            "Memory for bodies of unknown length that no upload holds",
            None,
            free.metric_type(),
        )?)
    }
}
