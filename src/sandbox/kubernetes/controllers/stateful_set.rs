//! StatefulSets: pods with fixed names, made and ended in order, updated from the last one down.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::change;
use super::super::events;
use super::super::json::{count, is_deleting, items, label, name, namespace, number, set, text};
use super::super::resource::{CLAIMS, PODS, REVISIONS, STATEFUL_SETS};
use super::super::store::World;
use super::{history, is_available, owned, replica_set};

pub(super) fn sync(world: &mut World) {
    for owner in world.all(&STATEFUL_SETS) {
        if is_deleting(&owner) {
            continue;
        }
        let update = history::current(world, &owner);
        let current = text(&owner, "/status/currentRevision").to_owned();
        let current =
            world.find(&REVISIONS, namespace(&owner), &current).unwrap_or_else(|| Arc::clone(&update));
        let all_in_place = place_pods(world, &owner, &current, &update);
        if all_in_place {
            roll(world, &owner, &update);
        }
        write_status(world, &owner, &current, &update);
    }
}

fn ordinal(owner: &Value, pod: &Value) -> Option<i64> {
    name(pod).strip_prefix(name(owner))?.strip_prefix('-')?.parse().ok()
}

fn partition(owner: &Value) -> i64 {
    count(owner, "/spec/updateStrategy/rollingUpdate/partition")
}

/// Makes and ends pods until as many are there as asked for; whether they are, and are ready.
fn place_pods(world: &mut World, owner: &Value, current: &Value, update: &Value) -> bool {
    let replicas = count(owner, "/spec/replicas");
    let first = count(owner, "/spec/ordinals/start");
    let in_parallel = text(owner, "/spec/podManagementPolicy") == "Parallel";
    for at in first..first + replicas {
        let own = format!("{}-{at}", name(owner));
        match world.find(&PODS, namespace(owner), &own) {
            None => {
                let revision = if at >= partition(owner) + first { update } else { current };
                make(world, owner, revision, at);
            }
            Some(pod) if is_deleting(&pod) => {}
            Some(pod) if matches!(text(&pod, "/status/phase"), "Succeeded" | "Failed") => {
                world.erase(&PODS, namespace(&pod), name(&pod));
                continue;
            }
            Some(pod) if is_available(world, &pod, count(owner, "/spec/minReadySeconds")) => continue,
            Some(pod) => {
                // One that runs an old template and is not ready is replaced all the same, by the roll below.
                if label(&pod, history::HASH) != Some(name(update)) && !in_parallel {
                    continue;
                }
            }
        }
        if !in_parallel {
            return false;
        }
    }
    let mut pods = owned(world, &PODS, owner);
    pods.retain(|pod| ordinal(owner, pod).is_none_or(|at| at >= first + replicas));
    pods.sort_by_key(|pod| std::cmp::Reverse(ordinal(owner, pod)));
    for pod in &pods {
        if !is_deleting(pod) {
            replica_set::delete_pod(world, pod);
            tell(world, owner, "SuccessfulDelete", "delete", name(pod));
        }
        if !in_parallel {
            return false;
        }
    }
    true
}

fn make(world: &mut World, owner: &Value, revision: &Value, at: i64) {
    let own = format!("{}-{at}", name(owner));
    let with = history::with_template_of(owner, revision);
    let place = at.to_string();
    let extra =
        [("statefulset.kubernetes.io/pod-name", own.as_str()), ("apps.kubernetes.io/pod-index", &place)];
    let mut with = history::template_with(&with, name(revision), &extra);
    claims(world, owner, &mut with, &own);
    replica_set::make_pod(world, &with, Some(own.clone()));
    tell(world, owner, "SuccessfulCreate", "create", &own);
}

/// The volumes of a pod that outlive it.
fn claims(world: &mut World, owner: &Value, with: &mut Value, pod: &str) {
    let mut volumes = items(with, "/spec/template/spec/volumes").to_vec();
    for template in items(owner, "/spec/volumeClaimTemplates") {
        let claim = format!("{}-{pod}", name(template));
        volumes.push(json!({ "name": name(template), "persistentVolumeClaim": { "claimName": claim } }));
        if world.find(&CLAIMS, namespace(owner), &claim).is_none() {
            let made = json!({
                "metadata": { "namespace": namespace(owner), "name": claim, "labels": owner["spec"]["selector"]["matchLabels"] },
                "spec": template["spec"],
                "status": { "phase": "Bound", "capacity": template["spec"]["resources"]["requests"] },
            });
            change::insert(world, &CLAIMS, made);
        }
    }
    if !volumes.is_empty() {
        set(with, "/spec/template/spec/volumes", volumes);
    }
}

/// Ends the last pod with an old template, if all after it are ready.
fn roll(world: &mut World, owner: &Value, update: &Value) {
    if text(owner, "/spec/updateStrategy/type") == "OnDelete" {
        return;
    }
    let first = count(owner, "/spec/ordinals/start");
    let last = first + count(owner, "/spec/replicas");
    for at in (first + partition(owner)..last).rev() {
        let Some(pod) = world.find(&PODS, namespace(owner), &format!("{}-{at}", name(owner))) else { return };
        if label(&pod, history::HASH) != Some(name(update)) {
            if !is_deleting(&pod) {
                replica_set::delete_pod(world, &pod);
                tell(world, owner, "SuccessfulDelete", "delete", name(&pod));
            }
            return;
        }
        if !super::super::json::is_true(&pod, "Ready") {
            return;
        }
    }
}

fn tell(world: &mut World, owner: &Value, reason: &str, verb: &str, pod: &str) {
    let message = format!("{verb} Pod {pod} in StatefulSet {} successful", name(owner));
    events::normal(world, owner, "statefulset-controller", reason, &message);
}

fn write_status(world: &mut World, owner: &Value, current: &Value, update: &Value) {
    let mut pods = owned(world, &PODS, owner);
    pods.retain(|pod| !is_deleting(pod) && !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed"));
    let of = |revision: &Value| {
        pods.iter().filter(|pod| label(pod, history::HASH) == Some(name(revision))).count()
    };
    let ready = pods.iter().filter(|pod| super::super::json::is_true(pod, "Ready")).count();
    let mut available = 0;
    for pod in &pods {
        available += usize::from(is_available(world, pod, count(owner, "/spec/minReadySeconds")));
    }
    let (updated, replicas) = (of(update), count(owner, "/spec/replicas"));
    let all = i64::try_from(updated).is_ok_and(|updated| updated == replicas) && updated == ready;
    // The update is over when every pod has it; then it is the current revision.
    let current = if all && partition(owner) == 0 { update } else { current };
    let mut status = json!({
        "observedGeneration": owner["metadata"]["generation"],
        "replicas": pods.len(),
        "currentRevision": name(current),
        "updateRevision": name(update),
        "collisionCount": number(owner, "/status/collisionCount").unwrap_or_default(),
        "availableReplicas": available,
    });
    for (field, number) in
        [("readyReplicas", ready), ("currentReplicas", of(current)), ("updatedReplicas", updated)]
    {
        if number > 0 {
            status[field] = number.into();
        }
    }
    history::forget_old(world, owner, &[name(current), name(update)]);
    let mut after = owner.clone();
    set(&mut after, "/status", status);
    world.save(&STATEFUL_SETS, after);
}
