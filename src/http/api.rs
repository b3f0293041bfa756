//! The HTTP API, version 1. Shapes and words are a contract: scripts rely on them.

pub mod actions;
mod bounded;
pub mod checks;
mod complete;
pub mod incidents;
pub mod oncall;
pub mod pause;
mod refusal;
pub mod shadow;
pub mod shapes;
pub mod temporary;

use axum::Json;
use complete::Complete;
use utoipa::OpenApi;

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
        incidents::postmortem,
        incidents::acknowledge,
        incidents::take_over,
        incidents::escalate,
        incidents::silence,
        incidents::unsilence,
        incidents::resolve,
        incidents::task_done,
        actions::list,
        temporary::list,
        oncall::show,
        checks::list,
        checks::run,
        shadow::report,
        actions::approve,
        actions::reject,
        pause::show,
        pause::change,
        crate::http::health::reload,
        crate::http::receive::alertmanager::receive,
        crate::http::receive::grafana::receive,
        crate::http::receive::pagerduty::receive,
        crate::http::receive::slack::receive,
        crate::http::health::alive,
        crate::http::health::ready,
        crate::http::health::metrics,
        openapi,
    ),
    components(schemas(crate::http::problem::Problem, checks::ReportShape)),
    modifiers(&Complete),
)]
struct Description;

/// This description, OpenAPI 3.1.
#[utoipa::path(get, path = "/api/openapi.json", responses((status = 200, description = "This document.",
    content_type = "application/json", body = serde_json::Value)))]
pub async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(description())
}

/// The description, OpenAPI 3.1.
pub fn description() -> utoipa::openapi::OpenApi {
    Description::openapi()
}
