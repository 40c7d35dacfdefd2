//! RabbitMQ behind TLS: the broker's certificate counts, and nothing else.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::{sync::Arc, time::Duration};

use chassis::broker::{BrokerSettings, Message, Publisher};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use support::soon;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

/// The broker of the stack behind a certificate for these names; returns the
/// port and the PEM of the authority.
async fn behind_tls(settings: &BrokerSettings, names: &[&str]) -> (u16, String) {
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names)
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let broker = (settings.host.clone(), settings.port);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, broker) = (acceptor.clone(), broker.clone());
            tokio::spawn(async move {
                // A client that does not like the certificate is gone here.
                let Ok(mut client) = acceptor.accept(client).await else {
                    return;
                };
                let mut broker = TcpStream::connect(broker).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut broker).await;
            });
        }
    });
    (port, authority.pem())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_is_spoken_to_through_tls() {
    let place = local::scratch().await.unwrap();
    let mut settings = support::broker(&place.environment());
    let (port, authority) = behind_tls(&settings, &["localhost"]).await;
    let queue = settings.queues.jobs.clone();
    settings.host = "localhost".to_owned();
    settings.port = port;
    settings.tls = true;
    settings.ca = Some(authority);
    let publisher = Publisher::start(settings);
    soon("connected", publisher.connected()).await;
    publisher.publish(&queue, &Message::new("{}")).await.unwrap();
    assert_eq!(publisher.messages_ready(&queue).await, Ok(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_somebody_else_is_refused() {
    let place = local::scratch().await.unwrap();
    let plain = support::broker(&place.environment());
    let (elsewhere, authority) = behind_tls(&plain, &["elsewhere.example"]).await;
    let (unknown, _) = behind_tls(&plain, &["localhost"]).await;
    for (port, what) in [(elsewhere, "another name"), (unknown, "an unknown authority")] {
        let mut settings = plain.clone();
        settings.host = "localhost".to_owned();
        settings.port = port;
        settings.tls = true;
        settings.ca = Some(authority.clone());
        let publisher = Publisher::start(settings);
        let told = soon(what, async {
            loop {
                match publisher.state().last_error {
                    Some(error) => break error,
                    None => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        })
        .await;
        assert!(told.to_lowercase().contains("certificate"), "{what}: {told}");
    }
}
