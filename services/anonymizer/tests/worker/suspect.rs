//! Photos that end the process, and processes that end at the wrong time.

#![cfg(feature = "failpoints")]

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use chassis::broker::Message;
use contract::{
    Outcome,
    headers::{X_DELIVERY_COUNT, X_EARLIER_DELIVERIES, X_UNREADABLE_RETURNS},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    cost::plain,
    harness::{PATIENCE, Site, astronaut},
};

const FAILPOINTS: &str = "FAILPOINTS";

#[tokio::test(flavor = "multi_thread")]
async fn photo_that_ends_the_process_fails_and_the_worker_lives_on() {
    let mut site = Site::with(|environment| {
        environment.insert(
            FAILPOINTS.into(),
            "anonymizer::while-anonymizing=return(17)".into(),
        );
    })
    .await;
    site.start().await;
    let photo = site.post(17, astronaut()).await;
    let status = site.worker.ended(PATIENCE).await.unwrap();
    assert!(!status.success());
    site.start().await;
    assert_eq!(site.failure(photo.id).await, "process-crashed");
    assert!(site.is_there(&photo.original).await);
    assert!(!site.is_there(&photo.output).await);
    assert_eq!(site.metric("anonymizer_child_deaths_total").await, Some(2.0));
    let other = site.post(18, astronaut()).await;
    assert_eq!(site.result().await.id, other.id);
    site.drained().await;
    site.assert_anonymized(&other).await;
}

/// A panic is no death of the process, but no verdict either.
#[tokio::test(flavor = "multi_thread")]
async fn photo_that_panics_is_tried_in_a_child() {
    let mut site = Site::with(|environment| {
        environment.insert(FAILPOINTS.into(), "anonymizer::while-anonymizing=panic".into());
        environment.insert("RUST_BACKTRACE".into(), "full".into());
    })
    .await;
    site.start().await;
    let photo = site.post(17, astronaut()).await;
    let result = site.result().await;
    assert_eq!(result.id, photo.id);
    let Outcome::Failed { reason, detail } = result.outcome else {
        panic!("{:?}", result.outcome);
    };
    assert_eq!(reason.code(), "process-crashed");
    assert!(
        detail.contains("; panicked at ") && detail.contains("while-anonymizing"),
        "{detail}"
    );
    assert!(
        !detail.contains("note:") && !detail.contains("backtrace"),
        "{detail}"
    );
    assert!(site.worker.alive());
}

/// Whatever count the message brings, a photo that is in order comes out.
#[tokio::test(flavor = "multi_thread")]
async fn suspect_photo_in_order_is_anonymised_in_a_child() {
    let mut site = Site::with(|environment| {
        environment.insert("RUST_LOG".into(), "debug".into());
    })
    .await;
    site.start().await;
    let photo = site.photo(17, contract::media::MediaType::Png);
    site.store_original(&photo, astronaut()).await;
    let message = Message::new(photo.job.encode().unwrap()).with_header(X_EARLIER_DELIVERIES, 3);
    site.queue_message(&message).await;
    let result = site.result().await;
    assert!(
        matches!(result.outcome, Outcome::Anonymized { detections: Some(ref found), .. } if !found.is_empty()),
        "{result:?}"
    );
    site.drained().await;
    site.assert_anonymized(&photo).await;
}

/// The kernel ends the child first when memory runs out, whoever took it: that
/// says nothing about the photo, and holds no other.
#[tokio::test(flavor = "multi_thread")]
async fn child_killed_from_outside_is_no_verdict() {
    let mut site = Site::with(|environment| {
        environment.insert(
            FAILPOINTS.into(),
            "anonymizer::while-anonymizing=sleep(5000)".into(),
        );
    })
    .await;
    site.start().await;
    let photo = site.photo(17, contract::media::MediaType::Png);
    site.store_original(&photo, astronaut()).await;
    let message = Message::new(photo.job.encode().unwrap()).with_header(X_EARLIER_DELIVERIES, 1);
    site.queue_message(&message).await;
    let (began, mut killed) = (Instant::now(), BTreeSet::new());
    while killed.len() < 3 {
        assert!(began.elapsed() < PATIENCE, "{killed:?}\n{}", site.worker.log());
        killed.extend(kill_children_of(&site.worker));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let result = site.result().await;
    assert!(matches!(result.outcome, Outcome::Anonymized { .. }), "{result:?}");
    site.drained().await;
    site.assert_anonymized(&photo).await;
    assert_eq!(site.metric("anonymizer_child_deaths_total").await, Some(0.0));
    assert!(!site.worker.log().contains("taking no more jobs"));
}

/// A photo that needs more memory than the pod has ends every child. Rounds in
/// which its original could not be read do not count.
#[tokio::test(flavor = "multi_thread")]
async fn child_killed_in_every_round_is_a_verdict_in_the_end() {
    let mut site = Site::with(|environment| {
        let slow = "anonymizer::while-anonymizing=sleep(5000)";
        environment.insert(FAILPOINTS.into(), slow.into());
        environment.insert("HOLD_LIMIT".into(), "2s".into());
    })
    .await;
    site.start().await;
    let photo = site.photo(17, contract::media::MediaType::Png);
    site.store_original(&photo, astronaut()).await;
    let message = Message::new(photo.job.encode().unwrap())
        .with_header(X_EARLIER_DELIVERIES, 1)
        .with_header(X_UNREADABLE_RETURNS, 60);
    site.queue_message(&message).await;
    let killing = async {
        loop {
            kill_children_of(&site.worker);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let result = tokio::select! {
        result = site.result() => result,
        () = killing => unreachable!(),
    };
    assert_eq!(result.id, photo.id);
    let Outcome::Failed { reason, detail } = result.outcome else {
        panic!("{:?}", result.outcome);
    };
    assert_eq!(reason.code(), "processing-error");
    assert!(detail.starts_with("failed in 12 rounds"), "{detail}");
    let log = site.worker.log();
    assert_eq!(log.matches("published the message again").count(), 11, "{log}");
    site.no_result().await;
    assert_eq!(site.read(&photo.original).await.unwrap(), astronaut());
    assert!(!site.is_there(&photo.output).await);
}

/// Another large photo takes the turn in the pause after its child was killed.
#[tokio::test(flavor = "multi_thread")]
async fn killed_child_of_a_large_photo_counts_while_another_has_the_turn() {
    let mut site = Site::with(|environment| {
        let slow = "anonymizer::while-anonymizing=sleep(30000)";
        environment.insert(FAILPOINTS.into(), slow.into());
        environment.insert("CONCURRENCY".into(), "2".into());
    })
    .await;
    site.start().await;
    let photo = site.photo(17, contract::media::MediaType::Jpeg);
    site.store_original(&photo, plain(6000, 5000)).await;
    let message = Message::new(photo.job.encode().unwrap()).with_header(X_EARLIER_DELIVERIES, 1);
    site.queue_message(&message).await;
    let in_flight = async |count| site.metric("anonymizer_jobs_in_flight").await == Some(count);
    site.until("the suspect is in work", async || in_flight(1.0).await)
        .await;
    site.post(18, plain(6000, 5000)).await;
    site.until("the other photo waits", async || in_flight(2.0).await)
        .await;
    site.until("its child is killed", async || {
        !kill_children_of(&site.worker).is_empty()
    })
    .await;
    site.until("the suspect is published again", async || {
        site.worker.log().contains("published the message again")
    })
    .await;
    let lines = site.worker.log_lines();
    let again = lines
        .iter()
        .find(|line| line["message"] == "published the message again");
    let again = again.unwrap();
    assert_eq!(
        (&again["photo"]["id"], &again["reason"]),
        (&17.into(), &"Killed".into())
    );
    site.worker.kill().unwrap();
}

/// Kills the child process that works on a photo, if there is one.
fn kill_children_of(worker: &local::Service) -> Vec<i32> {
    let parent = format!("PPid:\t{}\n", worker.identity().expect("a running worker").pid);
    let is_child = |pid: &i32| {
        std::fs::read_to_string(format!("/proc/{pid}/status"))
            .is_ok_and(|status| status.contains(&parent) && !status.contains("State:\tZ"))
    };
    let processes = std::fs::read_dir("/proc").unwrap();
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(is_child)
        .filter(|pid| kill(Pid::from_raw(*pid), Signal::SIGKILL).is_ok())
        .collect()
}

/// A message near the broker's limit begins anew, and stays suspect.
#[tokio::test(flavor = "multi_thread")]
async fn message_near_the_delivery_limit_is_renewed() {
    let mut site = Site::with(|environment| {
        environment.insert(FAILPOINTS.into(), "anonymizer::after-republish=return".into());
    })
    .await;
    site.start().await;
    let photo = site.photo(17, contract::media::MediaType::Png);
    site.store_original(&photo, astronaut()).await;
    // The broker passes a count on that it has not given itself.
    let message = Message::new(photo.job.encode().unwrap())
        .with_header(X_DELIVERY_COUNT, 12)
        .with_header(X_EARLIER_DELIVERIES, 20);
    site.queue_message(&message).await;
    site.worker.ended(PATIENCE).await.unwrap();
    let (one, other) = (
        site.take(&site.queues.jobs).await,
        site.take(&site.queues.jobs).await,
    );
    let renewed = [one, other]
        .into_iter()
        .find(|message| message.header_number(X_EARLIER_DELIVERIES) == Some(32))
        .expect("a copy that carries all deliveries");
    // The dead worker may have had it, too, and so has this test.
    assert!(renewed.delivery_count() < 5);
    assert_eq!(renewed.body, photo.job.encode().unwrap());
}

/// `kill -9` at every arrow: the next worker brings it to the same end.
#[tokio::test(flavor = "multi_thread")]
async fn death_at_any_step_loses_nothing() {
    let points = [
        "after-receive",
        "after-get",
        "while-anonymizing",
        "after-anonymize",
        "after-put",
        "after-publish",
        "after-delete",
        "before-ack",
    ];
    let mut site = Site::new().await;
    for (id, point) in (1..).zip(points) {
        site.worker
            .set(FAILPOINTS, &format!("anonymizer::{point}=return"));
        site.start().await;
        let photo = site.post(id, astronaut()).await;
        let status = site.worker.ended(PATIENCE).await.unwrap();
        assert!(!status.success(), "{point}");
        site.worker.unset(FAILPOINTS);
        site.start().await;
        let first = site.result().await;
        assert_eq!(first.id, photo.id, "{point}");
        assert!(
            matches!(first.outcome, Outcome::Anonymized { .. }),
            "{point}: {first:?}"
        );
        let told_before = ["after-publish", "after-delete", "before-ack"].contains(&point);
        if told_before {
            let again = site.result().await;
            assert_eq!(again.id, photo.id, "{point}");
            assert!(
                matches!(again.outcome, Outcome::Anonymized { .. }),
                "{point}: {again:?}"
            );
        }
        site.no_result().await;
        site.assert_anonymized(&photo).await;
        site.worker.kill().unwrap();
    }
}

/// The verdict was told, the ack was not: it is told again.
#[tokio::test(flavor = "multi_thread")]
async fn death_after_a_verdict_repeats_it() {
    let mut site = Site::with(|environment| {
        environment.insert(FAILPOINTS.into(), "anonymizer::after-failed=return".into());
    })
    .await;
    site.start().await;
    let photo = site.post(17, b"text".to_vec()).await;
    assert_eq!(site.failure(photo.id).await, "unsupported-format");
    site.worker.ended(PATIENCE).await.unwrap();
    site.worker.unset(FAILPOINTS);
    site.start().await;
    assert_eq!(site.failure(photo.id).await, "unsupported-format");
    site.no_result().await;
    assert!(site.is_there(&photo.original).await);
}
