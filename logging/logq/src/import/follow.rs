//! Lines of files that grow, as they are added.
//!
//! Exactly once: what was read is noted only after OpenSearch has it, and a line that is sent again has the id that it had.

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

/// How long lines are gathered before they are sent.
const BATCH_INTERVAL: Duration = Duration::from_millis(500);

/// Waits before the same lines are sent again, the last one for ever.
const RETRY_DELAYS: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// What keeps its place beside the folder or the file that is followed.
const POSITIONS: &str = ".logq.positions";

/// What is followed, and where it is noted how far.
#[derive(Clone, Debug)]
pub struct FollowOptions<'f> {
    /// Files and folders.
    pub paths: &'f [PathBuf],
    /// The file of positions; None for one beside the first path.
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

/// Brings lines as they come, until `stop` is there. `report` tells a person what goes on.
///
/// While OpenSearch is away or too busy nothing more is read, and the same lines are sent until it has them.
///
/// # Errors
/// [`ImportError`], for what waiting does not mend.
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
                "{}: {error}; reading begins anew, and what is known stays as it is",
                path.display()
            ));
            Positions::default()
        }
        before => before.map_err(positions_error)?,
    };
    // A place that cannot be written to is known before anything is read.
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
            // What is being sent was not noted: it is sent again.
            () = &mut stop => return Ok(stats),
        }
        match tail.positions().write(&path) {
            Ok(()) => write_failed = false,
            // Lines go on; only that they are known is found out again by a later process.
            Err(error) if !write_failed => {
                report(&positions_error(error).to_string());
                write_failed = true;
            }
            Err(_) => {}
        }
    }
}

/// Lines until they are enough, or have waited long enough.
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

/// Sends until all lines are there.
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
            report(&format!("{error}; lines wait"));
            waiting_since = Some(Instant::now());
        }
        tokio::time::sleep(delay).await;
    }
    for note in client.take_notes() {
        report(&note);
    }
    if let Some(since) = waiting_since {
        report(&format!(
            "OpenSearch takes lines again, after {:.0} s",
            since.elapsed().as_secs_f64()
        ));
    }
    // The first, and then rarely enough to be read.
    if stats.refused.checked_ilog2() != refused.checked_ilog2() {
        let reason = stats.reason.as_deref().unwrap_or_default();
        report(&format!(
            "lines are refused, and left out: {} so far, the first: {reason}",
            stats.refused
        ));
    }
    Ok(())
}
