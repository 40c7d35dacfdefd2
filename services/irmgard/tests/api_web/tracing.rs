//! One trace id, from the request's header to PostgreSQL's log.

use super::{
    fixture::{Answer, WebFixture, eventually, log},
    test_images::jpeg,
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[tokio::test]
async fn a_request_continues_the_trace_that_it_comes_with() {
    let web = WebFixture::start().await;
    let parent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let request = web.http.post(web.url("/projects/site-1/photos?name=secret.jpg"));
    let request = request.header("traceparent", &parent).body(jpeg(64, 48, 900, 1));
    let answer = Answer::from_response(request.send().await.unwrap()).await;
    assert_eq!(answer.json()["trace_id"], TRACE);

    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT p.traceparent, o.traceparent FROM photo p JOIN outbox o ON o.photo_id = p.id")
            .fetch_all(&web.pool)
            .await
            .unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].0, rows[0].1);
    assert!(rows[0].0.starts_with(&format!("00-{TRACE}-")) && rows[0].0 != parent);

    let lines = log().lines(TRACE);
    assert_eq!(lines.len(), 1, "one line for a request: {lines:?}");
    let line = &lines[0];
    assert_eq!(line["http"]["route"], "/projects/{project}/photos");
    assert_eq!(line["http"]["response"]["status_code"], 202);
    assert_eq!(
        (&line["photo"]["id"], &line["project"]),
        (&answer.json()["id"], &"site-1".into())
    );
    assert!(line["duration_seconds"].is_f64() && line["outcome"] == "new");
    assert!(!line.to_string().contains("secret.jpg"));

    let Some(path) = local::postgres_log("the trace id of an upload in PostgreSQL's lines") else {
        return;
    };
    eventually(
        "PostgreSQL's lines carry the trace, COMMIT included",
        async || {
            let text = std::fs::read_to_string(&path).unwrap();
            let lines: Vec<_> = text
                .lines()
                .filter(|line| line.contains(&format!("\"application_name\":\"irmgard {TRACE}\"")))
                .collect();
            ["INSERT INTO photo", "COMMIT"]
                .iter()
                .all(|sql| lines.iter().any(|line| line.contains(sql)))
        },
    )
    .await;
}

#[tokio::test]
async fn a_malformed_trace_is_not_continued() {
    let web = WebFixture::start().await;
    for parent in [
        "",
        "00-0-0-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "'; DROP TABLE photo",
    ] {
        let request = web
            .http
            .post(web.url("/projects/site-1/photos"))
            .header("traceparent", parent);
        let answer = Answer::from_response(request.body(jpeg(64, 48, 900, 1)).send().await.unwrap()).await;
        let trace = answer.json()["trace_id"].as_str().unwrap().to_owned();
        assert!(trace.len() == 32 && trace != "0".repeat(32), "{trace}");
    }
}

#[tokio::test]
async fn metrics_count_requests_bytes_and_uploads() {
    let web = WebFixture::start().await;
    web.post("/projects/site-1/photos", jpeg(64, 48, 1000, 1)).await;
    web.get("/nothing").await;
    let metrics = web.metrics();
    for line in [
        r#"irmgard_http_requests_total{method="POST",route="/projects/{project}/photos",status="202"} 1"#,
        r#"irmgard_http_requests_total{method="GET",route="none",status="404"} 1"#,
        r#"irmgard_uploads_total{outcome="new"} 1"#,
        "irmgard_upload_bytes_total 1000",
        r#"irmgard_breaker_open{server="postgres"} 0"#,
        "irmgard_http_request_duration_seconds_bucket",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}
