//! The next two releases, for tests of a rollout. They add a column in three steps: expand, backfill, contract.
//!
//! With the cargo feature `failpoints`, `NEXT_RELEASE=expand` adds `photo.received_by` and writes it.
//! `NEXT_RELEASE=contract` also makes it NOT NULL. Without the feature, these releases are not compiled in.

use sqlx::migrate::Migration;

#[cfg(feature = "failpoints")]
mod enabled {
    use std::{env, sync::LazyLock};

    use sqlx::migrate::Migrator;

    pub static MIGRATOR: Migrator = sqlx::migrate!("../../e2e/release/migrations");

    /// Number of migrations that the release adds.
    pub static ADDED: LazyLock<usize> = LazyLock::new(|| match env::var("NEXT_RELEASE").as_deref() {
        Ok("expand") => 1,
        Ok("contract") => 2,
        _ => 0,
    });
}

/// The migrations that the release adds, in ascending order.
#[cfg(feature = "failpoints")]
pub fn migrations() -> impl Iterator<Item = &'static Migration> {
    enabled::MIGRATOR.iter().take(*enabled::ADDED)
}

/// None: the feature `failpoints` is off.
#[cfg(not(feature = "failpoints"))]
pub fn migrations() -> impl Iterator<Item = &'static Migration> {
    std::iter::empty()
}

/// Whether this release writes `photo.received_by`.
#[cfg(feature = "failpoints")]
pub fn writes_receiver() -> bool {
    *enabled::ADDED > 0
}

/// No: the feature `failpoints` is off.
#[cfg(not(feature = "failpoints"))]
pub const fn writes_receiver() -> bool {
    false
}
