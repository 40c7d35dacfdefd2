//! Settings and servers for tests.

#![allow(dead_code, reason = "each test file uses its part")]

use std::{collections::BTreeMap, time::Duration};

use chassis::{broker::BrokerSettings, settings::Reader, store::StoreSettings};
use lapin::{Connection, ConnectionProperties};

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

/// A connection beside the tested ones.
pub async fn beside(access: &local::RabbitMqAccess) -> Connection {
    Connection::connect(&access.url(), ConnectionProperties::default())
        .await
        .expect("a connection to RabbitMQ")
}

/// Long enough for a busy machine; a test waits for a condition, not for this.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that must happen.
pub async fn soon<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, wait)
        .await
        .unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}
