//! Each server cut, refused, stalled and slow, while photos are posted.

use std::time::Duration;

use e2e::pipeline::{Answer, PATIENCE, Pipeline, Setup, references};
use futures::future::join_all;
use local::proxy::{Behaviour, Proxy};
use tokio::time::{Instant, sleep};

use crate::NONE;

/// What is said about an outage of PostgreSQL and the store: 503 within it.
const ANSWER: Duration = Duration::from_secs(2);
/// The same once the breaker is open.
const ANSWER_OPEN: Duration = Duration::from_millis(100);
/// Room for a machine that has other things to do.
const BUSY: Duration = Duration::from_millis(1500);
/// Work goes on within this after an outage.
const GOES_ON: Duration = Duration::from_secs(10);

const OUTAGES: [(&str, Option<Behaviour>); 4] = [
    ("cut", None),
    ("refused", Some(Behaviour::Refuse)),
    ("stalled", Some(Behaviour::Stall)),
    ("slow", Some(Behaviour::Slow(Duration::from_millis(40)))),
];

/// Posts while the outage lasts; a cut is repeated.
async fn post_during(pipeline: &Pipeline, proxy: &Proxy, outage: Option<Behaviour>) -> Vec<Answer> {
    let (bases, _) = references().await.expect("references");
    if let Some(behaviour) = outage {
        proxy.behave(behaviour).await;
    }
    let mut answers = Vec::new();
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
        answers.extend(join_all(round).await);
        sleep(Duration::from_millis(300)).await;
    }
    answers
}

/// Restores the server and demands that photos get through again soon, both
/// the new one and those that were on their way.
async fn restore(pipeline: &Pipeline, proxy: &Proxy, what: &str) {
    proxy.restore().await;
    let began = Instant::now();
    let (bases, _) = references().await.expect("references");
    let camera = pipeline.camera();
    camera
        .deliver(&camera.shoot(bases), PATIENCE)
        .await
        .unwrap_or_else(|error| panic!("{what}: {error:#}\n{}", pipeline.tails()));
    let accepted = began.elapsed();
    pipeline
        .settled(PATIENCE)
        .await
        .unwrap_or_else(|error| panic!("{what}: {error:#}"));
    println!(
        "{what}: accepted again after {accepted:?}, all done after {:?}",
        began.elapsed()
    );
    assert!(
        accepted < GOES_ON + BUSY,
        "{what}: accepted again after {accepted:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_rabbitmq_uploads_are_accepted_and_published_later() {
    let pipeline = Pipeline::start(Setup::default()).await.unwrap();
    for (name, outage) in OUTAGES {
        let proxy = &pipeline.proxies.rabbitmq;
        for answer in post_during(&pipeline, proxy, outage).await {
            assert_eq!(answer.status, Some(202), "RabbitMQ {name}: {answer:?}");
            assert!(answer.took < ANSWER + BUSY, "RabbitMQ {name}: {answer:?}");
        }
        restore(&pipeline, proxy, &format!("RabbitMQ {name}")).await;
    }
    pipeline.check(&NONE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgresql_uploads_are_told_to_come_again() {
    let pipeline = Pipeline::start(Setup::default()).await.unwrap();
    for (name, outage) in OUTAGES {
        outage_of_what_uploads_need(&pipeline, "PostgreSQL", &pipeline.proxies.postgres, name, outage).await;
    }
    pipeline.check(&NONE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_store_uploads_are_told_to_come_again() {
    let pipeline = Pipeline::start(Setup::default()).await.unwrap();
    for (name, outage) in OUTAGES {
        outage_of_what_uploads_need(&pipeline, "store", &pipeline.proxies.object_store, name, outage).await;
    }
    pipeline.check(&NONE).await.unwrap();
}

async fn outage_of_what_uploads_need(
    pipeline: &Pipeline,
    server: &str,
    proxy: &Proxy,
    name: &str,
    outage: Option<Behaviour>,
) {
    let what = format!("{server} {name}");
    let answers = post_during(pipeline, proxy, outage).await;
    for answer in &answers {
        match answer.status {
            Some(202) => {}
            Some(503) => assert!(answer.retry_after, "{what}: {answer:?}"),
            _ => panic!("{what}: {answer:?}\n{}", pipeline.tails()),
        }
        assert!(answer.took < ANSWER + BUSY, "{what}: {answer:?}");
    }
    if matches!(outage, Some(Behaviour::Refuse | Behaviour::Stall)) {
        assert!(
            answers.iter().all(|answer| answer.status == Some(503)),
            "{what}: {answers:?}"
        );
        answers_at_once(pipeline, &what).await;
        let ready = pipeline
            .camera()
            .client()
            .get(format!("http://{}/readyz", pipeline.irmgards[0].admin_address()))
            .send()
            .await
            .expect("the admin port answers");
        assert_eq!(
            ready.status(),
            200,
            "{what}: an outage takes no pod out of service"
        );
    }
    restore(pipeline, proxy, &what).await;
}

/// With the breaker open, all answers but those of the requests that try the
/// server again come at once.
async fn answers_at_once(pipeline: &Pipeline, what: &str) {
    let (bases, _) = references().await.expect("references");
    let camera = pipeline.camera();
    let mut took = Vec::new();
    for _ in 0..12 {
        let answer = camera.post(&camera.shoot(bases)).await;
        assert_eq!(answer.status, Some(503), "{what}: {answer:?}");
        took.push(answer.took);
        sleep(Duration::from_millis(50)).await;
    }
    took.sort();
    assert!(took[6] < ANSWER_OPEN, "{what}: {took:?}");
}

/// The worker holds what it has, gives it back in time, and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_for_a_while_fails_no_photo() {
    // As with the delivered ten minutes and an outage of half an hour.
    let setup = Setup::default().with("HOLD_LIMIT", "5s");
    let mut pipeline = Pipeline::start(setup).await.unwrap();
    let (bases, _) = references().await.unwrap();
    for (name, behaviour) in [("refuses", Behaviour::Refuse), ("stalls", Behaviour::Stall)] {
        pipeline.workers[0].kill().unwrap();
        let camera = pipeline.camera();
        for _ in 0..6 {
            camera.deliver(&camera.shoot(bases), PATIENCE).await.unwrap();
        }
        let done = i64::try_from(pipeline.ledger().all().len()).unwrap();
        pipeline
            .until(
                "select count(*) from photo where status = 'received'",
                0,
                PATIENCE,
            )
            .await
            .unwrap();
        pipeline.proxies.object_store.behave(behaviour).await;
        pipeline.workers[0].start().await.unwrap();
        // Not a wait for something: the outage has to last for several times
        // the limit.
        sleep(Duration::from_secs(18)).await;
        pipeline.proxies.object_store.restore().await;
        let began = Instant::now();
        pipeline.anonymized(done - 5, PATIENCE).await.unwrap();
        let first = began.elapsed();
        pipeline.settled(PATIENCE).await.unwrap();
        println!(
            "a store that {name}: first photo after {first:?}, all after {:?}",
            began.elapsed()
        );
        assert!(
            first < GOES_ON + BUSY,
            "a store that {name}: work went on after {first:?}"
        );
    }
    pipeline.check(&NONE).await.unwrap();
}

/// A server's node is lost and another one takes its place: what our programs hold is silent for ever, new connections
/// work. Every connection of both programs, idle and in use.
#[tokio::test(flavor = "multi_thread")]
async fn servers_that_became_silent_are_left_for_their_successors() {
    let pipeline = Pipeline::start(Setup::default()).await.unwrap();
    let (bases, _) = references().await.expect("references");
    let camera = pipeline.camera();
    let proxies = [
        ("PostgreSQL", &pipeline.proxies.postgres),
        ("RabbitMQ", &pipeline.proxies.rabbitmq),
        ("store", &pipeline.proxies.object_store),
    ];
    for (name, proxy) in proxies {
        camera.deliver(&camera.shoot(bases), PATIENCE).await.unwrap();
        pipeline.settled(PATIENCE).await.unwrap();
        proxy.strand().await;
        restore(&pipeline, proxy, &format!("{name} silent, connections idle")).await;

        post_during(&pipeline, proxy, Some(Behaviour::Stall)).await;
        proxy.strand().await;
        restore(&pipeline, proxy, &format!("{name} silent, connections in use")).await;
    }
    for (_, proxy) in proxies {
        proxy.strand().await;
    }
    restore(&pipeline, &pipeline.proxies.postgres, "all silent at once").await;
    pipeline.check(&NONE).await.unwrap();
}
