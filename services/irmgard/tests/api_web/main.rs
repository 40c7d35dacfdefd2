//! The web service over real sockets, on real PostgreSQL and S3.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails there"
)]

mod access;
mod description;
mod given;
mod hostile;
mod image;
mod limits;
mod lists;
mod outage;
mod pictures;
mod refusals;
mod rights;
mod server;
mod tracing;
mod upload;
mod web;
