//! RabbitMQ: a publisher whose success means "stored", and a consumer that reconnects automatically.
//!
//! Architecture invariants:
//! - Each publisher and each consumer has a connection of its own. A broker that blocks publishers (memory or
//!   disk alarm) must not stop consumers, which free the memory.
//! - lapin's own recovery is off. After a lost session, a new one is opened and the queues are declared
//!   again, because the broker may have lost them.
//! - Every wait for the broker has a time limit.

use std::time::Duration;

mod consumer;
mod delivery;
mod delivery_buffer;
mod link;
mod message;
mod publisher;
mod session;
mod settings;
pub mod topology;

pub use consumer::Consumer;
pub use delivery::{Delivery, StaleDelivery};
pub use link::{BrokerLink, BrokerLinkStatus};
pub use message::{HeaderValue, Message};
pub use publisher::{PublishError, Publisher};
pub use session::ConnectError;
pub use settings::BrokerSettings;

use crate::backoff::Backoff;

/// Delays between attempts to connect: short enough that work continues within seconds after the broker returns.
const fn reconnect_backoff() -> Backoff {
    Backoff::new(Duration::from_millis(100), Duration::from_secs(2))
}
