//! Rollouts: a worker that is asked to end, again and again.

use std::time::Duration;

use e2e::pipeline::{PATIENCE, Pipeline, Setup, references};
use tokio::time::{Instant, sleep};

use crate::NONE;

/// More than the broker's delivery limit, which is 20.
const ROLLOUTS: usize = 26;

/// A quorum queue counts every return of a message as a delivery, and gives
/// up after some; a rollout must not use that up.
#[tokio::test(flavor = "multi_thread")]
async fn many_rollouts_fail_nobodys_photo() {
    let setup = Setup::default().with("SHUTDOWN_GRACE", "100ms");
    let mut pipeline = Pipeline::start(setup).await.unwrap();
    let (bases, _) = references().await.unwrap();
    let camera = pipeline.camera();
    pipeline.workers[0].kill().unwrap();
    // Work never ends, so that every worker gives back what it has taken.
    pipeline.workers[0].set("FAILPOINTS", "anonymizer::while-anonymizing=sleep(3600000)");
    for _ in 0..2 {
        camera.deliver(&camera.shoot(bases), PATIENCE).await.unwrap();
    }
    pipeline
        .until(
            "select count(*) from photo where status = 'received'",
            0,
            PATIENCE,
        )
        .await
        .unwrap();
    for rollout in 0..ROLLOUTS {
        pipeline.workers[0].start().await.unwrap();
        let deadline = Instant::now() + PATIENCE;
        while pipeline.publisher.messages_ready(&pipeline.queues().jobs).await != Ok(0) {
            assert!(
                Instant::now() < deadline,
                "rollout {rollout}: the jobs were not taken"
            );
            sleep(Duration::from_millis(20)).await;
        }
        pipeline.workers[0].terminate();
        let status = pipeline.workers[0].ended(PATIENCE).await.unwrap();
        assert!(
            status.success(),
            "rollout {rollout}: {status}\n{}",
            pipeline.tails()
        );
    }
    pipeline.workers[0].unset("FAILPOINTS");
    pipeline.workers[0].start().await.unwrap();
    pipeline.check(&NONE).await.unwrap();
}

/// irmgard ends in order while photos are posted: each attempt is answered,
/// or its photo can be posted again.
#[tokio::test(flavor = "multi_thread")]
async fn rollouts_of_irmgard_lose_nothing() {
    let setup = Setup {
        irmgards: 2,
        ..Setup::default()
    };
    let mut pipeline = Pipeline::start(setup).await.unwrap();
    let (bases, _) = references().await.unwrap();
    let camera = pipeline.camera();
    let posting = tokio::spawn(async move {
        for _ in 0..30 {
            camera.deliver(&camera.shoot(bases), PATIENCE).await?;
        }
        anyhow::Ok(())
    });
    for rollout in 0..4 {
        let irmgard = &mut pipeline.irmgards[rollout % 2];
        irmgard.terminate();
        let status = irmgard.ended(PATIENCE).await.unwrap();
        assert!(status.success(), "rollout {rollout}: {status}");
        irmgard.start().await.unwrap();
    }
    posting.await.unwrap().unwrap();
    pipeline.check(&NONE).await.unwrap();
    assert_eq!(pipeline.ledger().all().len(), 30);
}
