//! `/api/v1/checks`: scheduled checks, when they run next, and what they found last.

use crate::domain::people::Role;
use crate::domain::scheduled::CheckReport;
use crate::engine::playbook::KeptCheck;
use crate::engine::ports::ChecksView;
use crate::http::auth::Principal;
use crate::http::problem::Problem;
use crate::http::services::Services;
use axum::Json;
use axum::extract::{Path, State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// All scheduled checks.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct CheckList {
    /// By name.
    pub checks: Vec<CheckShape>,
}

/// One scheduled check.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CheckShape {
    /// Its name.
    pub name: String,
    /// What is looked after.
    pub summary: String,
    /// Runbook procedures that it implements.
    pub procedures: Vec<String>,
    /// When it runs: a cron expression.
    pub schedule: String,
    /// By whose clock.
    pub time_zone: String,
    /// RFC 3339; when it runs next. In the past where that is late.
    pub next_run_at: Option<String>,
    /// What the last run found, a `ReportShape`; null before the first.
    #[schema(value_type = Option<Object>)]
    pub last: Option<ReportShape>,
}

/// What a run found.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReportShape {
    /// `green`, `red`, or `unknown` where nothing is red and something could not be seen.
    pub outcome: String,
    /// The same in a sentence.
    pub in_short: String,
    /// RFC 3339; when it was to run.
    pub due_at: String,
    /// RFC 3339; when it ran.
    pub ran_at: String,
    /// Runs that should have been between the two.
    pub missed: u32,
    /// Who asked for it; null for one that was due.
    pub asked_by: Option<String>,
    /// How the items came out.
    pub items: Vec<ItemShape>,
}

/// One item of a report.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ItemShape {
    /// Its name.
    pub name: String,
    /// For people.
    pub title: String,
    /// `green`, `red`, `unknown`, `shown` or `for_people`.
    pub outcome: String,
    /// What was found, why nobody can tell, or who has to look.
    pub text: String,
}

impl From<&CheckReport> for ReportShape {
    fn from(report: &CheckReport) -> Self {
        let items = report.items.iter().map(|item| ItemShape {
            name: item.name.clone(),
            title: item.title.clone(),
            outcome: item.outcome.as_str().to_owned(),
            text: item.told().to_owned(),
        });
        Self {
            outcome: report.verdict().as_str().to_owned(),
            in_short: report.in_short(),
            due_at: report.due_at.to_string(),
            ran_at: report.ran_at.to_string(),
            missed: report.missed,
            asked_by: report.asked_by.clone(),
            items: items.collect(),
        }
    }
}

impl CheckShape {
    fn of(kept: &KeptCheck, view: &ChecksView) -> Self {
        let check = &kept.check;
        let due: Option<Timestamp> =
            view.pending.iter().filter(|run| run.check == check.name).map(|run| run.due_at).min();
        Self {
            name: check.name.clone(),
            summary: check.summary.clone(),
            procedures: check.procedures.clone(),
            schedule: check.moments.expression().to_owned(),
            time_zone: check.moments.zone().name().to_owned(),
            next_run_at: due.map(|due| due.to_string()),
            last: view.results.get(&check.name).map(ReportShape::from),
        }
    }
}

/// Lists the scheduled checks.
///
/// # Errors
/// 503 where the store does not answer.
#[utoipa::path(get, path = "/api/v1/checks", security(("bearer" = [])),
    responses((status = 200, body = CheckList, description = "The scheduled checks, by name.")))]
pub async fn list(_: Principal, State(services): State<Services>) -> Result<Json<CheckList>, Problem> {
    let view = services.reader.checks().await?;
    let checks = services.playbook.scheduled_checks();
    Ok(Json(CheckList { checks: checks.values().map(|kept| CheckShape::of(kept, &view)).collect() }))
}

/// Runs a check now, beside its schedule. It reads, reports, and raises or ends the alerts of its items.
///
/// # Errors
/// 403 below responder, 404 for a check that does not exist, 503 where the store does not answer.
#[utoipa::path(post, path = "/api/v1/checks/{name}/run", params(("name" = String, Path, description = "The check.")),
    security(("bearer" = [])),
    responses((status = 200, body = CheckShape, description = "It will run at once; this is how it stands before."),
        (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn run(
    principal: Principal,
    State(services): State<Services>,
    Path(name): Path<String>,
) -> Result<Json<CheckShape>, Problem> {
    principal.require(Role::Responder)?;
    let checks = services.playbook.scheduled_checks();
    let kept = checks.get(&name).ok_or_else(|| {
        let known: Vec<&str> = checks.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Problem::not_found(format!("there is no scheduled check `{name}`; there are: {known}"))
    })?;
    let view = services.reader.checks().await?;
    services.commands.run_check(&name, &principal.actor(), services.clock.now()).await?;
    tracing::info!(actor.name = %principal.name, check = name, "a scheduled check was asked for");
    Ok(Json(CheckShape::of(kept, &view)))
}
