//! Extractors: the caller, the path parameters and the query string of a request.

use std::{collections::BTreeMap, error::Error as _};

use axum::{
    extract::{FromRequestParts, Path, Query, rejection::PathRejection},
    http::{header, request::Parts},
};
use contract::{PhotoId, ProjectName};
use serde::de::DeserializeOwned;
use tracing::Span;

use super::{
    Api,
    problem::{Code, Problem},
    tokens::{AccessDenied, Caller, Scope},
};

/// A caller that may send photos.
#[derive(Debug)]
pub struct Uploader(pub Caller);

/// A caller that may read photos.
#[derive(Debug)]
pub struct Viewer(pub Caller);

async fn authorize(parts: &mut Parts, api: &Api, scope: Scope) -> Result<Caller, Problem> {
    let authorization = parts.headers.get(header::AUTHORIZATION);
    let result = api
        .tokens
        .authorize(authorization.map(|value| value.as_bytes()), scope);
    let (name, outcome) = match result {
        Ok(caller) => (caller.name.clone(), Ok(caller)),
        Err(denied) => {
            // Log the project, so that an operator can find the camera. It is otherwise read after the token.
            let _ = ProjectPath::from_request_parts(parts, api).await;
            match denied {
                AccessDenied::NoToken => (None, Err((Code::Unauthenticated, "no-token"))),
                AccessDenied::NoBearerToken => (None, Err((Code::Unauthenticated, "no-bearer-token"))),
                AccessDenied::UnknownToken => (None, Err((Code::Unauthenticated, "unknown-token"))),
                AccessDenied::WrongScope(name) => (Some(name), Err((Code::Forbidden, "wrong-scope"))),
            }
        }
    };
    if let Some(name) = name {
        Span::current().record("token.name", name);
    }
    outcome.map_err(|(code, reason)| Problem::new(code).reason(reason))
}

impl FromRequestParts<Api> for Uploader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        authorize(parts, api, Scope::Upload).await.map(Self)
    }
}

impl FromRequestParts<Api> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        authorize(parts, api, Scope::Read).await.map(Self)
    }
}

/// The project in the path.
#[derive(Debug)]
pub struct ProjectPath(pub ProjectName);

impl FromRequestParts<Api> for ProjectPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let project = path_parameter(parts, api, "project").await;
        let project: ProjectName = project.and_then(|text| text.parse().ok()).ok_or_else(|| {
            Problem::new(Code::InvalidProject).detail(contract::photo::InvalidProjectName.to_string())
        })?;
        Span::current().record("project", project.as_str());
        Ok(Self(project))
    }
}

/// The photo in the path. An invalid id counts as an unknown photo.
#[derive(Debug)]
pub struct PhotoPath(pub PhotoId);

impl FromRequestParts<Api> for PhotoPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let id: PhotoId = path_parameter(parts, api, "id")
            .await
            .and_then(|text| text.parse().ok())
            .ok_or(Problem::new(Code::PhotoUnknown))?;
        Span::current().record("photo.id", id.get());
        Ok(Self(id))
    }
}

async fn path_parameter(parts: &mut Parts, api: &Api, name: &str) -> Option<String> {
    let path: Result<Path<BTreeMap<String, String>>, PathRejection> =
        Path::from_request_parts(parts, api).await;
    path.ok()?.0.remove(name)
}

/// The query string; errors become problems.
#[derive(Debug)]
pub struct QueryString<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Api> for QueryString<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, api).await {
            Ok(Query(query)) => Ok(Self(query)),
            Err(rejection) => {
                let error = rejection
                    .source()
                    .map_or_else(|| rejection.body_text(), ToString::to_string);
                Err(Problem::new(Code::InvalidQuery).detail(error))
            }
        }
    }
}

/// The number of items on a page, from 1 to `max`.
pub fn page_limit(requested: Option<i64>, default: i64, max: i64) -> Result<i64, Problem> {
    let limit = requested.unwrap_or(default);
    if (1..=max).contains(&limit) {
        Ok(limit)
    } else {
        Err(Problem::new(Code::InvalidQuery).detail(format!("limit must be from 1 to {max}")))
    }
}
