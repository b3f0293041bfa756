//! `escalate`: goes to the next level of the escalation policy now.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Entry, request};
use crate::domain::action::{Repeatability, Request, Tier};
use crate::domain::catalog::{ActionKind, CheckedParams, Inverse, ParamsError, Performer, no_access};
use crate::params;

pub(super) const ENTRY: Entry = Entry {
    kind: ActionKind {
        name: "escalate",
        summary: "Goes to the next level of the escalation policy now, whatever its time.",
        tier_floor: Tier::T0,
        repeatability: Repeatability::Idempotent,
        performer: Performer::Machine,
        inverse: Inverse::NotNeeded,
        timeout: request::TIMEOUT,
        is_surveyed: false,
        check,
        schema: params::schema::<Params>,
        access: no_access,
        outline: |_, _| Ok(request::outline("escalate now")),
    },
    act: |_, _, _| Box::pin(std::future::ready(request::asked("escalated", Request::Escalate))),
    survey: None,
    look_back: None,
};

/// Parameters of `escalate`: none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    params::read::<Params>(params).map(|Params {}| CheckedParams::default())
}
