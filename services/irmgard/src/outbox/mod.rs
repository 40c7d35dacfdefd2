//! From the outbox table to the broker.
//!
//! A photo row is written together with an outbox row, in one transaction.
//! Relays, one in each irmgard, lease outbox rows, publish them as jobs, and
//! delete them once the broker has confirmed. Nothing is locked across a
//! confirm: a relay that dies leaves a lease that runs out, and its messages
//! are published once more. A job that comes twice changes nothing.

mod queue_again;
mod relay;
mod rows;
mod watch;

pub use self::{
    queue_again::{heal_received, queue_again, restore_lost},
    relay::{Relay, RelaySettings},
    watch::Watch,
};
