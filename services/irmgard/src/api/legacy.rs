//! `/`: the API of the legacy web service, which this one replaces. It stays compatible.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use contract::ProjectName;
use futures::stream;

use super::{
    Api,
    extract::{QueryString, Uploader, Viewer},
    photos::{UploadForm, UploadQuery, receive_upload},
    problem::{Code, Problem, ProblemBody},
};
use crate::{
    photo::{LegacyImage, RecordsError, list_legacy_images},
    upload::boundary,
};

/// Rows per page of the database. A list of any length takes the memory of one page, and no connection while
/// the client reads it.
const ROWS_PER_PAGE: i64 = 500;

/// Send a photo, as to the legacy web service
///
/// The photo goes to the token's project, or else to the project `default`.
#[utoipa::path(
    post, path = "/", tag = "given",
    params(UploadQuery),
    request_body(content(
        (UploadForm = "multipart/form-data",
            encoding(("image" = (content_type = "image/jpeg, image/png, image/webp")))),
    )),
    responses(
        (status = 200, description = "`Success: <name> <storage location>`", body = String, content_type = "text/plain"),
        (status = "4XX", description = "Refused; nothing is stored", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Retry after `Retry-After`", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn upload(
    State(api): State<Api>,
    Uploader(caller): Uploader,
    QueryString(query): QueryString<UploadQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if content_type.map(boundary).transpose()?.flatten().is_none() {
        return Err(Problem::new(Code::FormExpected).reason(match content_type {
            Some(_) => "other-content-type",
            None => "no-content-type",
        }));
    }
    let project = caller
        .project
        .clone()
        .unwrap_or_else(ProjectName::default_project);
    let accepted = receive_upload(&api, caller, project, query, &headers, body).await?;
    let photo = accepted.photo;
    let location = photo.storage_location.unwrap_or_default();
    Ok(format!("Success: {} {location}", photo.name).into_response())
}

/// All photos, ordered by number
#[utoipa::path(
    get, path = "/", tag = "given",
    responses((status = 200, body = Vec<LegacyImage>)),
)]
pub(super) async fn list(State(api): State<Api>, Viewer(caller): Viewer) -> Result<Response, Problem> {
    let list = ArrayStream {
        api,
        project: caller.project,
        after: 0,
        position: StreamPosition::First,
    };
    // Read the first page before the status is sent, so that an error gets its status.
    let (first, list) = list.next_chunk().await?;
    let rest = stream::try_unfold(list, |list| async {
        match list.position {
            StreamPosition::End => Ok(None),
            StreamPosition::First | StreamPosition::Middle => list.next_chunk().await.map(Some),
        }
    });
    let first = stream::once(async { Ok::<_, RecordsError>(first) });
    let body = Body::from_stream(futures::StreamExt::chain(first, rest));
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// A JSON array, streamed one page of rows at a time.
struct ArrayStream {
    api: Api,
    project: Option<ProjectName>,
    after: i64,
    position: StreamPosition,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum StreamPosition {
    First,
    Middle,
    End,
}

impl ArrayStream {
    async fn next_chunk(mut self) -> Result<(Bytes, Self), RecordsError> {
        let (project, after) = (self.project.clone(), self.after);
        let rows = self.api.records.read(move |connection| {
            Box::pin(async move {
                let project = project.as_ref().map(ProjectName::as_str);
                list_legacy_images(connection, project, after, ROWS_PER_PAGE).await
            })
        });
        let rows = rows.await?;
        let mut chunk = Vec::with_capacity(256 * rows.len() + 2);
        for row in &rows {
            chunk.push(if self.position == StreamPosition::First {
                b'['
            } else {
                b','
            });
            self.position = StreamPosition::Middle;
            // Strings, numbers and times always serialise.
            let _ = serde_json::to_writer(&mut chunk, row);
            self.after = row.id;
        }
        if (rows.len() as i64) < ROWS_PER_PAGE {
            if self.position == StreamPosition::First {
                chunk.push(b'[');
            }
            chunk.push(b']');
            self.position = StreamPosition::End;
        }
        Ok((chunk.into(), self))
    }
}
