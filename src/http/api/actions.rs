//! `/api/v1/actions`: what waits for people, and their decisions.

use super::bounded::{self, Bounded, LIST_BYTES_MAX, Wanted};
use super::incidents::reason_of;
use super::shapes::{ActionShape, IncidentDetail};
use crate::domain::action::{Action, ActionId, ActionStatus, PlanDigest};
use crate::domain::apply::Refused;
use crate::domain::approval::{Ballot, Verdict};
use crate::domain::incident::{Incident, IncidentId, IncidentStatus};
use crate::domain::people::Role;
use crate::engine::commands::CommandError;
use crate::http::auth::Principal;
use crate::http::problem::Problem;
use crate::http::services::Services;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Open incidents whose actions are listed. Enough for any night; the rest is reached through the incidents.
const INCIDENTS_MAX: usize = 500;

/// Actions of open incidents.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ActionList {
    /// The actions, those of the newest incident first.
    pub actions: Vec<ListedAction>,
    /// Whether there are open incidents whose actions are not listed: more than 500, or more than four megabytes. Ask for
    /// the incidents themselves, which come in pages.
    #[serde(default)]
    pub more: bool,
}

/// An action with its incident.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ListedAction {
    /// Identity of the incident.
    pub incident: String,
    /// The action.
    #[serde(flatten)]
    pub action: ActionShape,
}

/// Which actions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ActionQuery {
    /// Only actions of this status, such as `awaiting_approval`.
    status: Option<String>,
}

/// Lists the actions of open incidents.
///
/// # Errors
/// 400 for a query that is not understood.
#[utoipa::path(get, path = "/api/v1/actions", params(ActionQuery), security(("bearer" = [])),
    responses((status = 200, body = ActionList, description = "The actions."), (status = 400, body = Problem)))]
pub async fn list(
    _: Principal,
    State(services): State<Services>,
    query: Result<Query<ActionQuery>, QueryRejection>,
) -> Result<Json<ActionList>, Problem> {
    let Query(query) = query?;
    if let Some(status) = &query.status {
        let known: Option<ActionStatus> =
            serde_json::from_value(serde_json::Value::String(status.clone())).ok();
        if known.is_none() {
            return Err(Problem::bad_request(format!("`{status}` is no status of an action")));
        }
    }
    let open = vec![IncidentStatus::Triggered, IncidentStatus::Acknowledged];
    let is_wanted =
        |action: &&Action| query.status.as_deref().is_none_or(|status| action.status.as_str() == status);
    let shape = |incident: &Incident| -> Vec<ListedAction> {
        let id = incident.id.to_string();
        let wanted = incident.actions.iter().filter(is_wanted);
        wanted
            .map(|action| ListedAction { incident: id.clone(), action: ActionShape::from(action) })
            .collect()
    };
    let wanted = Wanted { statuses: open, after: None, most: INCIDENTS_MAX };
    let Bounded { items, more, .. } = bounded::list(&*services.reader, wanted, LIST_BYTES_MAX, shape).await?;
    Ok(Json(ActionList { actions: items, more }))
}

/// Optionally the plan that the caller saw.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DecisionQuery {
    /// Digest of the plan that the caller saw; the decision then counts for no other.
    digest: Option<String>,
}

/// Approves an action.
///
/// # Errors
/// 403 below approver, 404 where there is no such action, 409 where it does not wait for a decision.
#[utoipa::path(post, path = "/api/v1/actions/{id}/approve",
    params(("id" = String, Path, description = "Identity of the action."), DecisionQuery),
    request_body(content = Option<super::incidents::WithReason>, description = "Nothing at all, or why."),
    security(("bearer" = [])),
    responses((status = 200, body = IncidentDetail, description = "The incident of the action as it is now."),
        (status = 400, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn approve(
    principal: Principal,
    State(services): State<Services>,
    Path(id): Path<String>,
    query: Result<Query<DecisionQuery>, QueryRejection>,
    body: Bytes,
) -> Result<Json<IncidentDetail>, Problem> {
    let Query(query) = query?;
    decide(principal, services, id, query, body, Verdict::Approve).await
}

/// Rejects an action.
///
/// # Errors
/// As for approving.
#[utoipa::path(post, path = "/api/v1/actions/{id}/reject",
    params(("id" = String, Path, description = "Identity of the action."), DecisionQuery),
    request_body(content = Option<super::incidents::WithReason>, description = "Nothing at all, or why."),
    security(("bearer" = [])),
    responses((status = 200, body = IncidentDetail, description = "The incident of the action as it is now."),
        (status = 400, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn reject(
    principal: Principal,
    State(services): State<Services>,
    Path(id): Path<String>,
    query: Result<Query<DecisionQuery>, QueryRejection>,
    body: Bytes,
) -> Result<Json<IncidentDetail>, Problem> {
    let Query(query) = query?;
    decide(principal, services, id, query, body, Verdict::Reject).await
}

async fn decide(
    principal: Principal,
    services: Services,
    id: String,
    query: DecisionQuery,
    body: Bytes,
    verdict: Verdict,
) -> Result<Json<IncidentDetail>, Problem> {
    principal.require(Role::Approver)?;
    let reason = reason_of(&body)?;
    let incident = IncidentId(id.split_once("-a").map_or(id.as_str(), |(incident, _)| incident).to_owned());
    let digest = query.digest.map(PlanDigest);
    let unknown = || Problem::not_found(format!("there is no action `{id}`"));
    let (actor, is_named) = (principal.actor(), principal.is_person);
    let ballot = Ballot { actor, member: None, is_named, verdict, digest, reason };
    match services.commands.vote(ActionId(id.clone()), ballot).await {
        Ok(()) => {}
        // Whether the incident or its action is not there: the caller named an action.
        Err(CommandError::NoSuchIncident | CommandError::Refused(Refused::NoSuchAction)) => {
            return Err(unknown());
        }
        Err(error) => return Err(error.into()),
    }
    match services.reader.incident(&incident).await? {
        Some(view) => Ok(Json(IncidentDetail::from(&view))),
        None => Err(unknown()),
    }
}
