//! Kills our programs at every failpoint, and restarts them.

use std::{collections::BTreeSet, os::unix::process::ExitStatusExt};

use bytes::Bytes;
use e2e::pipeline::{Pipeline, Setup, TIME_LIMIT, references};
use local::Service;
use service_runtime::broker::Message;
use test_support::Behaviour;

use crate::{NO_FAILURES, receive};

const SIGABRT: i32 = 6;

const IRMGARD_FAILPOINTS: [&str; 8] = [
    "irmgard::after-put",
    "irmgard::after-insert",
    "irmgard::after-commit",
    "irmgard::relay-after-lease",
    "irmgard::relay-after-confirm",
    "irmgard::relay-after-mark",
    "irmgard::result-after-receive",
    "irmgard::result-after-update",
];

const ANONYMIZER_FAILPOINTS: [&str; 8] = [
    "anonymizer::after-receive",
    "anonymizer::after-get",
    "anonymizer::while-anonymizing",
    "anonymizer::after-anonymize",
    "anonymizer::after-put",
    "anonymizer::after-publish",
    "anonymizer::after-delete",
    "anonymizer::before-ack",
];

/// Restarts the program with an active failpoint.
async fn activate_failpoint(service: &mut Service, failpoint: &str) {
    service.kill().expect("cannot kill the program");
    service.set("FAILPOINTS", &format!("{failpoint}=return"));
    service.start().await.expect("cannot start the program");
}

/// Waits until the program has ended at the failpoint, and restarts it without.
async fn restart_after_failpoint(service: &mut Service, failpoint: &str) {
    let status = service.ended(TIME_LIMIT).await.unwrap_or_else(|error| {
        panic!("it did not end at {failpoint}: build it with --features …/failpoints\n{error}")
    });
    assert_eq!(status.signal(), Some(SIGABRT), "{failpoint}: {status}");
    service.unset("FAILPOINTS");
    service.start().await.expect("cannot start the program");
}

#[tokio::test(flavor = "multi_thread")]
async fn photos_survive_irmgards_death_at_every_failpoint() {
    let mut pipeline = Pipeline::start(Setup::default()).await.unwrap();
    let (bases, _) = references().await.unwrap();
    let camera = pipeline.camera();
    for failpoint in IRMGARD_FAILPOINTS {
        activate_failpoint(&mut pipeline.irmgards[0], failpoint).await;
        let (uploader, shot) = (camera.clone(), camera.shoot(bases));
        let upload = tokio::spawn(async move { uploader.deliver(&shot, TIME_LIMIT).await });
        restart_after_failpoint(&mut pipeline.irmgards[0], failpoint).await;
        upload
            .await
            .unwrap()
            .unwrap_or_else(|error| panic!("{failpoint}: {error:#}"));
        pipeline
            .wait_until_idle(TIME_LIMIT)
            .await
            .unwrap_or_else(|error| panic!("{failpoint}: {error:#}"));
    }
    pipeline.check(&NO_FAILURES).await.unwrap();
    assert_eq!(pipeline.ledger().accepted().len(), IRMGARD_FAILPOINTS.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn photos_survive_the_workers_death_at_every_failpoint() {
    let mut pipeline = Pipeline::start(Setup::default()).await.unwrap();
    let (bases, _) = references().await.unwrap();
    let camera = pipeline.camera();
    for failpoint in ANONYMIZER_FAILPOINTS {
        activate_failpoint(&mut pipeline.workers[0], failpoint).await;
        camera.deliver(&camera.shoot(bases), TIME_LIMIT).await.unwrap();
        restart_after_failpoint(&mut pipeline.workers[0], failpoint).await;
        pipeline
            .wait_until_idle(TIME_LIMIT)
            .await
            .unwrap_or_else(|error| panic!("{failpoint}: {error:#}"));
    }
    pipeline.check(&NO_FAILURES).await.unwrap();
}

/// Failpoints that need a damaged photo, an invalid message or an outage.
#[tokio::test(flavor = "multi_thread")]
async fn photos_survive_the_workers_death_at_the_rare_failpoints() {
    let setup = Setup::default().with("HOLD_LIMIT", "2s");
    let mut pipeline = Pipeline::start(setup).await.unwrap();
    let (bases, _) = references().await.unwrap();
    let camera = pipeline.camera();

    let failpoint = "anonymizer::after-failed";
    activate_failpoint(&mut pipeline.workers[0], failpoint).await;
    let mut damaged = camera.shoot(bases);
    damaged.file = Bytes::copy_from_slice(&damaged.file[..damaged.file.len() / 2]);
    let damaged = camera.deliver(&damaged, TIME_LIMIT).await.unwrap();
    restart_after_failpoint(&mut pipeline.workers[0], failpoint).await;
    pipeline.wait_until_idle(TIME_LIMIT).await.unwrap();

    let failpoint = "anonymizer::after-park";
    activate_failpoint(&mut pipeline.workers[0], failpoint).await;
    pipeline.publisher.connected().await;
    let invalid = Message::new("invalid");
    pipeline
        .publisher
        .publish(&pipeline.queues().jobs, &invalid)
        .await
        .unwrap();
    restart_after_failpoint(&mut pipeline.workers[0], failpoint).await;
    // It is parked twice, because the first worker died before the acknowledgement.
    for _ in 0..2 {
        assert_eq!(
            receive(&pipeline, &pipeline.queues().parked).await.body,
            invalid.body
        );
    }

    let failpoint = "anonymizer::after-republish";
    activate_failpoint(&mut pipeline.workers[0], failpoint).await;
    camera.deliver(&camera.shoot(bases), TIME_LIMIT).await.unwrap();
    pipeline.wait_until_idle(TIME_LIMIT).await.unwrap();
    pipeline.workers[0].kill().unwrap();
    camera.deliver(&camera.shoot(bases), TIME_LIMIT).await.unwrap();
    pipeline.proxies.object_store.behave(Behaviour::Refuse).await;
    pipeline.workers[0].start().await.unwrap();
    restart_after_failpoint(&mut pipeline.workers[0], failpoint).await;
    pipeline.proxies.object_store.restore().await;

    pipeline.check(&BTreeSet::from([damaged])).await.unwrap();
    let reason: String = sqlx::query_scalar("select failure_reason from photo where id = $1")
        .bind(damaged)
        .fetch_one(&pipeline.database)
        .await
        .unwrap();
    assert_eq!(reason, "corrupt-image");
}
