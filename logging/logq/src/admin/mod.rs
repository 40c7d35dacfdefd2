//! `logq admin`: prepares and maintains OpenSearch.
//!
//! Architecture invariants: bootstrap deletes nothing and never changes what a newer release installed. Retention
//! deletes only whole backing indices of our own data streams, never the write index.

mod bootstrap;
mod change;
mod cli;
mod desired;
mod difference;
mod measure;
mod retain;
mod roles;
mod streams;

use std::io;

pub use bootstrap::{Options, bootstrap};
pub use change::{Action, Change};
pub use cli::{AdminArguments, AdminCommand, BootstrapArguments, RetainArguments, RetentionPolicy};
pub use desired::{ManagedObject, ObjectKind, PIPELINE, TEMPLATE, data_streams, managed_objects, version};
pub use measure::{Age, Size};
pub use retain::{Index, indices, retain, server_time};

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    OpenSearch(#[from] crate::opensearch::Error),
    /// Another index template wins over ours for a stream.
    #[error(
        "OpenSearch uses another index template than {TEMPLATE} for {stream}: its priority is higher. Change \
         the patterns or the priority of that template, then run this command again. Matching templates: \
         {overlapping}"
    )]
    Outranked {
        stream: String,
        /// Template names with their patterns.
        overlapping: String,
    },
    /// An index or alias has the name of a stream.
    #[error(
        "{stream} is an index or an alias, not a data stream: a program wrote to it before the first \
         bootstrap. Copy its documents to another index (_reindex), delete it, then run this command again"
    )]
    Taken { stream: String },
    #[error("the built-in file opensearch/{file} is invalid: {reason}")]
    Broken { file: &'static str, reason: String },
    #[error("cannot write the report: {0}")]
    Output(#[from] io::Error),
}

pub type Result<T> = std::result::Result<T, Error>;
