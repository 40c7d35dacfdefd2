//! The store of the log lines: how it is reached, and what its refusals mean.
//!
//! Architecture invariant: whether another source may stand in is decided by
//! [`Error::is_unreachable`] alone. What OpenSearch has answered, be it a 401,
//! a 429 or half of the shards, is told as what it is.

mod classify;
mod client;
mod error;
mod settings;
mod transport;

pub use client::{Client, encode_path_segment};
pub use error::{Error, Unreachable};
pub use settings::{DEFAULT_URL, Lookup, Settings, SettingsError, VARIABLES};

/// The methods that a request can have.
pub use opensearch::http::Method;

/// The result of a question to OpenSearch.
pub type Result<T> = std::result::Result<T, Error>;
