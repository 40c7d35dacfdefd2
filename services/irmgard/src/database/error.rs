//! Classifies errors: what they say about PostgreSQL and about the connection.

use sqlx::Error;

/// Whether PostgreSQL is down, overloaded or failing over, so that the same statement may succeed later. No
/// verdict on a photo follows from such an error.
#[must_use]
pub fn is_unavailable(error: &Error) -> bool {
    match error {
        Error::Io(_)
        | Error::Tls(_)
        | Error::Protocol(_)
        | Error::PoolTimedOut
        | Error::PoolClosed
        | Error::WorkerCrashed
        | Error::BeginFailed => true,
        Error::Database(_) => sqlstate(error).is_some_and(|code| {
            let class = code.get(..2).unwrap_or_default();
            // Connection exceptions, authorisation (a rotated password), serialisation failures and deadlocks,
            // insufficient resources, operator intervention, system errors (PostgreSQL documentation, appendix A).
            matches!(class, "08" | "28" | "40" | "53" | "57" | "58")
                // Missing or closed database, lock timeout, read-only (no longer the primary).
                || matches!(code.as_str(), "3D000" | "55000" | "55P03" | "25006")
        }),
        _ => false,
    }
}

/// Whether the connection must not return to the pool: it is broken, in an unknown state, or leads to a
/// server that shuts down (57P01, 57P02, 57P03) or is no longer the primary (25006).
#[must_use]
pub fn leaves_connection_unusable(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed | Error::BeginFailed => true,
        Error::Database(_) => sqlstate(error).is_some_and(|code| {
            code.starts_with("08")
                || matches!(
                    code.as_str(),
                    "57P01" | "57P02" | "57P03" | "57P05" | "25006" | "25P03"
                )
        }),
        _ => false,
    }
}

/// Whether a COMMIT (or an autocommit statement) with this error may have been carried out. Only an answer of
/// the server makes a rollback certain, unless the server was told to shut down while it worked.
#[must_use]
pub fn outcome_is_unknown(error: &Error) -> bool {
    match error {
        Error::Database(_) => {
            sqlstate(error).is_none_or(|code| code.starts_with("57P") || code.starts_with("08"))
        }
        Error::PoolTimedOut | Error::PoolClosed | Error::BeginFailed => false,
        _ => true,
    }
}

fn sqlstate(error: &Error) -> Option<String> {
    error.as_database_error()?.code().map(|code| code.into_owned())
}
