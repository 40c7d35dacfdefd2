//! Runs of the sweep that nobody watches.

use irmgard::sweep::newest_run;
use local::Service;
use serde_json::Value;

use crate::{
    place::{Place, eventually, run, stderr, stdout},
    sweep::{drawn, marker, put},
};

#[tokio::test]
async fn a_scheduled_run_is_recorded_and_the_web_service_tells_of_it() {
    let place = Place::new().await;
    place.received().await;
    let orphan = place.original(drawn(&place).await);
    put(&place, &orphan).await;
    let environment = place.scratch.environment_of("sweep");
    let dry = ["sweep", "--scheduled", "--older-than", "0s"];
    let output = run(&dry, &environment).await;
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), "", "findings go to the log");
    let found = stderr(&output).lines().any(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["object"]["location"] == orphan.to_string() && line["message"] == "found, and not deleted"
    });
    assert!(found, "{}", stderr(&output));

    let mut service = Service::new("irmgard", &place.scratch.environment()).unwrap();
    service.spawn().unwrap();
    service.ready().await.unwrap();
    let metrics = async || {
        let answer = reqwest::get(format!("http://{}/metrics", service.admin_address())).await;
        answer.unwrap().text().await.unwrap()
    };
    eventually("the metric tells of the orphan", async || {
        metrics()
            .await
            .contains("irmgard_sweep_left_over_objects{kind=\"no-photo\"} 1")
    })
    .await;
    let warned = |reason: &str| {
        service
            .log_lines()
            .into_iter()
            .find(|line| line["reason"] == reason && line["level"] == "warn")
    };
    eventually("a line tells of it", async || warned("objects-left").is_some()).await;
    let line = warned("objects-left").unwrap();
    assert!(
        line["sweep"]["age_seconds"].is_f64() && line["count"] == 1,
        "{line}"
    );

    // A run that may delete: what is young is not found, and nothing is left.
    let output = run(&["sweep", "--scheduled", "--delete"], &environment).await;
    assert!(output.status.success(), "{}", stderr(&output));
    eventually("the metric tells of the next run", async || {
        let metrics = metrics().await;
        !metrics.contains("kind=\"no-photo\"") && metrics.contains("irmgard_sweep_failed 0")
    })
    .await;

    // One that is refused ends with an error, which is recorded too.
    let store = place.store();
    store
        .put(&marker(&place), b"?".to_vec(), "application/json")
        .await
        .unwrap();
    let output = run(&["sweep", "--scheduled", "--delete"], &environment).await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("nothing was deleted"),
        "{}",
        stderr(&output)
    );
    eventually("the metric tells of the refusal", async || {
        metrics().await.contains("irmgard_sweep_failed 1")
    })
    .await;
    let last_run = metrics().await;
    let last_run = last_run
        .lines()
        .find_map(|line| line.strip_prefix("irmgard_sweep_last_run_timestamp_seconds "));
    assert!(last_run.unwrap().parse::<f64>().unwrap() > 1.7e9);
    assert!(
        warned("sweep-overdue").is_none(),
        "nobody has asked for a schedule"
    );
    service.kill().unwrap();
}

#[tokio::test]
async fn a_scheduled_run_that_cannot_look_is_recorded() {
    let place = Place::new().await;
    place.received().await;
    put(&place, &place.original(drawn(&place).await)).await;
    let mut environment = place.scratch.environment_of("sweep");
    let output = run(&["sweep", "--scheduled", "--older-than", "0s"], &environment).await;
    assert!(output.status.success(), "{}", stderr(&output));
    environment.insert(
        "OBJECT_STORE_INPUT_BUCKET".to_owned(),
        "no-such-bucket".to_owned(),
    );
    let output = run(&["sweep", "--scheduled", "--delete"], &environment).await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let newest = newest_run(place.pool()).await.unwrap();
    assert!(
        newest
            .error
            .as_ref()
            .is_some_and(|error| error.contains("no-such-bucket")),
        "{newest:?}"
    );
    assert_eq!(
        newest.left_over.get("no-photo"),
        Some(&1),
        "what the run before left"
    );
}

#[tokio::test]
async fn a_sweep_that_nobody_runs_is_told() {
    let place = Place::new().await;
    let mut environment = place.scratch.environment();
    environment.insert("SWEEP_WARN_AGE".to_owned(), "1s".to_owned());
    let mut service = Service::new("irmgard", &environment).unwrap();
    service.spawn().unwrap();
    eventually("a line tells of it", async || {
        let lines = service.log_lines();
        lines.iter().any(|line| line["reason"] == "sweep-overdue")
    })
    .await;
    service.kill().unwrap();
}
