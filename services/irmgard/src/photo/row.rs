//! A photo as the API shows it.

use chrono::{DateTime, Utc};
use contract::Detection;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{FromRow, types::Json};
use utoipa::ToSchema;

/// Processing status of a photo.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type, strum::IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", const_into_str)]
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

/// Origin of the time `taken_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema, sqlx::Type, strum::IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", const_into_str)]
pub enum TakenAtSource {
    /// The request, in `taken_at`.
    Client,
    /// The photo, in EXIF `DateTimeOriginal`.
    Exif,
    /// The time of the upload, because neither of the others is known.
    Received,
}

/// A photo and its metadata.
#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
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
    /// is removed, because clients of the legacy API know the photo by it. It is absent once the original of a
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
    #[sqlx(flatten, try_from = "StoredDetections")]
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
    /// Name of the class, such as `person`, `face` or `car`. Later versions may detect more classes.
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

/// The columns of [`Photo`]. `original` is `s3://bucket/key`, and the second field of a W3C `traceparent` is the trace id.
macro_rules! photo_columns {
    () => {
        "id, project, name, status, received_at, taken_at, taken_at_source, media_type, size_bytes, \
         width, height, encode(sha256, 'hex') AS sha256, original, substr(original, 6) AS storage_location, \
         uploaded_by, nullif(split_part(traceparent, '-', 2), '') AS trace_id, queued_at, finished_at, output, \
         output_size_bytes, output_width, output_height, detections, processing_seconds, \
         failure_reason, failure_detail, \
         CASE WHEN status = 'anonymized' THEN '/photos/' || id || '/image' END AS image"
    };
}
pub(super) use photo_columns;

/// The column `detections`. Unreadable entries are left out, so that one row does not break a whole page.
#[derive(Debug, FromRow)]
struct StoredDetections {
    /// The photo's number.
    id: i64,
    detections: Option<Json<Value>>,
}

impl From<StoredDetections> for Option<Vec<Detection>> {
    fn from(stored: StoredDetections) -> Self {
        let Some(Json(Value::Array(entries))) = stored.detections else {
            return None;
        };
        let count = entries.len();
        let readable: Vec<_> = entries
            .into_iter()
            .filter_map(|entry| Detection::deserialize(entry).ok())
            .collect();
        if readable.len() < count {
            tracing::error!(
                photo.id = stored.id,
                count = count - readable.len(),
                "some of a photo's detections cannot be read and are left out"
            );
        }
        Some(readable)
    }
}

/// `bucket/key` of an `s3://bucket/key`.
pub(super) fn storage_location(uri: &str) -> String {
    uri.strip_prefix("s3://").unwrap_or(uri).to_owned()
}
