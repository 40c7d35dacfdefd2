//! The routes, and their description made from the code.

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

use super::{Api, given, image, photos};
use crate::upload::MAX_PARTS;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Irmgard",
        description = "Takes photos of construction sites and serves them once nobody in them can be recognised.",
    ),
    tags(
        (name = "photos", description = "Photos and timelapse projects"),
        (name = "given", description = "The API of the web service that this one replaces"),
    ),
    modifiers(&Bearer),
    security((), ("token" = [])),
)]
struct Description;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("Needed where the service has a tokens file"))
            .build();
        openapi
            .components
            .get_or_insert_default()
            .add_security_scheme("token", SecurityScheme::Http(bearer));
    }
}

fn described() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(given::list, given::upload))
        .routes(routes!(photos::list_projects))
        .routes(routes!(photos::list, photos::upload))
        .routes(routes!(photos::one))
        .routes(routes!(image::get))
}

/// The description, as `GET /openapi.json` answers it.
#[must_use]
pub fn description() -> String {
    let (_, mut description) = described().split_for_parts();
    bound_form(&mut description);
    // Made of texts and maps with texts as keys, which always serialise.
    let mut json = description.to_pretty_json().unwrap_or_default();
    json.push('\n');
    json
}

/// What a derive cannot say of a form: other fields are passed over, but their number and names are bounded.
fn bound_form(description: &mut utoipa::openapi::OpenApi) {
    let schemas = description
        .components
        .as_mut()
        .map(|components| &mut components.schemas);
    let form = schemas.and_then(|schemas| schemas.get_mut("UploadForm"));
    if let Some(RefOr::T(Schema::Object(form))) = form {
        let name = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^[^\\x00-\\x1F\\x7F]{0,255}$"));
        form.property_names = Some(Box::new(Schema::Object(name.build())));
        form.max_properties = Some(MAX_PARTS);
    }
}

/// All routes.
pub(super) fn routes() -> Router<Api> {
    let (router, _) = described().split_for_parts();
    let json = Bytes::from(description());
    router.route("/openapi.json", get(|| async move { answer(json.clone()) }))
}

fn answer(json: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], json).into_response()
}
