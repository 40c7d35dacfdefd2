use std::time::Duration;

use contract::FailureReason;
use local::Service;

use crate::fixture::{Fixture, TIMEOUT, eventually};

async fn get(url: &str) -> Option<(u16, String)> {
    let answer = reqwest::get(url).await.ok()?;
    Some((answer.status().as_u16(), answer.text().await.ok()?))
}

fn start_service(fixture: &Fixture) -> Service {
    let mut service = Service::new("irmgard", &fixture.scratch.environment()).unwrap();
    service.spawn().unwrap();
    service
}

async fn readyz(service: &Service) -> Option<(u16, String)> {
    get(&format!("http://{}/readyz", service.admin_address())).await
}

/// In a cluster, both start at once.
#[tokio::test]
async fn it_waits_for_the_schema_and_becomes_ready_by_itself() {
    let fixture = Fixture::without_schema().await;
    let mut service = start_service(&fixture);
    let wait_warnings = |service: &Service| -> Vec<_> {
        let lines = service.log_lines().into_iter();
        lines
            .filter(|line| line["message"] == "waiting for `irmgard migrate`")
            .collect()
    };
    eventually("the service warns that it waits", async || {
        !wait_warnings(&service).is_empty()
    })
    .await;
    let needed = format!("needs {}", irmgard::database::required_version());
    let warnings = wait_warnings(&service)[0]["error"].to_string();
    assert!(
        warnings.contains(&needed) && warnings.contains("has version 0"),
        "{warnings}"
    );
    let (status, body) = readyz(&service).await.unwrap();
    assert_eq!(status, 503);
    assert!(body.contains("\"schema\":false"), "{body}");
    let livez = format!("http://{}/livez", service.admin_address());
    assert_eq!(get(&livez).await.unwrap().0, 200);

    // Its role may read the schema only some time after the schema exists.
    let role = format!("{}_other", fixture.settings.database.database);
    let create = format!("CREATE ROLE {role} LOGIN PASSWORD 'x'");
    sqlx::query(sqlx::AssertSqlSafe(create))
        .execute(fixture.pool())
        .await
        .unwrap();
    let mut environment = fixture.scratch.environment();
    environment.insert("POSTGRES_USERNAME".to_owned(), role.clone());
    environment.insert("POSTGRES_PASSWORD".to_owned(), "x".to_owned());
    let mut other = Service::new("irmgard", &environment).unwrap();

    assert!(fixture.run_irmgard(&["migrate"]).await.status.success());
    service.ready().await.unwrap();
    assert_eq!(wait_warnings(&service).len(), 1, "the warning is logged once");
    let id = fixture.insert_received().await;
    fixture.wait_for_status(id, "queued").await;

    other.spawn().unwrap();
    eventually("the service warns that its role lacks rights", async || {
        let wait_warnings = wait_warnings(&other);
        wait_warnings
            .iter()
            .any(|line| line["error"].to_string().contains("may not read"))
    })
    .await;
    assert_eq!(readyz(&other).await.unwrap().0, 503);
    let options = fixture.settings.database.connect_options();
    irmgard::database::migrate(&options, Some(&role)).await.unwrap();
    other.ready().await.unwrap();
    other.kill().unwrap();
    let drop = format!("DROP OWNED BY {role}; DROP ROLE {role}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(drop))
        .execute(fixture.pool())
        .await
        .unwrap();

    // A start that waits for its schema must not cause errors in PostgreSQL's log.
    let Some(path) = local::postgres_log("PostgreSQL's errors at a clean start") else {
        return;
    };
    let database = format!("\"dbname\":\"{}\"", fixture.settings.database.database);
    let lines = || -> Vec<String> {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().filter(|line| line.contains(&database));
        lines.map(ToOwned::to_owned).collect()
    };
    eventually("the last statement", async || {
        lines().iter().any(|line| line.contains("DROP ROLE"))
    })
    .await;
    let errors: Vec<String> = lines()
        .into_iter()
        .filter(|line| !line.contains("\"error_severity\":\"LOG\""))
        .collect();
    assert_eq!(errors, Vec::<String>::new());
}

/// Waiting does not make the schema fit.
#[tokio::test]
async fn serve_refuses_a_schema_that_is_too_new() {
    let fixture = Fixture::new().await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         SELECT version, 'of a later program', true, '', 0 FROM generate_series(9001, 9002) AS version",
    )
    .execute(fixture.pool())
    .await
    .unwrap();
    let mut service = start_service(&fixture);
    let status = service.ended(TIMEOUT).await.unwrap();
    assert_eq!(status.code(), Some(3));
    let log = service.log();
    assert!(log.contains("2 migrations ahead of this program"), "{log}");
}

#[tokio::test]
async fn it_starts_without_its_database_and_becomes_ready_by_itself() {
    let fixture = Fixture::new().await;
    fixture.set_database_closed(true).await;
    let service = start_service(&fixture);
    eventually("alive", async || {
        get(&format!("http://{}/livez", service.admin_address()))
            .await
            .is_some_and(|(status, _)| status == 200)
    })
    .await;
    eventually("the probe reports the missing database", async || {
        readyz(&service).await.is_some_and(|(status, body)| {
            status == 503 && body.contains("not currently accepting connections")
        })
    })
    .await;
    let (status, _) = get(&format!("http://{}/projects", service.address()))
        .await
        .unwrap();
    assert_eq!(status, 503);
    fixture.set_database_closed(false).await;
    eventually("ready", async || {
        readyz(&service).await.is_some_and(|(status, _)| status == 200)
    })
    .await;

    // Once ready, an outage does not make it unready.
    fixture.set_database_closed(true).await;
    eventually("the probe's body reports the outage", async || {
        readyz(&service)
            .await
            .is_some_and(|(status, body)| status == 200 && body.contains("did not answer"))
    })
    .await;
    fixture.set_database_closed(false).await;
    eventually("requests work again", async || {
        get(&format!("http://{}/projects", service.address()))
            .await
            .is_some_and(|(status, _)| status == 200)
    })
    .await;
}

#[tokio::test]
async fn it_ends_in_order() {
    let fixture = Fixture::new().await;
    let mut service = start_service(&fixture);
    service.ready().await.unwrap();
    service.terminate();
    let status = service.ended(Duration::from_secs(10)).await.unwrap();
    assert_eq!(status.code(), Some(0));
    let log = service.log_lines();
    assert_eq!(log.last().unwrap()["message"], "irmgard stopped");
    let errors: Vec<_> = log.iter().filter(|line| line["level"] == "error").collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

/// Otherwise they would hide all other statements in the log.
#[tokio::test]
async fn polling_statements_are_marked_as_polls() {
    let Some(path) = local::postgres_log("polls in PostgreSQL's lines") else {
        return;
    };
    let fixture = Fixture::new().await;
    let _service = start_service(&fixture);
    let polls = |part: &str| {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text
            .lines()
            .filter(|line| line.contains(" ms  execute ") && line.contains(part));
        let begin = format!(": {} ", irmgard::database::POLL);
        lines.map(|line| line.contains(&begin)).collect::<Vec<bool>>()
    };
    for part in ["FOR UPDATE SKIP LOCKED", "min(created_at)"] {
        eventually("a poll", async || !polls(part).is_empty()).await;
        assert!(polls(part).into_iter().all(|is_poll| is_poll), "{part}");
    }
}

#[tokio::test]
async fn it_reports_draining_while_it_still_answers() {
    let fixture = Fixture::new().await;
    let service = Service::new("irmgard", &fixture.scratch.environment()).unwrap();
    let mut service = service.with("DRAIN_DELAY", "3s");
    service.start().await.unwrap();
    service.terminate();
    eventually("the probe fails", async || {
        readyz(&service)
            .await
            .is_some_and(|(status, body)| status == 503 && body.contains("\"draining\":true"))
    })
    .await;
    let (status, _) = get(&format!("http://{}/projects", service.address()))
        .await
        .expect("the connection is still accepted");
    assert_eq!(status, 200);
    let status = service.ended(TIMEOUT).await.unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn a_job_goes_out_and_its_result_comes_back() {
    let fixture = Fixture::new().await;
    let mut service = start_service(&fixture);
    service.ready().await.unwrap();
    let id = fixture.insert_received().await;
    fixture.wait_for_status(id, "queued").await;
    let result = service_runtime::broker::Message::new(fixture.anonymized(id).encode().unwrap());
    fixture
        .publish(&fixture.settings.broker.queues.results, result)
        .await;
    fixture.wait_for_status(id, "anonymized").await;
    let (_, metrics) = get(&format!("http://{}/metrics", service.admin_address()))
        .await
        .unwrap();
    for line in [
        "irmgard_relay_jobs_total{outcome=\"published\"} 1",
        "irmgard_results_total{outcome=\"anonymized\"} 1",
        "irmgard_outbox_rows 0",
    ] {
        assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }
}

/// The broker is unavailable: a log line must reach the person on call.
#[tokio::test]
async fn it_warns_when_jobs_wait_too_long_in_the_outbox() {
    let fixture = Fixture::new().await;
    let service = Service::new("irmgard", &fixture.scratch.environment()).unwrap();
    let mut service = service.with("RABBITMQ_PORT", "1").with("OUTBOX_WARN_AGE", "1s");
    service.start().await.unwrap();
    let warnings = |service: &Service| -> Vec<_> {
        let lines = service.log_lines().into_iter();
        lines
            .filter(|line| line["message"] == "jobs wait too long in the outbox")
            .collect()
    };
    assert_eq!(warnings(&service), Vec::<serde_json::Value>::new());
    fixture.insert_received().await;
    eventually("the warning", async || !warnings(&service).is_empty()).await;
    let line = &warnings(&service)[0];
    assert_eq!((&line["level"], &line["count"]), (&"warn".into(), &1.into()));
    assert!(
        line["outbox"]["oldest_age_seconds"].as_f64().unwrap() > 1.0,
        "{line}"
    );
}

/// Manual actions must appear in the log of the service.
#[tokio::test]
async fn it_logs_each_use_of_a_failed_photo_once() {
    let fixture = Fixture::new().await;
    let id = fixture.insert_failed(FailureReason::CorruptImage).await;
    let requeue = ["failed", "requeue", &id.to_string(), "--as", "anna"];
    assert!(fixture.run_irmgard(&requeue).await.status.success());

    let service = Service::new("irmgard", &fixture.scratch.environment()).unwrap();
    let mut service = service.with("RECONCILE_INTERVAL", "100ms");
    service.start().await.unwrap();
    let audit_lines = |service: &Service| -> Vec<_> {
        let lines = service.log_lines().into_iter();
        lines.filter(|line| line["user"]["name"] == "anna").collect()
    };
    eventually("the warning", async || !audit_lines(&service).is_empty()).await;
    // A second use shows that another pass has run.
    assert!(
        fixture
            .run_irmgard(&["failed", "list", "--as", "anna"])
            .await
            .status
            .success()
    );
    eventually("the second audit line", async || audit_lines(&service).len() > 1).await;
    let lines = audit_lines(&service);
    let warnings: Vec<_> = lines
        .iter()
        .map(|line| (line["action"].as_str().unwrap(), line["photo"]["id"].as_i64()))
        .collect();
    assert_eq!(warnings, [("requeue", Some(id.get())), ("list", None)]);
    assert!(lines[0]["event"]["start"].as_str() < lines[0]["@timestamp"].as_str());
}

/// A search for one project's lines must find its verdicts.
#[tokio::test]
async fn the_line_of_a_verdict_names_the_project() {
    let fixture = Fixture::new().await;
    let mut service = start_service(&fixture);
    service.ready().await.unwrap();
    let failed = fixture.insert_queued("0s").await;
    let verdict = contract::Verdict::Failed {
        reason: FailureReason::CorruptImage,
        detail: "for the test".to_owned(),
    };
    let done = fixture.insert_queued("0s").await;
    for result in [
        contract::PhotoResult::new(failed, verdict),
        fixture.anonymized(done),
    ] {
        let message = service_runtime::broker::Message::new(result.encode().unwrap());
        fixture
            .publish(&fixture.settings.broker.queues.results, message)
            .await;
    }
    fixture.wait_for_status(failed, "failed").await;
    fixture.wait_for_status(done, "anonymized").await;
    let project_of = |message: &str| {
        let lines = service.log_lines().into_iter();
        let mut lines = lines.filter(|line| line["message"] == message);
        let line = lines.next_back();
        line.map(|line| line["project"].clone())
    };
    for message in ["photo failed", "result received"] {
        eventually(message, async || project_of(message).is_some()).await;
        assert_eq!(project_of(message).unwrap(), "site", "{message}");
    }
}
