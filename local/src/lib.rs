//! The local stack: real servers as plain processes, for tests, the demonstration and benchmarks.
//!
//! - [`Stack`] starts PostgreSQL, RabbitMQ, an S3 store and optionally OpenSearch, and ends them.
//! - [`PersistentStack`] outlives the program that starts it.
//! - [`scratch`] gives a test a fresh database, virtual host and buckets in the stack that the environment names
//!   (`local exec -- cargo test` sets it).
//! - [`Service`] runs `irmgard` or `anonymizer` in such an environment.

#![allow(missing_docs, reason = "a name that says it all needs no comment")]

mod access;
mod error;
pub mod fluentd;
mod layout;
mod log_shipper;
mod node;
mod persistent_stack;
mod ports;
mod process;
pub mod proxy;
mod scratch;
mod secret;
mod server;
mod service;
mod stack;
mod test_support;

pub use access::{
    Environment, ObjectStoreAccess, OpenSearchAccess, PostgresAccess, RabbitMqAccess, use_account,
};
pub use error::{Error, Result};
pub use layout::project_root;
pub use log_shipper::LogShipper;
pub use node::{log_writer, metadata};
pub use persistent_stack::{PersistentStack, StackProcess, StackStatus};
pub use process::program;
pub use process::{Daemon, Identity, Lifetime, Output, Program};
pub use scratch::{Scratch, scratch};
pub use server::{Server, serve_s3};
pub use service::Service;
pub use stack::{Builder, Stack};
pub use test_support::{not_tested, opensearch, opensearch_is_ours, postgres_log};
