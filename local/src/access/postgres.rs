//! PostgreSQL.

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use super::variable::{Access, Environment, port, required, set, variable, variable_or};
use crate::error::{Error, Result};

/// Address, account and database of PostgreSQL.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PostgresAccess {
    pub host: String,
    pub port: u16,
    /// A role that may create databases.
    pub username: String,
    pub password: String,
    pub database: String,
}

impl PostgresAccess {
    /// The server that the environment names, if any.
    ///
    /// # Errors
    /// [`Error::MissingSetting`] without credentials.
    pub fn from_environment() -> Result<Option<Self>> {
        let Some(host) = variable("POSTGRES_HOST") else {
            return Ok(None);
        };
        Ok(Some(Self {
            host,
            port: port("POSTGRES_PORT", 5432)?,
            username: required("POSTGRES_HOST", "POSTGRES_USERNAME")?,
            password: required("POSTGRES_HOST", "POSTGRES_PASSWORD")?,
            database: variable_or("POSTGRES_DATABASE", "irmgard"),
        }))
    }

    /// The `postgres://` URL of the database.
    #[must_use]
    pub fn url(&self) -> String {
        let Self {
            host,
            port,
            username,
            password,
            database,
        } = self;
        format!("postgres://{username}:{password}@{host}:{port}/{database}")
    }

    /// The same account in the database that every server has.
    fn maintenance(&self) -> Self {
        Self {
            database: "postgres".into(),
            ..self.clone()
        }
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port)
            .username(&self.username)
            .password(&self.password)
            .database(&self.database)
            .application_name("local")
            .disable_statement_logging()
            .connect()
            .await
    }

    async fn execute(&self, sql: String) -> Result<()> {
        let request = async {
            let mut connection = self.maintenance().connect().await?;
            connection.execute(AssertSqlSafe(sql.clone())).await?;
            connection.close().await
        };
        request
            .await
            .map_err(|error: sqlx::Error| Error::request(&sql, error))
    }

    /// Creates the database. Its name has only letters, digits and underscores.
    pub(crate) async fn create_database(&self) -> Result<()> {
        self.execute(format!("CREATE DATABASE \"{}\"", self.database))
            .await
    }

    /// Removes the database and ends its sessions.
    pub(crate) async fn drop_database(&self) -> Result<()> {
        self.execute(format!(
            "DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)",
            self.database
        ))
        .await
    }
}

impl Access for PostgresAccess {
    const SERVER: &'static str = "postgres";

    /// The fast shutdown: it ends sessions and writes all data. SIGTERM would wait until all sessions end.
    const SHUTDOWN_SIGNAL: Signal = Signal::SIGINT;

    fn find() -> Result<Option<Self>> {
        Self::from_environment()
    }

    fn write(&self, environment: &mut Environment) {
        set(
            environment,
            [
                ("POSTGRES_HOST", &*self.host),
                ("POSTGRES_PORT", &self.port.to_string()),
                ("POSTGRES_USERNAME", &self.username),
                ("POSTGRES_PASSWORD", &self.password),
                ("POSTGRES_DATABASE", &self.database),
            ],
        );
    }

    async fn probe(&self) -> std::result::Result<(), String> {
        self.execute("SELECT 1".into())
            .await
            .map_err(|error| error.to_string())
    }

    async fn prepare(&self) -> Result<()> {
        match self.connect().await {
            Ok(connection) => {
                // An error here is harmless.
                let _ = connection.close().await;
                Ok(())
            }
            // 3D000: invalid_catalog_name (PostgreSQL, appendix A).
            Err(error)
                if error
                    .as_database_error()
                    .is_some_and(|error| error.code().as_deref() == Some("3D000")) =>
            {
                self.create_database().await
            }
            Err(error) => Err(Error::request(
                format!("cannot use PostgreSQL at {}:{}", self.host, self.port),
                error,
            )),
        }
    }
}
