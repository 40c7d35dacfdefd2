//! Effects of verdicts on a photo's row.

use contract::{Detection, FailureReason, PhotoId, PhotoResult, Verdict};
use irmgard::results::VerdictEffect;
use sqlx::types::Json;

use crate::fixture::Fixture;

fn failed_verdict(id: PhotoId) -> PhotoResult {
    let verdict = Verdict::Failed {
        reason: FailureReason::CorruptImage,
        detail: "ends early".to_owned(),
    };
    PhotoResult::new(id, verdict)
}

pub fn anonymized_verdict(fixture: &Fixture, id: PhotoId) -> PhotoResult {
    fixture.anonymized(id)
}

fn verdict_without_detections(fixture: &Fixture, id: PhotoId) -> PhotoResult {
    let mut verdict = anonymized_verdict(fixture, id);
    if let Verdict::Anonymized {
        detections, seconds, ..
    } = &mut verdict.verdict
    {
        (*detections, *seconds) = (None, None);
    }
    verdict
}

pub async fn detections(fixture: &Fixture, id: PhotoId) -> Option<Vec<Detection>> {
    let known: Option<Json<Vec<Detection>>> =
        sqlx::query_scalar("SELECT detections FROM photo WHERE id = $1")
            .bind(id.get())
            .fetch_one(fixture.pool())
            .await
            .unwrap();
    known.map(|json| json.0)
}

pub async fn apply_one(fixture: &Fixture, verdict: PhotoResult) -> VerdictEffect {
    fixture.apply(&[verdict]).await[0]
}

#[tokio::test]
async fn each_status_takes_the_verdicts_that_it_may() {
    let fixture = Fixture::new().await;
    for (status, verdict_is_success, expected, after) in [
        ("received", true, VerdictEffect::Changed, "anonymized"),
        ("received", false, VerdictEffect::Changed, "failed"),
        ("queued", true, VerdictEffect::Changed, "anonymized"),
        ("queued", false, VerdictEffect::Changed, "failed"),
        ("failed", true, VerdictEffect::Changed, "anonymized"),
        ("failed", false, VerdictEffect::Repeated, "failed"),
        ("anonymized", true, VerdictEffect::Repeated, "anonymized"),
        ("anonymized", false, VerdictEffect::Repeated, "anonymized"),
    ] {
        let id = match status {
            "received" => fixture.insert_received().await,
            "queued" => fixture.insert_queued("0s").await,
            "failed" => fixture.insert_failed(FailureReason::TooLarge).await,
            _ => {
                let id = fixture.insert_queued("0s").await;
                apply_one(&fixture, anonymized_verdict(&fixture, id)).await;
                id
            }
        };
        let verdict = if verdict_is_success {
            anonymized_verdict(&fixture, id)
        } else {
            failed_verdict(id)
        };
        assert_eq!(apply_one(&fixture, verdict).await, expected, "{status}");
        assert_eq!(fixture.status(id).await, after, "{status}");
    }
}

#[tokio::test]
async fn a_verdict_is_written_whole() {
    let fixture = Fixture::new().await;
    let id = fixture.insert_queued("0s").await;
    apply_one(&fixture, failed_verdict(id)).await;
    apply_one(&fixture, anonymized_verdict(&fixture, id)).await;
    type PhotoRow = (
        Option<String>,
        Option<i64>,
        Option<i32>,
        Option<i32>,
        Option<f64>,
        bool,
        Option<String>,
    );
    let row: PhotoRow = sqlx::query_as(
        "SELECT output, output_size_bytes, output_width, output_height, processing_seconds,
                finished_at IS NOT NULL, failure_reason
           FROM photo WHERE id = $1",
    )
    .bind(id.get())
    .fetch_one(fixture.pool())
    .await
    .unwrap();
    let output = fixture.output(id.get()).to_string();
    assert_eq!(
        row,
        (
            Some(output),
            Some(1234),
            Some(480),
            Some(640),
            Some(0.5),
            true,
            None
        )
    );
    assert_eq!(detections(&fixture, id).await.unwrap()[0].width, 30);
}

#[tokio::test]
async fn known_detections_are_never_lost_and_late_ones_are_added() {
    let fixture = Fixture::new().await;
    let known = fixture.insert_queued("0s").await;
    apply_one(&fixture, anonymized_verdict(&fixture, known)).await;
    assert_eq!(
        apply_one(&fixture, verdict_without_detections(&fixture, known)).await,
        VerdictEffect::Repeated
    );
    assert!(detections(&fixture, known).await.is_some());

    let late = fixture.insert_queued("0s").await;
    apply_one(&fixture, verdict_without_detections(&fixture, late)).await;
    assert_eq!(detections(&fixture, late).await, None);
    assert_eq!(
        apply_one(&fixture, anonymized_verdict(&fixture, late)).await,
        VerdictEffect::Repeated
    );
    assert!(detections(&fixture, late).await.is_some());

    let at_once = fixture.insert_queued("0s").await;
    let batch = [
        verdict_without_detections(&fixture, at_once),
        failed_verdict(at_once),
        anonymized_verdict(&fixture, at_once),
    ];
    let applied = fixture.apply(&batch).await;
    assert_eq!(
        applied,
        [
            VerdictEffect::Changed,
            VerdictEffect::Repeated,
            VerdictEffect::Repeated
        ]
    );
    assert!(detections(&fixture, at_once).await.is_some());
}

#[tokio::test]
async fn a_failure_says_why() {
    let fixture = Fixture::new().await;
    let id = fixture.insert_queued("0s").await;
    apply_one(&fixture, failed_verdict(id)).await;
    let row: (String, String) =
        sqlx::query_as("SELECT failure_reason, failure_detail FROM photo WHERE id = $1")
            .bind(id.get())
            .fetch_one(fixture.pool())
            .await
            .unwrap();
    assert_eq!(row, ("corrupt-image".to_owned(), "ends early".to_owned()));
}

#[tokio::test]
async fn a_wrong_location_is_no_repetition_and_adds_nothing() {
    let fixture = Fixture::new().await;
    let id = fixture.insert_queued("0s").await;
    let mut wrong = anonymized_verdict(&fixture, id);
    if let Verdict::Anonymized { output, .. } = &mut wrong.verdict {
        *output = fixture.original(id.get());
    }
    let batch = [
        wrong.clone(),
        failed_verdict(id),
        verdict_without_detections(&fixture, id),
        wrong.clone(),
    ];
    assert_eq!(
        fixture.apply(&batch).await,
        [
            VerdictEffect::WrongOutput,
            VerdictEffect::Repeated,
            VerdictEffect::Changed,
            VerdictEffect::WrongOutput
        ]
    );
    assert_eq!(apply_one(&fixture, wrong).await, VerdictEffect::WrongOutput);
    assert_eq!(detections(&fixture, id).await, None);
}
