//! A pool that never waits for a silent server without a limit.

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

use super::{BACKGROUND_TIMEOUT, suspicion::Suspicion, timed_out};

/// How long a connection may take to go back into its pool: to be reset, and to answer once more.
const RETURN_TIMEOUT: Duration = Duration::from_secs(2);

/// A pool of connections. Clones share it.
///
/// sqlx tests each connection that comes back, without a limit. A server that vanished from the network sends no
/// answer and no error, so that the connection's place stays taken until the kernel gives up, after some 15 minutes.
/// Hence connections of this pool are on loan as [`PooledConnection`], which goes back within a limit. A statement
/// that is run on the pool itself has the limit of [`Pool::limited`].
#[derive(Clone, Debug)]
pub struct Pool {
    pool: PgPool,
    suspicion: Suspicion,
}

impl Pool {
    pub(super) fn new(pool: PgPool, suspicion: &Suspicion) -> Self {
        Self {
            pool,
            suspicion: suspicion.clone(),
        }
    }

    /// A connection, idle or new.
    ///
    /// # Errors
    /// When none is free or can be opened within the acquire timeout.
    pub async fn acquire(&self) -> Result<PooledConnection, sqlx::Error> {
        Ok(PooledConnection {
            connection: Some(self.pool.acquire().await?),
            close: false,
        })
    }

    /// A piece of background work on connections of this pool, with a limit on its time. Where the limit ends it, the
    /// connections that were made before are suspect.
    ///
    /// # Errors
    /// The work's, or [`sqlx::Error::Io`] when it takes too long; its outcome is unknown then.
    pub async fn limited<T>(
        &self,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let since = Instant::now();
        timeout(BACKGROUND_TIMEOUT, work).await.unwrap_or_else(|_| {
            self.suspicion.raise(since);
            Err(timed_out())
        })
    }

    /// How the pool was set up.
    #[must_use]
    pub fn options(&self) -> &PgPoolOptions {
        self.pool.options()
    }

    /// Connections, idle ones included.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.pool.size()
    }

    /// Idle connections.
    #[must_use]
    pub fn num_idle(&self) -> usize {
        self.pool.num_idle()
    }

    /// Closes all connections; waits for those on loan.
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

/// A connection on loan from a [`Pool`]. Dropped, it goes back, unless it does not answer.
#[derive(Debug)]
pub struct PooledConnection {
    /// Empty only while it is dropped.
    connection: Option<PoolConnection<Postgres>>,
    close: bool,
}

impl PooledConnection {
    /// The connection is closed when it is dropped.
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
            // In the background, within 5 s.
            connection.close_on_drop();
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            // The runtime ends, and the pool with it.
            drop(connection.leak());
            return;
        };
        runtime.spawn(async move {
            // Dropped at the limit, it closes the socket and frees the place. Other connections are not suspect: a
            // statement that somebody broke off may still be at work on this one.
            if timeout(RETURN_TIMEOUT, connection.return_to_pool())
                .await
                .is_err()
            {
                tracing::warn!(limit = ?RETURN_TIMEOUT, "a connection to PostgreSQL does not answer: closed");
            }
        });
    }
}

impl Deref for PooledConnection {
    type Target = PgConnection;

    #[expect(clippy::expect_used, reason = "taken by nothing but the end of its life")]
    fn deref(&self) -> &PgConnection {
        self.connection.as_deref().expect("a connection on loan")
    }
}

impl DerefMut for PooledConnection {
    #[expect(clippy::expect_used, reason = "taken by nothing but the end of its life")]
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_deref_mut().expect("a connection on loan")
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
            pool.limited(work).await
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
            pool.limited(work).await
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move {
            let work = async { pool.acquire().await?.describe(sql).await };
            pool.limited(work).await
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
            pool.limited(work).await
        })
    }
}
