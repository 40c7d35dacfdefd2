//! What keeps OpenSearch in order for the log lines: `logq admin bootstrap`
//! and `logq admin retain`.
//!
//! Architecture invariants: a bootstrap deletes nothing, and changes nothing
//! that a newer release has put; a retention deletes whole backing indices,
//! of our own streams, and never the one that is written to.

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

/// Why a task of an administrator's was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// OpenSearch did not do its part.
    #[error(transparent)]
    OpenSearch(#[from] crate::opensearch::Error),
    /// Somebody else's index template is taken for our streams.
    #[error(
        "another index template than {TEMPLATE} is taken for {stream}: one with a higher priority matches its name. Change that template's patterns or its priority, then run this again. Templates that match: {overlapping}"
    )]
    Outranked {
        /// The stream.
        stream: String,
        /// Names of templates with their patterns.
        overlapping: String,
    },
    /// The name of a stream is taken.
    #[error(
        "{stream} is an index or an alias and must become a data stream: something has written to it before the first bootstrap. Move its documents elsewhere (_reindex), delete it, and run this again"
    )]
    Taken {
        /// The stream's name.
        stream: String,
    },
    /// A file that is part of this program is not what it should be.
    #[error("opensearch/{file}, which is part of this program, is broken: {reason}")]
    Broken {
        /// The file's name.
        file: &'static str,
        /// Why.
        reason: String,
    },
    /// What was done cannot be told.
    #[error("cannot write what was done: {0}")]
    Output(#[from] io::Error),
}

/// The result of a task.
pub type Result<T> = std::result::Result<T, Error>;
