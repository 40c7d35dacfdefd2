//! Tests the load of the demonstrations with a service that is down for a while.

use std::time::Duration;

use e2e::{
    load::{AttemptResult, Load, LoadClient, LoadSummary, Rates, RequestKind, WebEndpoint},
    pipeline::{Pipeline, Setup, TIME_LIMIT},
};
use tokio::time::{Instant, sleep};

/// The minimum duration of the outage.
const OUTAGE: Duration = Duration::from_secs(2);

async fn wait_for_acknowledged(load: &Load, count: usize) {
    let deadline = Instant::now() + TIME_LIMIT;
    while load.acknowledged() < count {
        assert!(
            Instant::now() < deadline,
            "{} of {count} photos",
            load.acknowledged()
        );
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_measures_the_outage_and_loses_no_photo() {
    let mut pipeline = Pipeline::start(Setup::default()).await.unwrap();
    let web = WebEndpoint::without_tokens(&format!("http://{}", pipeline.irmgards[0].address()));
    let rates = Rates {
        photos: 2.0,
        repeats: 5.0,
        statuses: 5.0,
        images: 5.0,
    };
    let load = Load::start(&web, "load", rates, TIME_LIMIT).await.unwrap();
    wait_for_acknowledged(&load, 3).await;

    let from = load.now();
    pipeline.irmgards[0].kill().unwrap();
    sleep(OUTAGE).await;
    pipeline.irmgards[0].start().await.unwrap();
    let before = load.acknowledged();
    wait_for_acknowledged(&load, before + 3).await;
    let record = load.stop().await;

    for kind in RequestKind::ALL {
        let summary = LoadSummary::new(kind, &record.attempts);
        // There is a request every 0.2 s. A busy machine makes the outage longer.
        let min = OUTAGE - Duration::from_millis(500);
        assert!(
            summary.longest_outage >= min,
            "{kind:?}: {:?} instead of {OUTAGE:?}",
            summary.longest_outage
        );
        assert!(summary.failures() > 0, "{kind:?}");
    }
    let early: Vec<_> = record
        .attempts
        .iter()
        .filter(|attempt| attempt.end() < from && !attempt.result.is_success())
        .collect();
    assert!(early.is_empty(), "failures before the outage: {early:?}");
    assert_eq!(
        (
            record.acknowledgements.unanswered(),
            record.acknowledgements.duplicates()
        ),
        (0, 0)
    );

    // The service recognises a known photo without its idempotency key.
    let client = LoadClient::new(&web, &record.project).unwrap();
    let bases = e2e::photos::cutouts().unwrap();
    let shot = e2e::load::Shot::new(&bases, 1);
    let again = client.post(&shot, false).await;
    assert_eq!(again.result, AttemptResult::Status(200), "{again:?}");
    assert!(
        record
            .acknowledgements
            .acknowledged()
            .contains_key(&again.id.unwrap())
    );

    pipeline.wait_until_idle(TIME_LIMIT).await.unwrap();
    let photos = client.photos().await.unwrap();
    assert_eq!(photos.len(), record.acknowledgements.acknowledged().len());
    assert!(
        photos.iter().all(|photo| photo["status"] == "anonymized"),
        "{photos:?}"
    );
}
