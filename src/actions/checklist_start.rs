//! `checklist.start`: puts a list of things to do with the incident, and waits for nothing.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::outcome::not_applied;
use super::{Entry, request};
use crate::domain::action::{ActionOutcome, ActionPlan, Repeatability, Request, Tier};
use crate::domain::catalog::{ActionKind, CheckedParams, Inverse, ParamsError, Performer, no_access};
use crate::params;

pub(super) const ENTRY: Entry = Entry {
    kind: ActionKind {
        name: "checklist.start",
        summary: "Puts a list of things to do with the incident, and waits for nothing.",
        tier_floor: Tier::T0,
        repeatability: Repeatability::Idempotent,
        performer: Performer::Machine,
        inverse: Inverse::NotNeeded,
        timeout: request::TIMEOUT,
        is_surveyed: false,
        check,
        schema: params::schema::<Params>,
        access: no_access,
        outline: |params, _| {
            let Params { title, .. } = params::read(params)?;
            Ok(request::outline(format!("start the checklist: {title}")))
        },
    },
    act: |_, plan, _| Box::pin(std::future::ready(act(plan))),
    survey: None,
    look_back: None,
};

/// Parameters of `checklist.start`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// What the list is for. May hold templates.
    #[schemars(length(min = 1, max = 200))]
    title: String,
    /// Who should go through it. Default: the on-call engineer. May hold templates.
    #[schemars(length(min = 1, max = 200))]
    owner: Option<String>,
    /// The things to do, in order. Texts may hold templates.
    #[schemars(length(min = 1, max = 50))]
    items: Vec<String>,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { title, owner, items } = params::read(params)?;
    let mut slots = vec![request::title_slot("/title", &title)?];
    if let Some(owner) = &owner {
        slots.push(request::title_slot("/owner", owner)?);
    }
    slots.extend(request::item_slots("items", &items)?);
    Ok(CheckedParams { slots, ..CheckedParams::default() })
}

fn act(plan: &ActionPlan) -> ActionOutcome {
    match params::read(&plan.params) {
        Ok(Params { title, owner, items }) => {
            let detail = format!("started with {} items", items.len());
            request::asked(detail, Request::StartTask { task: request::task(title, owner, items, None) })
        }
        Err(error) => not_applied(error.to_string()),
    }
}
