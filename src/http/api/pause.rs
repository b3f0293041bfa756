//! `/api/v1/pause`: the kill switch. It stops actions, never messages, and only a person lifts it.

use super::incidents::REASON_BYTES_MAX;
use super::shapes::PauseShape;
use crate::domain::dns::is_dns_label;
use crate::domain::people::Role;
use crate::http::auth::Principal;
use crate::http::problem::Problem;
use crate::http::services::Services;
use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Pauses in force.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PauseList {
    /// Whether everything is paused.
    pub paused: bool,
    /// All pauses.
    pub pauses: Vec<PauseShape>,
}

/// A change of the switch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// True sets, false lifts.
    pub paused: bool,
    /// Only this namespace; absent means everything.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Why; required to set.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Shows the pauses in force.
///
/// # Errors
/// 503 where the store does not answer.
#[utoipa::path(get, path = "/api/v1/pause", security(("bearer" = [])),
    responses((status = 200, body = PauseList, description = "The pauses in force.")))]
pub async fn show(_: Principal, State(services): State<Services>) -> Result<Json<PauseList>, Problem> {
    let pauses = services.reader.pauses().await?;
    Ok(Json(PauseList {
        paused: pauses.iter().any(|pause| pause.namespace.is_none()),
        pauses: pauses.iter().map(PauseShape::from).collect(),
    }))
}

/// Sets or lifts a pause.
///
/// # Errors
/// 403 below admin, 400 for a body that is not understood, a missing reason, or a namespace that no cluster can have.
#[utoipa::path(put, path = "/api/v1/pause",
    request_body(content = PauseRequest, description = "What is paused or no longer paused, and why."),
    security(("bearer" = [])),
    responses((status = 200, body = PauseList, description = "The pauses in force now."),
        (status = 400, body = Problem), (status = 403, body = Problem)))]
pub async fn change(
    principal: Principal,
    State(services): State<Services>,
    body: Bytes,
) -> Result<Json<PauseList>, Problem> {
    principal.require(Role::Admin)?;
    let request: PauseRequest = serde_json::from_slice(&body).map_err(|error| {
        Problem::bad_request(format!("the body is not `{{\"paused\": true, \"reason\": \"…\"}}`: {error}"))
    })?;
    if request.namespace.as_deref().is_some_and(|name| name.trim().is_empty()) {
        return Err(Problem::bad_request("`namespace` is empty; leave it out to mean everything"));
    }
    if request.paused {
        // To lift one is always possible, whatever its name.
        if let Some(name) = request.namespace.as_deref().filter(|name| !is_dns_label(name)) {
            return Err(Problem::bad_request(format!(
                "{name:?} is no name of a namespace: it would pause nothing"
            )));
        }
        let reason =
            request.reason.map(|reason| reason.trim().to_owned()).filter(|reason| !reason.is_empty());
        let reason = reason.ok_or_else(|| Problem::bad_request("a pause needs a `reason`"))?;
        if reason.len() > REASON_BYTES_MAX {
            return Err(Problem::bad_request(format!("`reason` is longer than {REASON_BYTES_MAX} bytes")));
        }
        services.commands.pause(request.namespace, &principal.actor(), reason, services.clock.now()).await?;
    } else {
        services.commands.resume(request.namespace).await?;
    }
    tracing::warn!(actor.name = %principal.name, paused = request.paused, "the kill switch was used");
    show(principal, State(services)).await
}
