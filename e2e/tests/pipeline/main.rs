//! The whole pipeline, from the POST to the anonymised photo, on real
//! servers: undisturbed, during outages, and killed at every step.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says what it did"
)]

mod documented;
mod given;
mod kills;
mod load;
mod messages;
mod outages;
mod random;
mod release;
mod samples;
mod shutdown;
mod suspect;

use std::collections::BTreeSet;

use chassis::broker::{Consumer, Delivery};
use e2e::pipeline::{PATIENCE, Pipeline};
use tokio::time::timeout;

/// No photo may have failed.
const NONE: BTreeSet<i64> = BTreeSet::new();

/// Takes a message out of a queue.
async fn take(pipeline: &Pipeline, queue: &str) -> Delivery {
    let consumer = Consumer::subscribe(pipeline.broker.clone(), queue, 1);
    let delivery = timeout(PATIENCE, consumer.next())
        .await
        .unwrap_or_else(|_| panic!("no message in {queue}\n{}", pipeline.tails()))
        .expect("a delivery");
    delivery.ack().await.expect("acked");
    consumer.close().await;
    delivery
}
