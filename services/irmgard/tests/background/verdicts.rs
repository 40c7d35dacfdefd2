//! What a verdict does to a photo's row.

use contract::{Detection, FailureReason, Outcome, PhotoId};
use irmgard::results::{Applied, Verdict};
use sqlx::types::Json;

use crate::place::Place;

fn failure(id: PhotoId) -> Verdict {
    let outcome = Outcome::Failed {
        reason: FailureReason::CorruptImage,
        detail: "ends early".to_owned(),
    };
    Verdict { id, outcome }
}

pub fn success(place: &Place, id: PhotoId) -> Verdict {
    let outcome = place.anonymized(id).outcome;
    Verdict { id, outcome }
}

fn without_detections(place: &Place, id: PhotoId) -> Verdict {
    let mut verdict = success(place, id);
    if let Outcome::Anonymized {
        detections, seconds, ..
    } = &mut verdict.outcome
    {
        (*detections, *seconds) = (None, None);
    }
    verdict
}

async fn detections(place: &Place, id: PhotoId) -> Option<Vec<Detection>> {
    let known: Option<Json<Vec<Detection>>> =
        sqlx::query_scalar("SELECT detections FROM photo WHERE id = $1")
            .bind(id.get())
            .fetch_one(place.pool())
            .await
            .unwrap();
    known.map(|json| json.0)
}

pub async fn applied(place: &Place, verdict: Verdict) -> Applied {
    place.apply(&[verdict]).await[0]
}

#[tokio::test]
async fn each_status_takes_the_verdicts_that_it_may() {
    let place = Place::new().await;
    for (status, verdict_is_success, expected, after) in [
        ("received", true, Applied::Changed, "anonymized"),
        ("received", false, Applied::Changed, "failed"),
        ("queued", true, Applied::Changed, "anonymized"),
        ("queued", false, Applied::Changed, "failed"),
        ("failed", true, Applied::Changed, "anonymized"),
        ("failed", false, Applied::Repeated, "failed"),
        ("anonymized", true, Applied::Repeated, "anonymized"),
        ("anonymized", false, Applied::Repeated, "anonymized"),
    ] {
        let id = match status {
            "received" => place.received().await,
            "queued" => place.queued("0s").await,
            "failed" => place.failed(FailureReason::TooLarge).await,
            _ => {
                let id = place.queued("0s").await;
                applied(&place, success(&place, id)).await;
                id
            }
        };
        let verdict = if verdict_is_success {
            success(&place, id)
        } else {
            failure(id)
        };
        assert_eq!(applied(&place, verdict).await, expected, "{status}");
        assert_eq!(place.status(id).await, after, "{status}");
    }
}

#[tokio::test]
async fn a_verdict_is_written_whole() {
    let place = Place::new().await;
    let id = place.queued("0s").await;
    applied(&place, failure(id)).await;
    applied(&place, success(&place, id)).await;
    type Row = (
        Option<String>,
        Option<i64>,
        Option<i32>,
        Option<i32>,
        Option<f64>,
        bool,
        Option<String>,
    );
    let row: Row = sqlx::query_as(
        "SELECT output, output_size_bytes, output_width, output_height, processing_seconds,
                finished_at IS NOT NULL, failure_reason
           FROM photo WHERE id = $1",
    )
    .bind(id.get())
    .fetch_one(place.pool())
    .await
    .unwrap();
    let output = place.output(id.get()).to_string();
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
    assert_eq!(detections(&place, id).await.unwrap()[0].width, 30);
}

#[tokio::test]
async fn known_detections_are_never_lost_and_late_ones_are_added() {
    let place = Place::new().await;
    let known = place.queued("0s").await;
    applied(&place, success(&place, known)).await;
    assert_eq!(
        applied(&place, without_detections(&place, known)).await,
        Applied::Repeated
    );
    assert!(detections(&place, known).await.is_some());

    let late = place.queued("0s").await;
    applied(&place, without_detections(&place, late)).await;
    assert_eq!(detections(&place, late).await, None);
    assert_eq!(applied(&place, success(&place, late)).await, Applied::Repeated);
    assert!(detections(&place, late).await.is_some());

    let at_once = place.queued("0s").await;
    let batch = [
        without_detections(&place, at_once),
        failure(at_once),
        success(&place, at_once),
    ];
    let applied = place.apply(&batch).await;
    assert_eq!(applied, [Applied::Changed, Applied::Repeated, Applied::Repeated]);
    assert!(detections(&place, at_once).await.is_some());
}

#[tokio::test]
async fn a_failure_says_why() {
    let place = Place::new().await;
    let id = place.queued("0s").await;
    applied(&place, failure(id)).await;
    let row: (String, String) =
        sqlx::query_as("SELECT failure_reason, failure_detail FROM photo WHERE id = $1")
            .bind(id.get())
            .fetch_one(place.pool())
            .await
            .unwrap();
    assert_eq!(row, ("corrupt-image".to_owned(), "ends early".to_owned()));
}

#[tokio::test]
async fn a_wrong_place_is_told_apart_from_a_repetition_and_adds_nothing() {
    let place = Place::new().await;
    let id = place.queued("0s").await;
    let mut wrong = success(&place, id);
    if let Outcome::Anonymized { output, .. } = &mut wrong.outcome {
        *output = place.original(id.get());
    }
    let batch = [
        wrong.clone(),
        failure(id),
        without_detections(&place, id),
        wrong.clone(),
    ];
    assert_eq!(
        place.apply(&batch).await,
        [
            Applied::WrongOutput,
            Applied::Repeated,
            Applied::Changed,
            Applied::WrongOutput
        ]
    );
    assert_eq!(applied(&place, wrong).await, Applied::WrongOutput);
    assert_eq!(detections(&place, id).await, None);
}
