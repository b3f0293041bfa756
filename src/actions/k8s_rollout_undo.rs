//! `k8s.rollout_undo`: puts the template of a workload back to an earlier revision.
//!
//! It goes to the newest revision whose template really differs, so that restarts do not count, never to one that is
//! marked as bad, and never twice in one incident: the second undo would go back to what the first one left.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::cluster::declared::Declared;
use super::cluster::edit::{Edit, Write};
use super::cluster::plan::{fixed, outlined, ready};
use super::cluster::subject::Naming;
use super::cluster::workload::{WORKLOADS, Workload};
use super::cluster::{hand, hanging, nothing_to_do, object_of};
use super::{Entry, Hands, Looked};
use crate::clients::kubernetes::revision::{self, Revision};
use crate::domain::action::{ActionPlan, Tier};
use crate::domain::catalog::{AccessNeed, CheckedParams, Inverse, ParamsError, PlanOutline, PlanSubject};
use crate::domain::decision::Reason;
use crate::domain::incident::Incident;
use crate::domain::rule::TargetSpec;
use crate::domain::survey::Rollout;
use crate::domain::timeline::digest_of;
use crate::engine::ports::SurveyContext;
use crate::params;

/// Differences that people are shown before they approve; the whole difference is `k8s.rollout_history`.
const DIFFERENCES_SHOWN_MAX: usize = 12;

const NAME: &str = "k8s.rollout_undo";

pub(super) const ENTRY: Entry = Declared {
    name: NAME,
    summary: "Puts the template of a Deployment, StatefulSet or DaemonSet back to an earlier revision: the newest \
              whose template really differs and that is not marked as bad, or the one that `to` names. What it \
              leaves behind is marked as bad. Never twice in one incident.",
    tier_floor: Tier::T2,
    inverse: Inverse::Recorded,
    check,
    schema: params::schema::<Params>,
    access,
    outline,
    survey: |hands, draft, context| Box::pin(survey(hands, draft, context)),
}
.by_edit();

/// Parameters of `k8s.rollout_undo`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// `Deployment`, `StatefulSet` or `DaemonSet`. Default: the target's.
    kind: Option<String>,
    /// Namespace, as it stands in the rule. Default: the target's.
    namespace: Option<String>,
    /// Name of the workload. Default: the target's. May hold templates.
    name: Option<String>,
    /// Number of the revision to go back to. Default: the newest that differs.
    #[schemars(range(min = 1))]
    to: Option<i64>,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { kind, namespace, name, to, .. } = params::read(params)?;
    if let Some(to) = to {
        params::within("/to", to, 1, i64::MAX)?;
    }
    Naming::of(&kind, &namespace, &name).checked(&WORKLOADS)
}

fn access(params: &Value, target: Option<&TargetSpec>) -> Vec<AccessNeed> {
    let naming = Naming::in_params(params);
    let keeper = match naming.kind_in(target) {
        Some("Deployment") => "replicasets",
        _ => "controllerrevisions",
    };
    let workload = naming.need_workload(&["get", "patch"], target);
    // A Deployment says itself that it hangs, unless it has no deadline, which nobody knows before.
    let keepers = |need| [need, naming.need_all("apps", keeper, &["list"]), naming.need_pods()];
    workload.into_iter().flat_map(keepers).collect()
}

fn outline(params: &Value, plan: &PlanSubject<'_>) -> Result<PlanOutline, ParamsError> {
    check(params)?;
    let subject = Naming::in_params(params).subject(&WORKLOADS, plan.target)?;
    let summary = match params.get("to") {
        Some(Value::Number(to)) => format!("put {} back to revision {to}", subject.shown()),
        _ => format!("put {} back to the revision before", subject.shown()),
    };
    Ok(outlined(&subject, params, summary))
}

async fn survey(hands: &Hands, draft: &ActionPlan, context: &SurveyContext) -> Looked {
    let cluster = hand(hands)?;
    let subject = object_of(draft)?;
    if was_undone(&context.incident, &draft.target) {
        let shown = subject.shown();
        return Err(nothing_to_do(format!(
            "{shown} was put back in this incident before: once more would undo that"
        )));
    }
    let workload = Workload::read(cluster, subject).await?;
    workload.refuse_paused()?;
    let revisions = workload.revisions(cluster).await?;
    let to = workload.previous(&revisions, draft.params.get("to").and_then(Value::as_i64))?;
    let present = revision::present(&workload.object, &revisions);
    let bad = present.map(|present| revision::mark_bad(&workload.object, &revisions, &present.name));
    let bad_before = revision::annotations(&workload.object).remove(revision::BAD_REVISIONS);
    let mut edit = Edit::of(&workload.subject, &workload.uid, write(to, bad.or(bad_before.clone())));
    edit.template = Some(workload.template_digest());
    edit.rehearse(cluster, &workload.object).await?;
    let inverse = present.map(|present| {
        let mut back = Edit::of(&workload.subject, &workload.uid, write(present, bad_before));
        back.template = Some(digest_of(&revision::meaningful(&to.template)));
        back.restores = true;
        let summary = format!("put {} forward again to {present}", workload.subject.shown());
        fixed(draft, &back, back.basis(), summary)
    });
    let mut notes = told(&workload, to, inverse.is_some());
    let tier_floor = workload.floor(Tier::T2, &mut notes);
    let mut impact = workload.impact(workload.disrupted_by_rollout(), true);
    if let (Rollout::UnderWay { .. }, Some(present)) = (&impact.rollout, present)
        && let Some(reason) = hanging::reason(cluster, &workload, present, context.now).await
    {
        impact.rollout = Rollout::Stuck { reason };
    }
    let summary = format!("put {} back to {to}", workload.subject.shown());
    let draft = ActionPlan { summary, ..draft.clone() };
    Ok(ready(&draft, &edit, edit.basis(), inverse, tier_floor, notes, impact))
}

fn write(to: &Revision, bad: Option<String>) -> Write {
    Write::Revision {
        name: to.name.clone(),
        number: to.number,
        template: digest_of(&revision::meaningful(&to.template)),
        bad,
    }
}

/// Whether an undo of this target has touched the world in this incident. What certainly was not applied does not count.
fn was_undone(incident: &Incident, target: &str) -> bool {
    incident.actions.iter().any(|action| {
        let certainly_not = matches!(action.reason, Reason::NotApplied(_));
        action.plan.kind == NAME
            && action.plan.target == target
            && action.status.has_started()
            && !certainly_not
    })
}

/// What people should know: the difference, and what an undo does not do.
fn told(workload: &Workload, to: &Revision, has_way_back: bool) -> Vec<String> {
    let differences = revision::diff(workload.template(), &to.template);
    let mut notes: Vec<String> =
        differences.iter().take(DIFFERENCES_SHOWN_MAX).map(ToString::to_string).collect();
    if let Some(more @ 1..) = differences.len().checked_sub(DIFFERENCES_SHOWN_MAX) {
        notes.push(format!("and {more} more differences"));
    }
    if !has_way_back {
        notes.push("the present template is kept in no revision: there is no way back".to_owned());
    }
    if workload.subject.kind == "StatefulSet" {
        notes.push(
            "a StatefulSet may wait for a broken pod of the old template: delete that pod then".to_owned(),
        );
    }
    notes
}
