//! The local stack: real servers as plain processes, for tests, the demonstration and benchmarks.
//!
//! - [`Stack`] starts PostgreSQL, RabbitMQ, an S3 store and optionally OpenSearch, and ends them.
//! - [`PersistentStack`] outlives the program that starts it.
//! - [`scratch`] gives a test a fresh database, virtual host and buckets in the stack that the environment names
//!   (`local exec -- cargo test` sets it).
//! - [`Service`] runs `irmgard` or `anonymizer` in such an environment.

mod access;
mod container_log;
mod error;
pub mod fluentd;
mod layout;
mod log_shipper;
mod node;
mod persistent_stack;
mod ports;
mod process;
mod project;
mod s3;
mod scratch;
mod secret;
mod server;
mod service;
mod stack;
mod test_support;

pub use access::{
    Environment, ObjectStoreAccess, OpenSearchAccess, PostgresAccess, RabbitMqAccess, use_account,
};
pub use container_log::{Limits, Stream, run as write_container_log};
pub use error::{Error, Result};
pub use log_shipper::LogShipper;
pub use node::metadata;
pub use persistent_stack::{PersistentStack, StackProcess, StackStatus};
pub use ports::free as free_port;
pub use process::{Daemon, Lifetime, LogDestination, ProcessIdentity, Program};
pub use project::{program, project_root};
pub use s3::serve as serve_s3;
pub use scratch::{Scratch, scratch};
pub use server::Server;
pub use service::Service;
pub use stack::{Stack, StackBuilder};
pub use test_support::{not_tested, opensearch, opensearch_is_ours, postgres_log};
