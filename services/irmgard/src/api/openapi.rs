//! The routes, and the OpenAPI document generated from them.

use axum::{
    Router,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        RefOr, Schema,
        schema::{ObjectBuilder, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Api, image, legacy, photos};
use crate::upload::MAX_FORM_PARTS;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Irmgard",
        description = "Accepts photos of construction sites and serves them once people in them cannot be recognised.",
    ),
    tags(
        (name = "photos", description = "Photos and timelapse projects"),
        (name = "given", description = "Compatible with the web service that this one replaces"),
    ),
    modifiers(&BearerScheme),
    security((), ("token" = [])),
)]
struct ApiDocument;

struct BearerScheme;

impl Modify for BearerScheme {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("Required if the service has a tokens file"))
            .build();
        openapi
            .components
            .get_or_insert_default()
            .add_security_scheme("token", SecurityScheme::Http(bearer));
    }
}

fn documented_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(ApiDocument::openapi())
        .routes(routes!(legacy::list, legacy::upload))
        .routes(routes!(photos::list_projects))
        .routes(routes!(photos::list, photos::upload))
        .routes(routes!(photos::one))
        .routes(routes!(image::get))
}

/// The OpenAPI document, as `GET /openapi.json` returns it.
#[must_use]
pub fn openapi_json() -> String {
    let (_, mut document) = documented_routes().split_for_parts();
    limit_form_fields(&mut document);
    // The document holds only strings and maps with string keys, which always serialise.
    let mut json = document.to_pretty_json().unwrap_or_default();
    json.push('\n');
    json
}

/// Adds what the derive macro cannot express: other fields are ignored, but their number and names are
/// limited.
fn limit_form_fields(document: &mut utoipa::openapi::OpenApi) {
    let schemas = document
        .components
        .as_mut()
        .map(|components| &mut components.schemas);
    let form = schemas.and_then(|schemas| schemas.get_mut("UploadForm"));
    if let Some(RefOr::T(Schema::Object(form))) = form {
        let name = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^[^\\x00-\\x1F\\x7F]{0,255}$"));
        form.property_names = Some(Box::new(Schema::Object(name.build())));
        form.max_properties = Some(MAX_FORM_PARTS);
    }
}

pub(super) fn routes() -> Router<Api> {
    let (router, _) = documented_routes().split_for_parts();
    let json = Bytes::from(openapi_json());
    router.route(
        "/openapi.json",
        get(|| async move { json_response(json.clone()) }),
    )
}

fn json_response(json: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], json).into_response()
}
