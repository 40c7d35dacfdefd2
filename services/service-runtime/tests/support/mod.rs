//! Settings and servers for tests.

#![allow(dead_code, reason = "each test file uses its part")]

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use lapin::{Connection, ConnectionProperties};
use service_runtime::{broker::BrokerSettings, settings::SettingsReader, store::StoreSettings};
use test_support::tls::{self, Authority};

pub fn broker(environment: &BTreeMap<String, String>) -> BrokerSettings {
    let mut reader = SettingsReader::new(environment);
    let settings = BrokerSettings::read(&mut reader, "service-runtime-test");
    reader.finish().expect("settings of the broker");
    settings
}

pub fn store(environment: &BTreeMap<String, String>) -> StoreSettings {
    let mut reader = SettingsReader::new(environment);
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
    let authority = Authority::new("the store's authority");
    let config = authority.certify(names).server_config(protocols);
    (tls::before_server(server, config).await, authority.pem())
}

/// Time limit of a condition on a busy machine.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// Waits for a condition, with a time limit.
pub async fn wait_for<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, wait)
        .await
        .unwrap_or_else(|_| panic!("not within {TIMEOUT:?}: {what}"))
}
