//! Imports lines of growing files.
//!
//! Exactly once: a checkpoint is written only after OpenSearch has stored the lines, and a repeated line has the same
//! id.

use std::{
    future::Future,
    path::{Path, PathBuf},
    pin::pin,
    time::{Duration, Instant},
};

use super::{BATCH_BYTES, Batch, ImportError, ImportStats};
use crate::{
    opensearch::{Client, Error},
    source::files::tail::{POLL_INTERVAL, Positions, Start, Tail},
};

/// Maximum time to collect a batch.
const BATCH_INTERVAL: Duration = Duration::from_millis(500);

/// Delays between attempts; the last one repeats.
const RETRY_DELAYS: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// The default checkpoint file, in the first folder or beside the first file.
const POSITIONS: &str = ".logq.positions";

/// What to follow, and where to keep the checkpoint.
#[derive(Clone, Debug)]
pub struct FollowOptions<'f> {
    pub paths: &'f [PathBuf],
    /// The checkpoint file; None for the default.
    pub positions: Option<&'f Path>,
}

impl FollowOptions<'_> {
    fn positions_path(&self) -> PathBuf {
        if let Some(path) = self.positions {
            return path.to_owned();
        }
        match self.paths.first() {
            Some(path) if path.is_dir() => path.join(POSITIONS),
            Some(path) => path.with_file_name(POSITIONS),
            None => PathBuf::from(POSITIONS),
        }
    }
}

/// Imports new lines until `stop` completes. `report` prints progress.
///
/// While OpenSearch is unavailable or busy, reads no more lines and repeats the current batch.
///
/// # Errors
/// [`ImportError`] for a permanent error.
pub async fn follow(
    client: &Client,
    options: &FollowOptions<'_>,
    report: &mut dyn FnMut(&str),
    stop: impl Future<Output = ()>,
) -> Result<ImportStats, ImportError> {
    let path = options.positions_path();
    let positions_error = |error| ImportError::Positions {
        path: path.clone(),
        error,
    };
    let before = match Positions::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            report(&format!(
                "{}: {error}; reading starts again from the beginning; OpenSearch ignores lines that it \
                 already has",
                path.display()
            ));
            Positions::default()
        }
        before => before.map_err(positions_error)?,
    };
    // Detect an unwritable checkpoint before reading.
    before.write(&path).map_err(positions_error)?;
    let mut tail = Tail::open(options.paths, Start::At(before))?;

    let mut stats = ImportStats::default();
    let mut stop = pin!(stop);
    let mut write_failed = false;
    loop {
        let next = async {
            let batch = collect_batch(&mut tail, report).await;
            send_until_stored(client, batch, &mut stats, report).await
        };
        tokio::select! {
            result = next => result?,
            // The current batch is not in the checkpoint, so the next run repeats it.
            () = &mut stop => return Ok(stats),
        }
        match tail.positions().write(&path) {
            Ok(()) => write_failed = false,
            // The import continues; after a restart, OpenSearch recognises the duplicates.
            Err(error) if !write_failed => {
                report(&positions_error(error).to_string());
                write_failed = true;
            }
            Err(_) => {}
        }
    }
}

/// Collects lines until the batch is large or old enough.
async fn collect_batch(tail: &mut Tail, report: &mut dyn FnMut(&str)) -> Batch {
    let mut batch = Batch::default();
    let mut first = None;
    loop {
        let entries = tail.poll(Duration::ZERO);
        for error in tail.take_errors() {
            report(&error.to_string());
        }
        let more = !entries.is_empty();
        for entry in entries {
            batch.add(entry.document);
        }
        if more {
            first.get_or_insert_with(Instant::now);
        }
        let waited = first.is_some_and(|first| first.elapsed() >= BATCH_INTERVAL);
        if batch.bytes() >= BATCH_BYTES || waited {
            return batch;
        }
        if more {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

/// Repeats the batch until OpenSearch has stored it.
async fn send_until_stored(
    client: &Client,
    mut batch: Batch,
    stats: &mut ImportStats,
    report: &mut dyn FnMut(&str),
) -> Result<(), Error> {
    let mut delays = RETRY_DELAYS.iter();
    let mut delay = Duration::ZERO;
    let mut waiting_since = None;
    let refused = stats.refused;
    while let Err(error) = batch.send(client, stats).await {
        if !error.is_transient() {
            return Err(error);
        }
        delay = delays.next().copied().unwrap_or(delay);
        if waiting_since.is_none() && delay >= Duration::from_millis(500) {
            report(&format!("{error}; lines wait in the files"));
            waiting_since = Some(Instant::now());
        }
        tokio::time::sleep(delay).await;
    }
    for note in client.take_notes() {
        report(&note);
    }
    if let Some(since) = waiting_since {
        report(&format!(
            "OpenSearch accepts lines again, after {:.0} s",
            since.elapsed().as_secs_f64()
        ));
    }
    // Report the first refused line, then at every doubling.
    if stats.refused.checked_ilog2() != refused.checked_ilog2() {
        let reason = stats.reason.as_deref().unwrap_or_default();
        report(&format!(
            "OpenSearch rejected {} lines so far, which are skipped; the first: {reason}",
            stats.refused
        ));
    }
    Ok(())
}
