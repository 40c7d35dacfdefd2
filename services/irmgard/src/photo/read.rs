//! One photo by its id.

use contract::PhotoId;
use sqlx::PgConnection;

use super::row::{Photo, photo_columns};

/// The photo, if there is one of this id.
///
/// # Errors
/// The database's.
pub async fn by_id(connection: &mut PgConnection, id: PhotoId) -> Result<Option<Photo>, sqlx::Error> {
    sqlx::query_as(concat!("SELECT ", photo_columns!(), " FROM photo WHERE id = $1"))
        .bind(id.get())
        .fetch_optional(connection)
        .await
}
