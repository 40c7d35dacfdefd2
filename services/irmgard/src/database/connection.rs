use std::ops::{Deref, DerefMut};

use sqlx::{AssertSqlSafe, Executor, PgConnection};

use super::{APPLICATION_NAME, Pool, PooledConnection, leaves_connection_unusable};

/// The connection of one request. PostgreSQL logs its statements, BEGIN, COMMIT and ROLLBACK included, with
/// the request's trace id in the application name.
///
/// [`RequestConnection::give_back`] returns it to the pool, which resets the name. A connection that is dropped
/// otherwise, for example when a timeout drops the request's future, is closed: the server may still work on it.
#[derive(Debug)]
pub struct RequestConnection {
    pool: Pool,
    connection: CloseOnDrop,
    application_name: String,
    state: ConnectionState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionState {
    /// From the pool; the server may have closed it since.
    Untested,
    Named,
    /// A transaction has begun and not ended.
    InTransaction,
}

impl RequestConnection {
    pub(super) async fn acquire(pool: Pool, trace_id: Option<&str>) -> Result<Self, sqlx::Error> {
        let connection = CloseOnDrop::acquire(&pool).await?;
        // Accept only text that cannot end the SQL literal.
        let trace_id = trace_id.filter(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()));
        let application_name = trace_id.map_or_else(
            || APPLICATION_NAME.to_owned(),
            |id| format!("{APPLICATION_NAME} {id}"),
        );
        Ok(Self {
            pool,
            connection,
            application_name,
            state: ConnectionState::Untested,
        })
    }

    /// The connection outside a transaction, for reads. The first call sets the application name, which costs
    /// a round trip.
    pub async fn connection(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        if self.state == ConnectionState::Untested {
            self.first_statement(format!("SET application_name = '{}'", self.application_name))
                .await?;
            self.state = ConnectionState::Named;
        }
        self.connection.get()
    }

    /// Begins a transaction. The first call sets the application name in the same round trip.
    ///
    /// The name is set in a transaction of its own before: a rollback would undo it, and `SET LOCAL` ends
    /// before PostgreSQL logs the COMMIT.
    pub async fn begin(&mut self) -> Result<RequestTransaction<'_>, sqlx::Error> {
        if self.state == ConnectionState::Untested {
            let name = &self.application_name;
            self.first_statement(format!("BEGIN; SET application_name = '{name}'; COMMIT; BEGIN"))
                .await?;
        } else {
            self.connection.get()?.execute("BEGIN").await?;
        }
        self.state = ConnectionState::InTransaction;
        RequestTransaction::new(self)
    }

    /// Runs the first statement of the request. If the connection died in the pool, it tries another one:
    /// nothing has been done yet, and this saves a test of each connection.
    async fn first_statement(&mut self, sql: String) -> Result<(), sqlx::Error> {
        let mut attempts_left = self.pool.options().get_max_connections();
        loop {
            let error = match self.connection.get()?.execute(AssertSqlSafe(sql.as_str())).await {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            if attempts_left == 0 || !leaves_connection_unusable(&error) {
                return Err(error);
            }
            attempts_left -= 1;
            self.connection.close();
            self.connection = CloseOnDrop::acquire(&self.pool).await?;
        }
    }

    /// Returns the connection to the pool. Closes it instead if `outcome` makes it unusable or a transaction is open.
    pub fn give_back<T>(mut self, outcome: &Result<T, sqlx::Error>) {
        let usable = outcome
            .as_ref()
            .err()
            .is_none_or(|e| !leaves_connection_unusable(e));
        if usable && self.state != ConnectionState::InTransaction {
            drop(self.connection.0.take());
        }
    }
}

/// A transaction on a [`RequestConnection`]. If it is dropped without [`commit`](Self::commit) or
/// [`rollback`](Self::rollback), the connection is closed and the server rolls back.
#[derive(Debug)]
pub struct RequestTransaction<'a> {
    connection: &'a mut PgConnection,
    state: &'a mut ConnectionState,
}

impl<'a> RequestTransaction<'a> {
    fn new(request: &'a mut RequestConnection) -> Result<Self, sqlx::Error> {
        Ok(Self {
            connection: request.connection.get()?,
            state: &mut request.state,
        })
    }

    /// # Errors
    /// If the server answered the error, it rolled back. Any other error leaves the outcome unknown, see
    /// [`super::outcome_is_unknown`].
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.connection.execute("COMMIT").await?;
        *self.state = ConnectionState::Named;
        Ok(())
    }

    /// # Errors
    /// PostgreSQL cannot be reached; it then rolls back by itself.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        self.connection.execute("ROLLBACK").await?;
        *self.state = ConnectionState::Named;
        Ok(())
    }
}

impl Deref for RequestTransaction<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection
    }
}

impl DerefMut for RequestTransaction<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection
    }
}

/// A pooled connection that is closed when dropped.
#[derive(Debug)]
struct CloseOnDrop(Option<PooledConnection>);

impl CloseOnDrop {
    async fn acquire(pool: &Pool) -> Result<Self, sqlx::Error> {
        Ok(Self(Some(pool.acquire().await?)))
    }

    fn get(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        self.0.as_deref_mut().ok_or(sqlx::Error::PoolClosed)
    }

    fn close(&mut self) {
        if let Some(mut connection) = self.0.take() {
            connection.close_on_drop();
        }
    }
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.close();
    }
}
