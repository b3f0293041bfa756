//! The HTTP API, version 1. Shapes and words are a contract: scripts rely on them.

pub mod actions;
pub mod incidents;
pub mod pause;
mod refusal;
pub mod shapes;

use axum::Json;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};

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
    ),
    components(schemas(crate::http::problem::Problem)),
    modifiers(&Security),
)]
struct Description;

struct Security;

impl utoipa::Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

/// `GET /api/openapi.json`: the description, OpenAPI 3.1.
pub async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(Description::openapi())
}
