//! `incident.postmortem`: the record of an incident as a document, for the people who learn from it.
//!
//! Everything in it comes out of what is stored with the incident, so the same incident gives the same document. It
//! states what happened and leaves the causes to people.

mod chapters;
mod record;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::outcome::not_applied;
use super::{Entry, request};
use crate::domain::action::{ActionOutcome, ActionPlan, Repeatability, Request, Tier};
use crate::domain::catalog::{ActionKind, CheckedParams, Inverse, ParamsError, Performer, no_access};
use crate::domain::timeline::one_line;
use crate::engine::ports::{ActionContext, IncidentView};
use crate::params;

/// Characters of the title.
const TITLE_CHARS_MAX: usize = 200;

pub(super) const ENTRY: Entry = Entry {
    kind: ActionKind {
        name: "incident.postmortem",
        summary: "Keeps a document with the incident: summary, impact window, timeline, evidence, decisions with their \
                  reasons, actions, and a list for prevention.",
        tier_floor: Tier::T0,
        repeatability: Repeatability::Idempotent,
        performer: Performer::Machine,
        inverse: Inverse::NotNeeded,
        timeout: request::TIMEOUT,
        is_surveyed: false,
        check,
        schema: params::schema::<Params>,
        access: no_access,
        outline: |_, _| Ok(request::outline("write the incident's record")),
    },
    act: |_, plan, context| Box::pin(std::future::ready(act(plan, context))),
    survey: None,
    look_back: None,
};

/// Parameters of `incident.postmortem`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Title of the document. Default: the incident's summary. May hold templates.
    #[schemars(length(min = 1, max = 200))]
    title: Option<String>,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { title } = params::read(params)?;
    let slots = title.map(|title| request::title_slot("/title", &title)).transpose()?;
    Ok(CheckedParams { slots: slots.into_iter().collect(), ..CheckedParams::default() })
}

fn act(plan: &ActionPlan, context: &ActionContext) -> ActionOutcome {
    let Params { title } = match params::read(&plan.params) {
        Ok(params) => params,
        Err(error) => return not_applied(error.to_string()),
    };
    let Some(view) = &context.view else { return not_applied("the incident could not be read") };
    let title = title.map_or_else(|| title_of(view), |title| one_line(&title, TITLE_CHARS_MAX));
    let body = chapters::write(&title, view);
    request::asked("the record is kept with the incident", Request::KeepDocument { title, body })
}

fn title_of(view: &IncidentView) -> String {
    one_line(&format!("Incident record: {}", view.incident.summary), TITLE_CHARS_MAX)
}

/// The record of an incident as it is now, for programs; the document itself stands in it under `markdown`.
pub fn record(view: &IncidentView) -> Value {
    let title = title_of(view);
    let mut record = record::write(&title, view);
    record["markdown"] = Value::String(chapters::write(&title, view));
    record
}
