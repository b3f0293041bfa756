//! `notify.slack`: tells a Slack channel something.

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
        name: "notify.slack",
        summary: "Tells a Slack channel something.",
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
            let Params { channel, .. } = params::read(params)?;
            Ok(request::outline(format!("tell {channel} in Slack")))
        },
    },
    act: |_, plan, _| Box::pin(std::future::ready(act(plan))),
    survey: None,
    look_back: None,
};

/// Parameters of `notify.slack`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// The channel, by name (`#incidents`) or id. No templates.
    #[schemars(length(min = 1, max = 200))]
    channel: String,
    /// What to say. May hold templates.
    #[schemars(length(min = 1, max = 2000))]
    text: String,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { channel, text } = params::read(params)?;
    request::fixed_name("/channel", &channel, "the channel")?;
    let slots = vec![request::text_slot("/text", &text)?];
    Ok(CheckedParams {
        slots,
        references: vec![Reference::SlackChannel(channel)],
        ..CheckedParams::default()
    })
}

fn act(plan: &ActionPlan) -> ActionOutcome {
    match params::read(&plan.params) {
        Ok(Params { channel, text }) => {
            let detail = format!("{channel} is told");
            request::asked(detail, Request::Notify { destination: Destination::Slack { channel }, text })
        }
        Err(error) => not_applied(error.to_string()),
    }
}
