//! Schema version: migrations, and what this program needs of them.

use std::time::Duration;

use sqlx::{
    AssertSqlSafe, Connection, Executor, PgConnection,
    migrate::{Migration, Migrator},
    postgres::PgConnectOptions,
};
use tokio::time::sleep;

use super::{Pool, is_unavailable, run_limited};
use crate::next_release;

static MIGRATOR: Migrator = sqlx::migrate!();

/// Advisory lock around whole migrations, grants included (`irmgard` as a number). sqlx locks only the migrations.
const MIGRATION_LOCK: i64 = 0x69_726d_6761_7264;

/// How often to check that the server still works on a migration. A migration has no time limit.
const SESSION_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// The server counts as lost after this many checks in a row without an answer.
const MAX_FAILED_CHECKS: u32 = 3;

/// How many unknown migrations the program tolerates: in a rollout the schema is one version ahead of the old programs.
const NEWER_MIGRATIONS_ALLOWED: i64 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// The schema has exactly this program's version.
    Current,
    /// The schema is one migration ahead, as during a rollout.
    NewerByOne,
}

/// Why this program cannot use the schema.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Migrations are missing, or there is no schema.
    #[error(
        "the database's schema has version {found}, this program needs {needed}: run `irmgard migrate` first"
    )]
    TooOld {
        /// The newest applied migration that this program knows; 0: none.
        found: i64,
        /// The newest migration of this program.
        needed: i64,
    },
    #[error(
        "the database's schema is {ahead} migrations ahead of this program: use a newer irmgard \
         (one that is at most {NEWER_MIGRATIONS_ALLOWED} migration behind)"
    )]
    TooNew {
        /// Number of migrations that this program does not know.
        ahead: i64,
    },
    /// The role has no right to read the tables.
    #[error(
        "the database role may not read irmgard's tables: run `irmgard migrate` with POSTGRES_RUNTIME_ROLE set"
    )]
    Denied,
    /// PostgreSQL did not answer; retry later.
    #[error("the schema could not be checked: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// PostgreSQL answered with another error.
    #[error("the schema could not be checked: {0}")]
    Other(#[source] sqlx::Error),
}

/// This program's migrations, in ascending order.
fn migrations() -> impl Iterator<Item = &'static Migration> {
    MIGRATOR.iter().chain(next_release::migrations())
}

/// Version of this program's newest migration.
#[must_use]
pub fn required_version() -> i64 {
    migrations().map(|m| m.version).max().unwrap_or(0)
}

pub(super) async fn check(pool: &Pool) -> Result<SchemaState, SchemaError> {
    let needed = required_version();
    // Does not query the table itself: PostgreSQL logs an error if the table does not exist.
    let can_read: Result<Option<bool>, sqlx::Error> =
        sqlx::query_scalar("SELECT has_table_privilege(to_regclass('_sqlx_migrations'), 'SELECT')")
            .fetch_one(pool)
            .await;
    match can_read {
        Ok(None) => return Err(SchemaError::TooOld { found: 0, needed }),
        Ok(Some(false)) => return Err(SchemaError::Denied),
        Ok(Some(true)) => {}
        Err(error) => return Err(classify_error(error)),
    }
    let known: Vec<i64> = migrations().map(|m| m.version).collect();
    let counts: Result<(i64, i64, i64), sqlx::Error> = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE version = ANY ($1)),
                count(*) FILTER (WHERE version <> ALL ($1)),
                coalesce(max(version) FILTER (WHERE version = ANY ($1)), 0)
           FROM _sqlx_migrations WHERE success",
    )
    .bind(&known)
    .fetch_one(pool)
    .await;
    match counts {
        Ok((applied, _, found)) if usize::try_from(applied) != Ok(known.len()) => {
            Err(SchemaError::TooOld { found, needed })
        }
        Ok((_, 0, _)) => Ok(SchemaState::Current),
        Ok((_, ahead, _)) if ahead <= NEWER_MIGRATIONS_ALLOWED => Ok(SchemaState::NewerByOne),
        Ok((_, ahead, _)) => Err(SchemaError::TooNew { ahead }),
        Err(error) => Err(
            match error.as_database_error().and_then(|e| e.code()).as_deref() {
                // undefined_table, insufficient_privilege
                Some("42P01") => SchemaError::TooOld { found: 0, needed },
                Some("42501") => SchemaError::Denied,
                _ => classify_error(error),
            },
        ),
    }
}

fn classify_error(error: sqlx::Error) -> SchemaError {
    if is_unavailable(&error) {
        SchemaError::Unavailable(error)
    } else {
        SchemaError::Other(error)
    }
}

/// Schema versions before and after `irmgard migrate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigrationOutcome {
    /// 0: there was no schema.
    pub before: i64,
    pub after: i64,
}

#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// PostgreSQL could not be reached, or refused.
    #[error("PostgreSQL: {0}")]
    Database(#[from] sqlx::Error),
    /// A migration failed, or differs from the one that was applied.
    #[error("migration: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
}

/// Migrates the schema to this program's version, and lets `runtime_role` read and write rows, but not change
/// the schema. Several migrations may run at once. Migrations that this program does not know stay.
///
/// # Errors
/// PostgreSQL is unavailable, or the role lacks rights. A migration that fails changes nothing.
pub async fn migrate(
    options: &PgConnectOptions,
    runtime_role: Option<&str>,
) -> Result<MigrationOutcome, MigrateError> {
    let mut connection = run_limited(PgConnection::connect_with(options)).await?;
    let backend = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection);
    let backend = run_limited(backend).await?;
    tokio::select! {
        result = migrate_on(connection, runtime_role) => result,
        lost = wait_until_session_lost(options, backend) => Err(lost.into()),
    }
}

/// Migrates without a time limit: another migration may run first, and a large table takes long.
async fn migrate_on(
    mut connection: PgConnection,
    runtime_role: Option<&str>,
) -> Result<MigrationOutcome, MigrateError> {
    // The lock is held until the connection ends.
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(MIGRATION_LOCK)
        .execute(&mut connection)
        .await?;
    let before = current_version(&mut connection).await?;
    let mut migrator = Migrator::with_migrations(migrations().cloned().collect());
    migrator.set_ignore_missing(true);
    migrator.run_direct(None, &mut connection, false).await?;
    if let Some(role) = runtime_role {
        grant_rights(&mut connection, role).await?;
    }
    let after = current_version(&mut connection).await?;
    connection.close().await?;
    Ok(MigrationOutcome { before, after })
}

/// Returns when PostgreSQL no longer works for the session: the server was lost or replaced, and the
/// session's own connection is silent.
async fn wait_until_session_lost(options: &PgConnectOptions, backend: i32) -> sqlx::Error {
    let mut failed = 0;
    loop {
        sleep(SESSION_CHECK_INTERVAL).await;
        failed = match run_limited(session_is_busy(options, backend)).await {
            Ok(true) => 0,
            Ok(false) => break,
            Err(_) if failed + 1 == MAX_FAILED_CHECKS => break,
            Err(_) => failed + 1,
        };
    }
    sqlx::Error::Io(std::io::Error::new(
        std::io::ErrorKind::TimedOut,
        "the connection was lost, and the server no longer works on the migration: run it again",
    ))
}

/// Whether the server works for the session, or has waited for its next statement for less than 10 s.
async fn session_is_busy(options: &PgConnectOptions, backend: i32) -> Result<bool, sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    let busy = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_stat_activity
          WHERE pid = $1 AND usename = current_user
            AND NOT (state LIKE 'idle%' AND state_change < now() - interval '10 s'))",
    )
    .bind(backend)
    .fetch_one(&mut connection)
    .await?;
    connection.close().await?;
    Ok(busy)
}

async fn current_version(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    let exists: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !exists {
        return Ok(0);
    }
    sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success")
        .fetch_one(connection)
        .await
}

async fn grant_rights(connection: &mut PgConnection, role: &str) -> Result<(), sqlx::Error> {
    let role: String = sqlx::query_scalar("SELECT quote_ident($1)")
        .bind(role)
        .fetch_one(&mut *connection)
        .await?;
    let grants = format!(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON photo, outbox, idempotency_key TO {role};
         GRANT SELECT, INSERT, UPDATE (logged) ON failed_photo_use TO {role};
         GRANT SELECT, UPDATE ON installation TO {role};
         GRANT SELECT, INSERT ON sweep_run TO {role};
         GRANT USAGE, SELECT ON SEQUENCE photo_id_seq, outbox_id_seq, failed_photo_use_id_seq, sweep_run_id_seq TO {role};
         GRANT SELECT ON _sqlx_migrations TO {role};"
    );
    connection.execute(AssertSqlSafe(grants)).await?;
    Ok(())
}
