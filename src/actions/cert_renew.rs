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
use super::cluster::edit::{OFFERS_MAX, READ_BACK_WAIT, READ_BACKS_MAX, REHEARSAL};
use super::cluster::plan::{fixed_values, outlined};
use super::cluster::subject::{Naming, Subject};
use super::cluster::words::{denied, sentence, unseen};
use super::cluster::workload::Workload;
use super::cluster::{EXECUTION_ID, hand, nothing_to_do, object_of, refused};
use super::outcome::{failed, not_applied, not_now, unknown};
use super::{Entry, Hands, Looked};
use crate::clients::kubernetes::certificate::{self, Issuer, IssuerState};
use crate::clients::kubernetes::{ActHandle, Failure, KubernetesError, Patch, Resource};
use crate::domain::action::{ActionOutcome, ActionPlan, Tier};
use crate::domain::catalog::{AccessNeed, CheckedParams, Inverse, ParamsError, PlanOutline, PlanSubject};
use crate::domain::rule::TargetSpec;
use crate::domain::survey::{Impact, SurveyOutcome, Surveyed};
use crate::engine::ports::{ActionContext, SurveyContext};
use crate::params;

const KIND: &str = "Certificate";

/// The condition of a Certificate that is being issued.
const ISSUING: &str = "Issuing";

/// Fields of its status: the number and the end of what was issued last, and what failed since.
const REVISION: &str = "revision";
const NOT_AFTER: &str = "notAfter";
const LAST_FAILURE: &str = "lastFailureTime";
const FAILURES: &str = "failedIssuanceAttempts";

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
    /// The last failure, and how many there were in a row: one more means that it was tried since.
    #[serde(default)]
    last_failure: Value,
    #[serde(default)]
    failures: Value,
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
    let [issuers, of_cluster] = Issuer::RESOURCES;
    vec![
        naming.need(&group, &plural, &["get"], target),
        naming.need(&group, &status, &["patch"], target),
        naming.need_all(&issuers.group, &issuers.plural, &["get"]),
        AccessNeed::cluster(&of_cluster.group, &of_cluster.plural, &["get"]),
    ]
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
    if certificate::holds(&certificate.object, ISSUING) {
        return Err(nothing_to_do(format!("{} is being issued already", certificate.subject.shown())));
    }
    let mut notes = vec!["the secret stays as it is until the new certificate is there".to_owned()];
    look_at_issuer(cluster, &certificate, &mut notes).await?;
    let Subject { namespace, name, .. } = certificate.subject.clone();
    let renewal = Renewal {
        namespace,
        name,
        uid: certificate.uid.clone(),
        revision: status(&certificate.object, REVISION),
        not_after: status(&certificate.object, NOT_AFTER),
        last_failure: status(&certificate.object, LAST_FAILURE),
        failures: status(&certificate.object, FAILURES),
        at: Timestamp::from_second(context.now.as_second()).unwrap_or(context.now),
    };
    renewal.send(cluster, &certificate.object, REHEARSAL, true).await.map_err(|error| unseen(&error))?;
    // Its owner keeps its spec, and not its status: nobody undoes this.
    let tier_floor = Tier::T2;
    let impact = Impact::on(KIND);
    let plan = ActionPlan {
        basis: Some(json!({
            "uid": renewal.uid,
            "revision": renewal.revision,
            "not_after": renewal.not_after,
            "last_failure": renewal.last_failure,
        })),
        params: serde_json::to_value(&renewal).expect("a renewal is made of texts"),
        ..draft.clone()
    };
    Ok(SurveyOutcome::Ready(Box::new(Surveyed { plan, inverse: None, tier_floor, notes, impact })))
}

/// A field of the status; null where there is none.
fn status(certificate: &Value, field: &str) -> Value {
    certificate["status"][field].clone()
}

/// What became of a Certificate since a plan.
enum Since {
    Nothing,
    /// It is being issued, or was.
    Issued,
    /// It was tried to issue it, and failed; says why.
    Failed(String),
}

impl Renewal {
    async fn read(&self, cluster: &ActHandle) -> Result<Value, KubernetesError> {
        cluster.get(&Resource::CERTIFICATES, Some(&self.namespace), &self.name).await
    }

    /// What became of it since the plan. An issuance that fails at once leaves nothing but its failure: the condition goes
    /// back, and the status keeps no mark of ours.
    fn since(&self, now: &Value) -> Since {
        let is_new = |field: &str, planned: &Value| status(now, field) != *planned;
        if certificate::holds(now, ISSUING)
            || is_new(REVISION, &self.revision)
            || is_new(NOT_AFTER, &self.not_after)
        {
            return Since::Issued;
        }
        let failed = is_new(LAST_FAILURE, &self.last_failure) || is_new(FAILURES, &self.failures);
        if !failed || status(now, LAST_FAILURE).is_null() {
            return Since::Nothing;
        }
        let said = certificate::condition(now, ISSUING).map(certificate::words);
        Since::Failed(
            said.filter(|words| !words.is_empty()).unwrap_or_else(|| "it says no reason".to_owned()),
        )
    }

    /// What that means for an attempt that may have begun it.
    fn seen(&self, now: &Value) -> Option<ActionOutcome> {
        match self.since(now) {
            Since::Nothing => None,
            Since::Issued => Some(self.applied()),
            Since::Failed(why) => Some(failed(format!(
                "Certificate {}/{} was being issued anew, and that failed: {why}",
                self.namespace, self.name
            ))),
        }
    }

    /// Looks a few times what became of an attempt; none where nothing shows.
    async fn look_back(&self, cluster: &ActHandle) -> Result<Option<ActionOutcome>, KubernetesError> {
        let mut seen = Ok(None);
        for round in 0..READ_BACKS_MAX {
            if round > 0 {
                tokio::time::sleep(READ_BACK_WAIT).await;
            }
            seen = match self.read(cluster).await {
                Ok(now) if self.is_another(&now) => {
                    return Ok(Some(not_applied("the Certificate was replaced by another of that name")));
                }
                Ok(now) => match self.seen(&now) {
                    Some(outcome) => return Ok(Some(outcome)),
                    None => Ok(None),
                },
                Err(failed) => Err(failed),
            };
        }
        seen
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
        let others = others.into_iter().flatten().filter(|condition| condition["type"] != ISSUING).cloned();
        let ours = json!({
            "type": ISSUING,
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

    /// What became of a write whose end is unclear.
    async fn unclear(&self, cluster: &ActHandle, error: &KubernetesError) -> ActionOutcome {
        match self.look_back(cluster).await {
            Ok(Some(outcome)) => outcome,
            Ok(None) if error.gave_up() => {
                not_now(format!("{}; the Certificate does not show it", sentence(error)), error.wait())
            }
            Ok(None) => unknown(format!("{}; the Certificate does not show it", sentence(error))),
            Err(failed) => unknown(format!("{}; and it cannot be looked at: {failed}", sentence(error))),
        }
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
        match renewal.since(&now) {
            Since::Nothing => {}
            Since::Issued => {
                return not_applied("it is being issued already, or was issued since this was planned");
            }
            Since::Failed(why) => {
                return not_applied(format!(
                    "it was tried to issue it since this was planned, and failed: {why}"
                ));
            }
        }
        match renewal.send(cluster, &now, &context.key, false).await {
            Ok(_) => return renewal.applied(),
            Err(error) if matches!(error.failure, Failure::Conflict(_)) => {}
            Err(error) if error.maybe_sent() => return renewal.unclear(cluster, &error).await,
            Err(error) => return denied(&error),
        }
    }
    not_now("the Certificate was changed by others again and again while this was tried (409)", None)
}

async fn look_back(hands: &Hands, plan: &ActionPlan, _: &ActionContext) -> ActionOutcome {
    let (cluster, renewal) = match fixed_values::<Renewal>(hands, plan) {
        Ok(both) => both,
        Err(why) => return unknown(why),
    };
    match renewal.look_back(cluster).await {
        Ok(Some(outcome)) => outcome,
        Ok(None) => not_applied("the Certificate does not show it"),
        Err(failed) if failed.is_not_found() => denied(&failed),
        Err(failed) => unknown(format!("it cannot be looked at: {failed}")),
    }
}

/// Whoever would issue it must be able to: a wish that nobody fulfils only hides what is wrong.
async fn look_at_issuer(
    cluster: &ActHandle,
    certificate: &Workload,
    notes: &mut Vec<String>,
) -> Result<(), SurveyOutcome> {
    let Some(issuer) = Issuer::of(&certificate.object) else { return Ok(()) };
    let shown = certificate.subject.shown();
    match issuer.look(cluster).await.map_err(|error| unseen(&error))? {
        IssuerState::Ready => Ok(()),
        IssuerState::NotReady(why) => {
            Err(refused(format!("{issuer}, which issues {shown}, is not ready: {why}")))
        }
        IssuerState::Unseen(why) => {
            notes.push(format!("whether {issuer} is ready could not be seen: {why}"));
            Ok(())
        }
    }
}
