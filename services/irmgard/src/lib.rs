//! The web service: accepts photos from cameras, tracks their processing, and serves the anonymised photos.
//!
//! Architecture invariant: this program never serves an original. The code that answers image requests knows only
//! the location of the output.

pub mod api;
mod audit;
pub mod breaker;
pub mod cli;
pub mod database;
pub mod failed;
pub mod liveness;
pub mod metrics;
pub mod monitor;
mod next_release;
pub mod outbox;
pub mod photo;
pub mod reconcile;
pub mod reminder;
pub mod results;
pub mod serve;
pub mod settings;
pub mod store;
pub mod sweep;
pub mod upload;
