//! Lines from files to OpenSearch, where no Fluentd brings them.
//!
//! The ids are those that Fluentd gives, and lines are created, never
//! overwritten: to import again changes nothing.

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

/// Bytes of one request.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Waits before a request is sent again that OpenSearch was too busy for.
const RETRY_DELAYS: [Duration; 6] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// Why lines were not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// OpenSearch.
    #[error(transparent)]
    OpenSearch(#[from] Error),
    /// The file of positions.
    #[error("{path}: {error}; --positions names another file for how far the lines were read")]
    Positions {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: io::Error,
    },
}

/// What became of the lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportStats {
    /// Lines that are there now and were not before.
    pub stored: u64,
    /// Lines that were there.
    pub duplicates: u64,
    /// Lines that OpenSearch does not take.
    pub refused: u64,
    /// Why it does not take the first of them.
    pub reason: Option<String>,
    /// Files that could not be read to their end.
    pub errors: Vec<String>,
}

/// Brings all lines of these files and folders to OpenSearch.
///
/// # Errors
/// [`ImportError`]; what was stored before stays, and importing again goes on.
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

/// Sends until all lines are there, but not for ever.
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
