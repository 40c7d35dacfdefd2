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
mod plugins;
mod retain;
mod streams;

use std::io;

pub use bootstrap::{Options, bootstrap};
pub use change::{Action, Change};
pub use cli::{Admin, BootstrapArgs, Command, RetainArgs, RetentionPolicy};
pub use desired::{
    ManagedObject, ObjectKind, PIPELINE, POLICY, TEMPLATE, data_streams, managed_objects, version,
};
pub use measure::{Age, Size};
pub use retain::{Index, Limits, indices, retain, server_time};

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    OpenSearch(#[from] crate::opensearch::Error),
    /// Another index template wins over ours for a stream.
    #[error(
        "another index template than {TEMPLATE} is taken for {stream}: one with a higher priority matches its name. Change that template's patterns or its priority, then run this again. Templates that match: {overlapping}"
    )]
    Outranked {
        stream: String,
        /// Template names with their patterns.
        overlapping: String,
    },
    /// An index or alias has the name of a stream.
    #[error(
        "{stream} is an index or an alias and must become a data stream: something has written to it before the first bootstrap. Move its documents elsewhere (_reindex), delete it, and run this again"
    )]
    Taken { stream: String },
    #[error("opensearch/{file}, which is part of this program, is broken: {reason}")]
    Broken { file: &'static str, reason: String },
    #[error("cannot write what was done: {0}")]
    Output(#[from] io::Error),
}

pub type Result<T> = std::result::Result<T, Error>;
