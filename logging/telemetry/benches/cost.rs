//! What a request's log line and spans cost, in microseconds of one core: `cargo bench -p telemetry`.

#![expect(clippy::print_stdout, reason = "the figures are its result")]

use std::{
    hint::black_box,
    io::sink,
    time::{Duration, Instant},
};

use telemetry::{Service, TraceContext, current_traceparent, set_parent};
use tracing::{info, info_span};

const ROUNDS: u32 = 200_000;

fn per_round(name: &str, mut work: impl FnMut()) {
    (0..ROUNDS / 10).for_each(|_| work());
    let best = (0..5)
        .map(|_| {
            let began = Instant::now();
            (0..ROUNDS).for_each(|_| work());
            began.elapsed()
        })
        .min()
        .unwrap_or(Duration::ZERO);
    println!(
        "{name:<60} {:>8.3} µs",
        best.as_secs_f64() * 1e6 / f64::from(ROUNDS)
    );
}

fn main() {
    let env = |name: &str| (name == "K8S_NAMESPACE").then(|| "photos".to_owned());
    let service = Service::new("irmgard", "1.2.3");
    let Ok((subscriber, _guard)) = telemetry::subscriber(service, &env, Box::new(sink())) else {
        return;
    };
    let Some(parent) = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None)
    else {
        return;
    };
    tracing::subscriber::with_default(subscriber, || {
        per_round("a line outside of spans", || {
            info!(photo.id = 17, "stored original")
        });
        per_round("a span", || info_span!("request").in_scope(|| ()));
        per_round(
            "a request: span, parent, 5 fields, traceparent out, one line",
            || {
                let span = info_span!(
                    "request",
                    otel.kind = "server",
                    http.request.method = "POST",
                    http.route = "/projects/{project}/photos",
                    project = "site-north",
                    photo.id = tracing::field::Empty
                );
                set_parent(&span, &parent);
                let _in = span.enter();
                span.record("photo.id", 17);
                black_box(current_traceparent());
                info!(
                    http.response.status_code = 202,
                    duration_seconds = 0.0123,
                    outcome = "received",
                    "request"
                );
            },
        );
    });
}
