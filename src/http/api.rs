//! The HTTP API, version 1. Shapes and words are a contract: scripts rely on them.

pub mod actions;
pub mod incidents;
pub mod pause;
mod refusal;
pub mod shapes;

use axum::Json;
use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, Ref, ResponseBuilder};

/// Describes the API.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Smokejumper",
        description = "Incidents, actions and the kill switch. Bearer tokens carry a role: viewer reads, responder \
                       acknowledges and resolves, approver decides about actions, admin pauses and reloads. Errors \
                       are application/problem+json (RFC 9457)."
    ),
    paths(
        incidents::list,
        incidents::show,
        incidents::acknowledge,
        incidents::resolve,
        incidents::task_done,
        actions::list,
        actions::approve,
        actions::reject,
        pause::show,
        pause::change,
        crate::http::health::reload,
        crate::http::receive::alertmanager::receive,
        crate::http::receive::slack::receive,
        crate::http::health::alive,
        crate::http::health::ready,
        crate::http::health::metrics,
        openapi,
    ),
    components(schemas(crate::http::problem::Problem)),
    modifiers(&Security),
)]
struct Description;

/// What any request to the API may be answered with.
const EVERYWHERE: [(&str, &str); 2] = [
    ("401", "A valid token is required."),
    (
        "503",
        "The store does not answer, or too much is asked at once: try again after `Retry-After` seconds.",
    ),
];

const PROBLEM_JSON: &str = "application/problem+json";

struct Security;

impl utoipa::Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        for (path, item) in &mut openapi.paths.paths {
            for (method, operation) in
                [("get", &mut item.get), ("put", &mut item.put), ("post", &mut item.post)]
            {
                if let Some(operation) = operation {
                    complete(operation, method, path);
                }
            }
        }
    }
}

/// An identity of its own for each operation, and what any request to the API may be answered with.
fn complete(operation: &mut Operation, method: &str, path: &str) {
    let words: Vec<&str> =
        path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    operation.operation_id = Some(format!("{method}_{}", words.join("_")));
    if operation.security.is_none() {
        return;
    }
    for (status, words) in EVERYWHERE {
        let content = Content::new(Some(Ref::from_schema_name("Problem")));
        let response = ResponseBuilder::new().description(words).content(PROBLEM_JSON, content);
        operation.responses.responses.insert(status.to_owned(), response.build().into());
    }
}

/// `GET /api/openapi.json`: the description, OpenAPI 3.1.
#[utoipa::path(get, path = "/api/openapi.json", responses((status = 200, description = "This document.")))]
pub async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(description())
}

/// The description, OpenAPI 3.1.
pub fn description() -> utoipa::openapi::OpenApi {
    Description::openapi()
}
