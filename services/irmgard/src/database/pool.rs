//! A connection pool that never waits for a silent server without a time limit.

use std::{
    ops::{Deref, DerefMut},
    time::{Duration, Instant},
};

use futures::{
    TryStreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    Describe, Either, Execute, Executor, PgConnection, PgPool, Postgres, SqlStr,
    pool::PoolConnection,
    postgres::{PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};
use tokio::{runtime::Handle, time::timeout};

use super::{BACKGROUND_TIMEOUT, stale::StaleConnections, timed_out};

/// How long a connection may take to return to its pool: to be reset and to answer once more.
const RETURN_TIMEOUT: Duration = Duration::from_secs(2);

/// A pool of connections. Clones share it.
///
/// sqlx tests each connection that returns, without a time limit. If the server vanished from the network,
/// the connection keeps its slot in the pool until the kernel gives up, after about 15 minutes. Hence this
/// pool hands out [`PooledConnection`]s, which return within a time limit. Statements that run on the pool
/// itself have the limit of [`Pool::run_limited`].
#[derive(Clone, Debug)]
pub struct Pool {
    pool: PgPool,
    stale: StaleConnections,
}

impl Pool {
    pub(super) fn new(pool: PgPool, stale: &StaleConnections) -> Self {
        Self {
            pool,
            stale: stale.clone(),
        }
    }

    /// # Errors
    /// No connection is free, or can be opened, within the acquire timeout.
    pub async fn acquire(&self) -> Result<PooledConnection, sqlx::Error> {
        Ok(PooledConnection {
            connection: Some(self.pool.acquire().await?),
            close: false,
        })
    }

    /// Runs background work on connections of this pool, with a time limit. After a timeout, older
    /// connections become suspect.
    ///
    /// # Errors
    /// The work's error, or [`sqlx::Error::Io`] if it takes too long. The outcome is unknown then.
    pub async fn run_limited<T>(
        &self,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let since = Instant::now();
        timeout(BACKGROUND_TIMEOUT, work).await.unwrap_or_else(|_| {
            self.stale.mark_opened_before(since);
            Err(timed_out())
        })
    }

    #[must_use]
    pub fn options(&self) -> &PgPoolOptions {
        self.pool.options()
    }

    /// Number of connections, idle ones included.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.pool.size()
    }

    /// Number of idle connections.
    #[must_use]
    pub fn num_idle(&self) -> usize {
        self.pool.num_idle()
    }

    /// Closes all connections; waits for those in use.
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

/// A connection from a [`Pool`]. It returns to the pool when dropped, unless it does not answer.
#[derive(Debug)]
pub struct PooledConnection {
    /// `None` only during drop.
    connection: Option<PoolConnection<Postgres>>,
    close: bool,
}

impl PooledConnection {
    /// Closes the connection when it is dropped.
    pub const fn close_on_drop(&mut self) {
        self.close = true;
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        if self.close {
            // sqlx closes it in the background, within 5 s.
            connection.close_on_drop();
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            // The runtime ends, and the pool with it.
            drop(connection.leak());
            return;
        };
        runtime.spawn(async move {
            // At the limit, dropping the connection closes the socket and frees the slot. Other connections
            // do not become suspect: a cancelled statement may still run on this one.
            if timeout(RETURN_TIMEOUT, connection.return_to_pool())
                .await
                .is_err()
            {
                tracing::warn!(
                    duration_seconds = RETURN_TIMEOUT.as_secs_f64(),
                    "a PostgreSQL connection did not answer in time and was closed"
                );
            }
        });
    }
}

impl Deref for PooledConnection {
    type Target = PgConnection;

    #[expect(clippy::expect_used, reason = "only drop takes the connection")]
    fn deref(&self) -> &PgConnection {
        self.connection
            .as_deref()
            .expect("the connection is taken only on drop")
    }
}

impl DerefMut for PooledConnection {
    #[expect(clippy::expect_used, reason = "only drop takes the connection")]
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection
            .as_deref_mut()
            .expect("the connection is taken only on drop")
    }
}

impl<'p> Executor<'p> for &'_ Pool {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        E: 'q + Execute<'q, Postgres>,
    {
        let pool = self.clone();
        let results = async move {
            let work = async {
                let mut connection = pool.acquire().await?;
                connection.fetch_many(query).try_collect::<Vec<_>>().await
            };
            pool.run_limited(work).await
        };
        Box::pin(
            stream::once(results)
                .map_ok(|results| stream::iter(results.into_iter().map(Ok)))
                .try_flatten(),
        )
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        E: 'q + Execute<'q, Postgres>,
    {
        let pool = self.clone();
        Box::pin(async move {
            let work = async { pool.acquire().await?.fetch_optional(query).await };
            pool.run_limited(work).await
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move {
            let work = async { pool.acquire().await?.describe(sql).await };
            pool.run_limited(work).await
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move {
            let work = async { pool.acquire().await?.prepare_with(sql, parameters).await };
            pool.run_limited(work).await
        })
    }
}
