//! The transactional outbox: publishes jobs from the outbox table to the broker.
//!
//! A photo row and its outbox row are written in one transaction. The relay of each irmgard process leases outbox rows,
//! publishes them as jobs, and deletes them after the broker's confirm. Nothing is locked while a confirm is awaited.
//! If a relay dies, its lease expires and its messages are published again. A repeated job changes nothing.

mod age_warning;
mod relay;
mod requeue;
mod rows;

pub use self::{
    age_warning::AgeWarning,
    relay::{Relay, RelaySettings},
    requeue::{add_missing_outbox_rows, forget_original, requeue_failed, requeue_lost, requeue_photos},
};
