//! Imports lines from files into OpenSearch, where no Fluentd runs.
//!
//! Lines have the same ids as from Fluentd, and are created but never overwritten: a repeated import changes nothing.

mod batch;
mod follow;

use std::{io, path::PathBuf, time::Duration};

use batch::Batch;
pub use follow::{FollowOptions, follow};

use crate::{
    filter::Filter,
    opensearch::{Client, Error},
    source::files::{self, FileError},
};

/// Size of a bulk request.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Delays between attempts while OpenSearch is busy.
const RETRY_DELAYS: [Duration; 6] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    OpenSearch(#[from] Error),
    /// The checkpoint file.
    #[error("{path}: {error}; choose another file with --positions")]
    Positions { path: PathBuf, error: io::Error },
}

/// Counts and errors of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportStats {
    /// Newly stored lines.
    pub stored: u64,
    /// Lines that OpenSearch already had.
    pub duplicates: u64,
    /// Lines that OpenSearch rejected.
    pub refused: u64,
    /// Reason for the first rejected line.
    pub reason: Option<String>,
    /// Files that were not read to the end.
    pub errors: Vec<String>,
}

/// Imports all lines of files and folders.
///
/// # Errors
/// [`ImportError`]. Stored lines stay; a repeated import continues.
pub async fn import(client: &Client, paths: &[PathBuf]) -> Result<ImportStats, ImportError> {
    let mut stats = ImportStats::default();
    let mut batch = Batch::default();
    for entry in files::open(paths, &Filter::EVERYTHING)? {
        match entry {
            Ok(entry) => {
                batch.add(entry.document);
                if batch.bytes() >= BATCH_BYTES {
                    send(client, &mut batch, &mut stats).await?;
                }
            }
            Err(error) => stats.errors.push(error.to_string()),
        }
    }
    send(client, &mut batch, &mut stats).await?;
    Ok(stats)
}

/// Repeats the batch until OpenSearch has stored it, with a limited number of attempts.
async fn send(client: &Client, batch: &mut Batch, stats: &mut ImportStats) -> Result<(), Error> {
    let mut delays = RETRY_DELAYS.iter();
    loop {
        match batch.send(client, stats).await {
            Err(error) if error.is_transient() => match delays.next() {
                Some(delay) => tokio::time::sleep(*delay).await,
                None => return Err(error),
            },
            sent => return sent,
        }
    }
}
