//! `/projects/…` and `/photos/…`: the native API.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use contract::ProjectName;
use schema::outcome;
use serde::{Deserialize, Serialize};
use tracing::{Instrument, Span};
use utoipa::{IntoParams, ToSchema};

use super::{
    Api,
    extract::{PhotoPath, ProjectPath, QueryString, Uploader, Viewer, page_limit},
    problem::{Code, Problem, ProblemBody, WRONG_PROJECT},
    request_log::SuccessOutcome,
    tokens::Caller,
};
use crate::{
    photo::{
        ListedProject, Photo, PhotoFilter, ProjectFilter, Status, list_photos,
        list_projects as query_projects,
    },
    upload::{Acceptance, AcceptedPhoto, Upload, boundary, parse_taken_at_in_query},
};

/// Default number of photos on a page.
const DEFAULT_PAGE_SIZE: i64 = 50;
/// Maximum number of photos or projects on a page.
const MAX_PAGE_SIZE: i64 = 500;
/// Maximum length of an idempotency key, bytes.
const MAX_IDEMPOTENCY_KEY_BYTES: usize = 255;

/// Query parameters of an upload.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UploadQuery {
    /// When the photo was taken, RFC 3339, without leap seconds; takes precedence over EXIF.
    #[param(example = "2024-05-31T12:00:00+02:00", value_type = String, format = DateTime, required = false)]
    taken_at: Option<String>,
    /// The camera's file name, for display only.
    #[param(value_type = String, required = false)]
    name: Option<String>,
}

/// A form with a photo.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form, which is read as it arrives")]
pub(super) struct UploadForm {
    /// The photo: JPEG, PNG or WebP.
    #[schema(value_type = String, format = Binary, min_length = 1)]
    image: Vec<u8>,
    /// When it was taken, RFC 3339, without leap seconds.
    #[schema(value_type = String, format = DateTime, required = false)]
    taken_at: Option<String>,
}

/// Send a photo
///
/// The body is the photo, or a form with the photo in the field `image`. The format is detected from the
/// content, not from the media type. The same photo with the same time is stored once. A repeated upload
/// returns the stored photo; if that had failed, it is queued again.
#[utoipa::path(
    post, path = "/projects/{project}/photos", tag = "photos",
    params(
        ("project" = String, Path, description = "1 to 64 letters, digits, '.', '_' or '-'",
            pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"),
        UploadQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible characters. A repeated key with \
            the same photo returns the first result; with another photo it is an error",
            pattern = "^[!#-\\[\\]-~]([ !#-\\[\\]-~]{0,253}[!#-\\[\\]-~])?$"),
    ),
    request_body(content(
        (String = "image/jpeg"), (String = "image/png"), (String = "image/webp"),
        (UploadForm = "multipart/form-data",
            encoding(("image" = (content_type = "image/jpeg, image/png, image/webp")))),
    )),
    responses(
        (status = 202, description = "Stored; it will be anonymised", body = Photo,
            headers(("Location" = String, description = "The photo's address"))),
        (status = 200, description = "It was stored before", body = Photo,
            headers(("Location" = String, description = "The photo's address"))),
        (status = "4XX", description = "Refused; nothing is stored", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Retry after `Retry-After`", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn upload(
    State(api): State<Api>,
    Uploader(caller): Uploader,
    ProjectPath(project): ProjectPath,
    QueryString(query): QueryString<UploadQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let accepted = receive_upload(&api, caller, project, query, &headers, body).await?;
    let status = match accepted.acceptance {
        Acceptance::New | Acceptance::Requeued => StatusCode::ACCEPTED,
        Acceptance::Duplicate => StatusCode::OK,
    };
    let location = format!("/photos/{}", accepted.photo.id);
    let outcome = SuccessOutcome(outcome_name(accepted.acceptance));
    let mut response = (status, [(header::LOCATION, location)], Json(accepted.photo)).into_response();
    response.extensions_mut().insert(outcome);
    Ok(response)
}

const fn outcome_name(acceptance: Acceptance) -> &'static str {
    match acceptance {
        Acceptance::New => outcome::NEW,
        Acceptance::Duplicate => outcome::DUPLICATE,
        Acceptance::Requeued => outcome::REQUEUED,
    }
}

/// Accepts a photo from either route.
pub(super) async fn receive_upload(
    api: &Api,
    caller: Caller,
    project: ProjectName,
    query: UploadQuery,
    headers: &HeaderMap,
    body: Body,
) -> Result<AcceptedPhoto, Problem> {
    Span::current().record("project", project.as_str());
    if !caller.may_access(project.as_str()) {
        return Err(Problem::new(Code::Forbidden).reason(WRONG_PROJECT));
    }
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let upload = Upload {
        project,
        uploaded_by: caller.name,
        idempotency_key: idempotency_key(headers)?,
        taken_at: query
            .taken_at
            .as_deref()
            .map(parse_taken_at_in_query)
            .transpose()?,
        name: query.name,
        body,
        boundary: content_type.map(boundary).transpose()?.flatten(),
    };
    let receiver = api.receiver.clone();
    // A separate task: if the client disconnects, it finishes the upload or cleans up.
    let task = async move { receiver.receive(upload).await }.in_current_span();
    let accepted = api
        .tasks
        .spawn(task)
        .await
        .map_err(|error| Problem::new(Code::Internal).cause(error))??;
    Span::current().record("photo.id", accepted.photo.id);
    let bytes = u64::try_from(accepted.photo.size_bytes).unwrap_or(0);
    api.metrics.upload(outcome_name(accepted.acceptance), bytes);
    Ok(accepted)
}

/// Reads `Idempotency-Key`: a structured string in quotes, as in the IETF draft, or the bare key, as most
/// clients send it.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let Some(key) = keys.next() else {
        return Ok(None);
    };
    let parse_bare = |value: &HeaderValue| {
        let text = value.to_str().ok()?.trim();
        let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let text = quoted.unwrap_or(text);
        let visible = text
            .bytes()
            .all(|b| (0x20..0x7f).contains(&b) && !matches!(b, b'"' | b'\\'));
        ((1..=MAX_IDEMPOTENCY_KEY_BYTES).contains(&text.len()) && visible).then(|| text.to_owned())
    };
    match (parse_bare(key), keys.next()) {
        (Some(key), None) => Ok(Some(key)),
        _ => Err(Problem::new(Code::InvalidIdempotencyKey).detail(format!(
            "an Idempotency-Key has 1 to {MAX_IDEMPOTENCY_KEY_BYTES} visible characters and is sent once"
        ))),
    }
}

/// A photo
///
/// Its processing status, and the objects detected in it.
#[utoipa::path(
    get, path = "/photos/{id}", tag = "photos",
    params(("id" = i64, Path, description = "The photo's number")),
    responses(
        (status = 200, body = Photo),
        (status = 404, description = "`photo-unknown`", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn one(
    State(api): State<Api>,
    Viewer(caller): Viewer,
    PhotoPath(id): PhotoPath,
) -> Result<Json<Photo>, Problem> {
    api.photo(id, &caller).await.map(Json)
}

/// Query parameters of a page of photos.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// Only photos with this status.
    #[param(value_type = Status, required = false)]
    status: Option<Status>,
    /// Only photos older than the one with this number.
    #[param(value_type = i64, required = false)]
    after: Option<i64>,
    /// Maximum number of photos: 1 to 500, default 50.
    #[param(value_type = i64, minimum = 1, maximum = 500, required = false)]
    limit: Option<i64>,
}

/// Photos of a project, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct PhotoPage {
    photos: Vec<Photo>,
    /// The address of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// The photos of a project, newest first
#[utoipa::path(
    get, path = "/projects/{project}/photos", tag = "photos",
    params(
        ("project" = String, Path, description = "The project's name", pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"),
        PageQuery,
    ),
    responses(
        (status = 200, body = PhotoPage),
        (status = 400, description = "`invalid-project` or `invalid-query`", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn list(
    State(api): State<Api>,
    Viewer(caller): Viewer,
    ProjectPath(project): ProjectPath,
    QueryString(query): QueryString<PageQuery>,
) -> Result<Json<PhotoPage>, Problem> {
    if !caller.may_access(project.as_str()) {
        return Err(Problem::new(Code::Forbidden).reason(WRONG_PROJECT));
    }
    let limit = page_limit(query.limit, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)?;
    let filter = PhotoFilter {
        project: project.as_str().to_owned(),
        status: query.status,
        after: query.after,
        limit: limit + 1,
    };
    let mut photos = api
        .records
        .read(move |connection| Box::pin(async move { list_photos(connection, &filter).await }))
        .await?;
    let has_more = photos.len() as i64 > limit;
    photos.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = photos.last().filter(|_| has_more).map(|last| {
        let status = query
            .status
            .map(|status| format!("&status={}", status.into_str()));
        let status = status.unwrap_or_default();
        format!(
            "/projects/{project}/photos?after={}&limit={limit}{status}",
            last.id
        )
    });
    Ok(Json(PhotoPage { photos, next }))
}

/// Query parameters of a page of projects.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ProjectsQuery {
    /// Only projects after this name.
    #[param(value_type = String, required = false, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    after: Option<ProjectName>,
    /// Maximum number of projects: 1 to 500, default 500.
    #[param(value_type = i64, minimum = 1, maximum = 500, required = false)]
    limit: Option<i64>,
}

/// Projects that have photos, by name.
#[derive(Serialize, ToSchema)]
pub(super) struct ProjectPage {
    projects: Vec<ListedProject>,
    /// The address of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// The projects, by name
#[utoipa::path(
    get, path = "/projects", tag = "photos",
    params(ProjectsQuery),
    responses(
        (status = 200, body = ProjectPage),
        (status = 400, description = "`invalid-query`", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn list_projects(
    State(api): State<Api>,
    Viewer(caller): Viewer,
    QueryString(query): QueryString<ProjectsQuery>,
) -> Result<Json<ProjectPage>, Problem> {
    let limit = page_limit(query.limit, MAX_PAGE_SIZE, MAX_PAGE_SIZE)?;
    let filter = ProjectFilter {
        only: caller.project,
        after: query.after.map(String::from).unwrap_or_default(),
        limit: limit + 1,
    };
    let mut projects = api
        .records
        .read(move |connection| Box::pin(async move { query_projects(connection, &filter).await }))
        .await?;
    let has_more = projects.len() as i64 > limit;
    projects.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = projects.last().filter(|_| has_more);
    let next = next.map(|last| format!("/projects?after={}&limit={limit}", last.name));
    Ok(Json(ProjectPage { projects, next }))
}
