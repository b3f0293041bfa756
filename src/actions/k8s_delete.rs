//! `k8s.delete`: deletes a Job with its pods, so that it can be run anew: the template of a Job cannot be changed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cluster::declared::Declared;
use super::cluster::plan::{fixed_values, outlined};
use super::cluster::subject::{Naming, Subject};
use super::cluster::words::{denied, sentence, unseen};
use super::cluster::workload::{Workload, owned_floor};
use super::cluster::{hand, object_of};
use super::outcome::{not_applied, unknown};
use super::{Entry, Hands, Looked};
use crate::clients::kubernetes::{ActHandle, DeleteRequest, Failure, KubernetesError, Propagation, Resource};
use crate::domain::action::{ActionOutcome, ActionPlan, Tier};
use crate::domain::catalog::{AccessNeed, CheckedParams, Inverse, ParamsError, PlanOutline, PlanSubject};
use crate::domain::rule::TargetSpec;
use crate::domain::survey::{Impact, SurveyOutcome, Surveyed};
use crate::engine::ports::{ActionContext, SurveyContext};
use crate::params;

/// What may be deleted: nothing that holds state or serves anybody.
const KINDS: [&str; 1] = ["Job"];

pub(super) const ENTRY: Entry = Declared {
    name: "k8s.delete",
    summary: "Deletes a Job with its pods. There is no way back.",
    tier_floor: Tier::T2,
    inverse: Inverse::FromRule,
    check,
    schema: params::schema::<Params>,
    access,
    outline,
    survey: |hands, draft, context| Box::pin(survey(hands, draft, context)),
}
.with(
    |hands, plan, context| Box::pin(act(hands, plan, context)),
    |hands, plan, context| Box::pin(look_back(hands, plan, context)),
);

/// Parameters of `k8s.delete`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// `Job`. Default: the target's kind.
    kind: Option<String>,
    /// Namespace, as it stands in the rule. Default: the target's.
    namespace: Option<String>,
    /// Name of the Job. Default: the target's. May hold templates.
    name: Option<String>,
}

/// A plan with its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deletion {
    namespace: String,
    name: String,
    uid: String,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { kind, namespace, name } = params::read(params)?;
    Naming::of(&kind, &namespace, &name).checked(&KINDS)
}

fn access(params: &Value, target: Option<&TargetSpec>) -> Vec<AccessNeed> {
    let naming = Naming::in_params(params);
    vec![naming.need(&Resource::JOBS.group, &Resource::JOBS.plural, &["get", "delete"], target)]
}

fn outline(params: &Value, plan: &PlanSubject<'_>) -> Result<PlanOutline, ParamsError> {
    check(params)?;
    let subject = Naming::in_params(params).subject(&KINDS, plan.target)?;
    Ok(outlined(&subject, params, format!("delete {}", subject.shown())))
}

async fn survey(hands: &Hands, draft: &ActionPlan, _: &SurveyContext) -> Looked {
    let cluster = hand(hands)?;
    let subject = object_of(draft)?;
    let job = Workload::read(cluster, subject).await?;
    let Subject { namespace, name, .. } = job.subject.clone();
    let deletion = Deletion { namespace, name, uid: job.uid.clone() };
    deletion.carry_out(cluster, true).await.map_err(|error| unseen(&error))?;
    let active = job.object.pointer("/status/active").and_then(Value::as_u64).unwrap_or_default();
    let mut notes = Vec::new();
    if active > 0 {
        notes.push(format!("{active} of its pods still run, and are ended"));
    }
    let tier_floor = owned_floor(&job.object, Tier::T2, &mut notes);
    let impact = Impact { workloads: 1, ..Impact::on(&job.subject.kind) };
    let plan = ActionPlan {
        basis: Some(json!({"uid": job.uid, "active": active > 0})),
        params: serde_json::to_value(&deletion).expect("a deletion is made of texts"),
        ..draft.clone()
    };
    Ok(SurveyOutcome::Ready(Box::new(Surveyed { plan, inverse: None, tier_floor, notes, impact })))
}

impl Deletion {
    async fn carry_out(&self, cluster: &ActHandle, dry_run: bool) -> Result<Value, KubernetesError> {
        let request = DeleteRequest {
            uid: Some(self.uid.clone()),
            propagation: Some(Propagation::Background),
            ..DeleteRequest::default()
        };
        cluster.delete(&Resource::JOBS, Some(&self.namespace), &self.name, &request, dry_run).await
    }

    /// Whether the Job of the plan is gone, or about to be.
    async fn is_done(&self, cluster: &ActHandle) -> Result<bool, KubernetesError> {
        let found: Option<Value> = cluster.find(&Resource::JOBS, Some(&self.namespace), &self.name).await?;
        Ok(found.is_none_or(|job| {
            job.pointer("/metadata/deletionTimestamp").is_some()
                || job["metadata"]["uid"] != self.uid.as_str()
        }))
    }

    fn applied(&self) -> ActionOutcome {
        let detail = format!("Job {}/{} is deleted", self.namespace, self.name);
        ActionOutcome::Applied { detail, inverse: None, requests: Vec::new() }
    }
}

async fn act(hands: &Hands, plan: &ActionPlan, _: &ActionContext) -> ActionOutcome {
    let (cluster, deletion) = match fixed_values::<Deletion>(hands, plan) {
        Ok(both) => both,
        Err(why) => return not_applied(why),
    };
    match deletion.carry_out(cluster, false).await {
        Ok(_) => deletion.applied(),
        Err(error) if error.maybe_sent() => match deletion.is_done(cluster).await {
            Ok(true) => deletion.applied(),
            Ok(false) => unknown(format!("{}; the Job is still there", sentence(&error))),
            Err(failed) => unknown(format!("{}; and it cannot be looked at: {failed}", sentence(&error))),
        },
        Err(KubernetesError { failure: Failure::Conflict(_), .. }) => {
            let Deletion { namespace, name, .. } = &deletion;
            not_applied(format!(
                "Job {namespace}/{name} was replaced by another of that name since this was planned"
            ))
        }
        Err(error) => denied(&error),
    }
}

async fn look_back(hands: &Hands, plan: &ActionPlan, _: &ActionContext) -> ActionOutcome {
    let (cluster, deletion) = match fixed_values::<Deletion>(hands, plan) {
        Ok(both) => both,
        Err(why) => return unknown(why),
    };
    match deletion.is_done(cluster).await {
        Ok(true) => deletion.applied(),
        Ok(false) => not_applied("the Job is still there"),
        Err(failed) => unknown(format!("it cannot be looked at: {failed}")),
    }
}
