//! Who did what to which failed photo.

use contract::PhotoId;
use sqlx::PgPool;

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
    pool: &'a PgPool,
    who: String,
}

impl<'a> Recorder<'a> {
    pub(super) const fn new(pool: &'a PgPool, who: String) -> Self {
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
        for id in ids {
            tracing::info!(
                user.name = self.who,
                action = action.name(),
                photo.id = id,
                "failed photos were used"
            );
        }
        Ok(())
    }
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
