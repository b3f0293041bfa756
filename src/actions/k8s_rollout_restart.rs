//! `k8s.rollout_restart`: replaces all pods of a workload, as its own rollout does it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::cluster::declared::Declared;
use super::cluster::edit::{Edit, Write};
use super::cluster::plan::{outlined, ready};
use super::cluster::subject::Naming;
use super::cluster::workload::{WORKLOADS, Workload};
use super::cluster::{hand, object_of};
use super::{Entry, Hands, Looked};
use crate::clients::kubernetes::patch;
use crate::domain::action::{ActionPlan, Tier};
use crate::domain::catalog::{AccessNeed, CheckedParams, Inverse, ParamsError, PlanOutline, PlanSubject};
use crate::domain::rule::TargetSpec;
use crate::engine::ports::SurveyContext;
use crate::params;

pub(super) const ENTRY: Entry = Declared {
    name: "k8s.rollout_restart",
    summary: "Replaces all pods of a Deployment, StatefulSet or DaemonSet, as many at a time as its own strategy \
              allows. A paused Deployment is refused. There is no way back: it is a new revision of the same \
              template.",
    tier_floor: Tier::T1,
    inverse: Inverse::FromRule,
    check,
    schema: params::schema::<Params>,
    access,
    outline,
    survey: |hands, draft, context| Box::pin(survey(hands, draft, context)),
}
// The time of the restart is part of the plan: the same time again is no new revision.
.by_edit();

/// Parameters of `k8s.rollout_restart`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// `Deployment`, `StatefulSet` or `DaemonSet`. Default: the target's.
    kind: Option<String>,
    /// Namespace, as it stands in the rule. Default: the target's.
    namespace: Option<String>,
    /// Name of the workload. Default: the target's. May hold templates.
    name: Option<String>,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { kind, namespace, name } = params::read(params)?;
    Naming::of(&kind, &namespace, &name).checked(&WORKLOADS)
}

fn access(params: &Value, target: Option<&TargetSpec>) -> Vec<AccessNeed> {
    Naming::in_params(params).need_workload(&["get", "patch"], target).into_iter().collect()
}

fn outline(params: &Value, plan: &PlanSubject<'_>) -> Result<PlanOutline, ParamsError> {
    check(params)?;
    let subject = Naming::in_params(params).subject(&WORKLOADS, plan.target)?;
    Ok(outlined(&subject, params, format!("restart {}", subject.shown())))
}

async fn survey(hands: &Hands, draft: &ActionPlan, context: &SurveyContext) -> Looked {
    let cluster = hand(hands)?;
    let subject = object_of(draft)?;
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
