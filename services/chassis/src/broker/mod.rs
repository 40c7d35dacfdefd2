//! RabbitMQ: a publisher whose success means "stored", and a consumer that
//! comes back by itself.
//!
//! Architecture invariants:
//! - Each publisher and each consumer has a connection of its own: a broker
//!   that blocks publishers (memory or disk alarm) must not stop consumers,
//!   which are what would free the memory.
//! - lapin's own recovery is off. A lost session is thrown away whole and a
//!   new one opened, queues declared again: a broker that comes back may
//!   have lost them.
//! - No wait on the broker is without a time limit.

mod backoff;
mod consumer;
mod delivery;
mod inbox;
mod link;
mod message;
mod publisher;
mod session;
mod settings;
pub mod topology;

pub use consumer::Consumer;
pub use delivery::{Delivery, StaleDelivery};
pub use link::{LinkState, LinkStatus};
pub use message::{HeaderValue, Message};
pub use publisher::{PublishError, Publisher};
pub use session::ConnectError;
pub use settings::BrokerSettings;
