//! Extractors: who calls, and what the address names.

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
    tokens::{Caller, Denied, Scope},
};

/// A caller that may send photos.
#[derive(Debug)]
pub struct Uploader(pub Caller);

/// A caller that may look at photos.
#[derive(Debug)]
pub struct Viewer(pub Caller);

async fn admit(parts: &mut Parts, api: &Api, scope: Scope) -> Result<Caller, Problem> {
    let authorization = parts.headers.get(header::AUTHORIZATION);
    let admitted = api
        .tokens
        .admit(authorization.map(|value| value.as_bytes()), scope);
    let (name, outcome) = match admitted {
        Ok(caller) => (caller.name.clone(), Ok(caller)),
        Err(denied) => {
            // Which camera it may be: the project is read after the token otherwise.
            let _ = InProject::from_request_parts(parts, api).await;
            match denied {
                Denied::NoToken => (None, Err((Code::Unauthenticated, "no-token"))),
                Denied::NoBearerToken => (None, Err((Code::Unauthenticated, "no-bearer-token"))),
                Denied::UnknownToken => (None, Err((Code::Unauthenticated, "unknown-token"))),
                Denied::WrongScope(name) => (Some(name), Err((Code::Forbidden, "wrong-scope"))),
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
        admit(parts, api, Scope::Upload).await.map(Self)
    }
}

impl FromRequestParts<Api> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        admit(parts, api, Scope::Read).await.map(Self)
    }
}

/// The project that the address names.
#[derive(Debug)]
pub struct InProject(pub ProjectName);

impl FromRequestParts<Api> for InProject {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let project = placeholder(parts, api, "project").await;
        let project: ProjectName = project.and_then(|text| text.parse().ok()).ok_or_else(|| {
            Problem::new(Code::InvalidProject).detail(contract::photo::InvalidProjectName.to_string())
        })?;
        Span::current().record("project", project.as_str());
        Ok(Self(project))
    }
}

/// The photo that the address names. What cannot be an id is an unknown one.
#[derive(Debug)]
pub struct OfPhoto(pub PhotoId);

impl FromRequestParts<Api> for OfPhoto {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let id: PhotoId = placeholder(parts, api, "id")
            .await
            .and_then(|text| text.parse().ok())
            .ok_or(Problem::new(Code::PhotoUnknown))?;
        Span::current().record("photo.id", id.get());
        Ok(Self(id))
    }
}

async fn placeholder(parts: &mut Parts, api: &Api, name: &str) -> Option<String> {
    let path: Result<Path<BTreeMap<String, String>>, PathRejection> =
        Path::from_request_parts(parts, api).await;
    path.ok()?.0.remove(name)
}

/// The query string.
#[derive(Debug)]
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Api> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, api).await {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(rejection) => {
                let error = rejection
                    .source()
                    .map_or_else(|| rejection.body_text(), ToString::to_string);
                Err(Problem::new(Code::InvalidQuery).detail(error))
            }
        }
    }
}

/// At most so many, of those that are asked for at once.
///
/// # Errors
/// When it is not within 1 to `most`.
pub fn limit(asked: Option<i64>, usual: i64, most: i64) -> Result<i64, Problem> {
    let limit = asked.unwrap_or(usual);
    if (1..=most).contains(&limit) {
        Ok(limit)
    } else {
        Err(Problem::new(Code::InvalidQuery).detail(format!("limit is 1 to {most}")))
    }
}
