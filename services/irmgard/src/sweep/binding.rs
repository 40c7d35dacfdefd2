//! Database and input bucket belong to each other: a marker object in the
//! bucket names the database.

use anyhow::{Context, anyhow, bail};
use chassis::store::{Store, StoreError};
use contract::ObjectLocation;
use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use super::watermark::Watermark;
use crate::database::Pool;

/// Where the marker lies: beside the photos, so that no listing of them has it.
const MARKER_KEY: &str = "irmgard/database.json";
/// The marker is small; another object in its place may not be.
const MAX_MARKER_BYTES: u64 = 4096;
/// The marker's version that this program writes and reads.
const VERSION: u64 = 1;

/// The marker's content.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    version: u64,
    /// [`Installation::id`].
    database: String,
    /// What the database knew; `None` in a marker of an older program.
    watermark: Option<Watermark>,
}

/// What lies in the marker's place.
enum Read {
    Marker(Marker),
    Garbled,
    Nothing,
}

/// Which database this is.
#[derive(Clone, Debug, FromRow)]
pub(super) struct Installation {
    id: String,
    bound: bool,
    /// Photos up to this id may have lost their rows.
    pub(super) lost_up_to: i64,
}

impl Installation {
    pub(super) async fn read(pool: &Pool) -> Result<Self, sqlx::Error> {
        sqlx::query_as("SELECT id::text AS id, bound, lost_up_to FROM installation")
            .fetch_one(pool)
            .await
    }
}

/// What the bucket says of its database.
pub(super) enum Bound {
    /// The marker names this database, which once knew as much as this.
    ToThis(Option<Watermark>),
    /// There is no marker, and there never was one.
    ToNone,
}

/// Reads the marker.
///
/// # Errors
/// Where bucket and database do not belong to each other, or that cannot be said.
pub(super) async fn check(store: &Store, installation: &Installation) -> anyhow::Result<Bound> {
    let location = marker_location(store)?;
    let marker = match read(store, &location).await? {
        Read::Marker(marker) => marker,
        Read::Garbled => bail!(
            "the bucket's marker {location} cannot be read: look at it, and write it anew with `irmgard bind --restored`"
        ),
        Read::Nothing if !installation.bound => return Ok(Bound::ToNone),
        Read::Nothing => bail!(
            "the bucket's marker {location} is gone: is {} the right bucket? If it is: `irmgard bind --restored`",
            location.bucket()
        ),
    };
    if marker.version != VERSION {
        return Err(other_version(&location, &marker));
    }
    if marker.database != installation.id {
        bail!(
            "bucket {} belongs to another database than this one, {}: is it the right one? If it was restored or \
             made anew: `irmgard bind --restored`",
            location.bucket(),
            installation.id
        );
    }
    Ok(Bound::ToThis(marker.watermark))
}

/// What the bucket's database once knew; `None` if the bucket never had a marker. The marker may name another database.
///
/// # Errors
/// When the store is unavailable, or the bucket had a marker that cannot be read now.
pub(super) async fn watermark(
    store: &Store,
    installation: &Installation,
) -> anyhow::Result<Option<Watermark>> {
    let location = marker_location(store)?;
    match read(store, &location).await? {
        Read::Marker(marker) if marker.version != VERSION => Err(other_version(&location, &marker)),
        Read::Marker(marker) => Ok(marker.watermark),
        Read::Nothing if !installation.bound => Ok(None),
        Read::Nothing | Read::Garbled => bail!(
            "the bucket's marker {location} is gone or cannot be read, and with it how many photos the database had: \
             `irmgard bind --restored` keeps all originals without a row"
        ),
    }
}

fn other_version(location: &ObjectLocation, marker: &Marker) -> anyhow::Error {
    anyhow!(
        "the bucket's marker {location} has version {}, this program reads version {VERSION}: use a newer irmgard",
        marker.version
    )
}

async fn read(store: &Store, location: &ObjectLocation) -> anyhow::Result<Read> {
    match store.get(location, MAX_MARKER_BYTES).await {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).map_or(Read::Garbled, Read::Marker)),
        Err(StoreError::TooLarge { .. }) => Ok(Read::Garbled),
        Err(StoreError::NotFound) => Ok(Read::Nothing),
        Err(error) => Err(error).with_context(|| format!("the bucket's marker {location}")),
    }
}

/// Writes the marker, over one that is there.
///
/// # Errors
/// When a server is away or refuses.
pub(super) async fn write(store: &Store, pool: &Pool, watermark: Watermark) -> anyhow::Result<()> {
    // First the row: a marker that then cannot be written is one that is missed.
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

/// Makes the database another one than before, whose photos up to `id` may
/// have lost their rows.
pub(super) async fn begin_anew(pool: &Pool, id: i64) -> Result<(), sqlx::Error> {
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
