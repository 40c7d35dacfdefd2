//! Outages of each server during uploads: cut, refused, stalled and slow connections.

use std::time::Duration;

use e2e::pipeline::{Pipeline, Setup, TIME_LIMIT, UploadResponse, references};
use futures::future::join_all;
use test_support::{Behaviour, FaultProxy, eventually};
use tokio::time::{Instant, sleep};

use crate::NO_FAILURES;

/// The documented limit for a 503 during an outage of PostgreSQL or the store.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// The limit for a 503 when the circuit breaker is open.
const OPEN_BREAKER_LIMIT: Duration = Duration::from_millis(100);
/// Additional time for a busy machine.
const TOLERANCE: Duration = Duration::from_millis(1500);
/// The documented limit for the recovery after an outage.
const RECOVERY_LIMIT: Duration = Duration::from_secs(10);

const OUTAGES: [(&str, Option<Behaviour>); 4] = [
    ("cut", None),
    ("refused", Some(Behaviour::Refuse)),
    ("stalled", Some(Behaviour::Stall)),
    ("slow", Some(Behaviour::Slow(Duration::from_millis(40)))),
];

/// Uploads photos during an outage. Repeats a cut before each round.
async fn upload_during(
    pipeline: &Pipeline,
    proxy: &FaultProxy,
    outage: Option<Behaviour>,
) -> Vec<UploadResponse> {
    let (bases, _) = references().await.expect("cannot compute the references");
    if let Some(behaviour) = outage {
        proxy.behave(behaviour).await;
    }
    let mut responses = Vec::new();
    for _ in 0..4 {
        if outage.is_none() {
            proxy.cut();
        }
        let camera = pipeline.camera();
        let round = (0..3).map(|number| {
            let (camera, shot) = (camera.clone(), camera.shoot(bases));
            async move {
                sleep(Duration::from_millis(30 * number)).await;
                camera.post(&shot).await
            }
        });
        responses.extend(join_all(round).await);
        sleep(Duration::from_millis(300)).await;
    }
    responses
}

/// Restores the server and requires that new and waiting photos are processed soon.
async fn restore_and_recover(pipeline: &Pipeline, proxy: &FaultProxy, what: &str) {
    proxy.restore().await;
    let start = Instant::now();
    let (bases, _) = references().await.expect("cannot compute the references");
    let camera = pipeline.camera();
    camera
        .deliver(&camera.shoot(bases), TIME_LIMIT)
        .await
        .unwrap_or_else(|error| panic!("{what}: {error:#}\n{}", pipeline.recent_warnings()));
    let accepted = start.elapsed();
    pipeline
        .wait_until_idle(TIME_LIMIT)
        .await
        .unwrap_or_else(|error| panic!("{what}: {error:#}"));
    println!(
        "{what}: accepted again after {accepted:?}, all done after {:?}",
        start.elapsed()
    );
    assert!(
        accepted < RECOVERY_LIMIT + TOLERANCE,
        "{what}: accepted again after {accepted:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_rabbitmq_uploads_are_accepted_and_published_later() {
    let pipeline = Pipeline::start(Setup::default()).await.unwrap();
    for (name, outage) in OUTAGES {
        let proxy = &pipeline.proxies.rabbitmq;
        for response in upload_during(&pipeline, proxy, outage).await {
            assert_eq!(response.status, Some(202), "RabbitMQ {name}: {response:?}");
            assert!(
                response.duration < ANSWER_LIMIT + TOLERANCE,
                "RabbitMQ {name}: {response:?}"
            );
        }
        restore_and_recover(&pipeline, proxy, &format!("RabbitMQ {name}")).await;
    }
    pipeline.check(&NO_FAILURES).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgresql_uploads_get_503_with_retry_after() {
    let pipeline = Pipeline::start(Setup::default()).await.unwrap();
    for (name, outage) in OUTAGES {
        check_outage_of_required_server(&pipeline, "PostgreSQL", &pipeline.proxies.postgres, name, outage)
            .await;
    }
    pipeline.check(&NO_FAILURES).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_store_uploads_get_503_with_retry_after() {
    let pipeline = Pipeline::start(Setup::default()).await.unwrap();
    for (name, outage) in OUTAGES {
        check_outage_of_required_server(&pipeline, "store", &pipeline.proxies.object_store, name, outage)
            .await;
    }
    pipeline.check(&NO_FAILURES).await.unwrap();
}

async fn check_outage_of_required_server(
    pipeline: &Pipeline,
    server: &str,
    proxy: &FaultProxy,
    name: &str,
    outage: Option<Behaviour>,
) {
    let what = format!("{server} {name}");
    let responses = upload_during(pipeline, proxy, outage).await;
    for response in &responses {
        match response.status {
            Some(202) => {}
            Some(503) => assert!(response.retry_after, "{what}: {response:?}"),
            _ => panic!("{what}: {response:?}\n{}", pipeline.recent_warnings()),
        }
        assert!(
            response.duration < ANSWER_LIMIT + TOLERANCE,
            "{what}: {response:?}"
        );
    }
    if matches!(outage, Some(Behaviour::Refuse | Behaviour::Stall)) {
        assert!(
            responses.iter().all(|response| response.status == Some(503)),
            "{what}: {responses:?}"
        );
        require_fast_answers(pipeline, &what).await;
        let ready = pipeline
            .camera()
            .client()
            .get(format!("http://{}/readyz", pipeline.irmgards[0].admin_address()))
            .send()
            .await
            .expect("the admin port does not answer");
        assert_eq!(
            ready.status(),
            200,
            "{what}: an outage must not fail the readiness probe"
        );
    }
    restore_and_recover(pipeline, proxy, &what).await;
}

/// With an open circuit breaker, answers come at once, except to requests that test the server again.
async fn require_fast_answers(pipeline: &Pipeline, what: &str) {
    let (bases, _) = references().await.expect("cannot compute the references");
    let camera = pipeline.camera();
    let mut durations = Vec::new();
    for _ in 0..12 {
        let response = camera.post(&camera.shoot(bases)).await;
        assert_eq!(response.status, Some(503), "{what}: {response:?}");
        durations.push(response.duration);
        sleep(Duration::from_millis(50)).await;
    }
    durations.sort();
    assert!(durations[6] < OPEN_BREAKER_LIMIT, "{what}: {durations:?}");
}

/// The worker holds its jobs, returns them in time, and continues after the outage.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_outage_of_the_store_fails_no_photo() {
    let setup = Setup::default().with("HOLD_LIMIT", "1s");
    let mut pipeline = Pipeline::start(setup).await.unwrap();
    let (bases, _) = references().await.unwrap();
    for (name, behaviour) in [("refuses", Behaviour::Refuse), ("stalls", Behaviour::Stall)] {
        pipeline.workers[0].kill().unwrap();
        let camera = pipeline.camera();
        for _ in 0..6 {
            camera.deliver(&camera.shoot(bases), TIME_LIMIT).await.unwrap();
        }
        let done = i64::try_from(pipeline.ledger().accepted().len()).unwrap();
        pipeline
            .wait_for_count(
                "select count(*) from photo where status = 'received'",
                0,
                TIME_LIMIT,
            )
            .await
            .unwrap();
        pipeline.proxies.object_store.behave(behaviour).await;
        pipeline.workers[0].start().await.unwrap();
        // The outage lasts several times the limit.
        let returns = || {
            pipeline.workers[0]
                .log()
                .matches("published the message again")
                .count()
        };
        let before = returns();
        eventually("the six jobs have returned, twice each on average", async || {
            returns() >= before + 12
        })
        .await;
        pipeline.proxies.object_store.restore().await;
        let start = Instant::now();
        pipeline.wait_for_anonymized(done - 5, TIME_LIMIT).await.unwrap();
        let first = start.elapsed();
        pipeline.wait_until_idle(TIME_LIMIT).await.unwrap();
        println!(
            "a store that {name}: first photo after {first:?}, all after {:?}",
            start.elapsed()
        );
        assert!(
            first < RECOVERY_LIMIT + TOLERANCE,
            "a store that {name}: the first photo came after {first:?}"
        );
    }
    pipeline.check(&NO_FAILURES).await.unwrap();
}

/// A server moves to another node after the loss of its node. Existing connections, idle and in use, are silent for ever. New
/// connections work.
#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_are_replaced_by_new_ones() {
    let pipeline = Pipeline::start(Setup::default()).await.unwrap();
    let (bases, _) = references().await.expect("cannot compute the references");
    let camera = pipeline.camera();
    let proxies = [
        ("PostgreSQL", &pipeline.proxies.postgres),
        ("RabbitMQ", &pipeline.proxies.rabbitmq),
        ("store", &pipeline.proxies.object_store),
    ];
    for (name, proxy) in proxies {
        camera.deliver(&camera.shoot(bases), TIME_LIMIT).await.unwrap();
        pipeline.wait_until_idle(TIME_LIMIT).await.unwrap();
        proxy.strand().await;
        restore_and_recover(&pipeline, proxy, &format!("{name} silent, connections idle")).await;

        upload_during(&pipeline, proxy, Some(Behaviour::Stall)).await;
        proxy.strand().await;
        restore_and_recover(&pipeline, proxy, &format!("{name} silent, connections in use")).await;
    }
    for (_, proxy) in proxies {
        proxy.strand().await;
    }
    restore_and_recover(&pipeline, &pipeline.proxies.postgres, "all silent at once").await;
    pipeline.check(&NO_FAILURES).await.unwrap();
}
