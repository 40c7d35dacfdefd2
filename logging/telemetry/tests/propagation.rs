//! A trace goes on from one process to the next.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is how it fails")]

mod captured;

use proptest::prelude::*;
use serde_json::Value;
use telemetry::{TraceContext, current_trace_id, current_traceparent, set_parent};
use tracing::{info, info_span};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn sampled() -> String {
    format!("00-{TRACE}-{SPAN}-01")
}

/// The lines that `work` writes.
fn lines_of(variables: &[(&str, &str)], work: impl FnOnce()) -> Vec<Value> {
    let (subscriber, _guard, lines) = captured::subscriber(variables);
    tracing::subscriber::with_default(subscriber, work);
    lines.json()
}

#[test]
fn a_trace_from_outside_is_continued() {
    for flags in ["00", "01"] {
        let header = format!("00-{TRACE}-{SPAN}-{flags}");
        let lines = lines_of(&[], || {
            let parent = TraceContext::parse(&header, Some("vendor=1")).unwrap();
            let span = info_span!("job");
            assert!(set_parent(&span, &parent));
            let _in = span.entered();
            info!("working");
            let here = TraceContext::current().unwrap();
            assert_eq!(here.trace_id(), TRACE);
            assert_eq!(here.tracestate().as_deref(), Some("vendor=1"));
            assert_ne!(here.traceparent(), header, "a span of its own");
            assert!(here.traceparent().ends_with(flags), "{here}");
            assert_eq!(current_trace_id().as_deref(), Some(TRACE));
            assert_eq!(current_traceparent(), Some(here.traceparent()));
        });
        assert_eq!(lines[0]["trace_id"], TRACE);
        assert_ne!(lines[0]["span_id"], SPAN);
    }
}

#[test]
fn through_headers_and_back() {
    lines_of(&[], || {
        let _sender = info_span!("request").entered();
        let mut headers = std::collections::BTreeMap::new();
        TraceContext::current().unwrap().inject(|name, value| {
            headers.insert(name, value);
        });
        let received = TraceContext::extract(|name| headers.get(name).cloned()).unwrap();
        assert_eq!(received.trace_id(), current_trace_id().unwrap());
        assert_eq!(received.traceparent(), current_traceparent().unwrap());
    });
}

#[test]
fn each_request_without_a_parent_has_a_trace_of_its_own() {
    lines_of(&[], || {
        assert_eq!(current_trace_id(), None);
        let ids: std::collections::BTreeSet<_> = (0..100)
            .map(|_| {
                info_span!(parent: None, "request")
                    .in_scope(current_trace_id)
                    .unwrap()
            })
            .collect();
        assert_eq!(ids.len(), 100);
    });
}

#[test]
fn a_span_that_has_ids_keeps_them() {
    lines_of(&[], || {
        let span = info_span!("job");
        span.in_scope(|| info!("too early"));
        let before = TraceContext::from_span(&span).unwrap().trace_id();
        assert!(!set_parent(&span, &sampled().parse().unwrap()));
        assert_eq!(TraceContext::from_span(&span).unwrap().trace_id(), before);
    });
}

#[test]
fn what_is_no_traceparent_begins_a_new_trace() {
    let trace = TRACE;
    for header in [
        "".to_owned(),
        "00".to_owned(),
        "garbage-é-😀-01".to_owned(),
        format!("00-{trace}-{SPAN}"),
        format!("00-{trace}-{SPAN}-01-extra"),
        format!("ff-{trace}-{SPAN}-01"),
        format!("00-{}-{SPAN}-01", trace.to_uppercase()),
        format!("00-{}-{SPAN}-01", "0".repeat(32)),
        format!("00-{trace}-{}-01", "0".repeat(16)),
        format!("00-{}-{SPAN}-01", &trace[1..]),
        format!("00-+{}-{SPAN}-01", &trace[1..]),
        format!("0-{trace}-{SPAN}-01"),
        format!("00-{trace}-{SPAN}-1"),
        format!("00-{trace}-{SPAN}-0g"),
    ] {
        assert_eq!(TraceContext::parse(&header, None), None, "{header}");
    }
    assert!(TraceContext::extract(|_| None).is_none());
}

#[test]
fn later_versions_and_odd_states_do_no_harm() {
    for header in [
        format!("cc-{TRACE}-{SPAN}-01-what-the-future-brings"),
        format!(" 00-{TRACE}-{SPAN}-ff\t"),
    ] {
        let context = TraceContext::parse(&header, Some("not a state")).unwrap();
        assert_eq!(context.traceparent(), sampled());
        assert_eq!(context.tracestate(), None);
    }
    let long = format!("a={}", "x".repeat(10_000));
    assert_eq!(
        TraceContext::parse(&sampled(), Some(&long)).unwrap().tracestate(),
        None
    );
}

proptest! {
    #[test]
    fn never_panics(header in any::<String>(), state in any::<Option<String>>()) {
        let _ = TraceContext::parse(&header, state.as_deref());
    }

    #[test]
    fn what_is_written_is_read(trace in 1..=u128::MAX, span in 1..=u64::MAX, sampled in any::<bool>()) {
        let header = format!("00-{trace:032x}-{span:016x}-{:02x}", u8::from(sampled));
        let context: TraceContext = header.parse().unwrap();
        prop_assert_eq!(context.traceparent(), header);
        prop_assert_eq!(context.is_sampled(), sampled);
    }
}
