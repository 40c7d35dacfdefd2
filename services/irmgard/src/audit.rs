//! The audit log of `irmgard failed`.

use chrono::{DateTime, SecondsFormat, Utc};
use contract::PhotoId;
use sqlx::FromRow;

use crate::database::Pool;

#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase", const_into_str)]
pub(crate) enum AuditAction {
    List,
    Export,
    Requeue,
    Delete,
}

/// Writes audit entries for one operator.
#[derive(Debug)]
pub(crate) struct AuditLog<'a> {
    pool: &'a Pool,
    operator: String,
}

impl<'a> AuditLog<'a> {
    pub(crate) const fn new(pool: &'a Pool, operator: String) -> Self {
        Self { pool, operator }
    }

    /// Records an action before it happens: one entry per photo, or one without a photo.
    pub(crate) async fn record(&self, action: AuditAction, photos: &[PhotoId]) -> Result<(), sqlx::Error> {
        let ids: Vec<Option<i64>> = if photos.is_empty() {
            vec![None]
        } else {
            photos.iter().map(|id| Some(id.get())).collect()
        };
        sqlx::query(
            "INSERT INTO failed_photo_use (who, action, photo_id)
             SELECT $1, $2, id FROM unnest($3::bigint[]) AS t (id)",
        )
        .bind(&self.operator)
        .bind(action.into_str())
        .bind(&ids)
        .execute(self.pool)
        .await?;
        Ok(())
    }
}

/// Logs up to `limit` entries that no web service has logged yet, oldest first; returns how many. Entries are
/// logged at least once: after a crash in between, the next process logs some again.
pub(crate) async fn log_audit_entries(pool: &Pool, limit: i64) -> Result<usize, sqlx::Error> {
    let entries: Vec<AuditEntry> = sqlx::query_as(
        "SELECT id, at, who, action, photo_id FROM failed_photo_use
          WHERE NOT logged ORDER BY id LIMIT $1",
    )
    .bind(limit)
    .fetch_all(pool)
    .await?;
    for entry in &entries {
        tracing::info!(
            event.start = %entry.at.to_rfc3339_opts(SecondsFormat::Micros, true),
            user.name = entry.operator,
            action = entry.action,
            photo.id = entry.photo_id,
            "{}",
            action_message(&entry.action)
        );
    }
    if !entries.is_empty() {
        let ids: Vec<i64> = entries.iter().map(|entry| entry.id).collect();
        sqlx::query("UPDATE failed_photo_use SET logged = true WHERE id = ANY ($1)")
            .bind(ids)
            .execute(pool)
            .await?;
    }
    Ok(entries.len())
}

fn action_message(action: &str) -> &'static str {
    match action {
        "list" => "the failed photos were listed",
        "export" => "the original of a failed photo was exported",
        "requeue" => "a failed photo was queued again",
        "delete" => "the original of a failed photo was deleted",
        _ => "an operator used a failed photo",
    }
}

#[derive(Debug, FromRow)]
struct AuditEntry {
    id: i64,
    at: DateTime<Utc>,
    #[sqlx(rename = "who")]
    operator: String,
    action: String,
    photo_id: Option<i64>,
}

/// The given name, or the account that runs the command. With `sudo`, it is the account that called `sudo`.
pub(crate) fn operator_name(given: Option<String>) -> String {
    let variable = |name| std::env::var(name).ok().filter(|name| !name.is_empty());
    given
        .or_else(|| variable("SUDO_USER"))
        .or_else(|| {
            nix::unistd::User::from_uid(nix::unistd::getuid())
                .ok()
                .flatten()
                .map(|user| user.name)
        })
        .unwrap_or_else(|| format!("uid {}", nix::unistd::getuid()))
}
