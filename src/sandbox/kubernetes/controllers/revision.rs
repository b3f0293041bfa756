//! The revisions of a Deployment: which ReplicaSet has its present template, and how the others are numbered.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::change;
use super::super::json::{annotate, annotation, count, fields, name, namespace, remove, set, text};
use super::super::resource::{DEPLOYMENTS, REPLICA_SETS};
use super::super::store::{World, hash_of};
use super::{owned, owner_reference, progress, rollout};

/// The label that tells the pods of one template from those of another.
pub(super) const HASH: &str = "pod-template-hash";
/// The annotation with the number of a revision.
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
/// The annotation with the numbers that a ReplicaSet had before.
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// The annotation with the number of replicas that the Deployment wanted when it last scaled the set.
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
/// The annotation with the number of replicas that the Deployment may have while it rolls.
const MOST: &str = "deployment.kubernetes.io/max-replicas";
/// Annotations of a Deployment that its ReplicaSets do not get.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MOST,
    "deprecated.deployment.rollback.to",
];

/// The ReplicaSets of a Deployment.
pub(super) struct Sets {
    /// The one with the present template.
    pub new: Option<Arc<Value>>,
    /// All others, oldest first.
    pub old: Vec<Arc<Value>>,
}

impl Sets {
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Value>> {
        self.old.iter().chain(&self.new)
    }

    /// The sum of a number over all sets.
    pub(super) fn sum(&self, pointer: &str) -> i64 {
        self.all().map(|set| count(set, pointer)).sum()
    }
}

/// The revision of a ReplicaSet; 0 for none.
pub(super) fn number(set: &Value) -> i64 {
    annotation(set, REVISION).and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// Finds the ReplicaSets of a Deployment.
pub(super) fn find(world: &World, deployment: &Value) -> Sets {
    let mut all = owned(world, &REPLICA_SETS, deployment);
    all.sort_by_key(|set| (number(set), text(set, "/metadata/creationTimestamp").to_owned()));
    let is_new = |set: &&Arc<Value>| plain_template(set) == deployment["spec"]["template"];
    let new = all.iter().find(is_new).cloned();
    all.retain(|set| new.as_ref().is_none_or(|new| name(new) != name(set)));
    Sets { new, old: all }
}

/// The template of a ReplicaSet as its Deployment has it.
fn plain_template(set: &Value) -> Value {
    let mut template = set["spec"]["template"].clone();
    remove(&mut template, &format!("/metadata/labels/{HASH}"));
    template
}

/// Makes sure that the present template has a ReplicaSet with the highest revision; a new one where `may_make`.
pub(super) fn ensure_new(world: &mut World, deployment: &Value, sets: &mut Sets, may_make: bool) {
    let next = sets.old.iter().map(|set| number(set)).max().unwrap_or_default() + 1;
    match &sets.new {
        Some(new) => {
            let number = number(new).max(next);
            let after = stamped(new, deployment, number);
            let after = world.save(&REPLICA_SETS, after);
            if deployment_has_no_word(deployment) {
                progress::found(world, deployment, &after);
            }
            sets.new = Some(after);
            write_revision(world, deployment, number);
        }
        None if may_make => {
            let made = make(world, deployment, sets, next);
            progress::made(world, deployment, &made);
            write_revision(world, deployment, next);
            sets.new = Some(made);
        }
        None => {}
    }
}

fn deployment_has_no_word(deployment: &Value) -> bool {
    super::super::json::condition(deployment, "Progressing").is_none()
}

fn make(world: &mut World, deployment: &Value, sets: &Sets, number: i64) -> Arc<Value> {
    let template = &deployment["spec"]["template"];
    let mut collisions = count(deployment, "/status/collisionCount");
    let mut hash = hash_of(template, collisions);
    while world.find(&REPLICA_SETS, namespace(deployment), &format!("{}-{hash}", name(deployment))).is_some()
    {
        collisions += 1;
        hash = hash_of(template, collisions);
    }
    let mut new = json!({
        "metadata": {
            "namespace": namespace(deployment),
            "name": format!("{}-{hash}", name(deployment)),
            "labels": fields(template, "/metadata/labels").cloned().unwrap_or_default(),
            "ownerReferences": owner_reference(deployment),
        },
        "spec": {
            "replicas": 0,
            "minReadySeconds": count(deployment, "/spec/minReadySeconds"),
            "selector": deployment["spec"]["selector"],
            "template": template,
        },
    });
    for place in ["/metadata/labels", "/spec/selector/matchLabels", "/spec/template/metadata/labels"] {
        set(&mut new, &format!("{place}/{HASH}"), hash.as_str());
    }
    if count(deployment, "/spec/minReadySeconds") == 0 {
        remove(&mut new, "/spec/minReadySeconds");
    }
    let mut new = stamped(&new, deployment, number);
    let first = rollout::first_size(deployment, sets);
    set(&mut new, "/spec/replicas", first);
    let made = change::insert(world, &REPLICA_SETS, new);
    if first > 0 {
        rollout::tell_scaled(world, deployment, &made, 0, first);
    }
    made
}

/// A ReplicaSet with its revision, and with the annotations that its Deployment hands down.
fn stamped(replica_set: &Value, deployment: &Value, revision: i64) -> Value {
    let mut after = replica_set.clone();
    for (key, value) in fields(deployment, "/metadata/annotations").into_iter().flatten() {
        if !NOT_COPIED.contains(&key.as_str()) {
            annotate(&mut after, key, value.as_str().unwrap_or_default());
        }
    }
    let had = number(replica_set);
    if had != 0 && had != revision {
        let history = annotation(replica_set, HISTORY)
            .map_or_else(|| had.to_string(), |history| format!("{history},{had}"));
        annotate(&mut after, HISTORY, &history);
    }
    annotate(&mut after, REVISION, &revision.to_string());
    annotate_size(&mut after, deployment);
    after
}

/// Notes how many replicas the Deployment wanted when it scaled the set.
pub(super) fn annotate_size(replica_set: &mut Value, deployment: &Value) {
    let wanted = count(deployment, "/spec/replicas");
    let most = wanted + rollout::surge(deployment);
    annotate(replica_set, DESIRED, &wanted.to_string());
    annotate(replica_set, MOST, &most.to_string());
}

fn write_revision(world: &mut World, deployment: &Value, revision: i64) {
    let Some(now) = world.find(&DEPLOYMENTS, namespace(deployment), name(deployment)) else { return };
    if annotation(&now, REVISION) != Some(revision.to_string().as_str()) {
        let mut now = Value::clone(&now);
        annotate(&mut now, REVISION, &revision.to_string());
        world.save(&DEPLOYMENTS, now);
    }
}

/// Forgets revisions beyond the limit.
pub(super) fn forget_old(world: &mut World, deployment: &Value, sets: &Sets) {
    let limit = super::super::json::number(deployment, "/spec/revisionHistoryLimit").unwrap_or(10);
    let limit = usize::try_from(limit).unwrap_or_default();
    let idle = |set: &&Arc<Value>| count(set, "/spec/replicas") == 0 && count(set, "/status/replicas") == 0;
    let idle: Vec<_> = sets.old.iter().filter(idle).collect();
    for set in &idle[..idle.len().saturating_sub(limit)] {
        world.erase(&REPLICA_SETS, namespace(set), name(set));
    }
}
