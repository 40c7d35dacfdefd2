//! The web service over real sockets, on real PostgreSQL and S3.

mod access;
mod description;
mod given;
mod hostile;
mod image;
mod limits;
mod lists;
mod outage;
mod pictures;
mod proxy;
mod server;
mod tracing;
mod upload;
mod web;
