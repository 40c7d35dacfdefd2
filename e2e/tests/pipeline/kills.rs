//! `kill -9` at every step of our programs, then a successor.

use std::{collections::BTreeSet, os::unix::process::ExitStatusExt};

use bytes::Bytes;
use chassis::broker::Message;
use e2e::pipeline::{PATIENCE, Pipeline, Setup, references};
use local::Service;
use local::proxy::Behaviour;

use crate::{NONE, take};

const SIGABRT: i32 = 6;

const STEPS_OF_IRMGARD: [&str; 8] = [
    "irmgard::after-put",
    "irmgard::after-insert",
    "irmgard::after-commit",
    "irmgard::relay-after-lease",
    "irmgard::relay-after-confirm",
    "irmgard::relay-after-mark",
    "irmgard::result-after-receive",
    "irmgard::result-after-update",
];

const STEPS_OF_THE_WORKER: [&str; 8] = [
    "anonymizer::after-receive",
    "anonymizer::after-get",
    "anonymizer::while-anonymizing",
    "anonymizer::after-anonymize",
    "anonymizer::after-put",
    "anonymizer::after-publish",
    "anonymizer::after-delete",
    "anonymizer::before-ack",
];

/// Starts the program so that it ends at a step.
async fn arm(service: &mut Service, step: &str) {
    service.kill().expect("killed");
    service.set("FAILPOINTS", &format!("{step}=return"));
    service.start().await.expect("started");
}

/// Waits until it has ended there, and starts it as it should be.
async fn succeed(service: &mut Service, step: &str) {
    let status = service.ended(PATIENCE).await.unwrap_or_else(|error| {
        panic!("it did not end at {step}; is it built with --features …/failpoints?\n{error}")
    });
    assert_eq!(status.signal(), Some(SIGABRT), "{step}: {status}");
    service.unset("FAILPOINTS");
    service.start().await.expect("started");
}

#[tokio::test(flavor = "multi_thread")]
async fn irmgard_dies_at_every_step() {
    let mut pipeline = Pipeline::start(Setup::default()).await.unwrap();
    let (bases, _) = references().await.unwrap();
    let camera = pipeline.camera();
    for step in STEPS_OF_IRMGARD {
        arm(&mut pipeline.irmgards[0], step).await;
        let (posting, shot) = (camera.clone(), camera.shoot(bases));
        let posted = tokio::spawn(async move { posting.deliver(&shot, PATIENCE).await });
        succeed(&mut pipeline.irmgards[0], step).await;
        posted
            .await
            .unwrap()
            .unwrap_or_else(|error| panic!("{step}: {error:#}"));
        pipeline
            .settled(PATIENCE)
            .await
            .unwrap_or_else(|error| panic!("{step}: {error:#}"));
    }
    pipeline.check(&NONE).await.unwrap();
    assert_eq!(pipeline.ledger().all().len(), STEPS_OF_IRMGARD.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_dies_at_every_step() {
    let mut pipeline = Pipeline::start(Setup::default()).await.unwrap();
    let (bases, _) = references().await.unwrap();
    let camera = pipeline.camera();
    for step in STEPS_OF_THE_WORKER {
        arm(&mut pipeline.workers[0], step).await;
        camera.deliver(&camera.shoot(bases), PATIENCE).await.unwrap();
        succeed(&mut pipeline.workers[0], step).await;
        pipeline
            .settled(PATIENCE)
            .await
            .unwrap_or_else(|error| panic!("{step}: {error:#}"));
    }
    pipeline.check(&NONE).await.unwrap();
}

/// The steps that only a bad photo, a bad message or an outage leads to.
#[tokio::test(flavor = "multi_thread")]
async fn the_worker_dies_at_the_rarer_steps() {
    let setup = Setup::default().with("HOLD_LIMIT", "2s");
    let mut pipeline = Pipeline::start(setup).await.unwrap();
    let (bases, _) = references().await.unwrap();
    let camera = pipeline.camera();

    let step = "anonymizer::after-failed";
    arm(&mut pipeline.workers[0], step).await;
    let mut damaged = camera.shoot(bases);
    damaged.file = Bytes::copy_from_slice(&damaged.file[..damaged.file.len() / 2]);
    let damaged = camera.deliver(&damaged, PATIENCE).await.unwrap();
    succeed(&mut pipeline.workers[0], step).await;
    pipeline.settled(PATIENCE).await.unwrap();

    let step = "anonymizer::after-park";
    arm(&mut pipeline.workers[0], step).await;
    pipeline.publisher.connected().await;
    let strange = Message::new("strange");
    pipeline
        .publisher
        .publish(&pipeline.queues().jobs, &strange)
        .await
        .unwrap();
    succeed(&mut pipeline.workers[0], step).await;
    // Once for each time that it was parked: the first worker died before
    // the ack.
    for _ in 0..2 {
        assert_eq!(
            take(&pipeline, &pipeline.queues().parked).await.body,
            strange.body
        );
    }

    let step = "anonymizer::after-republish";
    arm(&mut pipeline.workers[0], step).await;
    camera.deliver(&camera.shoot(bases), PATIENCE).await.unwrap();
    pipeline.settled(PATIENCE).await.unwrap();
    pipeline.workers[0].kill().unwrap();
    camera.deliver(&camera.shoot(bases), PATIENCE).await.unwrap();
    pipeline.proxies.object_store.behave(Behaviour::Refuse).await;
    pipeline.workers[0].start().await.unwrap();
    succeed(&mut pipeline.workers[0], step).await;
    pipeline.proxies.object_store.restore().await;

    pipeline.check(&BTreeSet::from([damaged])).await.unwrap();
    let reason: String = sqlx::query_scalar("select failure_reason from photo where id = $1")
        .bind(damaged)
        .fetch_one(&pipeline.database)
        .await
        .unwrap();
    assert_eq!(reason, "corrupt-image");
}
