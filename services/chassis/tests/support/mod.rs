//! Settings and servers for tests.

#![allow(dead_code, reason = "each test file uses its part")]

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use chassis::{broker::BrokerSettings, settings::Reader, store::StoreSettings};
use lapin::{Connection, ConnectionProperties};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

pub fn broker(environment: &BTreeMap<String, String>) -> BrokerSettings {
    let mut reader = Reader::new(environment);
    let settings = BrokerSettings::read(&mut reader, "chassis-test");
    reader.finish().expect("settings of the broker");
    settings
}

pub fn store(environment: &BTreeMap<String, String>) -> StoreSettings {
    let mut reader = Reader::new(environment);
    let settings = StoreSettings::read(&mut reader, Duration::from_secs(10));
    reader.finish().expect("settings of the store");
    settings
}

/// A connection besides the tested ones.
pub async fn connect_directly(access: &local::RabbitMqAccess) -> Connection {
    Connection::connect(&access.url(), ConnectionProperties::default())
        .await
        .expect("a connection to RabbitMQ")
}

/// Puts a server (`host:port`) behind TLS, with a certificate for these names and these protocols. Returns
/// its address and the PEM of the authority.
pub async fn behind_tls(server: String, names: &[&str], protocols: &[&str]) -> (SocketAddr, String) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names)
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, server) = (acceptor.clone(), server.clone());
            tokio::spawn(async move {
                // A client that refuses the certificate has disconnected.
                let Ok(mut client) = acceptor.accept(client).await else {
                    return;
                };
                let mut server = TcpStream::connect(server).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (address, authority.pem())
}

/// Time limit of a condition on a busy machine.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// Waits for a condition, with a time limit.
pub async fn wait_for<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, wait)
        .await
        .unwrap_or_else(|_| panic!("not within {TIMEOUT:?}: {what}"))
}
