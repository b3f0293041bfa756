//! From drafts to plans: what all surveyed actions fill in alike.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::NO_CLUSTER;
use super::edit::Edit;
use super::subject::Subject;
use crate::actions::Hands;
use crate::clients::kubernetes::ActHandle;
use crate::domain::action::{ActionPlan, Tier};
use crate::domain::catalog::PlanOutline;
use crate::domain::survey::{Impact, SurveyOutcome, Surveyed};
use crate::params;

/// The draft of an action on an object.
pub(in crate::actions) fn outlined(subject: &Subject, params: &Value, summary: String) -> PlanOutline {
    PlanOutline {
        target: Some(subject.target()),
        namespace: Some(subject.namespace.clone()),
        params: Some(subject.complete(params)),
        summary,
        ..PlanOutline::default()
    }
}

/// The plan that carries out `edit`.
pub(in crate::actions) fn fixed(
    draft: &ActionPlan,
    edit: &Edit,
    basis: Value,
    summary: String,
) -> ActionPlan {
    ActionPlan {
        params: serde_json::to_value(edit).expect("an edit is made of texts and numbers"),
        basis: Some(basis),
        summary,
        ..draft.clone()
    }
}

/// The plan that takes `edit` back.
pub(in crate::actions) fn way_back(draft: &ActionPlan, edit: &Edit) -> Option<ActionPlan> {
    let back = edit.inverse()?;
    let changes: Vec<String> = back.changes().iter().map(ToString::to_string).collect();
    let summary = format!("take back on {}/{}: {}", back.namespace, back.name, changes.join(", "));
    Some(ActionPlan { ttl: None, ..fixed(draft, &back, back.basis(), summary) })
}

/// A survey that found what would be done.
#[allow(clippy::too_many_arguments, reason = "each is one part of what a survey says")]
pub(in crate::actions) fn ready(
    draft: &ActionPlan,
    edit: &Edit,
    basis: Value,
    inverse: Option<ActionPlan>,
    tier_floor: Tier,
    notes: Vec<String>,
    impact: Impact,
) -> SurveyOutcome {
    let plan = fixed(draft, edit, basis, draft.summary.clone());
    SurveyOutcome::Ready(Box::new(Surveyed { plan, inverse, tier_floor, notes, impact }))
}

/// The hand on the cluster, and the values that a survey fixed; or why there is nothing to carry out.
pub(in crate::actions) fn fixed_values<'h, T: DeserializeOwned>(
    hands: &'h Hands,
    plan: &ActionPlan,
) -> Result<(&'h ActHandle, T), String> {
    let cluster = hands.cluster.as_ref().ok_or(NO_CLUSTER)?;
    let values = params::read(&plan.params);
    Ok((cluster, values.map_err(|error| format!("the plan has no fixed values: {error}"))?))
}
