//! `human.task`: people carry out steps, and say when they are done.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::outcome::not_applied;
use super::{Entry, request};
use crate::domain::action::{ActionOutcome, ActionPlan, Repeatability, Tier};
use crate::domain::catalog::{ActionKind, CheckedParams, Inverse, ParamsError, Performer, no_access};
use crate::engine::ports::ActionContext;
use crate::params;
use crate::period::Period;

/// Shortest time that people are given.
const WITHIN_MIN: Period = Period::from_mins(1);
/// Longest time that people are given; what takes longer is a ticket.
const WITHIN_MAX: Period = Period::from_days(7);

pub(super) const ENTRY: Entry = Entry {
    kind: ActionKind {
        name: "human.task",
        summary: "Asks people to carry out steps and waits for their word that they are done.",
        tier_floor: Tier::T3,
        // Asking is recorded once, with the answer; the engine asks nobody twice.
        repeatability: Repeatability::Idempotent,
        performer: Performer::People,
        inverse: Inverse::FromRule,
        timeout: request::TIMEOUT,
        is_surveyed: false,
        check,
        schema: params::schema::<Params>,
        access: no_access,
        outline: |params, _| {
            let Params { title, .. } = params::read(params)?;
            Ok(request::outline(format!("ask people: {title}")))
        },
    },
    act: |_, plan, context| Box::pin(std::future::ready(act(plan, context))),
    survey: None,
    look_back: None,
};

/// Parameters of `human.task`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// What is to be done, in a few words. May hold templates.
    #[schemars(length(min = 1, max = 200))]
    title: String,
    /// Who should do it. Default: the on-call engineer. May hold templates.
    #[schemars(length(min = 1, max = 200))]
    owner: Option<String>,
    /// The steps, in order. Texts may hold templates.
    #[schemars(length(min = 1, max = 50))]
    steps: Vec<String>,
    /// When it should be done, from 1m to 7d; people are reminded then. Default: no limit.
    within: Option<Period>,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { title, owner, steps, within } = params::read(params)?;
    params::period_within("/within", within, WITHIN_MIN, WITHIN_MAX)?;
    let mut slots = vec![request::title_slot("/title", &title)?];
    if let Some(owner) = &owner {
        slots.push(request::title_slot("/owner", owner)?);
    }
    slots.extend(request::item_slots("steps", &steps)?);
    Ok(CheckedParams { slots, ..CheckedParams::default() })
}

fn act(plan: &ActionPlan, context: &ActionContext) -> ActionOutcome {
    match params::read(&plan.params) {
        Ok(Params { title, owner, steps, within }) => {
            let due_at = |within: Period| context.now.checked_add(within.signed()).unwrap_or(Timestamp::MAX);
            ActionOutcome::HandedToPeople { task: request::task(title, owner, steps, within.map(due_at)) }
        }
        Err(error) => not_applied(error.to_string()),
    }
}
