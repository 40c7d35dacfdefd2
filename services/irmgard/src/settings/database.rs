//! Environment variables of PostgreSQL.

use std::time::Duration;

use secrecy::SecretString;
use service_runtime::settings::SettingsReader;
use sqlx::postgres::PgSslMode;

use super::at_least;
use crate::database::DatabaseSettings;

pub(super) fn database(reader: &mut SettingsReader<'_>) -> DatabaseSettings {
    database_with_credentials(reader, None)
}

pub(super) fn database_with_credentials(
    reader: &mut SettingsReader<'_>,
    credentials: Option<(String, SecretString)>,
) -> DatabaseSettings {
    let host = reader.required("POSTGRES_HOST", "PostgreSQL's host name or address");
    let port = reader.parsed("POSTGRES_PORT", 5432, "PostgreSQL's port");
    let database = reader.string("POSTGRES_DATABASE", "irmgard", "name of the database");
    let (username, password) = credentials.unwrap_or_else(|| {
        (
            reader.required("POSTGRES_USERNAME", "PostgreSQL role"),
            reader.secret("POSTGRES_PASSWORD", "password of the PostgreSQL role"),
        )
    });
    let ca = reader.certificates(
        "POSTGRES_CA",
        "PEM certificates of CAs to trust for PostgreSQL, in addition to the system's; usually set as `POSTGRES_CA_FILE`",
    );
    let ssl_mode = reader.parsed_optional::<SslMode>(
        "POSTGRES_SSLMODE",
        "TLS mode, like libpq's `sslmode`: disable, allow, prefer, require, verify-ca or verify-full; if not set, \
         verify-full with `POSTGRES_CA`, otherwise prefer",
    );
    let ssl_mode = ssl_mode.map_or(
        if ca.is_some() {
            PgSslMode::VerifyFull
        } else {
            PgSslMode::Prefer
        },
        |mode| mode.0,
    );
    if ca.is_some() && !matches!(ssl_mode, PgSslMode::VerifyCa | PgSslMode::VerifyFull) {
        reader.add_error(
            "POSTGRES_SSLMODE",
            "does not verify the certificate although POSTGRES_CA is set: use verify-full or verify-ca",
        );
    }
    DatabaseSettings {
        host,
        port,
        database,
        username,
        password,
        ssl_mode,
        ca,
        request_connections: at_least(
            reader,
            1,
            "POSTGRES_POOL_SIZE",
            16,
            "PostgreSQL connections for requests; a quarter of them is reserved for reads",
        ),
        background_connections: at_least(
            reader,
            3,
            "POSTGRES_BACKGROUND_POOL_SIZE",
            4,
            "PostgreSQL connections for results and the reconciler; the relay and the id allocator have one more each",
        ),
        acquire_timeout: reader.duration(
            "POSTGRES_ACQUIRE_TIMEOUT",
            Duration::from_secs(1),
            "how long a request waits for a PostgreSQL connection",
        ),
    }
}

/// libpq's `sslmode`. The error does not repeat the value.
struct SslMode(PgSslMode);

impl std::str::FromStr for SslMode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse()
            .map(Self)
            .map_err(|_| "write disable, allow, prefer, require, verify-ca or verify-full")
    }
}
