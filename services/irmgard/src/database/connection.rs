//! A connection on loan to one request.

use std::ops::{Deref, DerefMut};

use sqlx::{AssertSqlSafe, Executor, PgConnection};

use super::{APPLICATION_NAME, Pool, PooledConnection, leaves_connection_unusable};

/// A connection on loan to one request. Its statements, BEGIN, COMMIT and
/// ROLLBACK included, are logged by PostgreSQL with the request's trace id in
/// the application name.
///
/// It goes back into the pool, which resets the name, only through
/// [`RequestConnection::give_back`]. Dropped in any other way, as when the
/// request's future is dropped at a timeout, it is closed: nobody knows what
/// the server still does on it.
#[derive(Debug)]
pub struct RequestConnection {
    pool: Pool,
    connection: Loan,
    application_name: String,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Fresh from the pool: the server may have closed it meanwhile.
    Untested,
    /// The application name is set.
    Tagged,
    /// A transaction was begun and has not ended.
    InTransaction,
}

impl RequestConnection {
    pub(super) async fn acquire(pool: Pool, trace_id: Option<&str>) -> Result<Self, sqlx::Error> {
        let connection = Loan::from(&pool).await?;
        // Only what cannot end the literal that it is written into.
        let trace_id = trace_id.filter(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()));
        let application_name = trace_id.map_or_else(
            || APPLICATION_NAME.to_owned(),
            |id| format!("{APPLICATION_NAME} {id}"),
        );
        Ok(Self {
            pool,
            connection,
            application_name,
            state: State::Untested,
        })
    }

    /// The connection outside a transaction, for reads. The first call costs
    /// a round trip, in which the application name is set.
    ///
    /// # Errors
    /// When PostgreSQL cannot be reached.
    pub async fn connection(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        if self.state == State::Untested {
            self.first_statement(format!("SET application_name = '{}'", self.application_name))
                .await?;
            self.state = State::Tagged;
        }
        self.connection.get()
    }

    /// Begins a transaction, in the same round trip with setting the name.
    ///
    /// The name is set in a transaction of its own before: a rollback would
    /// take it back, and `SET LOCAL` ends before COMMIT's own log line.
    ///
    /// # Errors
    /// When PostgreSQL cannot be reached.
    pub async fn begin(&mut self) -> Result<RequestTransaction<'_>, sqlx::Error> {
        if self.state == State::Untested {
            let name = &self.application_name;
            self.first_statement(format!("BEGIN; SET application_name = '{name}'; COMMIT; BEGIN"))
                .await?;
        } else {
            self.connection.get()?.execute("BEGIN").await?;
        }
        self.state = State::InTransaction;
        RequestTransaction::new(self)
    }

    /// Runs the statement that begins the request's work; where the
    /// connection has died in the pool, on another one. Nothing has been done
    /// yet, so that this is safe, and it spares a test of each connection.
    async fn first_statement(&mut self, sql: String) -> Result<(), sqlx::Error> {
        let mut spare = self.pool.options().get_max_connections();
        loop {
            let error = match self.connection.get()?.execute(AssertSqlSafe(sql.as_str())).await {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            if spare == 0 || !leaves_connection_unusable(&error) {
                return Err(error);
            }
            spare -= 1;
            self.connection.close();
            self.connection = Loan::from(&self.pool).await?;
        }
    }

    /// Gives the connection back after the request's work, or closes it where
    /// the work's outcome or an open transaction forbids its further use.
    pub fn give_back<T>(mut self, outcome: &Result<T, sqlx::Error>) {
        let usable = outcome
            .as_ref()
            .err()
            .is_none_or(|e| !leaves_connection_unusable(e));
        if usable && self.state != State::InTransaction {
            drop(self.connection.0.take());
        }
    }
}

/// A transaction on a [`RequestConnection`]. Dropped without
/// [`commit`](Self::commit) or [`rollback`](Self::rollback) it takes the
/// connection with it, and the server rolls back.
#[derive(Debug)]
pub struct RequestTransaction<'a> {
    connection: &'a mut PgConnection,
    state: &'a mut State,
}

impl<'a> RequestTransaction<'a> {
    fn new(request: &'a mut RequestConnection) -> Result<Self, sqlx::Error> {
        Ok(Self {
            connection: request.connection.get()?,
            state: &mut request.state,
        })
    }

    /// Commits.
    ///
    /// # Errors
    /// An error that the server answered means that it rolled back; any other
    /// leaves the outcome unknown, see [`super::outcome_is_unknown`].
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.connection.execute("COMMIT").await?;
        *self.state = State::Tagged;
        Ok(())
    }

    /// Rolls back.
    ///
    /// # Errors
    /// When PostgreSQL cannot be reached; it then rolls back by itself.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        self.connection.execute("ROLLBACK").await?;
        *self.state = State::Tagged;
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
struct Loan(Option<PooledConnection>);

impl Loan {
    async fn from(pool: &Pool) -> Result<Self, sqlx::Error> {
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

impl Drop for Loan {
    fn drop(&mut self) {
        self.close();
    }
}
