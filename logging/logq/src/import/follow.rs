//! Lines of files that grow, as they are added.
//!
//! Exactly once: what was read is noted only after OpenSearch has it, and a line that is sent again has the id that it had.

use std::{
    future::Future,
    path::{Path, PathBuf},
    pin::pin,
    time::{Duration, Instant},
};

use super::{BATCH_BYTES, Batch, ImportError, Imported};
use crate::{
    opensearch::{Client, Error},
    source::files::tail::{INTERVAL, Positions, Start, Tail},
};

/// How long lines are gathered before they are sent.
const GATHER: Duration = Duration::from_millis(500);

/// Waits before the same lines are sent again, the last one for ever.
const WAITS: [Duration; 5] = [
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
pub struct Following<'f> {
    /// Files and folders.
    pub paths: &'f [PathBuf],
    /// The file of positions; None for one beside the first path.
    pub positions: Option<&'f Path>,
}

impl Following<'_> {
    fn place(&self) -> PathBuf {
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

/// Brings lines as they come, until `stop` is there. `say` tells a person what goes on.
///
/// While OpenSearch is away or too busy nothing more is read, and the same lines are sent until it has them.
///
/// # Errors
/// [`ImportError`], for what waiting does not mend.
pub async fn follow(
    client: &Client,
    following: &Following<'_>,
    say: &mut dyn FnMut(&str),
    stop: impl Future<Output = ()>,
) -> Result<Imported, ImportError> {
    let path = following.place();
    let wrong = |error| ImportError::Positions {
        path: path.clone(),
        error,
    };
    let before = match Positions::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            say(&format!(
                "{}: {error}; reading begins anew, and what is known stays as it is",
                path.display()
            ));
            Positions::default()
        }
        before => before.map_err(wrong)?,
    };
    // A place that cannot be written to is known before anything is read.
    before.write(&path).map_err(wrong)?;
    let mut tail = Tail::open(following.paths, Start::At(before))?;

    let mut imported = Imported::default();
    let mut stop = pin!(stop);
    let mut unnoted = false;
    loop {
        let next = async {
            let batch = gather(&mut tail, say).await;
            bring(client, batch, &mut imported, say).await
        };
        tokio::select! {
            brought = next => brought?,
            // What is being sent was not noted: it is sent again.
            () = &mut stop => return Ok(imported),
        }
        match tail.positions().write(&path) {
            Ok(()) => unnoted = false,
            // Lines go on; only that they are known is found out again by a later process.
            Err(error) if !unnoted => {
                say(&wrong(error).to_string());
                unnoted = true;
            }
            Err(_) => {}
        }
    }
}

/// Lines until they are enough, or have waited long enough.
async fn gather(tail: &mut Tail, say: &mut dyn FnMut(&str)) -> Batch {
    let mut batch = Batch::default();
    let mut first = None;
    loop {
        let entries = tail.poll(Duration::ZERO);
        for trouble in tail.troubles() {
            say(&trouble.to_string());
        }
        let more = !entries.is_empty();
        for entry in entries {
            batch.add(entry.document);
        }
        if more {
            first.get_or_insert_with(Instant::now);
        }
        let waited = first.is_some_and(|first| first.elapsed() >= GATHER);
        if batch.bytes() >= BATCH_BYTES || waited {
            return batch;
        }
        if more {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

/// Sends until all lines are there.
async fn bring(
    client: &Client,
    mut batch: Batch,
    imported: &mut Imported,
    say: &mut dyn FnMut(&str),
) -> Result<(), Error> {
    let mut waits = WAITS.iter();
    let mut wait = Duration::ZERO;
    let mut away = None;
    let refused = imported.refused;
    while let Err(error) = batch.send(client, imported).await {
        if !error.is_passing() {
            return Err(error);
        }
        wait = waits.next().copied().unwrap_or(wait);
        if away.is_none() && wait >= Duration::from_millis(500) {
            say(&format!("{error}; lines wait"));
            away = Some(Instant::now());
        }
        tokio::time::sleep(wait).await;
    }
    for note in client.notes() {
        say(&note);
    }
    if let Some(since) = away {
        say(&format!(
            "OpenSearch takes lines again, after {:.0} s",
            since.elapsed().as_secs_f64()
        ));
    }
    // The first, and then rarely enough to be read.
    if imported.refused.checked_ilog2() != refused.checked_ilog2() {
        let reason = imported.reason.as_deref().unwrap_or_default();
        say(&format!(
            "lines are refused, and left out: {} so far, the first: {reason}",
            imported.refused
        ));
    }
    Ok(())
}
