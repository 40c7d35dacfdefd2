//! Who did what to which failed photo.

use chrono::{DateTime, SecondsFormat, Utc};
use contract::PhotoId;
use sqlx::FromRow;

use crate::database::Pool;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    List,
    Export,
    Requeue,
    Delete,
}

impl Action {
    const fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Export => "export",
            Self::Requeue => "requeue",
            Self::Delete => "delete",
        }
    }
}

/// Writes the record.
#[derive(Debug)]
pub(super) struct Recorder<'a> {
    pool: &'a Pool,
    who: String,
}

impl<'a> Recorder<'a> {
    pub(super) const fn new(pool: &'a Pool, who: String) -> Self {
        Self { pool, who }
    }

    /// Records a use, before it happens; one line per photo, or one without
    /// a photo.
    pub(super) async fn record(&self, action: Action, photos: &[PhotoId]) -> Result<(), sqlx::Error> {
        let ids: Vec<Option<i64>> = if photos.is_empty() {
            vec![None]
        } else {
            photos.iter().map(|id| Some(id.get())).collect()
        };
        sqlx::query(
            "INSERT INTO failed_photo_use (who, action, photo_id)
             SELECT $1, $2, id FROM unnest($3::bigint[]) AS t (id)",
        )
        .bind(&self.who)
        .bind(action.name())
        .bind(&ids)
        .execute(self.pool)
        .await?;
        Ok(())
    }
}

/// Logs the uses that no web service has logged yet, oldest first, at most
/// `limit`; returns how many. At least once: who is killed in between has
/// logged some that the next one logs again.
pub(crate) async fn log_uses(pool: &Pool, limit: i64) -> Result<usize, sqlx::Error> {
    let uses: Vec<Use> = sqlx::query_as(
        "SELECT id, at, who, action, photo_id FROM failed_photo_use
          WHERE NOT logged ORDER BY id LIMIT $1",
    )
    .bind(limit)
    .fetch_all(pool)
    .await?;
    for used in &uses {
        tracing::info!(
            event.start = %used.at.to_rfc3339_opts(SecondsFormat::Micros, true),
            user.name = used.who,
            action = used.action,
            photo.id = used.photo_id,
            "{}",
            told(&used.action)
        );
    }
    if !uses.is_empty() {
        let ids: Vec<i64> = uses.iter().map(|used| used.id).collect();
        sqlx::query("UPDATE failed_photo_use SET logged = true WHERE id = ANY ($1)")
            .bind(ids)
            .execute(pool)
            .await?;
    }
    Ok(uses.len())
}

fn told(action: &str) -> &'static str {
    match action {
        "list" => "the failed photos were listed",
        "export" => "the original of a failed photo was exported",
        "requeue" => "a failed photo was queued again",
        "delete" => "the original of a failed photo was deleted",
        _ => "a failed photo was used",
    }
}

/// A use that was recorded.
#[derive(Debug, FromRow)]
struct Use {
    id: i64,
    at: DateTime<Utc>,
    who: String,
    action: String,
    photo_id: Option<i64>,
}

/// The given name, or the account that runs the command: who became root by
/// `sudo` is named as before.
pub(super) fn name_of(given: Option<String>) -> String {
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
