//! `/api/v1/shadow`: what rules in shadow would have done, against what people and live rules did.
//!
//! Computed from stored incidents and their trails each time that somebody asks; nothing is written, and what it suggests
//! is text. Reading order: this page, then [`tally`] (what is counted), then [`advice`] (what is suggested).

mod advice;
mod tally;

pub use tally::{RemedyShadow, RuleShadow, ShadowReport};

use crate::domain::incident::IncidentId;
use crate::domain::shadow::Other;
use crate::engine::ports::{IncidentQuery, Reader};
use crate::http::auth::Principal;
use crate::http::problem::Problem;
use crate::http::services::Services;
use crate::period::Period;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use std::collections::VecDeque;
use tally::Tally;
use utoipa::IntoParams;

/// How far back where nobody says: long enough for rare alerts, and as long as most keep what is over.
const SINCE_DEFAULT: Period = Period::from_days(30);

/// Incidents that one report reads. A service with more of them in a month has a storm to look into first; whoever wants
/// to see further asks about a shorter time.
const INCIDENTS_MAX: usize = 20_000;

/// Incidents in shadow whose trails one report reads, each with its whole timeline.
const WATCHED_MAX: usize = 2_000;

/// Incidents that are read at once: their bodies stand in memory together.
const PART_MAX: u32 = 100;

/// How long before an incident in shadow one of a live rule may have begun that is compared with it. Those that were open
/// for longer are about something else, and as many would have to be kept.
const BEGAN_BEFORE_MAX: SignedDuration = SignedDuration::from_hours(24);

/// What is asked.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct ShadowQuery {
    /// Only this rule.
    pub rule: Option<String>,
    /// How far back, such as `30d`, which is the default.
    #[param(value_type = Option<String>)]
    pub since: Option<Period>,
}

/// Compares what rules in shadow would have done with what was done.
///
/// # Errors
/// 400 for a time that is none, 404 for a rule that does not exist and left no incident, 503 where the store does not
/// answer.
#[utoipa::path(get, path = "/api/v1/shadow", params(ShadowQuery), security(("bearer" = [])),
    responses((status = 200, body = ShadowReport, description = "The report, rule by rule."),
        (status = 400, body = Problem), (status = 404, body = Problem, description = "There is no such rule.")))]
pub async fn report(
    _: Principal,
    State(services): State<Services>,
    query: Result<Query<ShadowQuery>, QueryRejection>,
) -> Result<Json<ShadowReport>, Problem> {
    let Query(ShadowQuery { rule, since }) = query?;
    let now = services.clock.now();
    let since = now.checked_sub(since.unwrap_or(SINCE_DEFAULT).signed()).unwrap_or(Timestamp::MIN);
    let modes = services.playbook.modes();
    let known = rule.as_ref().is_none_or(|rule| modes.contains_key(rule));
    let report = gather(&*services.reader, Tally::new(modes, rule.clone(), since, now)).await?;
    if !known && report.rules.is_empty() {
        let rule = rule.unwrap_or_default();
        return Err(Problem::not_found(format!(
            "there is no rule `{rule}`, and no incident in shadow of it"
        )));
    }
    Ok(Json(report))
}

/// Reads incidents from the newest to the oldest. Of those of live rules what matters is kept, which [`INCIDENTS_MAX`]
/// bounds; one in shadow waits until all that may be beside it have been seen, and is then read with its trail.
async fn gather(reader: &dyn Reader, mut tally: Tally) -> Result<ShadowReport, Problem> {
    let mut others: VecDeque<Other> = VecDeque::new();
    let mut waiting: VecDeque<(IncidentId, Timestamp)> = VecDeque::new();
    let (mut seen, mut watched, mut last) = (0, 0, None);
    let mut read_from = Timestamp::MAX;
    'read: loop {
        let query = IncidentQuery { statuses: Vec::new(), limit: PART_MAX, after: last };
        let found = reader.incidents(query).await?;
        last = found.last().map(|incident| incident.id.clone());
        for incident in &found {
            let began = incident.started_at;
            while waiting.front().is_some_and(|(_, from)| is_past(*from, began)) {
                compare(reader, &mut tally, &mut waiting, &others).await?;
            }
            if is_past(tally.since(), began) && waiting.is_empty() {
                break 'read;
            }
            seen += 1;
            if seen > INCIDENTS_MAX || watched >= WATCHED_MAX {
                tally.read_up_to(read_from);
                break 'read;
            }
            read_from = began;
            if !incident.mode.is_shadow() {
                others.push_back(Other::of(incident));
            } else if tally.wants(incident) {
                watched += 1;
                waiting.push_back((incident.id.clone(), began));
            }
        }
        if found.len() < PART_MAX as usize {
            break;
        }
    }
    while !waiting.is_empty() {
        compare(reader, &mut tally, &mut waiting, &others).await?;
    }
    Ok(tally.report())
}

/// Whether nothing that began then, or before, can be beside an incident that began at `began`.
fn is_past(began: Timestamp, then: Timestamp) -> bool {
    began.duration_since(then) > BEGAN_BEFORE_MAX
}

async fn compare(
    reader: &dyn Reader,
    tally: &mut Tally,
    waiting: &mut VecDeque<(IncidentId, Timestamp)>,
    others: &VecDeque<Other>,
) -> Result<(), Problem> {
    let Some((id, _)) = waiting.pop_front() else { return Ok(()) };
    // One that was pruned meanwhile has nothing to say any more.
    if let Some(view) = reader.incident(&id).await? {
        let beside: Vec<&Other> = others.iter().filter(|other| other.is_beside(&view.incident)).collect();
        tally.take(&view.incident, &view.timeline, &beside);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
