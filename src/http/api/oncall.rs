//! `/api/v1/oncall`: who is on call now, or at another time, by the schedules as they stand.

use crate::domain::schedule::{Duty, Schedule, Turn, duties};
use crate::http::auth::Principal;
use crate::http::problem::Problem;
use crate::http::services::Services;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// Who is on call.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct OnCallList {
    /// RFC 3339; the time that is asked about.
    pub at: String,
    /// Schedules that say who is on call, by name.
    pub schedules: Vec<OnCallShape>,
}

/// Who is on call in one schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OnCallShape {
    /// The schedule.
    pub schedule: String,
    /// Who; null where nobody is.
    pub person: Option<String>,
    /// Their member id in Slack, where the settings have one.
    pub slack: Option<String>,
    /// The rotation that says so; null for an override.
    pub rotation: Option<String>,
    /// Whether an override says so.
    #[serde(rename = "override")]
    pub is_override: bool,
    /// RFC 3339; when that changes. Null where it does not within a year.
    pub until: Option<String>,
    /// Who follows then; null where nobody does, or nothing changes.
    pub next: Option<String>,
}

/// What is asked.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct OnCallQuery {
    /// RFC 3339; another time than now.
    #[param(value_type = Option<String>)]
    pub at: Option<Timestamp>,
    /// Only this schedule.
    pub schedule: Option<String>,
}

impl OnCallShape {
    fn of(duty: &Duty<'_>, schedule: &Schedule) -> Self {
        let person = duty.now.map(|turn| turn.person);
        Self {
            schedule: duty.schedule.to_owned(),
            person: person.map(str::to_owned),
            slack: person.and_then(|person| schedule.contact_of(person).slack),
            rotation: duty.now.and_then(|turn| turn.rotation).map(str::to_owned),
            is_override: duty.now.is_some_and(|turn: Turn<'_>| turn.rotation.is_none()),
            until: duty.until.map(|until| until.to_string()),
            next: duty.next.map(|turn| turn.person.to_owned()),
        }
    }
}

/// Who is on call at a time, in all schedules that say so or in one. The same for every door: API, command line, Slack.
///
/// # Errors
/// A sentence where there is no such schedule, or where it says nothing of who is on call.
pub fn on_call(
    schedules: &BTreeMap<String, Schedule>,
    only: Option<&str>,
    at: Timestamp,
) -> Result<OnCallList, String> {
    if let Some(name) = only {
        match schedules.get(name) {
            None => return Err(format!("there is no schedule `{name}`")),
            Some(schedule) if schedule.on_call.is_none() => {
                return Err(format!("the schedule `{name}` has no rotations: it says when, and not who"));
            }
            Some(_) => {}
        }
    }
    let wanted =
        duties(schedules, at).into_iter().filter(|duty| only.is_none_or(|only| only == duty.schedule));
    let shapes = wanted
        .filter_map(|duty| schedules.get(duty.schedule).map(|schedule| OnCallShape::of(&duty, schedule)))
        .collect();
    Ok(OnCallList { at: at.to_string(), schedules: shapes })
}

/// Says who is on call.
///
/// # Errors
/// 400 for a time that is none, 404 for a schedule that does not exist or has no rotations.
#[utoipa::path(get, path = "/api/v1/oncall", params(OnCallQuery), security(("bearer" = [])),
    responses((status = 200, body = OnCallList, description = "Who is on call, by schedule."),
        (status = 400, body = Problem), (status = 404, body = Problem, description = "There is no such schedule, or it has no rotations.")))]
pub async fn show(
    _: Principal,
    State(services): State<Services>,
    query: Result<Query<OnCallQuery>, QueryRejection>,
) -> Result<Json<OnCallList>, Problem> {
    let Query(OnCallQuery { at, schedule }) = query?;
    let at = at.unwrap_or_else(|| services.clock.now());
    on_call(&services.playbook.schedules(), schedule.as_deref(), at).map(Json).map_err(Problem::not_found)
}
