//! The binding of database and input bucket: a marker object in the bucket names the database.

use anyhow::{Context, anyhow, bail};
use contract::ObjectLocation;
use serde::{Deserialize, Serialize};
use service_runtime::store::{Store, StoreError};
use sqlx::FromRow;

use super::watermark::Watermark;
use crate::database::Pool;

/// Key of the marker: outside the prefix of the photos, so that listings of photos do not show it.
const MARKER_KEY: &str = "irmgard/database.json";
/// Maximum size of the marker; another object at its key may be larger.
const MAX_MARKER_BYTES: u64 = 4096;
/// Version of the marker that this program writes and reads.
const VERSION: u64 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    version: u64,
    /// [`DatabaseIdentity::id`].
    database: String,
    /// The database's watermark; `None` in a marker of an older program.
    watermark: Option<Watermark>,
}

/// What the bucket has at the marker's key.
enum MarkerContent {
    Marker(Marker),
    Unreadable,
    Missing,
}

/// Identity of the database.
#[derive(Clone, Debug, FromRow)]
pub(super) struct DatabaseIdentity {
    id: String,
    bound: bool,
    /// Photos up to this id may have lost their rows.
    pub(super) lost_up_to: i64,
}

impl DatabaseIdentity {
    pub(super) async fn read(pool: &Pool) -> Result<Self, sqlx::Error> {
        sqlx::query_as("SELECT id::text AS id, bound, lost_up_to FROM installation")
            .fetch_one(pool)
            .await
    }
}

/// The database that the bucket is bound to.
pub(super) enum BoundDatabase {
    /// The marker names this database and holds its last watermark.
    ThisOne(Option<Watermark>),
    /// The bucket never had a marker.
    None,
}

/// Reads the marker and compares it with the database.
///
/// # Errors
/// Bucket and database do not belong to each other, or that is unknown.
pub(super) async fn check_marker(
    store: &Store,
    identity: &DatabaseIdentity,
) -> anyhow::Result<BoundDatabase> {
    let location = marker_location(store)?;
    let marker = match read_marker(store, &location).await? {
        MarkerContent::Marker(marker) => marker,
        MarkerContent::Unreadable => bail!(
            "the bucket's marker {location} cannot be read: check the object, then rewrite it with `irmgard bind --restored`"
        ),
        MarkerContent::Missing if !identity.bound => return Ok(BoundDatabase::None),
        MarkerContent::Missing => bail!(
            "the bucket's marker {location} is missing: check that {} is the right bucket, then run `irmgard bind --restored`",
            location.bucket()
        ),
    };
    if marker.version != VERSION {
        return Err(unsupported_version(&location, &marker));
    }
    if marker.database != identity.id {
        bail!(
            "bucket {} belongs to another database, not to this one, {}: check that it is the right one. If it was \
             restored or recreated, run `irmgard bind --restored`",
            location.bucket(),
            identity.id
        );
    }
    Ok(BoundDatabase::ThisOne(marker.watermark))
}

/// The watermark in the marker, which may name another database. `None` if the bucket never had a marker.
///
/// # Errors
/// The store is unavailable, or the bucket had a marker that cannot be read now.
pub(super) async fn stored_watermark(
    store: &Store,
    identity: &DatabaseIdentity,
) -> anyhow::Result<Option<Watermark>> {
    let location = marker_location(store)?;
    match read_marker(store, &location).await? {
        MarkerContent::Marker(marker) if marker.version != VERSION => {
            Err(unsupported_version(&location, &marker))
        }
        MarkerContent::Marker(marker) => Ok(marker.watermark),
        MarkerContent::Missing if !identity.bound => Ok(None),
        MarkerContent::Missing | MarkerContent::Unreadable => bail!(
            "the bucket's marker {location} is missing or cannot be read, so the number of photos that the database had is unknown: \
             `irmgard bind --restored` keeps all originals without a row"
        ),
    }
}

fn unsupported_version(location: &ObjectLocation, marker: &Marker) -> anyhow::Error {
    anyhow!(
        "the bucket's marker {location} has version {}, this program reads version {VERSION}: use a newer irmgard",
        marker.version
    )
}

async fn read_marker(store: &Store, location: &ObjectLocation) -> anyhow::Result<MarkerContent> {
    match store.get(location, MAX_MARKER_BYTES).await {
        Ok(bytes) => {
            Ok(serde_json::from_slice(&bytes).map_or(MarkerContent::Unreadable, MarkerContent::Marker))
        }
        Err(StoreError::TooLarge { .. }) => Ok(MarkerContent::Unreadable),
        Err(StoreError::NotFound) => Ok(MarkerContent::Missing),
        Err(error) => Err(error).with_context(|| format!("the bucket's marker {location}")),
    }
}

/// Writes the marker; overwrites an existing one.
pub(super) async fn write_marker(store: &Store, pool: &Pool, watermark: Watermark) -> anyhow::Result<()> {
    // Update the row first: if the marker then cannot be written, the next run reports it as missing.
    let id: String = sqlx::query_scalar("UPDATE installation SET bound = true RETURNING id::text")
        .fetch_one(pool)
        .await?;
    let marker = Marker {
        version: VERSION,
        database: id,
        watermark: Some(watermark),
    };
    let location = marker_location(store)?;
    store
        .put(&location, serde_json::to_vec(&marker)?, "application/json")
        .await
        .with_context(|| format!("the bucket's marker {location} cannot be written"))
}

/// Gives the database a new identity; its photos up to `id` may have lost their rows.
pub(super) async fn assign_new_identity(pool: &Pool, id: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE installation SET id = gen_random_uuid(), bound = true, lost_up_to = greatest(lost_up_to, $1)",
    )
    .bind(id)
    .execute(pool)
    .await?;
    Ok(())
}

fn marker_location(store: &Store) -> anyhow::Result<ObjectLocation> {
    Ok(ObjectLocation::new(&store.settings().input_bucket, MARKER_KEY)?)
}
