//! PostgreSQL: pools, connections that carry a request's trace id, and the schema.
//!
//! Requests, background work, the relay and the id allocator have pools of their own. A burst of uploads
//! cannot starve the relay and the consumers, and a backlog of results cannot starve requests. The id
//! allocator's connection never gets a request's name, so it needs no reset.

mod commit_guard;
mod connection;
mod error;
mod pool;
mod schema;
mod stale;
mod wait;

use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    ConnectOptions, Connection, Executor,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};

use self::stale::StaleConnections;
pub use self::{
    commit_guard::CommitGuard,
    connection::RequestConnection,
    error::{is_unavailable, leaves_connection_unusable, outcome_is_unknown},
    pool::{Pool, PooledConnection},
    schema::{MigrateError, MigrationOutcome, SchemaError, SchemaState, migrate, required_version},
    wait::{wait_for_schema, wait_until_reachable},
};

/// Prefix of statements that run every few seconds even if there is nothing to do. Log views can filter them
/// out, as logq's view `webservice-db` does.
pub const POLL: &str = "/* poll */";

/// Application name, in PostgreSQL's log, of a connection that serves no request.
pub const APPLICATION_NAME: &str = "irmgard";

/// Time limit for the ping of an idle connection.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// A timeout after less time than this does not make connections suspect: others kept the request waiting.
const MIN_SUSPECT_WAIT: Duration = Duration::from_millis(500);

/// How long background work waits for a connection.
const BACKGROUND_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit of one piece of background work in the database. Without it, a server that vanished from the
/// network would block the work for ever.
///
/// The limit is on our side: a `statement_timeout` would also end a COMMIT's wait for its standby, and
/// PostgreSQL then reports success for a transaction that no standby has.
const BACKGROUND_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of each server session. A transaction that is idle for a minute has lost its owner. The server
/// ends the session of a program that vanished from the network within half a minute, and releases its locks.
const SESSION_OPTIONS: [(&str, &str); 5] = [
    ("idle_in_transaction_session_timeout", "60s"),
    ("tcp_keepalives_idle", "10s"),
    ("tcp_keepalives_interval", "5s"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "25s"),
];

#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    /// Host name, address, or directory of the socket.
    pub host: String,
    pub port: u16,
    pub database: String,
    pub username: String,
    pub password: SecretString,
    /// TLS mode, as libpq's `sslmode`.
    pub ssl_mode: PgSslMode,
    /// PEM certificates of CAs to trust in addition to the system's.
    pub ca: Option<String>,
    pub request_connections: u32,
    /// Connections for the consumers and the reconciler.
    pub background_connections: u32,
    /// How long a request waits for a connection.
    pub acquire_timeout: Duration,
}

impl DatabaseSettings {
    /// Options of one connection.
    #[must_use]
    pub fn connect_options(&self) -> PgConnectOptions {
        // With verify-ca, sqlx 0.9 uses rustls' default provider and panics if there is none. An error means
        // that one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port)
            .database(&self.database)
            .username(&self.username)
            .password(self.password.expose_secret())
            .ssl_mode(self.ssl_mode)
            .application_name(APPLICATION_NAME)
            .options(SESSION_OPTIONS)
            .disable_statement_logging();
        match &self.ca {
            Some(pem) => options.ssl_root_cert_from_pem(pem.clone().into_bytes()),
            None => options,
        }
    }
}

/// The connection pools.
#[derive(Clone, Debug)]
pub struct Database {
    requests: Pool,
    background: Pool,
    relay: Pool,
    ids: Pool,
    stale: StaleConnections,
    commit_guard: CommitGuard,
}

impl Database {
    /// Pools that connect on first use, so that the process starts while the server is down.
    ///
    /// Needs a Tokio runtime.
    #[must_use]
    pub fn connect_lazily(settings: &DatabaseSettings) -> Self {
        let connect_options = settings.connect_options();
        let stale = StaleConnections::default();
        let pool =
            |options: PgPoolOptions| Pool::new(options.connect_lazy_with(connect_options.clone()), &stale);
        let requests = pool(request_pool_options(settings, &stale));
        let background =
            pool(background_pool_options(&stale).max_connections(settings.background_connections));
        let relay = pool(background_pool_options(&stale).max_connections(1));
        let ids = pool(
            untested_pool_options(&stale)
                .acquire_timeout(settings.acquire_timeout)
                .max_connections(1),
        );
        Self {
            commit_guard: CommitGuard::new(background.clone()),
            requests,
            background,
            relay,
            ids,
            stale,
        }
    }

    /// A connection for one request. PostgreSQL logs its statements with the application name `irmgard <trace id>`.
    ///
    /// # Errors
    /// No connection is free, or can be opened, within the acquire timeout.
    pub async fn request(&self, trace_id: Option<&str>) -> Result<RequestConnection, sqlx::Error> {
        RequestConnection::acquire(self.requests.clone(), trace_id).await
    }

    /// Reports that a request got its connection at `since` and no answer in time: older connections become suspect.
    pub fn report_timeout(&self, since: Instant) {
        if since.elapsed() >= MIN_SUSPECT_WAIT {
            self.stale.mark_opened_before(since);
        }
    }

    /// Pool of the consumers and the reconciler.
    #[must_use]
    pub const fn background(&self) -> &Pool {
        &self.background
    }

    /// Pool of the relay, with one connection: other work must not slow down publishing.
    #[must_use]
    pub const fn relay(&self) -> &Pool {
        &self.relay
    }

    /// Pool of the id allocator. The next statement tests the connection.
    #[must_use]
    pub const fn ids(&self) -> &Pool {
        &self.ids
    }

    #[must_use]
    pub const fn commit_guard(&self) -> &CommitGuard {
        &self.commit_guard
    }

    /// Pool of the requests, for metrics only.
    #[must_use]
    pub const fn requests(&self) -> &Pool {
        &self.requests
    }

    /// Checks whether this program can work with the current schema.
    ///
    /// # Errors
    /// It cannot, or PostgreSQL did not answer.
    pub async fn check_schema(&self) -> Result<SchemaState, SchemaError> {
        self.background
            .run_limited(async { Ok(schema::check(&self.background).await) })
            .await
            .unwrap_or_else(|error| Err(SchemaError::Unavailable(error)))
    }

    /// Closes all connections; waits for those in use.
    pub async fn close(&self) {
        self.requests.close().await;
        self.background.close().await;
        self.relay.close().await;
        self.ids.close().await;
    }
}

/// The first statement of a request tests the connection, see [`RequestConnection`].
fn request_pool_options(settings: &DatabaseSettings, stale: &StaleConnections) -> PgPoolOptions {
    untested_pool_options(stale)
        .max_connections(settings.request_connections)
        .acquire_timeout(settings.acquire_timeout)
        .after_release(|connection, _| {
            Box::pin(async move {
                connection.execute("RESET application_name").await?;
                Ok(true)
            })
        })
}

/// Does not hand out suspect connections. Other connections are not tested.
fn untested_pool_options(stale: &StaleConnections) -> PgPoolOptions {
    let stale = stale.clone();
    pool_options().before_acquire(move |_, connection| {
        let usable = !stale.contains_age(connection.age);
        Box::pin(async move { Ok(usable) })
    })
}

fn background_pool_options(stale: &StaleConnections) -> PgPoolOptions {
    let stale = stale.clone();
    pool_options()
        .acquire_timeout(BACKGROUND_ACQUIRE_TIMEOUT)
        .before_acquire(move |connection, metadata| {
            let stale = stale.clone();
            Box::pin(async move {
                if stale.contains_age(metadata.age) {
                    return Ok(false);
                }
                let since = Instant::now();
                let ping = with_timeout(PING_TIMEOUT, connection.ping()).await;
                Ok(ping.inspect_err(|_| stale.mark_opened_before(since)).is_ok())
            })
        })
}

fn pool_options() -> PgPoolOptions {
    PgPoolOptions::new()
        .min_connections(0)
        .idle_timeout(Duration::from_secs(300))
        .max_lifetime(Duration::from_secs(1800))
        // The `before_acquire` hooks test connections, with a time limit.
        .test_before_acquire(false)
}

/// Runs database work on a connection outside the pools, with a time limit. See also [`Pool::run_limited`].
///
/// # Errors
/// The work's error, or [`sqlx::Error::Io`] if it takes too long. The outcome is unknown then.
async fn run_limited<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    with_timeout(BACKGROUND_TIMEOUT, work).await
}

async fn with_timeout<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(timed_out()))
}

fn timed_out() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}
