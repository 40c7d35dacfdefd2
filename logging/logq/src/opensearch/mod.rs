//! The OpenSearch client: settings, transport and errors.
//!
//! Architecture invariant: only [`Error::is_unreachable`] decides whether another source may replace OpenSearch. Any
//! answer, even a 401, a 429 or a partial result, is reported as it is.

mod classify;
mod client;
mod error;
mod settings;
mod transport;

pub use client::Client;
pub use error::{Error, Unreachable};
pub use settings::{DEFAULT_URL, Lookup, OpenSearchSettings, OpenSearchSettingsError, VARIABLES};

pub use opensearch::http::Method;

pub type Result<T> = std::result::Result<T, Error>;
