//! Disables PostgreSQL's statement log, which the local stack enables but a production database normally does not.

use anyhow::{Context, Result};
use local::PostgresAccess;
use sqlx::{Connection, Executor, PgConnection};

/// Set by `local exec` if the stack started the database.
const STACK_LOG_VARIABLE: &str = "LOCAL_POSTGRES_LOG";

/// Disables the statement log during the benchmark. Does not change an external server. Returns a message for the report.
pub async fn disable() -> Result<&'static str> {
    if std::env::var_os(STACK_LOG_VARIABLE).is_none() {
        return Ok("the external PostgreSQL logs statements as it is configured");
    }
    let access = PostgresAccess::from_environment()?.context("the environment names no PostgreSQL")?;
    let mut connection = PgConnection::connect(&access.url()).await?;
    connection
        .execute("ALTER SYSTEM SET log_min_duration_statement = -1")
        .await?;
    connection.execute("SELECT pg_reload_conf()").await?;
    Ok("PostgreSQL logs no statements during the benchmark")
}
