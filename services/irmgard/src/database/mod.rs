//! PostgreSQL: the pools, connections that carry a request's trace, the
//! schema.
//!
//! Pools of their own for requests, for background work and for the relay, so
//! that neither a burst of uploads starves the relay and the consumers, nor a
//! backlog of results the requests. Ids are drawn on a connection of their own:
//! it is never given a request's name, so that it need not be reset.

mod commits;
mod connection;
mod error;
mod pool;
mod reach;
mod schema;
mod suspicion;

use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    ConnectOptions, Connection, Executor,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};

use self::suspicion::Suspicion;
pub use self::{
    commits::Commits,
    connection::RequestConnection,
    error::{is_unavailable, leaves_connection_unusable, outcome_is_unknown},
    pool::{Pool, PooledConnection},
    reach::until_reachable,
    schema::{MigrateError, MigrationOutcome, SchemaError, SchemaState, migrate, required_version},
};

/// What a statement begins with that is asked every few seconds, whether there
/// is anything to do or not: who reads PostgreSQL's lines can leave it out, as
/// logq's view `webservice-db` does.
pub const POLL: &str = "/* poll */";

/// What PostgreSQL's own log calls a connection that serves no request.
pub const APPLICATION_NAME: &str = "irmgard";

/// How long an idle connection may take to show that it works.
const TEST_TIMEOUT: Duration = Duration::from_secs(2);

/// A request that had its connection for less time than this was kept waiting by others.
const SUSPICIOUS: Duration = Duration::from_millis(500);

/// How long background work waits for a connection.
const BACKGROUND_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one piece of background work may take in the database: without a
/// limit a server that vanished from the network would stop it for ever.
///
/// The limit is on our side. A `statement_timeout` would also end the wait of
/// a COMMIT for its standby, and PostgreSQL then reports success for a
/// transaction that no standby has.
const BACKGROUND_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of each session in the server. A transaction of ours that is idle for a minute belongs to nobody any more.
/// The server ends the session of a program that vanished from the network within half a minute, and frees its locks.
const SESSION: [(&str, &str); 5] = [
    ("idle_in_transaction_session_timeout", "60s"),
    ("tcp_keepalives_idle", "10s"),
    ("tcp_keepalives_interval", "5s"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "25s"),
];

/// Where PostgreSQL is and how it is used.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    /// Host name, address, or directory of the socket.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Database name.
    pub database: String,
    /// Role that serves.
    pub username: String,
    /// Its password.
    pub password: SecretString,
    /// TLS, as libpq's `sslmode`.
    pub ssl_mode: PgSslMode,
    /// PEM certificates that the server's may descend from, beside those of
    /// the system.
    pub ca: Option<String>,
    /// Connections for requests.
    pub request_connections: u32,
    /// Connections for the consumers and the reconciler.
    pub background_connections: u32,
    /// How long a request waits for a connection.
    pub acquire_timeout: Duration,
}

impl DatabaseSettings {
    /// The options of one connection.
    #[must_use]
    pub fn connect_options(&self) -> PgConnectOptions {
        // Where it checks the chain but not the name (verify-ca), sqlx 0.9
        // uses rustls' default, and panics when there is none. An error means
        // that there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port)
            .database(&self.database)
            .username(&self.username)
            .password(self.password.expose_secret())
            .ssl_mode(self.ssl_mode)
            .application_name(APPLICATION_NAME)
            .options(SESSION)
            .disable_statement_logging();
        match &self.ca {
            Some(pem) => options.ssl_root_cert_from_pem(pem.clone().into_bytes()),
            None => options,
        }
    }
}

/// The pools.
#[derive(Clone, Debug)]
pub struct Database {
    requests: Pool,
    background: Pool,
    relay: Pool,
    ids: Pool,
    suspicion: Suspicion,
    commits: Commits,
}

impl Database {
    /// Pools that connect when they are first used, so that a server that is
    /// down does not keep the process from starting.
    ///
    /// Needs a Tokio runtime.
    #[must_use]
    pub fn connect_lazily(settings: &DatabaseSettings) -> Self {
        let options = settings.connect_options();
        let suspicion = Suspicion::default();
        let pool = |of: PgPoolOptions| Pool::new(of.connect_lazy_with(options.clone()), &suspicion);
        let requests = pool(request_pool(settings, &suspicion));
        let background = pool(background_pool(&suspicion).max_connections(settings.background_connections));
        let relay = pool(background_pool(&suspicion).max_connections(1));
        let ids = pool(
            untested_pool(&suspicion)
                .acquire_timeout(settings.acquire_timeout)
                .max_connections(1),
        );
        Self {
            commits: Commits::new(background.clone()),
            requests,
            background,
            relay,
            ids,
            suspicion,
        }
    }

    /// A connection for one request, whose statements PostgreSQL logs with
    /// the application name `irmgard <trace id>`.
    ///
    /// # Errors
    /// When none is free or can be opened within the acquire timeout.
    pub async fn request(&self, trace_id: Option<&str>) -> Result<RequestConnection, sqlx::Error> {
        RequestConnection::acquire(self.requests.clone(), trace_id).await
    }

    /// Marks connections older than `since` as suspect: a request got its connection then, and no answer in time.
    pub fn report_timeout(&self, since: Instant) {
        if since.elapsed() >= SUSPICIOUS {
            self.suspicion.raise(since);
        }
    }

    /// The connections of the consumers and the reconciler.
    #[must_use]
    pub const fn background(&self) -> &Pool {
        &self.background
    }

    /// The relay's connection: the pace of publishing must not depend on how
    /// busy the others are.
    #[must_use]
    pub const fn relay(&self) -> &Pool {
        &self.relay
    }

    /// The connection that ids are drawn on. Its next statement tests it.
    #[must_use]
    pub const fn ids(&self) -> &Pool {
        &self.ids
    }

    /// What is known of commits that wait for a standby.
    #[must_use]
    pub const fn commits(&self) -> &Commits {
        &self.commits
    }

    /// The connections of requests, for their numbers alone.
    #[must_use]
    pub const fn requests(&self) -> &Pool {
        &self.requests
    }

    /// Whether this program can work with the schema as it is now.
    ///
    /// # Errors
    /// When it cannot, or the question cannot be asked.
    pub async fn check_schema(&self) -> Result<SchemaState, SchemaError> {
        self.background
            .limited(async { Ok(schema::check(&self.background).await) })
            .await
            .unwrap_or_else(|error| Err(SchemaError::Unavailable(error)))
    }

    /// Closes all connections; waits for those that are in use.
    pub async fn close(&self) {
        self.requests.close().await;
        self.background.close().await;
        self.relay.close().await;
        self.ids.close().await;
    }
}

/// A request's first statement tests its connection, see
/// [`RequestConnection`].
fn request_pool(settings: &DatabaseSettings, suspicion: &Suspicion) -> PgPoolOptions {
    untested_pool(suspicion)
        .max_connections(settings.request_connections)
        .acquire_timeout(settings.acquire_timeout)
        .after_release(|connection, _| {
            Box::pin(async move {
                connection.execute("RESET application_name").await?;
                Ok(true)
            })
        })
}

/// Connections that are known to be suspicious are not given out; any other
/// may have died all the same.
fn untested_pool(suspicion: &Suspicion) -> PgPoolOptions {
    let suspicion = suspicion.clone();
    pool().before_acquire(move |_, connection| {
        let usable = !suspicion.covers(connection.age);
        Box::pin(async move { Ok(usable) })
    })
}

fn background_pool(suspicion: &Suspicion) -> PgPoolOptions {
    let suspicion = suspicion.clone();
    pool()
        .acquire_timeout(BACKGROUND_ACQUIRE_TIMEOUT)
        .before_acquire(move |connection, metadata| {
            let suspicion = suspicion.clone();
            Box::pin(async move {
                if suspicion.covers(metadata.age) {
                    return Ok(false);
                }
                let since = Instant::now();
                let answers = within(TEST_TIMEOUT, connection.ping()).await;
                Ok(answers.inspect_err(|_| suspicion.raise(since)).is_ok())
            })
        })
}

fn pool() -> PgPoolOptions {
    PgPoolOptions::new()
        .min_connections(0)
        .idle_timeout(Duration::from_secs(300))
        .max_lifetime(Duration::from_secs(1800))
        // By the hooks, which have a limit on their time.
        .test_before_acquire(false)
}

/// A piece of background work in the database, with a limit on its time, on a connection outside the pools: see also
/// [`Pool::limited`].
///
/// # Errors
/// The work's, or [`sqlx::Error::Io`] when it takes too long; its outcome is
/// unknown then.
async fn limited<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    within(BACKGROUND_TIMEOUT, work).await
}

async fn within<T>(
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
