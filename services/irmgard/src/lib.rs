//! The web service: takes photos from cameras, keeps account of them, and
//! serves what has been anonymised.
//!
//! Architecture invariant: nothing here can give out an original. The code
//! that answers requests for pictures knows only the output's location.

pub mod database;
pub mod failpoint;
pub mod metrics;
pub mod outbox;
pub mod reconcile;
pub mod results;
