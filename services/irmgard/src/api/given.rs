//! `/`: the API of the given web service, kept as it is.

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
    access::{Asked, Uploader, Viewer},
    photos::{UploadForm, UploadQuery, receive},
    problem::{Code, Problem, ProblemBody},
};
use crate::{
    photo::{GivenImage, RecordsError, given_page},
    upload::boundary,
};

/// Rows that are read at a time: a list of any length takes the memory of
/// one page, and no connection while the client reads it.
const PAGE: i64 = 500;

/// Send a photo, as to the given web service
///
/// The photo goes to the project `default`, or to the one that the token is for.
#[utoipa::path(
    post, path = "/", tag = "given",
    params(UploadQuery),
    request_body(content(
        (UploadForm = "multipart/form-data",
            encoding(("image" = (content_type = "image/jpeg, image/png, image/webp")))),
    )),
    responses(
        (status = 200, description = "`Success: <name> <storage location>`", body = String, content_type = "text/plain"),
        (status = "4XX", description = "Refused; nothing is kept", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Come again after `Retry-After`", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn upload(
    State(api): State<Api>,
    Uploader(caller): Uploader,
    Asked(query): Asked<UploadQuery>,
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
    let accepted = receive(&api, caller, project, query, &headers, body).await?;
    let photo = accepted.photo;
    let place = photo.storage_location.unwrap_or_default();
    Ok(format!("Success: {} {place}", photo.name).into_response())
}

/// All photos, in order of their number
#[utoipa::path(
    get, path = "/", tag = "given",
    responses((status = 200, body = Vec<GivenImage>)),
)]
pub(super) async fn list(State(api): State<Api>, Viewer(caller): Viewer) -> Result<Response, Problem> {
    let list = List {
        api,
        project: caller.project,
        after: 0,
        place: Place::First,
    };
    // The first page is read before the status is told.
    let (first, list) = list.piece().await?;
    let rest = stream::try_unfold(list, |list| async {
        match list.place {
            Place::End => Ok(None),
            Place::First | Place::Middle => list.piece().await.map(Some),
        }
    });
    let first = stream::once(async { Ok::<_, RecordsError>(first) });
    let body = Body::from_stream(futures::StreamExt::chain(first, rest));
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// A JSON array, a page of rows at a time.
struct List {
    api: Api,
    project: Option<ProjectName>,
    after: i64,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    First,
    Middle,
    End,
}

impl List {
    async fn piece(mut self) -> Result<(Bytes, Self), RecordsError> {
        let (project, after) = (self.project.clone(), self.after);
        let rows = self.api.records.read(move |connection| {
            Box::pin(async move {
                let project = project.as_ref().map(ProjectName::as_str);
                given_page(connection, project, after, PAGE).await
            })
        });
        let rows = rows.await?;
        let mut piece = Vec::with_capacity(256 * rows.len() + 2);
        for row in &rows {
            piece.push(if self.place == Place::First { b'[' } else { b',' });
            self.place = Place::Middle;
            // Texts, numbers and times always serialise.
            let _ = serde_json::to_writer(&mut piece, row);
            self.after = row.id;
        }
        if (rows.len() as i64) < PAGE {
            if self.place == Place::First {
                piece.push(b'[');
            }
            piece.push(b']');
            self.place = Place::End;
        }
        Ok((piece.into(), self))
    }
}
