//! The web service: takes photos from cameras, keeps account of them, and
//! serves what has been anonymised.
//!
//! Architecture invariant: nothing here can give out an original. The code
//! that answers requests for pictures knows only the output's location.

pub mod alive;
pub mod api;
pub mod breaker;
pub mod cli;
pub mod database;
pub mod failed;
pub mod failpoint;
pub mod metrics;
pub mod observe;
pub mod outbox;
pub mod photo;
pub mod reconcile;
pub mod reminder;
pub mod results;
pub mod schema_wait;
pub mod serve;
pub mod settings;
pub mod store;
pub mod sweep;
pub mod upload;
