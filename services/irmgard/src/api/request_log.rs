//! Middleware around every request: trace, log line and metrics.

use std::{net::IpAddr, time::Instant};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use schema::outcome;
use service_runtime::http::Peer;
use telemetry::propagation::{TraceContext, set_parent};
use tracing::{Instrument, Span, field::Empty};

use super::{
    Api,
    linger::LingeringBody,
    metrics::ApiMetrics,
    problem::{Code, LoggedProblem},
};

/// Status, in metrics and logs, of a request whose client disconnected.
const CLIENT_GONE: u16 = 499;

/// Verdict of a successful request, for its log line.
#[derive(Clone, Copy, Debug)]
pub struct SuccessOutcome(pub &'static str);

pub async fn log_request(State(api): State<Api>, request: Request, next: Next) -> Response {
    let method = method_name(request.method());
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
    let mut log = RequestLog {
        metrics: &api.metrics,
        span: span.clone(),
        method,
        route,
        client,
        started: Instant::now(),
        finished: false,
    };
    let waits_for_continue = request.headers().contains_key(header::EXPECT);
    let request = request.map(|body| Body::new(LingeringBody::new(body, waits_for_continue)));
    let response = next.run(request).instrument(span).await;
    log.finish(&response);
    response
}

/// Writes the one log line of a request. If the client disconnects, the request's future is dropped, and so
/// is this: then it writes the line on drop.
struct RequestLog<'a> {
    metrics: &'a ApiMetrics,
    span: Span,
    method: &'static str,
    route: Option<MatchedPath>,
    client: Option<IpAddr>,
    started: Instant,
    finished: bool,
}

impl RequestLog<'_> {
    fn finish(&mut self, response: &Response) {
        self.finished = true;
        let status = response.status();
        let problem = response.extensions().get::<LoggedProblem>();
        let outcome = match (problem, response.extensions().get::<SuccessOutcome>()) {
            (Some(problem), _) => problem.code.as_str(),
            (None, Some(outcome)) => outcome.0,
            (None, None) => outcome::OK,
        };
        self.write(status.as_u16(), outcome, problem);
    }

    fn write(&self, status: u16, outcome: &'static str, problem: Option<&LoggedProblem>) {
        let duration = self.started.elapsed();
        let route = self.route.as_ref().map_or("none", MatchedPath::as_str);
        self.metrics.request(self.method, route, status, duration);
        let _entered = self.span.enter();
        let code = problem.map(|problem| problem.code.as_str());
        let error = problem.and_then(|problem| problem.cause.as_deref());
        let reason = problem.and_then(|problem| problem.reason);
        let violation = problem.map(|problem| problem.violation).unwrap_or_default();
        // An address may be personal data, so it is logged only if somebody must find the camera.
        let client = self
            .client
            .filter(|_| problem.is_some())
            .map(tracing::field::display);
        let message = match status {
            CLIENT_GONE => "client disconnected before the answer",
            _ => "request answered",
        };
        // The level is part of a line's static metadata, hence one macro call per level.
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    http.response.status_code = status,
                    duration_seconds = duration.as_secs_f64(),
                    outcome,
                    problem.code = code,
                    reason,
                    client.address = client,
                    photo.size_bytes = violation.size_bytes,
                    photo.width_pixels = violation.width,
                    photo.height_pixels = violation.height,
                    limit = violation.limit,
                    error,
                    "{message}"
                )
            };
        }
        if status == StatusCode::INTERNAL_SERVER_ERROR.as_u16() {
            line!(error);
        } else if status >= 500 || problem.is_some_and(needs_operator) {
            line!(warn);
        } else {
            line!(info);
        }
    }
}

/// Whether an operator may have to fix a client. A client that polls for its image needs no help.
fn needs_operator(problem: &LoggedProblem) -> bool {
    problem.code != Code::PhotoNotReady
}

impl Drop for RequestLog<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.write(CLIENT_GONE, "client-gone", None);
        }
    }
}

fn trace_context(headers: &HeaderMap) -> Option<TraceContext> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    TraceContext::parse(text("traceparent")?, text("tracestate"))
}

/// Unknown methods share one name, so that clients cannot create time series.
fn method_name(method: &Method) -> &'static str {
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
