//! RabbitMQ with TLS: only the broker's own certificate is accepted.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::time::Duration;

use service_runtime::broker::{BrokerSettings, Message, Publisher};
use support::wait_for;

/// Puts the stack's broker behind TLS, with a certificate for this name. Returns the port and the PEM of the authority.
async fn behind_tls(settings: &BrokerSettings, name: &str) -> (u16, String) {
    let broker = format!("{}:{}", settings.host, settings.port);
    let (address, authority) = support::behind_tls(broker, &[name], &[]).await;
    (address.port(), authority)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_with_a_trusted_certificate_is_used() {
    let scratch = local::scratch().await.unwrap();
    let mut settings = support::broker(&scratch.environment());
    let (port, authority) = behind_tls(&settings, "localhost").await;
    let queue = settings.queues.jobs.clone();
    settings.host = "localhost".to_owned();
    settings.port = port;
    settings.tls = true;
    settings.ca = Some(authority);
    let publisher = Publisher::start(settings);
    wait_for("connected", publisher.connected()).await;
    publisher.publish(&queue, &Message::new("{}")).await.unwrap();
    assert_eq!(publisher.messages_ready(&queue).await, Ok(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_host_or_authority_is_refused() {
    let scratch = local::scratch().await.unwrap();
    let plain = support::broker(&scratch.environment());
    let (elsewhere, authority) = behind_tls(&plain, "elsewhere.example").await;
    let (unknown, _) = behind_tls(&plain, "localhost").await;
    for (port, what) in [(elsewhere, "another name"), (unknown, "an unknown authority")] {
        let mut settings = plain.clone();
        settings.host = "localhost".to_owned();
        settings.port = port;
        settings.tls = true;
        settings.ca = Some(authority.clone());
        let publisher = Publisher::start(settings);
        let text = wait_for(what, async {
            loop {
                match publisher.state().last_error {
                    Some(error) => break error,
                    None => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        })
        .await;
        assert!(text.to_lowercase().contains("certificate"), "{what}: {text}");
    }
}
