//! `/projects/…` and `/photos/…`: our own API.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use contract::ProjectName;
use serde::{Deserialize, Serialize};
use tracing::{Instrument, Span};
use utoipa::{IntoParams, ToSchema};

use super::{
    Api,
    access::{Asked, InProject, OfPhoto, Uploader, Viewer, limit},
    observe::Outcome,
    problem::{Code, Problem, ProblemBody, WRONG_PROJECT},
    tokens::Caller,
};
use crate::{
    photo::{ListedProject, Photo, PhotoFilter, ProjectFilter, Status, photos, projects},
    upload::{Acceptance, Accepted, Upload, boundary, parse_taken_at_of_query},
};

/// Photos and projects on a page, where the request does not say.
const USUAL_PAGE: i64 = 50;
/// Photos and projects on a page at most.
const LARGEST_PAGE: i64 = 500;
/// An idempotency key's length at most, bytes.
const MAX_KEY_BYTES: usize = 255;

/// What an upload may say beside its body.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UploadQuery {
    /// When the photo was taken, RFC 3339, without leap seconds; before what the photo's EXIF says.
    #[param(example = "2024-05-31T12:00:00+02:00", value_type = String, format = DateTime, required = false)]
    taken_at: Option<String>,
    /// The camera's file name, for people.
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
/// The body is the photo, or a form with the photo in the field `image`; which format it is tells its content, whatever
/// its media type says. The same photo of the same time is kept
/// once: sent again it is answered again, and if it had failed it is worked on again.
#[utoipa::path(
    post, path = "/projects/{project}/photos", tag = "photos",
    params(
        ("project" = String, Path, description = "1 to 64 letters, digits, '.', '_' or '-'",
            pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"),
        UploadQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible characters: the same key with \
            the same photo answers the first again, with another photo it is refused",
            pattern = "^[!#-\\[\\]-~]([ !#-\\[\\]-~]{0,253}[!#-\\[\\]-~])?$"),
    ),
    request_body(content(
        (String = "image/jpeg"), (String = "image/png"), (String = "image/webp"),
        (UploadForm = "multipart/form-data",
            encoding(("image" = (content_type = "image/jpeg, image/png, image/webp")))),
    )),
    responses(
        (status = 202, description = "Kept; it will be anonymised", body = Photo,
            headers(("Location" = String, description = "The photo's address"))),
        (status = 200, description = "It was kept before", body = Photo,
            headers(("Location" = String, description = "The photo's address"))),
        (status = "4XX", description = "Refused; nothing is kept", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Come again after `Retry-After`", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn upload(
    State(api): State<Api>,
    Uploader(caller): Uploader,
    InProject(project): InProject,
    Asked(query): Asked<UploadQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let accepted = receive(&api, caller, project, query, &headers, body).await?;
    let status = match accepted.acceptance {
        Acceptance::New | Acceptance::Again => StatusCode::ACCEPTED,
        Acceptance::Known => StatusCode::OK,
    };
    let location = format!("/photos/{}", accepted.photo.id);
    let outcome = Outcome(name(accepted.acceptance));
    let mut response = (status, [(header::LOCATION, location)], Json(accepted.photo)).into_response();
    response.extensions_mut().insert(outcome);
    Ok(response)
}

const fn name(acceptance: Acceptance) -> &'static str {
    match acceptance {
        Acceptance::New => "new",
        Acceptance::Known => "known",
        Acceptance::Again => "again",
    }
}

/// Takes a photo, whichever route it came by.
pub(super) async fn receive(
    api: &Api,
    caller: Caller,
    project: ProjectName,
    query: UploadQuery,
    headers: &HeaderMap,
    body: Body,
) -> Result<Accepted, Problem> {
    Span::current().record("project", project.as_str());
    if !caller.may_see(project.as_str()) {
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
            .map(parse_taken_at_of_query)
            .transpose()?,
        name: query.name,
        body,
        boundary: content_type.map(boundary).transpose()?.flatten(),
    };
    let receiver = api.receiver.clone();
    // A task of its own: it goes on, or cleans up, when the client goes away.
    let task = async move { receiver.receive(upload).await }.in_current_span();
    let accepted = api
        .tasks
        .spawn(task)
        .await
        .map_err(|error| Problem::new(Code::Internal).cause(error))??;
    Span::current().record("photo.id", accepted.photo.id);
    let bytes = u64::try_from(accepted.photo.size_bytes).unwrap_or(0);
    api.metrics.upload(name(accepted.acceptance), bytes);
    Ok(accepted)
}

/// `Idempotency-Key`: a structured string in quotes, as the draft has it, or
/// the bare key, as most clients send it.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let Some(key) = keys.next() else {
        return Ok(None);
    };
    let bare = |value: &HeaderValue| {
        let text = value.to_str().ok()?.trim();
        let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let text = quoted.unwrap_or(text);
        let visible = text
            .bytes()
            .all(|b| (0x20..0x7f).contains(&b) && !matches!(b, b'"' | b'\\'));
        ((1..=MAX_KEY_BYTES).contains(&text.len()) && visible).then(|| text.to_owned())
    };
    match (bare(key), keys.next()) {
        (Some(key), None) => Ok(Some(key)),
        _ => Err(Problem::new(Code::InvalidIdempotencyKey).detail(format!(
            "an Idempotency-Key is 1 to {MAX_KEY_BYTES} visible characters, once"
        ))),
    }
}

/// A photo
///
/// Where it is on its way, and what was found in it.
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
    OfPhoto(id): OfPhoto,
) -> Result<Json<Photo>, Problem> {
    api.photo(id, &caller).await.map(Json)
}

/// Which photos.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// Only those of this status.
    #[param(value_type = Status, required = false)]
    status: Option<Status>,
    /// Only those older than the photo of this number.
    #[param(value_type = i64, required = false)]
    after: Option<i64>,
    /// At most so many: 1 to 500, usually 50.
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
    InProject(project): InProject,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<PhotoPage>, Problem> {
    if !caller.may_see(project.as_str()) {
        return Err(Problem::new(Code::Forbidden).reason(WRONG_PROJECT));
    }
    let limit = limit(query.limit, USUAL_PAGE, LARGEST_PAGE)?;
    let filter = PhotoFilter {
        project: project.as_str().to_owned(),
        status: query.status,
        after: query.after,
        limit: limit + 1,
    };
    let mut photos = api
        .records
        .read(move |connection| Box::pin(async move { photos(connection, &filter).await }))
        .await?;
    let more = photos.len() as i64 > limit;
    photos.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = photos.last().filter(|_| more).map(|last| {
        let status = query.status.map(|status| format!("&status={}", status.as_str()));
        let status = status.unwrap_or_default();
        format!(
            "/projects/{project}/photos?after={}&limit={limit}{status}",
            last.id
        )
    });
    Ok(Json(PhotoPage { photos, next }))
}

/// Which projects.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ProjectsQuery {
    /// Only those after this name.
    #[param(value_type = String, required = false, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    after: Option<ProjectName>,
    /// At most so many: 1 to 500, usually 500.
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
    Asked(query): Asked<ProjectsQuery>,
) -> Result<Json<ProjectPage>, Problem> {
    let limit = limit(query.limit, LARGEST_PAGE, LARGEST_PAGE)?;
    let filter = ProjectFilter {
        only: caller.project,
        after: query.after.map(String::from).unwrap_or_default(),
        limit: limit + 1,
    };
    let mut projects = api
        .records
        .read(move |connection| Box::pin(async move { projects(connection, &filter).await }))
        .await?;
    let more = projects.len() as i64 > limit;
    projects.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = projects.last().filter(|_| more);
    let next = next.map(|last| format!("/projects?after={}&limit={limit}", last.name));
    Ok(Json(ProjectPage { projects, next }))
}
