//! PostgreSQL's log of statements, which the local stack keeps for people who
//! follow a photo through it, and hardly a production database does.

use anyhow::{Context, Result};
use local::PostgresAccess;
use sqlx::{Connection, Executor, PgConnection};

/// Set by `local exec` where the database is the stack's own.
const OWN: &str = "LOCAL_POSTGRES_LOG";

/// Statements are not logged while the services are measured, whosever they
/// are. The settings of a server from outside are left alone. Returns what to
/// tell about it.
pub async fn stop_logging() -> Result<&'static str> {
    if std::env::var_os(OWN).is_none() {
        return Ok("statements are logged as the given PostgreSQL is set");
    }
    let access = PostgresAccess::from_environment()?.context("no PostgreSQL")?;
    let mut connection = PgConnection::connect(&access.url()).await?;
    connection
        .execute("ALTER SYSTEM SET log_min_duration_statement = -1")
        .await?;
    connection.execute("SELECT pg_reload_conf()").await?;
    Ok("PostgreSQL logs no statements meanwhile")
}
