//! Scheduled runs of the sweep.

use irmgard::sweep::latest_run;
use local::Service;
use serde_json::Value;

use crate::{
    fixture::{Fixture, eventually, run, stderr, stdout},
    sweep::{draw_id, marker_location, put},
};

#[tokio::test]
async fn a_scheduled_run_is_recorded_and_the_web_service_reports_it() {
    let fixture = Fixture::new().await;
    fixture.insert_received().await;
    let orphan = fixture.original(draw_id(&fixture).await);
    put(&fixture, &orphan).await;
    let environment = fixture.scratch.environment_for("sweep");
    let dry = ["sweep", "--scheduled", "--older-than", "0s"];
    let output = run(&dry, &environment).await;
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), "", "findings go to the log");
    let found = stderr(&output).lines().any(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["object"]["location"] == orphan.to_string() && line["message"] == "found, and not deleted"
    });
    assert!(found, "{}", stderr(&output));

    let mut service = Service::new("irmgard", &fixture.scratch.environment()).unwrap();
    service.spawn().unwrap();
    service.ready().await.unwrap();
    let metrics = async || {
        let answer = reqwest::get(format!("http://{}/metrics", service.admin_address())).await;
        answer.unwrap().text().await.unwrap()
    };
    eventually("the metric shows the orphan", async || {
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
    eventually("a warning is logged", async || warned("objects-left").is_some()).await;
    let line = warned("objects-left").unwrap();
    assert!(
        line["sweep"]["age_seconds"].is_f64() && line["count"] == 1,
        "{line}"
    );

    // A run with --delete: young objects are no findings, and nothing is left.
    let output = run(&["sweep", "--scheduled", "--delete"], &environment).await;
    assert!(output.status.success(), "{}", stderr(&output));
    eventually("the metric shows the next run", async || {
        let metrics = metrics().await;
        !metrics.contains("kind=\"no-photo\"") && metrics.contains("irmgard_sweep_failed 0")
    })
    .await;

    // A refused run ends with an error, which is recorded, too.
    let store = fixture.store();
    store
        .put(&marker_location(&fixture), b"?".to_vec(), "application/json")
        .await
        .unwrap();
    let output = run(&["sweep", "--scheduled", "--delete"], &environment).await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("nothing was deleted"),
        "{}",
        stderr(&output)
    );
    eventually("the metric shows the refusal", async || {
        metrics().await.contains("irmgard_sweep_failed 1")
    })
    .await;
    let last_run = metrics().await;
    let last_run = last_run
        .lines()
        .find_map(|line| line.strip_prefix("irmgard_sweep_last_run_timestamp_seconds "));
    assert!(last_run.unwrap().parse::<f64>().unwrap() > 1.7e9);
    assert!(warned("sweep-overdue").is_none(), "no schedule is expected");
    service.kill().unwrap();
}

#[tokio::test]
async fn a_scheduled_run_that_cannot_search_is_recorded() {
    let fixture = Fixture::new().await;
    fixture.insert_received().await;
    put(&fixture, &fixture.original(draw_id(&fixture).await)).await;
    let mut environment = fixture.scratch.environment_for("sweep");
    let output = run(&["sweep", "--scheduled", "--older-than", "0s"], &environment).await;
    assert!(output.status.success(), "{}", stderr(&output));
    environment.insert(
        "OBJECT_STORE_INPUT_BUCKET".to_owned(),
        "no-such-bucket".to_owned(),
    );
    let output = run(&["sweep", "--scheduled", "--delete"], &environment).await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let newest = latest_run(fixture.pool()).await.unwrap();
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
        "the counts of the previous run stay"
    );
}

#[tokio::test]
async fn an_overdue_sweep_causes_a_warning() {
    let fixture = Fixture::new().await;
    let mut environment = fixture.scratch.environment();
    environment.insert("SWEEP_WARN_AGE".to_owned(), "1s".to_owned());
    let mut service = Service::new("irmgard", &environment).unwrap();
    service.spawn().unwrap();
    eventually("a warning is logged", async || {
        let lines = service.log_lines();
        lines.iter().any(|line| line["reason"] == "sweep-overdue")
    })
    .await;
    service.kill().unwrap();
}
