//! `/photos/{id}/image`: serves the anonymised photo. Never serves an original.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use contract::PhotoId;
use futures::stream;
use http_body_util::BodyExt;

use super::{
    Api,
    extract::{PhotoPath, Viewer},
    problem::{Code, Problem, ProblemBody},
};
use crate::{
    photo::{AnonymizedImage, ImageUnavailable},
    store::{ObjectStore, StoreError},
};

/// Images need a token, and a person may have an image removed.
const CACHE_CONTROL: &str = "private, max-age=300";

/// The anonymised photo, a JPEG
///
/// The original is never served.
#[utoipa::path(
    get, path = "/photos/{id}/image", tag = "photos",
    params(
        ("id" = i64, Path, description = "The photo's number"),
        ("If-None-Match" = Option<String>, Header, description = "ETags that the client has"),
    ),
    responses(
        (status = 200, description = "The anonymised photo", body = Vec<u8>, content_type = "image/jpeg",
            headers(("ETag" = String))),
        (status = 304, description = "The client has it"),
        (status = 404, description = "`photo-unknown`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`photo-not-ready`, with the photo's status", body = ProblemBody, content_type = "application/problem+json"),
        (status = 410, description = "`image-gone`", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn get(
    State(api): State<Api>,
    Viewer(caller): Viewer,
    PhotoPath(id): PhotoPath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let photo = api.photo(id, &caller).await?;
    let image =
        AnonymizedImage::for_photo(&photo, api.store.output_bucket()).map_err(
            |unavailable| match unavailable {
                ImageUnavailable::NotReady(status) => Problem::new(Code::PhotoNotReady)
                    .detail(format!("the photo is {}", status.into_str()))
                    .photo_status(status),
                ImageUnavailable::WrongLocation => Problem::new(Code::Internal)
                    .cause("the row does not name this photo's own output location"),
            },
        )?;
    if let Some(etag) = matching_etag(&api.store, &image, &headers).await? {
        return Ok((
            StatusCode::NOT_MODIFIED,
            [
                (header::ETAG, etag),
                (header::CACHE_CONTROL, HeaderValue::from_static(CACHE_CONTROL)),
            ],
        )
            .into_response());
    }
    send(&api, id, &image).await
}

/// The image's ETag, if the client already has it.
async fn matching_etag(
    store: &ObjectStore,
    image: &AnonymizedImage,
    headers: &HeaderMap,
) -> Result<Option<HeaderValue>, Problem> {
    if !headers.contains_key(header::IF_NONE_MATCH) {
        return Ok(None);
    }
    let location = image.location();
    let request = store
        .client()
        .head_object()
        .bucket(location.bucket())
        .key(location.key());
    let head = store.send(request.send()).await.map_err(image_gone)?;
    let Some(etag) = head.e_tag() else {
        return Ok(None);
    };
    let matches = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(str::trim)
        // RFC 9110, section 13.1.2: the weak comparison.
        .any(|tag| tag == "*" || opaque_tag(tag) == opaque_tag(etag));
    Ok(matches.then(|| HeaderValue::from_str(etag).ok()).flatten())
}

fn opaque_tag(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag)
}

async fn send(api: &Api, id: PhotoId, image: &AnonymizedImage) -> Result<Response, Problem> {
    let location = image.location();
    let request = api
        .store
        .client()
        .get_object()
        .bucket(location.bucket())
        .key(location.key());
    let object = api.store.send(request.send()).await.map_err(image_gone)?;
    let timeout = api.store.timeout();
    let etag = object.e_tag().and_then(|etag| HeaderValue::from_str(etag).ok());
    let length = object
        .content_length()
        .and_then(|length| u64::try_from(length).ok());
    let body = stream::try_unfold(object.body.into_inner(), move |mut body| async move {
        let frame = tokio::time::timeout(timeout, body.frame())
            .await
            .map_err(|_| "the object store stopped sending in the middle of an image")?;
        match frame.transpose() {
            Ok(frame) => Ok(frame
                .and_then(|frame| frame.into_data().ok())
                .map(|data| (data, body))),
            Err(error) => Err(error),
        }
    });
    let mut response = Body::from_stream(body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHE_CONTROL));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if let Ok(disposition) = HeaderValue::from_str(&format!("inline; filename=\"{id}.jpg\"")) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    if let Some(etag) = etag {
        headers.insert(header::ETAG, etag);
    }
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        api.metrics.image(length);
    }
    Ok(response)
}

/// An image that was stored once and is missing now.
fn image_gone(error: StoreError) -> Problem {
    match error {
        StoreError::NotFound => Problem::new(Code::ImageGone),
        error => error.into(),
    }
}
