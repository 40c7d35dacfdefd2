//! A photo that kills the process that works on it.

use std::collections::BTreeSet;

use e2e::pipeline::{PATIENCE, Pipeline, Setup, references};
use tokio::time::{Instant, sleep};

#[tokio::test(flavor = "multi_thread")]
async fn a_deadly_photo_fails_alone_and_the_worker_lives() {
    let mut pipeline = Pipeline::start(Setup::default()).await.unwrap();
    let (bases, _) = references().await.unwrap();
    let camera = pipeline.camera();
    let worker = 0;
    pipeline.workers[worker].kill().unwrap();
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(camera.deliver(&camera.shoot(bases), PATIENCE).await.unwrap());
    }
    let deadly = ids[2];
    let failpoint = format!("anonymizer::while-anonymizing=return({deadly})");
    pipeline.workers[worker].set("FAILPOINTS", &failpoint);
    pipeline.workers[worker].start().await.unwrap();

    // As the cluster does: what has died is started again.
    let (mut deaths, deadline) = (0, Instant::now() + PATIENCE);
    loop {
        let on_their_way: i64 =
            sqlx::query_scalar("select count(*) from photo where status in ('received', 'queued')")
                .fetch_one(&pipeline.database)
                .await
                .unwrap();
        if on_their_way == 0 {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "{on_their_way} are left\n{}",
            pipeline.tails()
        );
        if !pipeline.workers[worker].alive() {
            deaths += 1;
            pipeline.workers[worker].start().await.unwrap();
        }
        sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(deaths, 1, "it dies once, and then only its children do");
    pipeline.check(&BTreeSet::from([deadly])).await.unwrap();
    let reason: String = sqlx::query_scalar("select failure_reason from photo where id = $1")
        .bind(deadly)
        .fetch_one(&pipeline.database)
        .await
        .unwrap();
    assert_eq!(reason, "process-crashed");
}
