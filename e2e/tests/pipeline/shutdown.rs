//! Rollouts: repeated shutdowns of our programs.

use std::time::Duration;

use e2e::pipeline::{Pipeline, Setup, TIME_LIMIT, references};
use tokio::time::{Instant, sleep};

use crate::NO_FAILURES;

/// More than the broker's delivery limit of 20.
const ROLLOUTS: usize = 26;

/// A quorum queue counts each return of a message and drops the message at its delivery limit. Rollouts must not reach that limit.
#[tokio::test(flavor = "multi_thread")]
async fn many_rollouts_fail_no_photo() {
    let setup = Setup::default().with("SHUTDOWN_GRACE", "100ms");
    let mut pipeline = Pipeline::start(setup).await.unwrap();
    let (bases, _) = references().await.unwrap();
    let camera = pipeline.camera();
    pipeline.workers[0].kill().unwrap();
    // The work never ends, so every worker returns its jobs.
    pipeline.workers[0].set("FAILPOINTS", "anonymizer::while-anonymizing=sleep(3600000)");
    for _ in 0..2 {
        camera.deliver(&camera.shoot(bases), TIME_LIMIT).await.unwrap();
    }
    pipeline
        .wait_for_count(
            "select count(*) from photo where status = 'received'",
            0,
            TIME_LIMIT,
        )
        .await
        .unwrap();
    for rollout in 0..ROLLOUTS {
        pipeline.workers[0].start().await.unwrap();
        let deadline = Instant::now() + TIME_LIMIT;
        while pipeline.publisher.messages_ready(&pipeline.queues().jobs).await != Ok(0) {
            assert!(
                Instant::now() < deadline,
                "rollout {rollout}: the worker did not receive the jobs"
            );
            sleep(Duration::from_millis(20)).await;
        }
        pipeline.workers[0].terminate();
        let status = pipeline.workers[0].ended(TIME_LIMIT).await.unwrap();
        assert!(
            status.success(),
            "rollout {rollout}: {status}\n{}",
            pipeline.recent_warnings()
        );
    }
    pipeline.workers[0].unset("FAILPOINTS");
    pipeline.workers[0].start().await.unwrap();
    pipeline.check(&NO_FAILURES).await.unwrap();
}

/// irmgard shuts down during uploads: it answers each upload, or the camera can repeat it.
#[tokio::test(flavor = "multi_thread")]
async fn rollouts_of_irmgard_lose_nothing() {
    let setup = Setup {
        irmgards: 2,
        ..Setup::default()
    };
    let mut pipeline = Pipeline::start(setup).await.unwrap();
    let (bases, _) = references().await.unwrap();
    let camera = pipeline.camera();
    let uploads = tokio::spawn(async move {
        for _ in 0..30 {
            camera.deliver(&camera.shoot(bases), TIME_LIMIT).await?;
        }
        anyhow::Ok(())
    });
    for rollout in 0..4 {
        let irmgard = &mut pipeline.irmgards[rollout % 2];
        irmgard.terminate();
        let status = irmgard.ended(TIME_LIMIT).await.unwrap();
        assert!(status.success(), "rollout {rollout}: {status}");
        irmgard.start().await.unwrap();
    }
    uploads.await.unwrap().unwrap();
    pipeline.check(&NO_FAILURES).await.unwrap();
    assert_eq!(pipeline.ledger().accepted().len(), 30);
}
