//! Around every request: its trace, its one log line, its metrics.

use std::{net::IpAddr, time::Instant};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use chassis::http::Peer;
use telemetry::propagation::{TraceContext, set_parent};
use tracing::{Instrument, Span, field::Empty};

use super::{
    Api,
    linger::Lingering,
    metrics::ApiMetrics,
    problem::{Code, Reported},
};

/// The status in metrics and logs of a request whose client went away.
const CLIENT_GONE: u16 = 499;

/// How a request ended well, for its log line.
#[derive(Clone, Copy, Debug)]
pub struct Outcome(pub &'static str);

/// The middleware.
pub async fn observe(State(api): State<Api>, request: Request, next: Next) -> Response {
    let method = name(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let span = tracing::info_span!(
        "request",
        otel.kind = "server",
        http.request.method = method,
        http.route = route.as_ref().map(MatchedPath::as_str),
        project = Empty,
        photo.id = Empty,
        token.name = Empty,
    );
    if let Some(parent) = trace_context(request.headers()) {
        set_parent(&span, &parent);
    }
    let peer = request.extensions().get::<Peer>();
    let client = peer.map(|peer| api.trusted_proxies.client(peer.0, request.headers()));
    let mut line = Line {
        metrics: &api.metrics,
        span: span.clone(),
        method,
        route,
        client,
        began: Instant::now(),
        answered: false,
    };
    let held_back = request.headers().contains_key(header::EXPECT);
    let request = request.map(|body| Body::new(Lingering::new(body, held_back)));
    let response = next.run(request).instrument(span).await;
    line.answered(&response);
    response
}

/// The one line about a request; also written when its client goes away and
/// the request's future is dropped.
struct Line<'a> {
    metrics: &'a ApiMetrics,
    span: Span,
    method: &'static str,
    route: Option<MatchedPath>,
    client: Option<IpAddr>,
    began: Instant,
    answered: bool,
}

impl Line<'_> {
    fn answered(&mut self, response: &Response) {
        self.answered = true;
        let status = response.status();
        let reported = response.extensions().get::<Reported>();
        let outcome = match (reported, response.extensions().get::<Outcome>()) {
            (Some(reported), _) => reported.code.as_str(),
            (None, Some(outcome)) => outcome.0,
            (None, None) => "ok",
        };
        self.write(status.as_u16(), outcome, reported);
    }

    fn write(&self, status: u16, outcome: &'static str, reported: Option<&Reported>) {
        let duration = self.began.elapsed();
        let route = self.route.as_ref().map_or("none", MatchedPath::as_str);
        self.metrics.request(self.method, route, status, duration);
        let _entered = self.span.enter();
        let code = reported.map(|reported| reported.code.as_str());
        let error = reported.and_then(|reported| reported.cause.as_deref());
        let reason = reported.and_then(|reported| reported.reason);
        let measured = reported.map(|reported| reported.measured).unwrap_or_default();
        // An address may be a person's: it is written where somebody must find the camera.
        let client = self
            .client
            .filter(|_| reported.is_some())
            .map(tracing::field::display);
        // The level is part of a line's metadata: one macro for each.
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    http.response.status_code = status,
                    duration_seconds = duration.as_secs_f64(),
                    outcome,
                    problem.code = code,
                    reason,
                    client.address = client,
                    photo.size_bytes = measured.size_bytes,
                    photo.width_pixels = measured.width,
                    photo.height_pixels = measured.height,
                    limit = measured.limit,
                    error,
                    "request answered"
                )
            };
        }
        if status == StatusCode::INTERNAL_SERVER_ERROR.as_u16() {
            line!(error);
        } else if status >= 500 || reported.is_some_and(is_refusal) {
            line!(warn);
        } else {
            line!(info);
        }
    }
}

/// Whether somebody may have to set a client right. One that asks whether its photo is
/// ready needs no help.
fn is_refusal(reported: &Reported) -> bool {
    reported.code != Code::PhotoNotReady
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.write(CLIENT_GONE, "client-gone", None);
        }
    }
}

fn trace_context(headers: &HeaderMap) -> Option<TraceContext> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    TraceContext::parse(text("traceparent")?, text("tracestate"))
}

/// Methods that clients invent must not each become a time series.
fn name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}
