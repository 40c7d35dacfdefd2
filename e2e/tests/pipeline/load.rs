//! The load of the demonstrations, against a service that is away for a while.

use std::time::Duration;

use e2e::{
    load::{Client, Kind, Load, Outcome, Pace, Summary, Web},
    pipeline::{PATIENCE, Pipeline, Setup},
};
use tokio::time::{Instant, sleep};

/// How long the service is away at the least.
const AWAY: Duration = Duration::from_secs(2);

async fn acknowledged(load: &Load, count: usize) {
    let deadline = Instant::now() + PATIENCE;
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
async fn a_load_sees_the_outage_that_there_was_and_loses_no_photo() {
    let mut pipeline = Pipeline::start(Setup::default()).await.unwrap();
    let web = Web::without_tokens(&format!("http://{}", pipeline.irmgards[0].address()));
    let pace = Pace {
        photos: 2.0,
        repeats: 5.0,
        states: 5.0,
        images: 5.0,
    };
    let load = Load::start(&web, "load", pace, PATIENCE).await.unwrap();
    acknowledged(&load, 3).await;

    let from = load.now();
    pipeline.irmgards[0].kill().unwrap();
    sleep(AWAY).await;
    pipeline.irmgards[0].start().await.unwrap();
    let known = load.acknowledged();
    acknowledged(&load, known + 3).await;
    let record = load.stop().await;

    for kind in Kind::ALL {
        let summary = Summary::of(kind, &record.attempts);
        // A request each fifth of a second. How much longer it is, is the machine's, which others use too.
        let least = AWAY - Duration::from_millis(500);
        assert!(
            summary.longest >= least,
            "{kind:?}: {:?}, and it was away for {AWAY:?}",
            summary.longest
        );
        assert!(summary.failures() > 0, "{kind:?}");
    }
    let early: Vec<_> = record
        .attempts
        .iter()
        .filter(|attempt| attempt.ended() < from && !attempt.outcome.is_success())
        .collect();
    assert!(early.is_empty(), "before it went away: {early:?}");
    assert_eq!((record.answers.unanswered(), record.answers.twice()), (0, 0));

    // A known photo is known also without its key.
    let client = Client::new(&web, &record.project).unwrap();
    let bases = e2e::photos::small().unwrap();
    let shot = e2e::load::Shot::new(&bases, 1);
    let again = client.post(&shot, false).await;
    assert_eq!(again.outcome, Outcome::Status(200), "{again:?}");
    assert!(record.answers.acknowledged().contains_key(&again.id.unwrap()));

    pipeline.settled(PATIENCE).await.unwrap();
    let photos = client.photos().await.unwrap();
    assert_eq!(photos.len(), record.answers.acknowledged().len());
    assert!(
        photos.iter().all(|photo| photo["status"] == "anonymized"),
        "{photos:?}"
    );
}
