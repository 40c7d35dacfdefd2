//! A photo as the API shows it.

use chrono::{DateTime, Utc};
use contract::Detection;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Row, postgres::PgRow, types::Json};
use utoipa::ToSchema;

/// Processing status of a photo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Stored; its job is not yet in the queue.
    Received,
    /// Its job is in the queue.
    Queued,
    /// The anonymised photo is available. Final.
    Anonymized,
    /// Anonymisation failed; a person must look at the original.
    Failed,
}

impl Status {
    /// The text in the database and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Queued => "queued",
            Self::Anonymized => "anonymized",
            Self::Failed => "failed",
        }
    }

    /// Parses the text in the database.
    ///
    /// # Errors
    /// A newer program wrote a status that this one does not know.
    pub(super) fn parse(text: &str) -> Result<Self, sqlx::Error> {
        [Self::Received, Self::Queued, Self::Anonymized, Self::Failed]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| sqlx::Error::Decode(format!("unknown status {text}").into()))
    }
}

/// Origin of the time `taken_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TakenAtSource {
    /// The request, in `taken_at`.
    Client,
    /// The photo, in EXIF `DateTimeOriginal`.
    Exif,
    /// The time of the upload, because neither of the others is known.
    Received,
}

impl TakenAtSource {
    /// The text in the database and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Exif => "exif",
            Self::Received => "received",
        }
    }

    fn parse(text: &str) -> Result<Self, sqlx::Error> {
        [Self::Client, Self::Exif, Self::Received]
            .into_iter()
            .find(|source| source.as_str() == text)
            .ok_or_else(|| sqlx::Error::Decode(format!("unknown taken_at_source {text}").into()))
    }
}

/// A photo and its metadata.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Photo {
    /// The photo's number.
    #[schema(minimum = 1)]
    pub id: i64,
    /// The timelapse project.
    pub project: String,
    /// The file name that the camera gave.
    pub name: String,
    /// Processing status.
    pub status: Status,
    /// When it was received.
    pub received_at: DateTime<Utc>,
    /// When it was taken.
    pub taken_at: DateTime<Utc>,
    /// Origin of `taken_at`.
    pub taken_at_source: TakenAtSource,
    /// Format of the original.
    pub media_type: String,
    /// Size of the original, bytes.
    pub size_bytes: i64,
    /// Width of the original, pixels, before EXIF orientation.
    pub width: i32,
    /// Height of the original, pixels, before EXIF orientation.
    pub height: i32,
    /// SHA-256 of the original, hexadecimal.
    pub sha256: String,
    /// `bucket/key` of the original when it was stored. It stays after the photo is anonymised and the object
    /// is removed, because clients of the given API know the photo by it. It is absent once the original of a
    /// failed photo was deleted or found missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_location: Option<String>,
    /// Name of the token of the upload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uploaded_by: Option<String>,
    /// Trace id of the upload; all log lines about the photo have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// When the job was queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued_at: Option<DateTime<Utc>>,
    /// When the photo was anonymised or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<DateTime<Utc>>,
    /// Size of the anonymised photo, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_size_bytes: Option<i64>,
    /// Width of the anonymised photo, pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_width: Option<i32>,
    /// Height of the anonymised photo, pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_height: Option<i32>,
    /// Detected and obscured objects: boxes in pixels of the anonymised photo.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<DetectionSchema>>)]
    pub detections: Option<Vec<Detection>>,
    /// Seconds from the start of the job in the worker until the output was stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processing_seconds: Option<f64>,
    /// Why anonymisation failed: a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    /// Why anonymisation failed, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_detail: Option<String>,
    /// Path of the anonymised photo, once it is available.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/photos/17/image")]
    pub image: Option<String>,
    /// `s3://bucket/key` of the original. The API shows only the storage location.
    #[serde(skip)]
    pub(crate) original: Option<String>,
    /// `s3://bucket/key` of the anonymised photo.
    #[serde(skip)]
    pub(super) output: Option<String>,
}

/// A detected object and its box.
#[derive(ToSchema)]
#[schema(as = Detection)]
#[expect(
    dead_code,
    reason = "describes contract::Detection, which does not depend on HTTP"
)]
struct DetectionSchema {
    /// person, face, bicycle, car, motorcycle, bus or truck.
    class: String,
    /// The detector's score, 0 to 1.
    score: f32,
    /// Left edge, pixels.
    x: u32,
    /// Top edge, pixels.
    y: u32,
    /// Width, pixels.
    width: u32,
    /// Height, pixels.
    height: u32,
}

/// The columns of [`Photo`].
macro_rules! photo_columns {
    () => {
        "id, project, name, status, received_at, taken_at, taken_at_source, media_type, size_bytes, \
         width, height, sha256, original, uploaded_by, traceparent, queued_at, finished_at, output, \
         output_size_bytes, output_width, output_height, detections, processing_seconds, \
         failure_reason, failure_detail"
    };
}
pub(super) use photo_columns;

impl FromRow<'_, PgRow> for Photo {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let id: i64 = row.try_get("id")?;
        let status = Status::parse(row.try_get("status")?)?;
        let original: Option<String> = row.try_get("original")?;
        let traceparent: Option<&str> = row.try_get("traceparent")?;
        Ok(Self {
            id,
            project: row.try_get("project")?,
            name: row.try_get("name")?,
            status,
            received_at: row.try_get("received_at")?,
            taken_at: row.try_get("taken_at")?,
            taken_at_source: TakenAtSource::parse(row.try_get("taken_at_source")?)?,
            media_type: row.try_get("media_type")?,
            size_bytes: row.try_get("size_bytes")?,
            width: row.try_get("width")?,
            height: row.try_get("height")?,
            sha256: hex::encode(row.try_get::<&[u8], _>("sha256")?),
            storage_location: original.as_deref().map(storage_location),
            uploaded_by: row.try_get("uploaded_by")?,
            trace_id: traceparent.and_then(parse_trace_id).map(str::to_owned),
            queued_at: row.try_get("queued_at")?,
            finished_at: row.try_get("finished_at")?,
            output_size_bytes: row.try_get("output_size_bytes")?,
            output_width: row.try_get("output_width")?,
            output_height: row.try_get("output_height")?,
            detections: detections(row, id)?,
            processing_seconds: row.try_get("processing_seconds")?,
            failure_reason: row.try_get("failure_reason")?,
            failure_detail: row.try_get("failure_detail")?,
            image: (status == Status::Anonymized).then(|| format!("/photos/{id}/image")),
            original,
            output: row.try_get("output")?,
        })
    }
}

/// Reads the detections. Entries that cannot be read are left out, so that one row does not break a whole
/// page.
fn detections(row: &PgRow, id: i64) -> Result<Option<Vec<Detection>>, sqlx::Error> {
    let error = match row.try_get::<Option<Json<Vec<Detection>>>, _>("detections") {
        Ok(known) => return Ok(known.map(|json| json.0)),
        Err(error) => error,
    };
    tracing::error!(photo.id = id, %error, "some of a photo's detections cannot be read and are left out");
    let Some(Json(serde_json::Value::Array(entries))) = row.try_get("detections")? else {
        return Ok(None);
    };
    let readable = |entry| Detection::deserialize(entry).ok();
    Ok(Some(entries.into_iter().filter_map(readable).collect()))
}

/// `bucket/key` of an `s3://bucket/key`.
pub(super) fn storage_location(uri: &str) -> String {
    uri.strip_prefix("s3://").unwrap_or(uri).to_owned()
}

/// The trace id in a W3C `traceparent`: its second field.
fn parse_trace_id(traceparent: &str) -> Option<&str> {
    traceparent.split('-').nth(1)
}
