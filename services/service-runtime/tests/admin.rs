//! The admin port, tested over HTTP.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use prometheus_client::{metrics::counter::Counter, registry::Registry};
use service_runtime::admin::{Admin, DependencyState, Readiness};
use tokio::{io::AsyncReadExt, net::TcpSocket, time::timeout};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn readiness_depends_on_the_process_s_own_state() {
    let readiness = Readiness::new(&["started", "schema"]);
    readiness.report("rabbitmq", || DependencyState {
        available: false,
        detail: "away".to_owned(),
    });
    let jobs = Counter::<u64>::default();
    jobs.inc_by(3);
    let mut registry = Registry::default();
    registry.register("jobs", "Jobs done", jobs);
    let admin = Admin {
        registry,
        readiness: readiness.clone(),
    };
    let bound = admin.bind(([127, 0, 0, 1], 0).into()).await.expect("bound");
    let base = format!("http://{}", bound.local_addr().expect("address"));
    let end = CancellationToken::new();
    let served = tokio::spawn(bound.serve(end.clone()));
    let client = reqwest::Client::builder().no_proxy().build().expect("client");
    let get = async |path: &str| {
        let answer = client.get(format!("{base}{path}")).send().await.expect("answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    };

    assert_eq!(get("/livez").await.0, 200);
    readiness.set("started", true);
    let (status, body) = get("/readyz").await;
    assert_eq!(status, 503);
    assert!(body.contains(r#""schema":false"#), "{body}");

    readiness.set("schema", true);
    let (status, body) = get("/readyz").await;
    assert_eq!(
        status, 200,
        "an unavailable dependency does not fail the probe: {body}"
    );
    assert!(
        body.contains(r#""rabbitmq":{"available":false,"detail":"away"}"#),
        "{body}"
    );

    readiness.drain();
    assert_eq!(get("/readyz").await.0, 503);
    assert_eq!(get("/livez").await.0, 200);
    let (_, metrics) = get("/metrics").await;
    assert!(
        metrics.contains("jobs_total 3\n") && metrics.ends_with("# EOF\n"),
        "{metrics}"
    );

    end.cancel();
    served.await.expect("joined");
}

#[tokio::test]
async fn idle_connections_do_not_keep_probes_waiting() {
    let admin = Admin {
        registry: Registry::default(),
        readiness: Readiness::new(&[]),
    };
    let bound = admin.bind(([127, 0, 0, 1], 0).into()).await.expect("bound");
    let address = bound.local_addr().expect("address");
    tokio::spawn(bound.serve(CancellationToken::new()));
    let mut idle = Vec::new();
    for _ in 0..300 {
        // Uses another address than the probe.
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 2], 0).into()).expect("bound");
        idle.push(socket.connect(address).await.expect("connected"));
    }
    let client = reqwest::Client::builder().no_proxy().build().expect("client");
    let probe = client.get(format!("http://{address}/livez")).send();
    let answer = timeout(Duration::from_secs(10), probe).await.expect("in time");
    assert_eq!(answer.expect("an answer").status(), 200);
    let mut received = Vec::new();
    let closed = timeout(Duration::from_secs(20), idle[0].read_to_end(&mut received)).await;
    // A reset is an error.
    let _ = closed.expect("the idlest connection is closed");
}
