//! `cert.renew`: lets cert-manager issue a certificate anew, as `cmctl renew` does: by the condition `Issuing` in its
//! status.
//!
//! The secret is never deleted: what serves goes on with the old certificate until the new one is there. Deleting the
//! Certificate would not issue it anew either.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cluster::declared::Declared;
use super::cluster::plan::{fixed_values, outlined};
use super::cluster::subject::{Naming, Subject};
use super::cluster::words::{denied, sentence, unseen};
use super::cluster::workload::Workload;
use super::cluster::{EXECUTION_ID, hand, nothing_to_do, object_of};
use super::outcome::{not_applied, unknown};
use super::{Entry, Hands, Looked};
use crate::clients::kubernetes::{ActHandle, Failure, KubernetesError, Patch, Resource};
use crate::domain::action::{ActionOutcome, ActionPlan, Tier};
use crate::domain::catalog::{AccessNeed, CheckedParams, Inverse, ParamsError, PlanOutline, PlanSubject};
use crate::domain::rule::TargetSpec;
use crate::domain::survey::{Impact, SurveyOutcome, Surveyed};
use crate::engine::ports::{ActionContext, SurveyContext};
use crate::params;

const KIND: &str = "Certificate";

/// How often the write is offered to an object whose version moves.
const OFFERS_MAX: usize = 4;

pub(super) const ENTRY: Entry = Declared {
    name: "cert.renew",
    summary: "Lets cert-manager issue a Certificate anew. Its secret stays until the new one is there. There is no way \
              back.",
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

/// Parameters of `cert.renew`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// `Certificate`, which it is without this.
    kind: Option<String>,
    /// Namespace, as it stands in the rule. Default: the target's.
    namespace: Option<String>,
    /// Name of the Certificate. Default: the target's, where that is one. May hold templates.
    name: Option<String>,
}

/// A plan with its values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Renewal {
    namespace: String,
    name: String,
    uid: String,
    /// The issuance that is in force: another one makes the plan void.
    revision: Value,
    not_after: Value,
    /// The time of the condition.
    at: Timestamp,
}

fn naming(params: &Value) -> Naming<'_> {
    Naming { kind: Some(KIND), ..Naming::in_params(params) }
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { kind, namespace, name } = params::read(params)?;
    Naming::of(&kind, &namespace, &name).checked(&[KIND])
}

fn access(params: &Value, target: Option<&TargetSpec>) -> Vec<AccessNeed> {
    let Resource { group, plural, .. } = Resource::CERTIFICATES;
    let naming = naming(params);
    let status = format!("{plural}/status");
    vec![naming.need(&group, &plural, &["get"], target), naming.need(&group, &status, &["patch"], target)]
}

fn outline(params: &Value, plan: &PlanSubject<'_>) -> Result<PlanOutline, ParamsError> {
    check(params)?;
    let subject = naming(params).subject(&[KIND], plan.target)?;
    Ok(outlined(&subject, params, format!("issue {} anew", subject.shown())))
}

async fn survey(hands: &Hands, draft: &ActionPlan, context: &SurveyContext) -> Looked {
    let cluster = hand(hands)?;
    let subject = object_of(draft)?;
    let certificate = Workload::read(cluster, subject).await?;
    if issuing(&certificate.object).is_some() {
        return Err(nothing_to_do(format!("{} is being issued already", certificate.subject.shown())));
    }
    let Subject { namespace, name, .. } = certificate.subject.clone();
    let renewal = Renewal {
        namespace,
        name,
        uid: certificate.uid.clone(),
        revision: revision(&certificate.object),
        not_after: not_after(&certificate.object),
        at: Timestamp::from_second(context.now.as_second()).unwrap_or(context.now),
    };
    renewal.send(cluster, &certificate.object, "rehearsal", true).await.map_err(|error| unseen(&error))?;
    let notes = vec!["the secret stays as it is until the new certificate is there".to_owned()];
    // Its owner keeps its spec, and not its status: nobody undoes this.
    let tier_floor = Tier::T2;
    let impact = Impact::on(KIND);
    let plan = ActionPlan {
        basis: Some(
            json!({"uid": renewal.uid, "revision": renewal.revision, "not_after": renewal.not_after}),
        ),
        params: serde_json::to_value(&renewal).expect("a renewal is made of texts"),
        ..draft.clone()
    };
    Ok(SurveyOutcome::Ready(Box::new(Surveyed { plan, inverse: None, tier_floor, notes, impact })))
}

/// The condition that says that it is being issued.
fn issuing(certificate: &Value) -> Option<&Value> {
    let conditions = certificate.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|condition| condition["type"] == "Issuing" && condition["status"] == "True")
}

fn revision(certificate: &Value) -> Value {
    certificate.pointer("/status/revision").cloned().unwrap_or_default()
}

fn not_after(certificate: &Value) -> Value {
    certificate.pointer("/status/notAfter").cloned().unwrap_or_default()
}

impl Renewal {
    async fn read(&self, cluster: &ActHandle) -> Result<Value, KubernetesError> {
        cluster.get(&Resource::CERTIFICATES, Some(&self.namespace), &self.name).await
    }

    /// Whether it is being issued, or was since the plan.
    fn is_done(&self, now: &Value) -> bool {
        issuing(now).is_some() || revision(now) != self.revision || not_after(now) != self.not_after
    }

    fn is_another(&self, now: &Value) -> bool {
        now["metadata"]["uid"] != self.uid.as_str()
    }

    async fn send(
        &self,
        cluster: &ActHandle,
        now: &Value,
        key: &str,
        dry_run: bool,
    ) -> Result<Value, KubernetesError> {
        let others = now.pointer("/status/conditions").and_then(Value::as_array);
        let others = others.into_iter().flatten().filter(|condition| condition["type"] != "Issuing").cloned();
        let ours = json!({
            "type": "Issuing",
            "status": "True",
            "reason": "ManuallyTriggered",
            "message": "Certificate re-issuance manually triggered",
            "lastTransitionTime": self.at.to_string(),
            "observedGeneration": now["metadata"]["generation"],
        });
        // The list has no merge key: it is written as a whole.
        let conditions: Vec<Value> = others.chain([ours]).collect();
        // The status keeps no annotations; the audit log shows them.
        let version = &now["metadata"]["resourceVersion"];
        let metadata = json!({"resourceVersion": version, "annotations": {EXECUTION_ID: key}});
        let patch = Patch::Merge(json!({"metadata": metadata, "status": {"conditions": conditions}}));
        let part = Some("status");
        cluster.patch(&Resource::CERTIFICATES, part, Some(&self.namespace), &self.name, &patch, dry_run).await
    }

    fn applied(&self) -> ActionOutcome {
        let detail = format!("Certificate {}/{} is being issued anew", self.namespace, self.name);
        ActionOutcome::Applied { detail, inverse: None, requests: Vec::new() }
    }
}

async fn act(hands: &Hands, plan: &ActionPlan, context: &ActionContext) -> ActionOutcome {
    let (cluster, renewal) = match fixed_values::<Renewal>(hands, plan) {
        Ok(both) => both,
        Err(why) => return not_applied(why),
    };
    for _ in 0..OFFERS_MAX {
        let now = match renewal.read(cluster).await {
            Ok(now) => now,
            Err(error) => return denied(&error),
        };
        if renewal.is_another(&now) {
            return not_applied(
                "the Certificate was replaced by another of that name since this was planned",
            );
        }
        if renewal.is_done(&now) {
            return not_applied("it is being issued already, or was issued since this was planned");
        }
        match renewal.send(cluster, &now, &context.key, false).await {
            Ok(_) => return renewal.applied(),
            Err(error) if matches!(error.failure, Failure::Conflict(_)) => {}
            Err(error) if error.maybe_sent() => {
                return match renewal.read(cluster).await {
                    Ok(now) if renewal.is_done(&now) => renewal.applied(),
                    Ok(_) => unknown(format!("{}; the Certificate does not show it", sentence(&error))),
                    Err(failed) => {
                        unknown(format!("{}; and it cannot be looked at: {failed}", sentence(&error)))
                    }
                };
            }
            Err(error) => return denied(&error),
        }
    }
    not_applied("the Certificate was changed by others again and again while this was tried (409)")
}

async fn look_back(hands: &Hands, plan: &ActionPlan, _: &ActionContext) -> ActionOutcome {
    let (cluster, renewal) = match fixed_values::<Renewal>(hands, plan) {
        Ok(both) => both,
        Err(why) => return unknown(why),
    };
    match renewal.read(cluster).await {
        Ok(now) if renewal.is_done(&now) => renewal.applied(),
        Ok(_) => not_applied("the Certificate does not show it"),
        Err(failed) => unknown(format!("it cannot be looked at: {failed}")),
    }
}
