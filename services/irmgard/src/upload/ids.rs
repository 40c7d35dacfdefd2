//! Photo ids, drawn before the original is stored.

use contract::PhotoId;
use tokio::sync::{mpsc, oneshot};

use crate::{
    database::{Pool, is_unavailable},
    photo::draw_ids,
};

/// Requests that wait for an id at a time.
const WAITING: usize = 1024;
/// Ids drawn by one statement.
const AT_ONCE: usize = 64;

/// Draws ids from the table's sequence: requests that ask while a draw is on
/// its way share the next one, so that a busy server pays one round trip for
/// many uploads.
#[derive(Clone, Debug)]
pub struct Ids {
    requests: mpsc::Sender<oneshot::Sender<Result<PhotoId, sqlx::Error>>>,
}

impl Ids {
    /// Starts the task that draws; it ends with the last clone of this.
    /// Needs a Tokio runtime.
    #[must_use]
    pub fn start(pool: Pool) -> Self {
        let (requests, waiting) = mpsc::channel(WAITING);
        tokio::spawn(draw(pool, waiting));
        Self { requests }
    }

    /// A new id, greater than those that were drawn before this was called.
    ///
    /// # Errors
    /// The database's. There is no timeout in here.
    pub async fn next(&self) -> Result<PhotoId, sqlx::Error> {
        let (answer, drawn) = oneshot::channel();
        self.requests
            .send(answer)
            .await
            .map_err(|_| sqlx::Error::WorkerCrashed)?;
        drawn.await.map_err(|_| sqlx::Error::WorkerCrashed)?
    }
}

async fn draw(pool: Pool, mut waiting: mpsc::Receiver<oneshot::Sender<Result<PhotoId, sqlx::Error>>>) {
    let mut asking = Vec::with_capacity(AT_ONCE);
    while waiting.recv_many(&mut asking, AT_ONCE).await > 0 {
        asking.retain(|request| !request.is_closed());
        if asking.is_empty() {
            continue;
        }
        // Nobody waits any more once every request has reached its deadline.
        let drawn = tokio::select! {
            drawn = draw_ids(&pool, asking.len()) => drawn,
            () = all_closed(&mut asking) => { asking.clear(); continue }
        };
        match drawn {
            Ok(ids) => {
                for (request, id) in asking.drain(..).zip(ids) {
                    let _ = request.send(Ok(id));
                }
            }
            Err(error) => {
                for request in asking.drain(..) {
                    let _ = request.send(Err(same(&error)));
                }
            }
        }
    }
}

/// Errors cannot be cloned: another that means the same to requests.
fn same(error: &sqlx::Error) -> sqlx::Error {
    match error {
        sqlx::Error::PoolTimedOut => sqlx::Error::PoolTimedOut,
        sqlx::Error::PoolClosed => sqlx::Error::PoolClosed,
        error if is_unavailable(error) => sqlx::Error::Io(std::io::Error::other(error.to_string())),
        error => sqlx::Error::Decode(error.to_string().into()),
    }
}

async fn all_closed(asking: &mut [oneshot::Sender<Result<PhotoId, sqlx::Error>>]) {
    for request in asking {
        request.closed().await;
    }
}
