//! `notify.pagerduty`: tells a PagerDuty service something.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::outcome::not_applied;
use super::{Entry, request};
use crate::domain::action::{ActionOutcome, ActionPlan, Repeatability, Request, Tier};
use crate::domain::catalog::{
    ActionKind, CheckedParams, Inverse, ParamsError, Performer, Reference, no_access,
};
use crate::domain::notification::Destination;
use crate::params;

pub(super) const ENTRY: Entry = Entry {
    kind: ActionKind {
        name: "notify.pagerduty",
        summary: "Opens or updates the incident at a PagerDuty service, with a note.",
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
            let Params { service, .. } = params::read(params)?;
            Ok(request::outline(format!("tell {service} in PagerDuty")))
        },
    },
    act: |_, plan, _| Box::pin(std::future::ready(act(plan))),
    survey: None,
    look_back: None,
};

/// Parameters of `notify.pagerduty`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// The service, as `pagerduty.services` in the settings names it. No templates.
    #[schemars(length(min = 1, max = 200))]
    service: String,
    /// What to say. May hold templates.
    #[schemars(length(min = 1, max = 2000))]
    text: String,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { service, text } = params::read(params)?;
    request::fixed_name("/service", &service, "the service")?;
    let slots = vec![request::text_slot("/text", &text)?];
    Ok(CheckedParams {
        slots,
        references: vec![Reference::PagerDutyService(service)],
        ..CheckedParams::default()
    })
}

fn act(plan: &ActionPlan) -> ActionOutcome {
    match params::read(&plan.params) {
        Ok(Params { service, text }) => {
            let detail = format!("{service} is told");
            request::asked(detail, Request::Notify { destination: Destination::PagerDuty { service }, text })
        }
        Err(error) => not_applied(error.to_string()),
    }
}
