//! The web service over real sockets, on real PostgreSQL and S3.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails there"
)]

mod access;
mod fixture;
mod hostile;
mod image;
mod legacy;
mod limits;
mod lists;
mod outage;
mod refusals;
mod rights;
mod server;
mod test_images;
mod tracing;
mod upload;
