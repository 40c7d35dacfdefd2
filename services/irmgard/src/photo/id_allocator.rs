//! Photo ids, drawn before the original is stored.

use contract::PhotoId;
use tokio::sync::{mpsc, oneshot};

use super::insert::draw_ids;
use crate::database::{Pool, is_unavailable};

/// Maximum number of requests that wait for an id.
const MAX_WAITING: usize = 1024;
/// Maximum number of ids drawn by one statement.
const MAX_IDS_PER_STATEMENT: usize = 64;

/// Draws ids from the table's sequence. Requests that arrive while a statement runs share the next one, so
/// that a busy server needs one round trip for many uploads.
#[derive(Clone, Debug)]
pub struct IdAllocator {
    requests: mpsc::Sender<oneshot::Sender<Result<PhotoId, sqlx::Error>>>,
}

impl IdAllocator {
    /// Starts the task that draws ids. It ends when the last clone is dropped. Needs a Tokio runtime.
    #[must_use]
    pub fn start(pool: Pool) -> Self {
        let (requests, waiting) = mpsc::channel(MAX_WAITING);
        tokio::spawn(run(pool, waiting));
        Self { requests }
    }

    /// A new id, greater than all ids drawn before the call. Has no timeout.
    pub async fn next(&self) -> Result<PhotoId, sqlx::Error> {
        let (answer, drawn) = oneshot::channel();
        self.requests
            .send(answer)
            .await
            .map_err(|_| sqlx::Error::WorkerCrashed)?;
        drawn.await.map_err(|_| sqlx::Error::WorkerCrashed)?
    }
}

async fn run(pool: Pool, mut waiting: mpsc::Receiver<oneshot::Sender<Result<PhotoId, sqlx::Error>>>) {
    let mut requests = Vec::with_capacity(MAX_IDS_PER_STATEMENT);
    while waiting.recv_many(&mut requests, MAX_IDS_PER_STATEMENT).await > 0 {
        requests.retain(|request| !request.is_closed());
        if requests.is_empty() {
            continue;
        }
        // Stop if every request has timed out.
        let drawn = tokio::select! {
            drawn = draw_ids(&pool, requests.len()) => drawn,
            () = wait_until_all_closed(&mut requests) => { requests.clear(); continue }
        };
        match drawn {
            Ok(ids) => {
                for (request, id) in requests.drain(..).zip(ids) {
                    let _ = request.send(Ok(id));
                }
            }
            Err(error) => {
                for request in requests.drain(..) {
                    let _ = request.send(Err(copy_error(&error)));
                }
            }
        }
    }
}

/// `sqlx::Error` cannot be cloned: returns an error that requests treat the same way.
fn copy_error(error: &sqlx::Error) -> sqlx::Error {
    match error {
        sqlx::Error::PoolTimedOut => sqlx::Error::PoolTimedOut,
        sqlx::Error::PoolClosed => sqlx::Error::PoolClosed,
        error if is_unavailable(error) => sqlx::Error::Io(std::io::Error::other(error.to_string())),
        error => sqlx::Error::Decode(error.to_string().into()),
    }
}

async fn wait_until_all_closed(requests: &mut [oneshot::Sender<Result<PhotoId, sqlx::Error>>]) {
    for request in requests {
        request.closed().await;
    }
}
