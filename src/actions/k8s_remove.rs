//! `k8s.remove`: deletes the objects that a stored manifest names, and no others. The way back puts them in place again
//! as they were.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::cluster::declared::Declared;
use super::cluster::manifest::{Part, Put, Setup, Take, as_written, origin};
use super::cluster::setting::{self, Sum};
use super::cluster::subject::Subject;
use super::cluster::words::unseen;
use super::cluster::workload::{WORKLOADS, Workload, owned_floor, why_two_people};
use super::cluster::{hand, nothing_to_do};
use super::{Entry, Hands, Looked};
use crate::clients::kubernetes::confidential::holds_secret;
use crate::domain::action::{ActionPlan, Tier};
use crate::domain::catalog::{AccessNeed, CheckedParams, Inverse, ParamsError, PlanOutline, PlanSubject};
use crate::domain::manifest::{JOB, Stored, kind_of, name_of};
use crate::domain::rule::TargetSpec;
use crate::engine::ports::SurveyContext;
use crate::params;

pub(super) const ENTRY: Entry = Declared {
    name: "k8s.remove",
    summary: "Deletes the objects that a `StoredManifest` names, and no others. T2 for what `k8s.apply` brought of this \
              manifest; what others made, a NetworkPolicy or PodDisruptionBudget, and what GitOps or Helm owns is T3. The way back puts them in \
              place again as they were, but for Jobs, which would run again, and what holds a secret.",
    tier_floor: Tier::T2,
    inverse: Inverse::Recorded,
    check,
    schema: params::schema::<Params>,
    access,
    outline,
    survey: |hands, draft, context| Box::pin(survey(hands, draft, context)),
}
.by_setup();

/// Parameters of `k8s.remove`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Name of a `StoredManifest`.
    #[schemars(length(min = 1, max = 200))]
    manifest: String,
    /// Namespace, as it stands in the rule. Default: the manifest's own, or else the target's.
    namespace: Option<String>,
    /// What the manifest holds; put in when rules are loaded.
    #[schemars(skip)]
    stored: Option<Stored>,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { manifest, namespace, stored } = params::read(params)?;
    setting::check(&manifest, &namespace, stored.as_ref())
}

fn access(params: &Value, _: Option<&TargetSpec>) -> Vec<AccessNeed> {
    setting::access(params)
}

fn outline(params: &Value, plan: &PlanSubject<'_>) -> Result<PlanOutline, ParamsError> {
    check(params)?;
    setting::outline("remove", params, plan)
}

async fn survey(hands: &Hands, draft: &ActionPlan, _: &SurveyContext) -> Looked {
    let cluster = hand(hands)?;
    let (stored, mut setup) = setting::of_draft(draft)?;
    let mut back = Setup { restores: true, ..setup.clone() };
    let mut sum = Sum::of(&stored, Tier::T2);
    let mut has_way_back = true;
    // What was applied last goes first.
    for object in stored.objects.iter().rev() {
        let (kind, name) = (kind_of(object), name_of(object));
        let found = Part::Take(Take::brought(object)).find(cluster, &setup).await;
        let Some(now) = found.map_err(|error| unseen(&error))? else { continue };
        let now = with_head(now, object);
        let take = Part::Take(Take::found(&now));
        take.rehearse(cluster, Some(&now), &setup).await.map_err(|error| unseen(&error))?;
        weigh(&now, object, &setup, &mut sum);
        let was = as_written(&now);
        if kind == JOB || holds_secret(&hands.keyring.redactor(), &was) {
            has_way_back = false;
            let why =
                if kind == JOB { "it would run again" } else { "it holds a secret, which is kept nowhere" };
            sum.note(format!("{name} cannot be put back: {why}"));
        }
        sum.step(format!("{kind}/{name}"));
        setup.parts.push(take);
        back.parts.insert(0, Part::Put(Put::again(was, origin(&now))));
    }
    if setup.parts.is_empty() {
        return Err(nothing_to_do(format!(
            "nothing of manifest {} is in {}",
            setup.manifest, setup.namespace
        )));
    }
    let summary = format!("remove manifest {} from {}: {}", setup.manifest, setup.namespace, sum.told());
    let put_back = format!("put manifest {} back in {}", setup.manifest, setup.namespace);
    let inverse = has_way_back.then(|| setting::plan(draft, &back, put_back));
    Ok(sum.ready(setting::plan(draft, &setup, summary), inverse, &setup))
}

/// What is lost, and whose it is.
fn weigh(now: &Value, object: &Value, setup: &Setup, sum: &mut Sum) {
    let (kind, name) = (kind_of(object), name_of(object));
    if let Some(why) = why_two_people(kind) {
        sum.raise(Tier::T3, format!("{name}: {why}"));
    }
    if origin(now) != Some(setup.manifest.as_str()) {
        sum.raise(Tier::T3, format!("{name}: this manifest did not bring it"));
    }
    let mut notes = Vec::new();
    owned_floor(now, Tier::T2, &mut notes);
    notes.into_iter().for_each(|note| sum.raise(Tier::T3, format!("{name}: {note}")));
    if WORKLOADS.contains(&kind) {
        let subject =
            Subject { kind: kind.to_owned(), namespace: setup.namespace.clone(), name: name.to_owned() };
        let workload = Workload { subject, uid: String::new(), object: now.clone() };
        sum.add(workload.impact(workload.available(), false));
    }
}

/// An answer may leave out what an object is; the manifest says it.
fn with_head(mut found: Value, object: &Value) -> Value {
    found["apiVersion"] = object["apiVersion"].clone();
    found["kind"] = object["kind"].clone();
    found
}
