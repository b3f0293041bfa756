//! `/api/v1/incidents`: read, acknowledge, resolve, tick off tasks.

use super::bounded::{self, Bounded, LIST_BYTES_MAX, Wanted};
use super::shapes::{IncidentDetail, IncidentSummary};
use crate::domain::incident::{Incident, IncidentId, IncidentStatus};
use crate::domain::people::Role;
use crate::http::auth::Principal;
use crate::http::problem::Problem;
use crate::http::services::Services;
use crate::period::Period;
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Incidents on a page where the caller does not say.
const PAGE_DEFAULT: u32 = 50;
/// Most incidents on a page, which may have fewer where they are large.
pub const PAGE_MAX: u32 = 500;
/// Hexadecimal digits of an incident's identity, a UUID.
const ID_DIGITS: usize = 32;
/// Shortest silence: setting one takes a moment, and so does its end.
const SILENCE_MIN: Period = Period::from_mins(1);
/// Longest text that a person may give as a reason.
pub const REASON_BYTES_MAX: usize = 1_000;

/// Which incidents.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// `triggered`, `acknowledged` or `resolved`, several separated by commas; `open` means the first two.
    status: Option<String>,
    /// Most incidents on the page, 1 to 500.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of incidents, newest first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct IncidentPage {
    /// The incidents; fewer than asked for where they take more than four megabytes.
    pub incidents: Vec<IncidentSummary>,
    /// What to send as `cursor` for the next page; null on the last.
    pub next_cursor: Option<String>,
}

/// Lists incidents, newest first.
///
/// # Errors
/// 400 for an unknown status, a limit out of range or a cursor that no page gave, 503 where the store does not answer.
#[utoipa::path(get, path = "/api/v1/incidents", params(ListQuery), security(("bearer" = [])),
    responses((status = 200, body = IncidentPage, description = "A page of incidents."), (status = 400, body = Problem)))]
pub async fn list(
    _: Principal,
    State(services): State<Services>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<IncidentPage>, Problem> {
    let Query(query) = query?;
    let limit = query.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Problem::bad_request(format!("`limit` is 1 to {PAGE_MAX}, and this is {limit}")));
    }
    let statuses = statuses(query.status.as_deref().unwrap_or_default())?;
    let after = query.cursor.map(cursor).transpose()?;
    let wanted = Wanted { statuses, after, most: limit as usize };
    let shape = |incident: &Incident| vec![IncidentSummary::from(incident)];
    let Bounded { items, last, more } =
        bounded::list(&*services.reader, wanted, LIST_BYTES_MAX, shape).await?;
    let next_cursor = last.filter(|_| more).map(|id| id.to_string());
    Ok(Json(IncidentPage { incidents: items, next_cursor }))
}

/// The end of the page before. Anything that is no identity would be compared with identities all the same, and end
/// the list early.
fn cursor(text: String) -> Result<IncidentId, Problem> {
    if text.len() == ID_DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(IncidentId(text));
    }
    Err(Problem::bad_request("`cursor` is not the `next_cursor` of a page"))
}

fn statuses(text: &str) -> Result<Vec<IncidentStatus>, Problem> {
    use IncidentStatus::{Acknowledged, Resolved, Triggered};
    let mut statuses = Vec::new();
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word {
            "triggered" => statuses.push(Triggered),
            "acknowledged" => statuses.push(Acknowledged),
            "resolved" => statuses.push(Resolved),
            "open" => statuses.extend([Triggered, Acknowledged]),
            other => {
                return Err(Problem::bad_request(format!(
                    "`{other}` is no status: use triggered, acknowledged, resolved or open"
                )));
            }
        }
    }
    Ok(statuses)
}

/// One incident with findings, actions and timeline.
///
/// # Errors
/// 404 where there is none.
#[utoipa::path(get, path = "/api/v1/incidents/{id}", params(("id" = String, Path, description = "Identity of the incident.")),
    security(("bearer" = [])),
    responses((status = 200, body = IncidentDetail, description = "The incident."), (status = 404, body = Problem)))]
pub async fn show(
    _: Principal,
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<Json<IncidentDetail>, Problem> {
    detail(&services, IncidentId(id)).await
}

/// The record of an incident for those who learn from it: summary, impact, rules, timeline, evidence, decisions, tasks and
/// what would prevent it, with the whole as a Markdown document under `markdown`.
///
/// # Errors
/// 404 where there is none.
#[utoipa::path(get, path = "/api/v1/incidents/{id}/postmortem",
    params(("id" = String, Path, description = "Identity of the incident.")), security(("bearer" = [])),
    responses((status = 200, body = serde_json::Value, description = "The record as it is now."),
        (status = 404, body = Problem)))]
pub async fn postmortem(
    _: Principal,
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<Json<serde_json::Value>, Problem> {
    match services.reader.incident(&IncidentId(id.clone())).await? {
        Some(view) => Ok(Json((services.write_record)(&view))),
        None => Err(Problem::not_found(format!("there is no incident `{id}`"))),
    }
}

async fn detail(services: &Services, id: IncidentId) -> Result<Json<IncidentDetail>, Problem> {
    match services.reader.incident(&id).await? {
        Some(view) => Ok(Json(IncidentDetail::from(&view))),
        None => Err(Problem::not_found(format!("there is no incident `{id}`"))),
    }
}

/// Takes the incident in the caller's name: nothing escalates after this.
///
/// # Errors
/// 400 for a body that is not understood, 403 below responder, 404 where there is none, 409 where it is taken or over.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/acknowledge",
    params(("id" = String, Path, description = "Identity of the incident.")),
    request_body(content = Option<WithReason>, description = "Nothing at all, or why."),
    security(("bearer" = [])),
    responses((status = 200, body = IncidentDetail, description = "The incident as it is now."),
        (status = 400, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn acknowledge(
    principal: Principal,
    State(services): State<Services>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<IncidentDetail>, Problem> {
    principal.require(Role::Responder)?;
    let id = IncidentId(id);
    services.commands.acknowledge(id.clone(), principal.actor(), reason_of(&body)?).await?;
    detail(&services, id).await
}

/// Why, in the caller's words.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WithReason {
    /// At most 1,000 bytes.
    pub reason: Option<String>,
}

/// Reads an optional JSON body with a reason. No body at all is fine: most callers have nothing to add.
pub(super) fn reason_of(body: &Bytes) -> Result<Option<String>, Problem> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let WithReason { reason } = serde_json::from_slice(body)
        .map_err(|error| Problem::bad_request(format!("the body is not `{{\"reason\": \"…\"}}`: {error}")))?;
    short_reason(reason)
}

fn short_reason(reason: Option<String>) -> Result<Option<String>, Problem> {
    if reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
        return Err(Problem::bad_request(format!("`reason` is longer than {REASON_BYTES_MAX} bytes")));
    }
    Ok(reason.filter(|reason| !reason.trim().is_empty()))
}

/// Lets the caller go on by hand: nothing more is tried, undone or proposed in this incident.
///
/// What waits is called off. An attempt under way comes to its end, and what was changed for a limited time is set back when
/// it is due.
///
/// # Errors
/// As for `acknowledge`.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/take-over",
    params(("id" = String, Path, description = "Identity of the incident.")),
    request_body(content = Option<WithReason>, description = "Nothing at all, or why."),
    security(("bearer" = [])),
    responses((status = 200, body = IncidentDetail, description = "The incident as it is now."),
        (status = 400, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn take_over(
    principal: Principal,
    State(services): State<Services>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<IncidentDetail>, Problem> {
    principal.require(Role::Responder)?;
    let id = IncidentId(id);
    services.commands.take_over(id.clone(), principal.actor(), reason_of(&body)?).await?;
    detail(&services, id).await
}

/// Calls the next level of the escalation at once. An incident that somebody has needs an acknowledgement again.
///
/// # Errors
/// 403 below responder, 404 where there is none, 409 where it is over.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/escalate",
    params(("id" = String, Path, description = "Identity of the incident.")),
    request_body(content = Option<WithReason>, description = "Nothing at all, or why."),
    security(("bearer" = [])),
    responses((status = 200, body = IncidentDetail, description = "The incident as it is now."),
        (status = 400, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn escalate(
    principal: Principal,
    State(services): State<Services>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<IncidentDetail>, Problem> {
    principal.require(Role::Responder)?;
    let id = IncidentId(id);
    services.commands.escalate(id.clone(), principal.actor(), reason_of(&body)?).await?;
    detail(&services, id).await
}

/// For how long, and why.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SilenceRequest {
    /// A length of time such as `4h` or `1d`; without it the silence stands until the incident is over.
    #[serde(default, rename = "for")]
    #[schema(value_type = Option<String>)]
    pub lasts: Option<Period>,
    /// At most 1,000 bytes.
    pub reason: Option<String>,
}

/// Silences the alerts that fire in Alertmanager, each with exactly its labels, and takes the incident in the caller's name
/// until the silence is over. Again with a later end, the silence is extended.
///
/// # Errors
/// As for `acknowledge`, and 409 where no Alertmanager is set up, nothing fires, or the silence stands already.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/silence",
    params(("id" = String, Path, description = "Identity of the incident.")),
    request_body(content = Option<SilenceRequest>, description = "Nothing at all, or for how long and why."),
    security(("bearer" = [])),
    responses((status = 200, body = IncidentDetail, description = "The incident as it is now."),
        (status = 400, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn silence(
    principal: Principal,
    State(services): State<Services>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<IncidentDetail>, Problem> {
    principal.require(Role::Responder)?;
    let id = IncidentId(id);
    let SilenceRequest { lasts, reason } = silence_of(&body)?;
    let lasts = lasts.map(Period::signed);
    services.commands.silence(id.clone(), principal.actor(), lasts, reason).await?;
    detail(&services, id).await
}

fn silence_of(body: &Bytes) -> Result<SilenceRequest, Problem> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(SilenceRequest::default());
    }
    let SilenceRequest { lasts, reason } = serde_json::from_slice(body).map_err(|error| {
        Problem::bad_request(format!("the body is not `{{\"for\": \"4h\", \"reason\": \"…\"}}`: {error}"))
    })?;
    if lasts.is_some_and(|lasts| lasts < SILENCE_MIN) {
        return Err(Problem::bad_request(format!("`for` is at least {SILENCE_MIN}")));
    }
    Ok(SilenceRequest { lasts, reason: short_reason(reason)? })
}

/// Lifts the silence that was set here; the incident stays with whoever has it.
///
/// # Errors
/// As for `acknowledge`, and 409 where nobody has silenced it.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/unsilence",
    params(("id" = String, Path, description = "Identity of the incident.")),
    request_body(content = Option<WithReason>, description = "Nothing at all, or why."),
    security(("bearer" = [])),
    responses((status = 200, body = IncidentDetail, description = "The incident as it is now."),
        (status = 400, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn unsilence(
    principal: Principal,
    State(services): State<Services>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<IncidentDetail>, Problem> {
    principal.require(Role::Responder)?;
    let id = IncidentId(id);
    services.commands.unsilence(id.clone(), principal.actor(), reason_of(&body)?).await?;
    detail(&services, id).await
}

/// Ends the incident in the caller's name.
///
/// # Errors
/// 403 below responder, 404 where there is none, 409 where it is over.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/resolve",
    params(("id" = String, Path, description = "Identity of the incident.")),
    request_body(content = Option<WithReason>, description = "Nothing at all, or why."),
    security(("bearer" = [])),
    responses((status = 200, body = IncidentDetail, description = "The incident as it is now."),
        (status = 400, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn resolve(
    principal: Principal,
    State(services): State<Services>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<IncidentDetail>, Problem> {
    principal.require(Role::Responder)?;
    let id = IncidentId(id);
    services.commands.resolve(id.clone(), principal.actor(), reason_of(&body)?).await?;
    detail(&services, id).await
}

/// Which item of a task.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemQuery {
    /// Index from 0; absent means every item.
    item: Option<usize>,
}

/// Says that an item of a task, or all of it, is done.
///
/// # Errors
/// 403 below responder, 404 where there is no such incident, task or item.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/tasks/{task}/done",
    params(("id" = String, Path, description = "Identity of the incident."),
        ("task" = usize, Path, description = "Index of the task, from 0."),
        ("item" = Option<usize>, Query, description = "Index of the item, from 0; without it every item is done.")),
    security(("bearer" = [])),
    responses((status = 200, body = IncidentDetail, description = "The incident as it is now."),
        (status = 400, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem)))]
pub async fn task_done(
    principal: Principal,
    State(services): State<Services>,
    path: Result<Path<(String, usize)>, PathRejection>,
    query: Result<Query<ItemQuery>, QueryRejection>,
) -> Result<Json<IncidentDetail>, Problem> {
    principal.require(Role::Responder)?;
    let (Path((id, task)), Query(query)) = (path?, query?);
    let id = IncidentId(id);
    services.commands.item_done(id.clone(), task, query.item, principal.actor()).await?;
    detail(&services, id).await
}
