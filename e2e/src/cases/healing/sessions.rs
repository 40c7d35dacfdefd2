//! A pod's sessions in the database.

use std::{fmt, time::Duration};

use anyhow::Result;
use sqlx::{PgPool, Row};
use tokio::time::Instant;

use crate::{
    cluster::{Condition, Endpoints, Pod, wait_until},
    load::seconds,
    report::ReportRow,
};

/// How long sessions of a deleted pod may remain.
const TIME_LIMIT: Duration = Duration::from_secs(180);

/// The counts of a pod's sessions, transactions and locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sessions {
    sessions: i64,
    /// Sessions that execute a statement.
    active: i64,
    /// Sessions with an open transaction.
    in_transaction: i64,
    /// Granted locks.
    locks: i64,
}

impl Sessions {
    /// Reads the counts for the pod with this address.
    pub async fn read(database: &PgPool, ip: &str) -> Result<Self> {
        let row = sqlx::query(
            "with pod as (select * from pg_stat_activity where client_addr = $1::text::inet)
             select count(*) as sessions,
                    count(*) filter (where state = 'active') as active,
                    count(*) filter (where xact_start is not null) as open,
                    (select count(*) from pg_locks where pid in (select pid from pod) and granted) as locks
             from pod",
        )
        .bind(ip)
        .fetch_one(database)
        .await?;
        Ok(Self {
            sessions: row.try_get("sessions")?,
            active: row.try_get("active")?,
            in_transaction: row.try_get("open")?,
            locks: row.try_get("locks")?,
        })
    }
}

impl fmt::Display for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} sessions, {} active, {} open transactions, {} locks",
            self.sessions, self.active, self.in_transaction, self.locks
        )
    }
}

/// The table row for a deleted pod. Waits until it has no session.
pub async fn row(
    endpoints: &Endpoints,
    what: &str,
    killed: &Pod,
    before: Sessions,
    start: Instant,
) -> Result<ReportRow> {
    let after = Sessions::read(&endpoints.database, &killed.ip).await?;
    let measured = start.elapsed();
    let ended = wait_until(
        "all sessions of the deleted pod have ended",
        TIME_LIMIT,
        async || {
            let now = Sessions::read(&endpoints.database, &killed.ip).await?;
            Ok(if now.sessions == 0 {
                Condition::Met(start.elapsed())
            } else {
                Condition::Unmet(now.to_string())
            })
        },
    )
    .await;
    Ok(vec![
        ("pod", what.to_owned()),
        ("before", before.to_string()),
        ("right after", format!("{after} (after {})", seconds(measured))),
        (
            "last session ended after",
            ended.map_or_else(|error| format!("{error:#}"), seconds),
        ),
    ])
}
