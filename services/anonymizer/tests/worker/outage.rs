//! A store that is away fails no photo.

use std::{sync::Arc, time::Duration};

use contract::{Outcome, headers::X_EARLIER_DELIVERIES, media::MediaType};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::Instant,
};

use crate::harness::{PATIENCE, Site, astronaut};

/// A way to the store that can be closed: connections are then refused, and
/// open ones cut.
struct Gate {
    open: Arc<watch::Sender<bool>>,
    address: String,
}

impl Gate {
    async fn to(server: String) -> Self {
        let mut listener = Some(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = listener.as_ref().unwrap().local_addr().unwrap();
        let open = Arc::new(watch::Sender::new(true));
        let watched = Arc::clone(&open);
        tokio::spawn(async move {
            let mut state = watched.subscribe();
            loop {
                if !*state.borrow_and_update() {
                    listener = None;
                    state.changed().await.unwrap();
                    continue;
                }
                let listening = match &mut listener {
                    Some(listening) => listening,
                    closed => closed.insert(TcpListener::bind(address).await.unwrap()),
                };
                tokio::select! {
                    _ = state.changed() => {}
                    accepted = listening.accept() => {
                        let (mut client, _) = accepted.unwrap();
                        let (server, mut state) = (server.clone(), watched.subscribe());
                        tokio::spawn(async move {
                            let mut server = TcpStream::connect(server).await.unwrap();
                            tokio::select! {
                                _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                                _ = state.wait_for(|open| !open) => {}
                            }
                        });
                    }
                }
            }
        });
        Self {
            open,
            address: address.to_string(),
        }
    }

    fn set(&self, open: bool) {
        self.open.send_replace(open);
    }
}

async fn site_behind_a_gate(hold_limit: &str) -> (Site, Gate) {
    let mut site = Site::new().await;
    let server = site
        .store
        .settings()
        .endpoint
        .trim_start_matches("http://")
        .to_owned();
    let gate = Gate::to(server).await;
    site.worker
        .set("OBJECT_STORE_ENDPOINT", &format!("http://{}", gate.address));
    site.worker.set("HOLD_LIMIT", hold_limit);
    (site, gate)
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_held_while_the_store_is_away_and_go_on_soon_after() {
    let (mut site, gate) = site_behind_a_gate("10m").await;
    site.start().await;
    gate.set(false);
    let photos = [
        site.post(1, astronaut()).await,
        site.post(2, astronaut()).await,
        site.post(3, astronaut()).await,
        site.post(4, astronaut()).await,
    ];
    site.until("the consumer pauses", async || {
        site.metric("anonymizer_consumer_paused").await == Some(1.0)
    })
    .await;
    // Long enough for the waits between tries to have grown.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(site.metric("anonymizer_consumer_paused").await, Some(1.0));
    gate.set(true);
    let back = Instant::now();
    site.until("work goes on", async || {
        site.metric("anonymizer_consumer_paused").await == Some(0.0)
    })
    .await;
    assert!(back.elapsed() < Duration::from_secs(10), "{:?}", back.elapsed());
    for _ in &photos {
        let result = site.result().await;
        assert!(
            matches!(
                result.outcome,
                Outcome::Anonymized {
                    detections: Some(_),
                    ..
                }
            ),
            "{result:?}"
        );
    }
    site.no_result().await;
    for photo in &photos {
        site.assert_anonymized(photo).await;
    }
}

/// The message goes to the end of the queue before the broker's
/// `consumer_timeout`, and the photo is no suspect for it.
#[tokio::test(flavor = "multi_thread")]
async fn job_that_is_held_too_long_is_published_again() {
    let (mut site, gate) = site_behind_a_gate("1s").await;
    site.start().await;
    gate.set(false);
    let photo = site.post(1, astronaut()).await;
    site.until("it was published again", async || {
        site.worker.log().contains("published the message again")
    })
    .await;
    site.worker.stop(PATIENCE).unwrap();
    let message = site.take(&site.queues.jobs).await;
    assert_eq!(message.body, photo.job.encode().unwrap());
    assert!(message.header_number(X_EARLIER_DELIVERIES).is_some());
    gate.set(true);
    site.queue(message.body).await;
    site.start().await;
    assert_eq!(site.result().await.id, photo.id);
    site.drained().await;
    site.assert_anonymized(&photo).await;
}

/// Wrong credentials say nothing about a photo.
#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_fail_no_photo() {
    let mut site = Site::new().await;
    let right = site.store.settings().access_key_id.clone();
    site.worker.set("OBJECT_STORE_ACCESS_KEY_ID", "nobody");
    site.start().await;
    let photo = site.post(1, astronaut()).await;
    site.until("the consumer pauses", async || {
        site.metric("anonymizer_consumer_paused").await == Some(1.0)
    })
    .await;
    site.worker.kill().unwrap();
    site.worker.set("OBJECT_STORE_ACCESS_KEY_ID", &right);
    site.start().await;
    let result = site.result().await;
    assert_eq!(result.id, photo.id);
    assert!(matches!(result.outcome, Outcome::Anonymized { .. }), "{result:?}");
    site.drained().await;
    site.assert_anonymized(&photo).await;
}

/// A bucket that is missing is not a missing photo.
#[tokio::test(flavor = "multi_thread")]
async fn missing_bucket_fails_no_photo() {
    let mut site = Site::new().await;
    let input = site.store.settings().input_bucket.clone();
    site.store
        .client()
        .delete_bucket()
        .bucket(&input)
        .send()
        .await
        .expect("bucket is gone");
    site.start().await;
    let photo = site.photo(1, MediaType::Png);
    site.queue(photo.job.encode().unwrap()).await;
    site.until("the consumer pauses", async || {
        site.metric("anonymizer_consumer_paused").await == Some(1.0)
    })
    .await;
    site.store
        .client()
        .create_bucket()
        .bucket(&input)
        .send()
        .await
        .expect("bucket is back");
    assert_eq!(site.failure(photo.id).await, "original-missing");
}
