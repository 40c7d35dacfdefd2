//! The local stack: real servers as plain processes, for tests, demonstration and benchmarks.
//!
//! - [`Stack`] starts PostgreSQL, RabbitMQ and an S3 store, OpenSearch where it is wanted, and ends them.
//! - [`scratch`] gives a test a fresh database, virtual host and buckets inside the stack that the environment names
//!   (`local exec -- cargo test` sets it).
//! - [`Service`] runs one of the project's own programs against such an environment.

mod access;
mod carrier;
mod directory;
mod error;
pub mod fluentd;
mod lasting;
mod node;
mod opensearch;
mod outside;
mod ports;
mod process;
pub mod proxy;
mod runtime_library;
mod scratch;
mod secret;
mod server;
mod service;
mod site;
mod stack;

pub use access::{
    Environment, ObjectStoreAccess, OpenSearchAccess, PostgresAccess, RabbitMqAccess, under_account,
};
pub use carrier::Carrier;
pub use error::{Error, Result};
pub use lasting::{Lasting, Process, Status};
pub use node::{log_writer, metadata};
pub use opensearch::{opensearch, opensearch_is_ours};
pub use outside::{not_tested, postgres_log};
pub use process::program;
pub use process::{Daemon, Identity, Lifetime, Output, Program};
pub use runtime_library::project;
pub use scratch::{Scratch, scratch};
pub use server::{Server, serve_s3};
pub use service::Service;
pub use stack::{Builder, Stack};
