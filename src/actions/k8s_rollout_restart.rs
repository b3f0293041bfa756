//! `k8s.rollout_restart`: replaces all pods of a workload, as its own rollout does it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::cluster::edit::{self, Edit, Write};
use super::cluster::plan::{outlined, ready};
use super::cluster::subject::{Naming, Subject};
use super::cluster::workload::{WORKLOADS, Workload};
use super::cluster::{hand, refused, settle};
use super::{Entry, Hands};
use crate::clients::kubernetes::patch;
use crate::domain::action::{ActionPlan, Repeatability, Tier};
use crate::domain::catalog::{
    AccessNeed, ActionKind, CheckedParams, Inverse, ParamsError, Performer, PlanOutline, PlanSubject,
    Reference,
};
use crate::domain::rule::TargetSpec;
use crate::domain::survey::SurveyOutcome;
use crate::engine::ports::SurveyContext;
use crate::params;

pub(super) const ENTRY: Entry = Entry {
    kind: ActionKind {
        name: "k8s.rollout_restart",
        summary: "Replaces all pods of a Deployment, StatefulSet or DaemonSet, as many at a time as its own strategy \
                  allows. A paused Deployment is refused. There is no way back: it is a new revision of the same \
                  template.",
        tier_floor: Tier::T1,
        // The time of the restart is part of the plan: the same time again is no new revision.
        repeatability: Repeatability::Idempotent,
        performer: Performer::Machine,
        inverse: Inverse::FromRule,
        timeout: edit::TIMEOUT,
        is_surveyed: true,
        check,
        schema: params::schema::<Params>,
        access,
        outline,
    },
    act: |hands, plan, context| Box::pin(edit::act(hands, plan, context)),
    survey: Some(|hands, draft, context| {
        Box::pin(async move { settle(survey(hands, draft, context).await) })
    }),
    look_back: Some(|hands, plan, context| Box::pin(edit::look_back(hands, plan, context))),
};

/// Parameters of `k8s.rollout_restart`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "the names are read by `Naming`")]
struct Params {
    /// `Deployment`, `StatefulSet` or `DaemonSet`. Default: the target's.
    kind: Option<String>,
    /// Namespace, as it stands in the rule. Default: the target's.
    namespace: Option<String>,
    /// Name of the workload. Default: the target's. May hold templates.
    name: Option<String>,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    params::read::<Params>(params)?;
    let slots = Naming::in_params(params).check(&WORKLOADS)?;
    Ok(CheckedParams { slots, references: vec![Reference::Kubernetes], ..CheckedParams::default() })
}

fn access(params: &Value, target: Option<&TargetSpec>) -> Vec<AccessNeed> {
    Naming::in_params(params).need_workload(&["get", "patch"], target).into_iter().collect()
}

fn outline(params: &Value, plan: &PlanSubject<'_>) -> Result<PlanOutline, ParamsError> {
    check(params)?;
    let subject = Naming::in_params(params).subject(&WORKLOADS, plan.target)?;
    Ok(outlined(&subject, params, format!("restart {}", subject.shown())))
}

async fn survey(
    hands: &Hands,
    draft: &ActionPlan,
    context: &SurveyContext,
) -> Result<SurveyOutcome, SurveyOutcome> {
    let cluster = hand(hands)?;
    let subject = Subject::in_params(&draft.params).ok_or_else(|| refused("the draft names no object"))?;
    let workload = Workload::read(cluster, subject).await?;
    workload.refuse_paused()?;
    let change = patch::restart(&workload.object, &seconds(context.now));
    let before = change.from.clone();
    let mut edit = Edit::of(&workload.subject, &workload.uid, Write::Strategic(vec![change]));
    edit.template = Some(workload.template_digest());
    edit.rehearse(cluster, &workload.object).await?;
    let mut notes = Vec::new();
    let tier_floor = workload.floor(Tier::T1, &mut notes);
    let impact = workload.impact(workload.disrupted_by_rollout(), false);
    // The time of this restart changes by itself; that of the one before does not.
    let basis = json!({"uid": edit.uid, "template": edit.template, "restarted_before": before});
    Ok(ready(draft, &edit, basis, None, tier_floor, notes, impact))
}

/// As `kubectl` writes it: whole seconds.
fn seconds(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
