//! Spans arrive at a collector.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is how it fails")]

mod captured;

use std::{
    net::TcpListener,
    sync::mpsc,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
};
use tonic::{Request, Response, Status, transport::Server};
use tracing::{error, info, info_span};

struct Collector(mpsc::Sender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.send(request.into_inner()).unwrap();
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A collector on a thread of its own, for as long as the test runs.
fn collector() -> (String, mpsc::Receiver<ExportTraceServiceRequest>) {
    let (sender, receiver) = mpsc::channel();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let incoming = tonic::transport::server::TcpIncoming::from(listener);
            Server::builder()
                .add_service(TraceServiceServer::new(Collector(sender)))
                .serve_with_incoming(incoming)
                .await
                .unwrap();
        });
    });
    (format!("http://{address}"), receiver)
}

#[test]
fn spans_arrive_with_the_trace_of_the_lines() {
    let (endpoint, received) = collector();
    let (subscriber, guard, lines) = captured::subscriber(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_SERVICE_NAME", "irmgard-test"),
    ]);
    tracing::subscriber::with_default(subscriber, || {
        let _request = info_span!("request", photo.id = 17, otel.kind = "server").entered();
        info!("not an event of the span");
        info_span!("step").in_scope(|| error!("failed"));
    });
    let began = Instant::now();
    drop(guard);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let request = received.recv_timeout(Duration::from_secs(10)).unwrap();
    let resource_spans = &request.resource_spans[0];
    let attribute = |attributes: &[opentelemetry_proto::tonic::common::v1::KeyValue], key: &str| {
        attributes
            .iter()
            .find(|attribute| attribute.key == key)
            .and_then(|attribute| attribute.value.clone()?.value)
    };
    let resource = &resource_spans.resource.as_ref().unwrap().attributes;
    assert_eq!(
        attribute(resource, "service.name"),
        Some(Value::StringValue("irmgard-test".into()))
    );
    assert_eq!(
        attribute(resource, "service.version"),
        Some(Value::StringValue("1.2.3".into()))
    );
    let spans = &resource_spans.scope_spans[0].spans;
    assert_eq!(
        spans.iter().map(|span| &span.name[..]).collect::<Vec<_>>(),
        ["step", "request"]
    );
    let logged = lines.json()[0]["trace_id"].as_str().unwrap().to_owned();
    for span in spans {
        let hex: String = span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, logged);
    }
    assert_eq!(
        attribute(&spans[1].attributes, "photo.id"),
        Some(Value::IntValue(17))
    );
    assert_eq!(spans[1].kind, 2, "server");
    assert_eq!(spans[1].events.len(), 0);
    assert_eq!(
        spans[0].status.as_ref().unwrap().code,
        2,
        "an error line marks its span"
    );
    assert_eq!(spans[0].parent_span_id, spans[1].span_id);
}

#[test]
fn what_is_not_sampled_is_not_sent() {
    let (endpoint, received) = collector();
    let (subscriber, guard, lines) = captured::subscriber(&[
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &endpoint),
        ("OTEL_TRACES_SAMPLER", "always_off"),
    ]);
    tracing::subscriber::with_default(subscriber, || {
        info_span!("request").in_scope(|| info!("logged all the same"));
    });
    drop(guard);
    assert!(received.try_recv().is_err());
    assert!(lines.json()[0]["trace_id"].is_string());
}
