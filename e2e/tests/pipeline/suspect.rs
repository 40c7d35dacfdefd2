//! A photo that kills the process that anonymises it.

use std::collections::BTreeSet;

use e2e::pipeline::{Pipeline, Setup, TIME_LIMIT, references};
use tokio::time::{Instant, sleep};

#[tokio::test(flavor = "multi_thread")]
async fn a_deadly_photo_fails_alone_and_the_worker_survives() {
    let mut pipeline = Pipeline::start(Setup::default()).await.unwrap();
    let (bases, _) = references().await.unwrap();
    let camera = pipeline.camera();
    let worker = 0;
    pipeline.workers[worker].kill().unwrap();
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(camera.deliver(&camera.shoot(bases), TIME_LIMIT).await.unwrap());
    }
    let deadly = ids[2];
    let failpoint = format!("anonymizer::while-anonymizing=return({deadly})");
    pipeline.workers[worker].set("FAILPOINTS", &failpoint);
    pipeline.workers[worker].start().await.unwrap();

    // Restarts a dead worker, as a cluster does.
    let (mut deaths, deadline) = (0, Instant::now() + TIME_LIMIT);
    loop {
        let in_work: i64 =
            sqlx::query_scalar("select count(*) from photo where status in ('received', 'queued')")
                .fetch_one(&pipeline.database)
                .await
                .unwrap();
        if in_work == 0 {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "{in_work} photos are in work\n{}",
            pipeline.recent_warnings()
        );
        if !pipeline.workers[worker].alive() {
            deaths += 1;
            pipeline.workers[worker].start().await.unwrap();
        }
        sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(
        deaths, 1,
        "the worker dies once; later only its child process dies"
    );
    pipeline.check(&BTreeSet::from([deadly])).await.unwrap();
    let reason: String = sqlx::query_scalar("select failure_reason from photo where id = $1")
        .bind(deadly)
        .fetch_one(&pipeline.database)
        .await
        .unwrap();
    assert_eq!(reason, "process-crashed");
}
