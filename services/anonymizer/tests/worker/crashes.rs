//! Photos that crash a process, and workers that are killed.

#![cfg(feature = "failpoints")]

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use contract::{
    Verdict,
    headers::{X_DELIVERY_COUNT, X_EARLIER_DELIVERIES, X_UNREADABLE_RETURNS},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use service_runtime::broker::Message;

use crate::{
    harness::{Harness, TIMEOUT, astronaut},
    large_photos::plain_jpeg,
};

const FAILPOINTS: &str = "FAILPOINTS";

#[tokio::test(flavor = "multi_thread")]
async fn photo_that_crashes_the_worker_fails_and_the_next_worker_continues() {
    let mut harness = Harness::with_environment(|environment| {
        environment.insert(
            FAILPOINTS.into(),
            "anonymizer::while-anonymizing=return(17)".into(),
        );
    })
    .await;
    harness.start_worker().await;
    let photo = harness.submit(17, astronaut()).await;
    let status = harness.worker.ended(TIMEOUT).await.unwrap();
    assert!(!status.success());
    harness.start_worker().await;
    assert_eq!(harness.next_failure(photo.id).await, "process-crashed");
    assert!(harness.object_exists(&photo.original).await);
    assert!(!harness.object_exists(&photo.output).await);
    assert_eq!(harness.metric("anonymizer_child_deaths_total").await, Some(2.0));
    let other = harness.submit(18, astronaut()).await;
    assert_eq!(harness.next_result().await.id, other.id);
    harness.wait_until_drained().await;
    harness.assert_anonymized(&other).await;
}

/// A panic does not crash the worker, but the photo does not fail at once.
#[tokio::test(flavor = "multi_thread")]
async fn photo_that_panics_is_retried_in_a_child() {
    let mut harness = Harness::with_environment(|environment| {
        environment.insert(FAILPOINTS.into(), "anonymizer::while-anonymizing=panic".into());
        environment.insert("RUST_BACKTRACE".into(), "full".into());
    })
    .await;
    harness.start_worker().await;
    let photo = harness.submit(17, astronaut()).await;
    let result = harness.next_result().await;
    assert_eq!(result.id, photo.id);
    let Verdict::Failed { reason, detail } = result.verdict else {
        panic!("{:?}", result.verdict);
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
    assert!(harness.worker.alive());
}

/// A valid photo is anonymised, however often its message was delivered before.
#[tokio::test(flavor = "multi_thread")]
async fn valid_suspect_photo_is_anonymised_in_a_child() {
    let mut harness = Harness::with_environment(|environment| {
        environment.insert("RUST_LOG".into(), "debug".into());
    })
    .await;
    harness.start_worker().await;
    let photo = harness.new_photo(17, contract::media::MediaType::Png);
    harness.store_original(&photo, astronaut()).await;
    let message = Message::new(photo.job.encode().unwrap()).with_header(X_EARLIER_DELIVERIES, 3);
    harness.publish_message(&message).await;
    let result = harness.next_result().await;
    assert!(
        matches!(result.verdict, Verdict::Anonymized { detections: Some(ref found), .. } if !found.is_empty()),
        "{result:?}"
    );
    harness.wait_until_drained().await;
    harness.assert_anonymized(&photo).await;
}

/// The kernel kills the child first when memory runs out, even if other processes took
/// the memory. That says nothing about the photo, and pauses no other job.
#[tokio::test(flavor = "multi_thread")]
async fn child_killed_from_outside_does_not_fail_the_photo() {
    let mut harness = Harness::with_environment(|environment| {
        environment.insert(
            FAILPOINTS.into(),
            "anonymizer::while-anonymizing=sleep(5000)".into(),
        );
    })
    .await;
    harness.start_worker().await;
    let photo = harness.new_photo(17, contract::media::MediaType::Png);
    harness.store_original(&photo, astronaut()).await;
    let message = Message::new(photo.job.encode().unwrap()).with_header(X_EARLIER_DELIVERIES, 1);
    harness.publish_message(&message).await;
    let (began, mut killed) = (Instant::now(), BTreeSet::new());
    while killed.len() < 3 {
        assert!(began.elapsed() < TIMEOUT, "{killed:?}\n{}", harness.worker.log());
        killed.extend(kill_children(&harness.worker));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let result = harness.next_result().await;
    assert!(matches!(result.verdict, Verdict::Anonymized { .. }), "{result:?}");
    harness.wait_until_drained().await;
    harness.assert_anonymized(&photo).await;
    assert_eq!(harness.metric("anonymizer_child_deaths_total").await, Some(0.0));
    assert!(!harness.worker.log().contains("taking no more jobs"));
}

/// A photo that needs more memory than the pod has kills every child. Rounds in which
/// its original could not be read do not count.
#[tokio::test(flavor = "multi_thread")]
async fn photo_fails_after_its_child_was_killed_in_twelve_rounds() {
    let mut harness = Harness::with_environment(|environment| {
        let slow = "anonymizer::while-anonymizing=sleep(5000)";
        environment.insert(FAILPOINTS.into(), slow.into());
        environment.insert("HOLD_LIMIT".into(), "2s".into());
    })
    .await;
    harness.start_worker().await;
    let photo = harness.new_photo(17, contract::media::MediaType::Png);
    harness.store_original(&photo, astronaut()).await;
    let message = Message::new(photo.job.encode().unwrap())
        .with_header(X_EARLIER_DELIVERIES, 1)
        .with_header(X_UNREADABLE_RETURNS, 60);
    harness.publish_message(&message).await;
    let kill_loop = async {
        loop {
            kill_children(&harness.worker);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let result = tokio::select! {
        result = harness.next_result() => result,
        () = kill_loop => unreachable!(),
    };
    assert_eq!(result.id, photo.id);
    let Verdict::Failed { reason, detail } = result.verdict else {
        panic!("{:?}", result.verdict);
    };
    assert_eq!(reason.code(), "processing-error");
    assert!(detail.starts_with("failed in 12 rounds"), "{detail}");
    let log = harness.worker.log();
    assert_eq!(log.matches("published the message again").count(), 11, "{log}");
    harness.assert_no_result().await;
    assert_eq!(harness.read_object(&photo.original).await.unwrap(), astronaut());
    assert!(!harness.object_exists(&photo.output).await);
}

/// Another large photo acquires the permit after the first photo's child was killed.
#[tokio::test(flavor = "multi_thread")]
async fn killed_child_of_a_large_photo_counts_while_another_has_the_permit() {
    let mut harness = Harness::with_environment(|environment| {
        let slow = "anonymizer::while-anonymizing=sleep(30000)";
        environment.insert(FAILPOINTS.into(), slow.into());
        environment.insert("CONCURRENCY".into(), "2".into());
    })
    .await;
    harness.start_worker().await;
    let photo = harness.new_photo(17, contract::media::MediaType::Jpeg);
    harness.store_original(&photo, plain_jpeg(6000, 5000)).await;
    let message = Message::new(photo.job.encode().unwrap()).with_header(X_EARLIER_DELIVERIES, 1);
    harness.publish_message(&message).await;
    let in_flight = async |count| harness.metric("anonymizer_jobs_in_flight").await == Some(count);
    harness
        .wait_until("the suspect is in work", async || in_flight(1.0).await)
        .await;
    harness.submit(18, plain_jpeg(6000, 5000)).await;
    harness
        .wait_until("the other photo waits", async || in_flight(2.0).await)
        .await;
    harness
        .wait_until("its child is killed", async || {
            !kill_children(&harness.worker).is_empty()
        })
        .await;
    harness
        .wait_until("the suspect is published again", async || {
            harness.worker.log().contains("published the message again")
        })
        .await;
    let lines = harness.worker.log_lines();
    let republished = lines
        .iter()
        .find(|line| line["message"] == "published the message again");
    let republished = republished.unwrap();
    assert_eq!(
        (&republished["photo"]["id"], &republished["reason"]),
        (&17.into(), &"killed".into())
    );
    harness.worker.kill().unwrap();
}

/// Kills the worker's child processes. Returns their process ids.
fn kill_children(worker: &local::Service) -> Vec<i32> {
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

/// A message near the broker's delivery limit is republished, and stays suspect.
#[tokio::test(flavor = "multi_thread")]
async fn message_near_the_delivery_limit_is_republished() {
    let mut harness = Harness::with_environment(|environment| {
        environment.insert(FAILPOINTS.into(), "anonymizer::after-republish=return".into());
    })
    .await;
    harness.start_worker().await;
    let photo = harness.new_photo(17, contract::media::MediaType::Png);
    harness.store_original(&photo, astronaut()).await;
    // The broker passes on a count that a publisher has set.
    let message = Message::new(photo.job.encode().unwrap())
        .with_header(X_DELIVERY_COUNT, 12)
        .with_header(X_EARLIER_DELIVERIES, 20);
    harness.publish_message(&message).await;
    harness.worker.ended(TIMEOUT).await.unwrap();
    let (first, second) = (
        harness.take_message(&harness.queues.jobs).await,
        harness.take_message(&harness.queues.jobs).await,
    );
    let republished = [first, second]
        .into_iter()
        .find(|message| message.header_number(X_EARLIER_DELIVERIES) == Some(32))
        .expect("a copy that counts all deliveries");
    // The dead worker and this test may also have received it.
    assert!(republished.delivery_count() < 5);
    assert_eq!(republished.body, photo.job.encode().unwrap());
}

/// `kill -9` after every step: the next worker reaches the same end.
#[tokio::test(flavor = "multi_thread")]
async fn crash_at_any_step_loses_nothing() {
    let failpoints = [
        "after-receive",
        "after-get",
        "while-anonymizing",
        "after-anonymize",
        "after-put",
        "after-publish",
        "after-delete",
        "before-ack",
    ];
    let mut harness = Harness::new().await;
    for (id, failpoint) in (1..).zip(failpoints) {
        harness
            .worker
            .set(FAILPOINTS, &format!("anonymizer::{failpoint}=return"));
        harness.start_worker().await;
        let photo = harness.submit(id, astronaut()).await;
        let status = harness.worker.ended(TIMEOUT).await.unwrap();
        assert!(!status.success(), "{failpoint}");
        harness.worker.unset(FAILPOINTS);
        harness.start_worker().await;
        let first = harness.next_result().await;
        assert_eq!(first.id, photo.id, "{failpoint}");
        assert!(
            matches!(first.verdict, Verdict::Anonymized { .. }),
            "{failpoint}: {first:?}"
        );
        let was_published = ["after-publish", "after-delete", "before-ack"].contains(&failpoint);
        if was_published {
            let second = harness.next_result().await;
            assert_eq!(second.id, photo.id, "{failpoint}");
            assert!(
                matches!(second.verdict, Verdict::Anonymized { .. }),
                "{failpoint}: {second:?}"
            );
        }
        harness.assert_no_result().await;
        harness.assert_anonymized(&photo).await;
        harness.worker.kill().unwrap();
    }
}

/// The worker dies between the failure's result and the ack: the result is published again.
#[tokio::test(flavor = "multi_thread")]
async fn crash_after_a_failure_repeats_its_result() {
    let mut harness = Harness::with_environment(|environment| {
        environment.insert(FAILPOINTS.into(), "anonymizer::after-failed=return".into());
    })
    .await;
    harness.start_worker().await;
    let photo = harness.submit(17, b"text".to_vec()).await;
    assert_eq!(harness.next_failure(photo.id).await, "unsupported-format");
    harness.worker.ended(TIMEOUT).await.unwrap();
    harness.worker.unset(FAILPOINTS);
    harness.start_worker().await;
    assert_eq!(harness.next_failure(photo.id).await, "unsupported-format");
    harness.assert_no_result().await;
    assert!(harness.object_exists(&photo.original).await);
}
