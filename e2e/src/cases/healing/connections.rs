//! A pod's sessions in the database.

use std::time::Duration;

use anyhow::Result;
use sqlx::{PgPool, Row};
use tokio::time::Instant;

use crate::{
    cluster::{Places, Pod, Seen, until},
    load::seconds,
};

/// How long sessions of a pod that is gone may stay.
const PATIENCE: Duration = Duration::from_secs(180);

/// The table's columns.
pub const HEADER: [&str; 4] = ["what went", "before", "right after", "the last was gone after"];

/// What the server knows of a pod's sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    sessions: i64,
    /// At work on a statement.
    active: i64,
    /// With a transaction open.
    open: i64,
    /// Locks that they hold.
    locks: i64,
}

impl Connections {
    /// Of the pod with this address.
    pub async fn of(database: &PgPool, ip: &str) -> Result<Self> {
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
            open: row.try_get("open")?,
            locks: row.try_get("locks")?,
        })
    }

    fn told(self) -> String {
        format!(
            "{} sessions, {} active, {} open transactions, {} locks",
            self.sessions, self.active, self.open, self.locks
        )
    }
}

/// The row of a pod that has just gone: looks until it has no session any more.
pub async fn row(
    places: &Places,
    what: &str,
    victim: &Pod,
    before: Connections,
    began: Instant,
) -> Result<Vec<String>> {
    let after = Connections::of(&places.database, &victim.ip).await?;
    let looked = began.elapsed();
    let gone = until(
        "the sessions of a pod that is gone are gone",
        PATIENCE,
        async || {
            let now = Connections::of(&places.database, &victim.ip).await?;
            Ok(if now.sessions == 0 {
                Seen::Yes(began.elapsed())
            } else {
                Seen::NotYet(now.told())
            })
        },
    )
    .await;
    Ok(vec![
        what.to_owned(),
        before.told(),
        format!("{} (after {})", after.told(), seconds(looked)),
        gone.map_or_else(|error| format!("{error:#}"), seconds),
    ])
}
