//! The conditions of a Deployment: whether enough of it is available, and whether it gets on.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::super::json::{condition, count, flag, items, name, namespace, number, set, stamp, text, time};
use super::super::resource::DEPLOYMENTS;
use super::super::store::World;
use super::revision::Sets;
use super::rollout;

/// A Deployment with this deadline never gives up.
const NO_DEADLINE: i64 = i32::MAX as i64;

/// A new ReplicaSet was made.
pub(super) fn made(world: &mut World, deployment: &Value, set: &Value) {
    let message = format!("Created new replica set \"{}\"", name(set));
    note(world, deployment, "NewReplicaSetCreated", &message);
}

/// The present template has a ReplicaSet already.
pub(super) fn found(world: &mut World, deployment: &Value, set: &Value) {
    let message = format!("Found new replica set \"{}\"", name(set));
    note(world, deployment, "FoundNewReplicaSet", &message);
}

fn note(world: &mut World, deployment: &Value, reason: &str, message: &str) {
    let Some(now) = world.find(&DEPLOYMENTS, namespace(deployment), name(deployment)) else { return };
    let mut after = Value::clone(&now);
    put(world, &mut after, "Progressing", "True", reason, message);
    world.save(&DEPLOYMENTS, after);
}

/// Writes both conditions of a Deployment whose counts are already written.
pub(super) fn judge(world: &mut World, before: &Value, after: &mut Value, sets: &Sets) {
    let enough = count(after, "/spec/replicas") - rollout::unavailable(after);
    if count(after, "/status/availableReplicas") >= enough {
        let message = "Deployment has minimum availability.";
        put(world, after, "Available", "True", "MinimumReplicasAvailable", message);
    } else {
        let message = "Deployment does not have minimum availability.";
        put(world, after, "Available", "False", "MinimumReplicasUnavailable", message);
    }
    let deadline = number(after, "/spec/progressDeadlineSeconds").unwrap_or(NO_DEADLINE);
    if deadline >= NO_DEADLINE {
        return;
    }
    if flag(after, "/spec/paused") {
        if condition(after, "Progressing").is_none_or(|has| text(has, "/reason") != "DeploymentPaused") {
            put(world, after, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused");
        }
        return;
    }
    if condition(after, "Progressing").is_some_and(|has| text(has, "/reason") == "DeploymentPaused") {
        put(world, after, "Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed");
    }
    progressing(world, before, after, sets, deadline);
}

fn progressing(world: &mut World, before: &Value, after: &mut Value, sets: &Sets, deadline: i64) {
    let has = condition(after, "Progressing").cloned().unwrap_or_default();
    let reason = text(&has, "/reason").to_owned();
    let set_name = sets.new.as_ref().map_or_else(|| name(after).to_owned(), |new| name(new).to_owned());
    let done = is_complete(after, sets);
    let is_settled = count(after, "/status/replicas") == count(after, "/status/updatedReplicas");
    // A rollout that was complete stays so until its template changes, however its pods fare.
    if is_settled && reason == "NewReplicaSetAvailable" {
        return;
    }
    if done {
        let message = format!("ReplicaSet \"{set_name}\" has successfully progressed.");
        put(world, after, "Progressing", "True", "NewReplicaSetAvailable", &message);
        return;
    }
    if got_on(before, after) {
        let message = format!("ReplicaSet \"{set_name}\" is progressing.");
        touch(world, after, "ReplicaSetUpdated", &message);
        return;
    }
    if matches!(reason.as_str(), "ProgressDeadlineExceeded" | "NewReplicaSetAvailable") || has.is_null() {
        return;
    }
    let since = time(&has, "/lastUpdateTime").unwrap_or(world.now);
    let end = since.checked_add(SignedDuration::from_secs(deadline)).unwrap_or(since);
    if end < world.now {
        let message = format!("ReplicaSet \"{set_name}\" has timed out progressing.");
        put(world, after, "Progressing", "False", "ProgressDeadlineExceeded", &message);
    } else {
        let next = end.checked_add(SignedDuration::from_secs(1)).unwrap_or(end);
        world.play.wake_at(next);
    }
}

fn is_complete(after: &Value, sets: &Sets) -> bool {
    let replicas = count(after, "/spec/replicas");
    sets.new.is_some()
        && count(after, "/status/updatedReplicas") == replicas
        && count(after, "/status/replicas") == replicas
        && count(after, "/status/availableReplicas") == replicas
}

/// Whether something moved since the status was last written.
fn got_on(before: &Value, after: &Value) -> bool {
    let grew = |pointer: &str| count(after, pointer) > count(before, pointer);
    let old = |object: &Value| count(object, "/status/replicas") - count(object, "/status/updatedReplicas");
    grew("/status/updatedReplicas")
        || grew("/status/readyReplicas")
        || grew("/status/availableReplicas")
        || old(after) < old(before)
}

fn touch(world: &World, object: &mut Value, reason: &str, message: &str) {
    put(world, object, "Progressing", "True", reason, message);
    let now = stamp(world.now);
    let conditions = object.pointer_mut("/status/conditions").and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten() {
        if text(condition, "/type") == "Progressing" {
            set(condition, "/lastUpdateTime", now.as_str());
        }
    }
}

/// Sets a condition. One with the same status and reason stays as it is.
fn put(world: &World, object: &mut Value, kind: &str, status: &str, reason: &str, message: &str) {
    let before = condition(object, kind).cloned();
    let same = |before: &Value| text(before, "/status") == status && text(before, "/reason") == reason;
    if before.as_ref().is_some_and(same) {
        return;
    }
    let now = stamp(world.now);
    let kept = before.filter(|before| text(before, "/status") == status);
    let since = kept.map_or_else(|| now.clone(), |before| text(&before, "/lastTransitionTime").to_owned());
    let new = json!({
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastUpdateTime": now,
        "lastTransitionTime": since,
    });
    let mut conditions = items(object, "/status/conditions").to_vec();
    match conditions.iter_mut().find(|has| text(has, "/type") == kind) {
        Some(place) => *place = new,
        None => conditions.push(new),
    }
    set(object, "/status/conditions", conditions);
}
