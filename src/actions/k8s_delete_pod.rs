//! `k8s.delete_pod`: takes pods away, so that their controller makes new ones. Evicts by default, which a
//! PodDisruptionBudget may forbid.
//!
//! The plan names each pod by its uid: a StatefulSet's new pod has the old one's name, and must not be taken as well.

use std::cmp::Reverse;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cluster::declared::Declared;
use super::cluster::plan::{fixed_values, outlined};
use super::cluster::pods::{self, Keeper, is_ready};
use super::cluster::subject::Naming;
use super::cluster::words::{sentence, unseen};
use super::cluster::workload::{mounts_claims, one_higher};
use super::cluster::{drafted, hand, nothing_to_do, object_of, refused};
use super::outcome::{not_applied, not_now, unknown};
use super::{Entry, Hands, Looked};
use crate::clients::kubernetes::{ActHandle, DeleteRequest, Failure, KubernetesError, Resource};
use crate::domain::action::{ActionOutcome, ActionPlan, Tier};
use crate::domain::catalog::{
    AccessNeed, CheckedParams, Inverse, ParamsError, PlanOutline, PlanSubject, Slot, SlotLanguage,
};
use crate::domain::rule::TargetSpec;
use crate::domain::survey::{SurveyOutcome, Surveyed};
use crate::engine::ports::{ActionContext, SurveyContext};
use crate::params;

/// Kinds whose pods can be meant, and one pod itself.
const KINDS: [&str; 4] = ["Deployment", "StatefulSet", "DaemonSet", "Pod"];

/// Most pods that one action takes away.
const PODS_MAX: u32 = 20;

/// Longest selector, rendered.
const SELECTOR_BYTES_MAX: usize = 500;

pub(super) const ENTRY: Entry = Declared {
    name: "k8s.delete_pod",
    summary: "Takes pods away, so that their controller makes new ones: those of the target, of a selector, or one \
              by name. It evicts, unless `evict` is false (T2, which no PodDisruptionBudget holds up) or `force` \
              is true (T3: at once, whatever the node says).",
    tier_floor: Tier::T1,
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

/// Parameters of `k8s.delete_pod`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Whose pods: `Deployment`, `StatefulSet`, `DaemonSet`, or `Pod` for one by its name. Default: the target's.
    kind: Option<String>,
    /// Namespace, as it stands in the rule. Default: the target's.
    namespace: Option<String>,
    /// Name of the workload or pod. Default: the target's. May hold templates.
    name: Option<String>,
    /// Pods with these labels instead, such as `app=api,tier=web`. May hold templates.
    #[schemars(length(min = 1, max = 500))]
    selector: Option<String>,
    /// Which of them. Default: `unready`, or `terminating` with `force`.
    pick: Option<Pick>,
    /// How many at most. Default: 1.
    #[schemars(range(min = 1, max = 20))]
    max: Option<u32>,
    /// Whether a PodDisruptionBudget may forbid it. Default: true.
    evict: Option<bool>,
    /// Deletes at once and waits for no node. Only for pods that nothing else ends. Default: false.
    #[serde(default)]
    force: bool,
}

/// Which pods are taken first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Pick {
    /// Only those that are not ready, oldest first.
    Unready,
    /// Only those that are to end and do not, oldest first.
    Terminating,
    /// Those that are not ready before those that are, and of each those that restarted most.
    MostRestarts,
    /// The oldest.
    Oldest,
    /// The newest.
    Newest,
}

/// How pods are taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum How {
    Evict,
    Delete,
    Force,
}

/// A plan with its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Removal {
    namespace: String,
    pods: Vec<Pod>,
    how: How,
}

/// One pod, and no other of its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pod {
    name: String,
    uid: String,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { kind, namespace, name, selector, max, evict, force, .. } = params::read(params)?;
    let mut checked = Naming::of(&kind, &namespace, &name).checked(&KINDS)?;
    params::within("/max", max.unwrap_or(1), 1, PODS_MAX)?;
    if force && evict == Some(true) {
        return Err(ParamsError::at("/force", "`force` and `evict` exclude each other"));
    }
    if let Some(selector) = selector {
        if kind.is_some() || params.get("name").is_some() {
            return Err(ParamsError::at("/selector", "give either `selector`, or `kind` and `name`"));
        }
        if params::is_template(&selector) {
            params::text_within("/selector", &selector, SELECTOR_BYTES_MAX)?;
        } else {
            check_selector(&selector)?;
        }
        checked.slots.push(Slot::new("/selector", SlotLanguage::KubernetesSelector));
    }
    Ok(checked)
}

/// Only `name=value`: each part narrows, so that whatever a label adds to it can only narrow further.
fn check_selector(selector: &str) -> Result<(), ParamsError> {
    params::text_within("/selector", selector, SELECTOR_BYTES_MAX)?;
    let is_word = |text: &str, more: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    let is_pair = |pair: &str| {
        pair.split_once('=').is_some_and(|(name, value)| {
            is_word(name.trim(), "-_./") && is_word(value.trim_start_matches('=').trim(), "-_.")
        })
    };
    if selector.split(',').all(is_pair) {
        return Ok(());
    }
    Err(ParamsError::at(
        "/selector",
        format!("{selector:?} is no list of `name=value` with a value for each name"),
    ))
}

fn access(params: &Value, target: Option<&TargetSpec>) -> Vec<AccessNeed> {
    let naming = Naming::in_params(params);
    let is_forced = params.get("force") == Some(&Value::Bool(true));
    let evicts = !is_forced && params.get("evict") != Some(&Value::Bool(false));
    let whose = match params.get("selector") {
        Some(_) => naming.need_any_keeper(),
        None => naming.need_keeper(target),
    };
    let taken = if evicts {
        naming.need_all("", "pods/eviction", &["create"])
    } else {
        naming.need_all("", "pods", &["delete"])
    };
    whose.into_iter().chain([naming.need_all("", "pods", &["get", "list"]), taken]).collect()
}

fn outline(params: &Value, plan: &PlanSubject<'_>) -> Result<PlanOutline, ParamsError> {
    check(params)?;
    let Params { selector, max, evict, force, .. } = params::read(params)?;
    let naming = Naming::in_params(params);
    let verb = match (force, evict) {
        (true, _) => "force the deletion of",
        (false, Some(false)) => "delete",
        _ => "evict",
    };
    let max = max.unwrap_or(1);
    if let Some(selector) = selector {
        check_selector(&selector)?;
        let namespace = naming.namespace(plan.target)?;
        let mut complete = params.clone();
        complete["namespace"] = json!(namespace);
        let summary = format!("{verb} up to {max} pods with {selector} in {namespace}");
        let target = format!("Pod/{namespace}/{selector}");
        let outline =
            PlanOutline { target: Some(target), params: Some(complete), summary, ..PlanOutline::default() };
        return Ok(PlanOutline { namespace: Some(namespace), ..outline });
    }
    let subject = naming.subject(&KINDS, plan.target)?;
    let summary = match subject.kind.as_str() {
        "Pod" => format!("{verb} {}", subject.shown()),
        _ => format!("{verb} up to {max} pods of {}", subject.shown()),
    };
    Ok(PlanOutline { touches: vec!["Pod".to_owned()], ..outlined(&subject, params, summary) })
}

async fn survey(hands: &Hands, draft: &ActionPlan, _: &SurveyContext) -> Looked {
    let cluster = hand(hands)?;
    let params: Params = drafted(draft)?;
    let namespace = params.namespace.clone().ok_or_else(|| refused("the draft names no namespace"))?;
    let mut notes = Vec::new();
    let (meant, keeper) = meant(cluster, &params, draft, &namespace).await?;
    if meant.is_empty() {
        return Err(refused(format!("no pod is selected in {namespace}: nothing is taken away")));
    }
    let how = match (params.force, params.evict) {
        (true, _) => How::Force,
        (false, Some(false)) => How::Delete,
        _ => How::Evict,
    };
    let taken = pick(&meant, &params);
    if taken.is_empty() {
        return Err(nothing_to_do(format!("none of the {} selected pods is one to take away", meant.len())));
    }
    if let Some(orphan) = taken.iter().find(|pod| controller(pod).is_none()) {
        let name = text(orphan, "/metadata/name");
        return Err(refused(format!(
            "pod {namespace}/{name} has no controller: nobody would make a new one"
        )));
    }
    let keepers = match keeper {
        Some(keeper) => vec![keeper],
        None => Keeper::of_pods(cluster, &namespace, &taken, &meant).await?,
    };
    let pods =
        taken.iter().map(|pod| Pod { name: text(pod, "/metadata/name"), uid: text(pod, "/metadata/uid") });
    let removal = Removal { namespace: namespace.clone(), pods: pods.collect(), how };
    for pod in &removal.pods {
        removal.take(cluster, pod, true).await.map_err(|error| unseen(&error))?;
    }
    let base = match how {
        How::Evict => Tier::T1,
        How::Delete => Tier::T2,
        How::Force => Tier::T3,
    };
    let is_stateful = taken
        .iter()
        .any(|pod| mounts_claims(pod) || controller(pod).is_some_and(|(kind, _)| kind == "StatefulSet"));
    if is_stateful {
        notes.push("a pod keeps state: one tier higher".to_owned());
    }
    if how == How::Force {
        notes.push("forced: the old pod may still run on its node when the new one starts".to_owned());
    }
    // Limits hold for the workload, in whatever way its pods are named.
    let target = match keepers.as_slice() {
        [keeper] => keeper.subject.target(),
        _ => draft.target.clone(),
    };
    let impact = pods::impact(&keepers, &taken);
    let plan = ActionPlan {
        summary: removal.summary(),
        basis: Some(json!({"pods": removal.pods, "how": how})),
        params: serde_json::to_value(&removal).expect("a removal is made of texts"),
        target,
        ..draft.clone()
    };
    let tier_floor = if is_stateful { one_higher(base) } else { base };
    Ok(SurveyOutcome::Ready(Box::new(Surveyed { plan, inverse: None, tier_floor, notes, impact })))
}

/// The pods that are meant, and the workload whose they all are where one is named.
async fn meant(
    cluster: &ActHandle,
    params: &Params,
    draft: &ActionPlan,
    namespace: &str,
) -> Result<(Vec<Value>, Option<Keeper>), SurveyOutcome> {
    if let Some(selector) = &params.selector {
        return Ok((pods::list(cluster, namespace, selector).await?, None));
    }
    let subject = object_of(draft)?;
    if subject.kind == "Pod" {
        let pod: Option<Value> = cluster
            .find(&Resource::PODS, Some(namespace), &subject.name)
            .await
            .map_err(|error| unseen(&error))?;
        return Ok((pod.into_iter().collect(), None));
    }
    let keeper = Keeper::read(cluster, subject).await?;
    Ok((keeper.pods.clone(), Some(keeper)))
}

/// Those to take away, in an order that is the same each time.
fn pick<'p>(meant: &'p [Value], params: &Params) -> Vec<&'p Value> {
    let ends = |pod: &Value| pod.pointer("/metadata/deletionTimestamp").is_some();
    if params.kind.as_deref() == Some("Pod") {
        // By its name one pod is meant, whatever its state.
        return meant.iter().filter(|pod| params.force || !ends(pod)).collect();
    }
    let pick = params.pick.unwrap_or(if params.force { Pick::Terminating } else { Pick::Unready });
    let mut pods: Vec<&Value> = meant
        .iter()
        .filter(|pod| match pick {
            Pick::Terminating => ends(pod),
            Pick::Unready => !ends(pod) && !is_ready(pod),
            Pick::MostRestarts | Pick::Oldest | Pick::Newest => !ends(pod) || params.force,
        })
        .collect();
    let born = |pod: &Value| (text(pod, "/metadata/creationTimestamp"), text(pod, "/metadata/name"));
    match pick {
        Pick::Unready | Pick::Terminating | Pick::Oldest => pods.sort_by_key(|pod| born(pod)),
        Pick::Newest => pods.sort_by_key(|pod| Reverse(born(pod))),
        Pick::MostRestarts => pods.sort_by_key(|pod| (is_ready(pod), Reverse(restarts(pod)), born(pod))),
    }
    pods.truncate(params.max.unwrap_or(1) as usize);
    pods
}

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn restarts(pod: &Value) -> u64 {
    let containers = pod.pointer("/status/containerStatuses").and_then(Value::as_array);
    containers.into_iter().flatten().filter_map(|container| container["restartCount"].as_u64()).sum()
}

/// Kind and name of whoever would make a new one.
fn controller(pod: &Value) -> Option<(String, String)> {
    let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array)?;
    let owner = owners.iter().find(|owner| owner["controller"] == true)?;
    // A static pod is made by its node from a file, and its mirror cannot be taken away.
    (owner["kind"] != "Node").then(|| (text(owner, "/kind"), text(owner, "/name")))
}

impl Removal {
    fn summary(&self) -> String {
        let verb = match self.how {
            How::Evict => "evict",
            How::Delete => "delete",
            How::Force => "force the deletion of",
        };
        let names: Vec<&str> = self.pods.iter().map(|pod| pod.name.as_str()).collect();
        format!("{verb} {} in {}", names.join(", "), self.namespace)
    }

    async fn take(&self, cluster: &ActHandle, pod: &Pod, dry_run: bool) -> Result<Value, KubernetesError> {
        let grace_seconds = (self.how == How::Force).then_some(0);
        let request = DeleteRequest { uid: Some(pod.uid.clone()), grace_seconds, ..DeleteRequest::default() };
        match self.how {
            How::Evict => cluster.evict(&self.namespace, &pod.name, &request, dry_run).await,
            How::Delete | How::Force => {
                cluster.delete(&Resource::PODS, Some(&self.namespace), &pod.name, &request, dry_run).await
            }
        }
    }

    /// Whether the pod of the plan is gone, or about to be.
    async fn is_taken(&self, cluster: &ActHandle, pod: &Pod) -> Result<bool, KubernetesError> {
        let found: Option<Value> = cluster.find(&Resource::PODS, Some(&self.namespace), &pod.name).await?;
        Ok(found.is_none_or(|found| {
            let ends = found.pointer("/metadata/deletionTimestamp").is_some();
            // One that is forced was about to end before.
            text(&found, "/metadata/uid") != pod.uid || (ends && self.how != How::Force)
        }))
    }
}

/// What became of each pod.
#[derive(Default)]
struct Tally {
    taken: Vec<String>,
    left: Vec<String>,
    unclear: Vec<String>,
    /// Whether something that was left met something that passes, and how long the server asks to wait.
    passes: Option<Option<Duration>>,
}

impl Tally {
    fn outcome(self) -> ActionOutcome {
        let Self { taken, left, unclear, passes } = self;
        let rest = |words: Vec<String>| {
            if words.is_empty() { String::new() } else { format!("; {}", words.join("; ")) }
        };
        if !unclear.is_empty() {
            return unknown(format!("{}{}", unclear.join("; "), rest(left)));
        }
        if taken.is_empty() {
            let why = left.join("; ");
            return passes.map_or_else(|| not_applied(why.clone()), |wait| not_now(why.clone(), wait));
        }
        let detail = format!("taken away: {}{}", taken.join(", "), rest(left));
        ActionOutcome::Applied { detail, inverse: None, requests: Vec::new() }
    }
}

async fn act(hands: &Hands, plan: &ActionPlan, _: &ActionContext) -> ActionOutcome {
    let (cluster, removal) = match fixed_values::<Removal>(hands, plan) {
        Ok(both) => both,
        Err(why) => return not_applied(why),
    };
    let mut tally = Tally::default();
    for pod in &removal.pods {
        let name = &pod.name;
        match removal.take(cluster, pod, false).await {
            Ok(_) => tally.taken.push(name.clone()),
            Err(error) if error.maybe_sent() => match removal.is_taken(cluster, pod).await {
                Ok(true) => tally.taken.push(name.clone()),
                Ok(false) => tally.unclear.push(format!("{}; the pod is still there", sentence(&error))),
                Err(failed) => {
                    tally.unclear.push(format!("{}; and it cannot be looked at: {failed}", sentence(&error)))
                }
            },
            Err(KubernetesError { failure: Failure::NotFound(_) | Failure::Conflict(_), .. }) => {
                tally.left.push(format!("{name} was gone before, or replaced by another of that name"));
            }
            Err(error) => {
                if error.is_passing() {
                    tally.passes = Some(error.wait());
                }
                tally.left.push(sentence(&error));
            }
        }
    }
    tally.outcome()
}

async fn look_back(hands: &Hands, plan: &ActionPlan, _: &ActionContext) -> ActionOutcome {
    let (cluster, removal) = match fixed_values::<Removal>(hands, plan) {
        Ok(both) => both,
        Err(why) => return unknown(why),
    };
    let mut tally = Tally::default();
    for pod in &removal.pods {
        match removal.is_taken(cluster, pod).await {
            Ok(true) => tally.taken.push(pod.name.clone()),
            Ok(false) => tally.left.push(format!("{} is still there", pod.name)),
            Err(failed) => tally.unclear.push(format!("{} cannot be looked at: {failed}", pod.name)),
        }
    }
    tally.outcome()
}
