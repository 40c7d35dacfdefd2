//! Lists of photos and projects. Keyset pagination: the last page costs no more than the first.

use chrono::{DateTime, Utc};
use contract::{PhotoId, ProjectName};
use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use utoipa::ToSchema;

use super::row::{Photo, Status, photo_columns};

/// Finds a photo by its id.
pub async fn find_photo(connection: &mut PgConnection, id: PhotoId) -> Result<Option<Photo>, sqlx::Error> {
    sqlx::query_as(concat!("SELECT ", photo_columns!(), " FROM photo WHERE id = $1"))
        .bind(id.get())
        .fetch_optional(connection)
        .await
}

/// Selects a page of a project's photos.
#[derive(Clone, Debug)]
pub struct PhotoFilter {
    pub project: String,
    pub status: Option<Status>,
    /// Only photos with a smaller id.
    pub after: Option<i64>,
    pub limit: i64,
}

/// Photos of a project, newest first.
pub async fn list_photos(
    connection: &mut PgConnection,
    filter: &PhotoFilter,
) -> Result<Vec<Photo>, sqlx::Error> {
    // Two statements, so that each uses its own index.
    let all = concat!(
        "SELECT ",
        photo_columns!(),
        " FROM photo WHERE project = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
    );
    let with_status = concat!(
        "SELECT ",
        photo_columns!(),
        " FROM photo WHERE project = $1 AND id < $2 AND status = $4 ORDER BY id DESC LIMIT $3"
    );
    let query = sqlx::query_as(if filter.status.is_some() { with_status } else { all })
        .bind(&filter.project)
        .bind(filter.after.unwrap_or(i64::MAX))
        .bind(filter.limit);
    match filter.status {
        Some(status) => query.bind(status.into_str()),
        None => query,
    }
    .fetch_all(connection)
    .await
}

/// A photo in the list of the legacy API, which defines the first three fields.
#[derive(Clone, Debug, Serialize, FromRow, ToSchema)]
#[schema(as = GivenImage)]
pub struct LegacyImage {
    /// The photo's number.
    pub id: i64,
    /// The file name that the camera gave.
    pub name: String,
    /// `bucket/key` of the original when it was stored, whether or not it still exists. Empty once a person
    /// deleted the original of a failed photo.
    pub storage_location: String,
    /// The timelapse project.
    pub project: String,
    /// `received`, `queued`, `anonymized` or `failed`.
    pub status: String,
    /// When it was received.
    pub received_at: DateTime<Utc>,
}

/// Photos of all projects, or of one, ordered by id.
pub async fn list_legacy_images(
    connection: &mut PgConnection,
    project: Option<&str>,
    after: i64,
    limit: i64,
) -> Result<Vec<LegacyImage>, sqlx::Error> {
    const COLUMNS_ALL: &str = "SELECT id, name, coalesce(substr(original, 6), '') AS storage_location, project, \
         status, received_at FROM photo WHERE id > $1 ORDER BY id LIMIT $2";
    const COLUMNS_OF: &str = "SELECT id, name, coalesce(substr(original, 6), '') AS storage_location, project, \
         status, received_at FROM photo WHERE id > $1 AND project = $3 ORDER BY id LIMIT $2";
    let query = sqlx::query_as(if project.is_some() {
        COLUMNS_OF
    } else {
        COLUMNS_ALL
    })
    .bind(after)
    .bind(limit);
    match project {
        Some(project) => query.bind(project),
        None => query,
    }
    .fetch_all(connection)
    .await
}

/// A timelapse project.
#[derive(Clone, Debug, Serialize, FromRow, ToSchema)]
pub struct ListedProject {
    /// The project's name.
    pub name: String,
    /// The number of its newest photo.
    pub newest_photo: i64,
    /// When its newest photo was received.
    pub newest_received_at: DateTime<Utc>,
}

/// Selects a page of projects.
#[derive(Clone, Debug)]
pub struct ProjectFilter {
    /// Only this project.
    pub only: Option<ProjectName>,
    /// Only projects after this name.
    pub after: String,
    pub limit: i64,
}

/// Projects that have photos, ordered by name. Needs one index probe per project, however many photos it has.
pub async fn list_projects(
    connection: &mut PgConnection,
    filter: &ProjectFilter,
) -> Result<Vec<ListedProject>, sqlx::Error> {
    sqlx::query_as(
        "WITH RECURSIVE newest AS ( \
           (SELECT project, id, received_at FROM photo \
            WHERE project > $1 AND ($3::text IS NULL OR project = $3) ORDER BY project, id DESC LIMIT 1) \
           UNION ALL \
           SELECT next.project, next.id, next.received_at FROM newest, LATERAL ( \
             SELECT project, id, received_at FROM photo \
             WHERE project > newest.project AND $3::text IS NULL ORDER BY project, id DESC LIMIT 1) next \
         ) SELECT project AS name, id AS newest_photo, received_at AS newest_received_at FROM newest LIMIT $2",
    )
    .bind(&filter.after)
    .bind(filter.limit)
    .bind(filter.only.as_ref().map(ProjectName::as_str))
    .fetch_all(connection)
    .await
}
