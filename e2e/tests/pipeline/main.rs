//! Tests of the whole pipeline, from the upload to the anonymised photo, on real servers: undisturbed, during outages, and with
//! kills at every step.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and prints its progress"
)]

mod kills;
mod load;
mod messages;
mod original_programs;
mod outages;
mod random;
mod release;
mod samples;
mod shutdown;
mod suspect;
mod walkthrough;

use std::collections::BTreeSet;

use e2e::pipeline::{Pipeline, TIME_LIMIT};
use service_runtime::broker::{Consumer, Delivery};
use tokio::time::timeout;

/// For [`Pipeline::check`]: no photo may have failed.
const NO_FAILURES: BTreeSet<i64> = BTreeSet::new();

/// Receives and acknowledges a message.
async fn receive(pipeline: &Pipeline, queue: &str) -> Delivery {
    let consumer = Consumer::subscribe(pipeline.broker.clone(), queue, 1);
    let delivery = timeout(TIME_LIMIT, consumer.next())
        .await
        .unwrap_or_else(|_| panic!("no message in {queue}\n{}", pipeline.recent_warnings()))
        .expect("the consumer has closed");
    delivery.ack().await.expect("the acknowledgement failed");
    consumer.close().await;
    delivery
}
