//! How a Deployment's replicas move from old ReplicaSets to the new one, and how they are spread when it is resized.

use std::sync::Arc;

use serde_json::Value;

use super::super::events;
use super::super::json::{annotation, count, name, namespace, set};
use super::super::resource::REPLICA_SETS;
use super::super::store::World;
use super::active_pods;
use super::revision::{self, Sets};

/// A number or a share of the replicas.
fn share(value: Option<&Value>, replicas: i64, round_up: bool) -> i64 {
    match value {
        Some(Value::String(words)) => {
            let percent: i64 = words.trim_end_matches('%').parse().unwrap_or_default();
            (replicas * percent + if round_up { 99 } else { 0 }) / 100
        }
        Some(number) => number.as_i64().unwrap_or_default(),
        None => 0,
    }
}

/// How many replicas more than asked for there may be while it rolls.
pub(super) fn surge(deployment: &Value) -> i64 {
    let value = deployment.pointer("/spec/strategy/rollingUpdate/maxSurge");
    share(value, count(deployment, "/spec/replicas"), true)
}

/// How many replicas fewer than asked for may be available while it rolls.
pub(super) fn unavailable(deployment: &Value) -> i64 {
    let replicas = count(deployment, "/spec/replicas");
    let value = deployment.pointer("/spec/strategy/rollingUpdate/maxUnavailable");
    let found = share(value, replicas, false);
    let is_rolling = deployment.pointer("/spec/strategy/rollingUpdate").is_some();
    // Shares that round to nothing on both sides would never let anything move.
    if is_rolling && found == 0 && surge(deployment) == 0 { 1 } else { found.min(replicas) }
}

/// The size with which a new ReplicaSet begins.
pub(super) fn first_size(deployment: &Value, sets: &Sets) -> i64 {
    let replicas = count(deployment, "/spec/replicas");
    let room = replicas + surge(deployment) - sets.sum("/spec/replicas");
    room.clamp(0, replicas)
}

/// Whether the number of replicas was changed since the sets were last scaled.
pub(super) fn is_resized(deployment: &Value, sets: &Sets) -> bool {
    let wanted = count(deployment, "/spec/replicas").to_string();
    let active = sets.all().filter(|set| count(set, "/spec/replicas") > 0);
    active.into_iter().any(|set| annotation(set, revision::DESIRED).is_some_and(|had| had != wanted))
}

/// One step of a rolling update.
pub(super) fn roll(world: &mut World, deployment: &Value, sets: &Sets) {
    let Some(new) = &sets.new else { return };
    let replicas = count(deployment, "/spec/replicas");
    let (size, total) = (count(new, "/spec/replicas"), sets.sum("/spec/replicas"));
    if size > replicas {
        return resize(world, deployment, new, replicas);
    }
    let room = replicas + surge(deployment) - total;
    if size < replicas && room > 0 {
        return resize(world, deployment, new, size + room.min(replicas - size));
    }
    shrink_old(world, deployment, sets, new);
}

fn shrink_old(world: &mut World, deployment: &Value, sets: &Sets, new: &Value) {
    let least = count(deployment, "/spec/replicas") - unavailable(deployment);
    let new_unavailable = count(new, "/spec/replicas") - count(new, "/status/availableReplicas");
    let mut left = sets.sum("/spec/replicas") - least - new_unavailable;
    let mut sizes: Vec<i64> = sets.old.iter().map(|set| count(set, "/spec/replicas")).collect();
    // First the old pods that are not available anyway.
    for (set, size) in sets.old.iter().zip(&mut sizes) {
        let idle = *size - count(set, "/status/availableReplicas");
        let gone = idle.min(left).max(0);
        *size -= gone;
        left -= gone;
    }
    // Then those that are, as long as enough others are available.
    let mut spare = sets.sum("/status/availableReplicas") - least;
    for size in &mut sizes {
        let gone = (*size).min(spare).min(left).max(0);
        *size -= gone;
        spare -= gone;
        left -= gone;
    }
    for (set, size) in sets.old.iter().zip(sizes) {
        resize(world, deployment, set, size);
    }
}

/// One step of a recreation: everything old goes before anything new comes.
pub(super) fn recreate(world: &mut World, deployment: &Value, sets: &Sets) {
    for set in &sets.old {
        resize(world, deployment, set, 0);
    }
    if let Some(new) = sets.new.as_ref().filter(|_| old_pods(world, sets) == 0) {
        resize(world, deployment, new, count(deployment, "/spec/replicas"));
    }
}

/// Old pods that still count.
pub(super) fn old_pods(world: &World, sets: &Sets) -> usize {
    sets.old.iter().map(|set| active_pods(world, set).len()).sum()
}

/// Spreads a changed number of replicas, as it is done while a rollout is under way or paused.
pub(super) fn scale(world: &mut World, deployment: &Value, sets: &Sets) {
    let replicas = count(deployment, "/spec/replicas");
    let active: Vec<&Arc<Value>> = sets.all().filter(|set| count(set, "/spec/replicas") > 0).collect();
    if active.len() <= 1 {
        let only = active.first().copied().or(sets.new.as_ref()).or(sets.old.last());
        if let Some(only) = only {
            resize(world, deployment, only, replicas);
        }
        return;
    }
    let is_done = |new: &Arc<Value>| {
        count(new, "/spec/replicas") == replicas && count(new, "/status/availableReplicas") == replicas
    };
    if sets.new.as_ref().is_some_and(is_done) {
        for set in &sets.old {
            resize(world, deployment, set, 0);
        }
        return;
    }
    let total: i64 = active.iter().map(|set| count(set, "/spec/replicas")).sum();
    let allowed = if replicas > 0 { replicas + surge(deployment) } else { 0 };
    let mut left = allowed - total;
    let mut sizes = Vec::new();
    for set in &active {
        let size = count(set, "/spec/replicas");
        // Rounded to the nearest, and never more than what is left to spread.
        let part = (size * (allowed - total) * 2 + total * (allowed - total).signum()) / (total * 2);
        let part = if left >= 0 { part.clamp(0, left) } else { part.clamp(left, 0) };
        left -= part;
        sizes.push((size + part).max(0));
    }
    if let Some(last) = sizes.last_mut() {
        *last = (*last + left).max(0);
    }
    for (set, size) in active.into_iter().zip(sizes) {
        resize(world, deployment, set, size);
    }
}

/// Gives a ReplicaSet a size, and tells of it where it is another.
fn resize(world: &mut World, deployment: &Value, replica_set: &Arc<Value>, size: i64) {
    let Some(now) = world.find(&REPLICA_SETS, namespace(replica_set), name(replica_set)) else { return };
    let had = count(&now, "/spec/replicas");
    let mut after = Value::clone(&now);
    set(&mut after, "/spec/replicas", size);
    if had != size {
        let generation = count(&now, "/metadata/generation") + 1;
        set(&mut after, "/metadata/generation", generation);
    }
    revision::annotate_size(&mut after, deployment);
    let after = world.save(&REPLICA_SETS, after);
    if had != size {
        tell_scaled(world, deployment, &after, had, size);
    }
}

/// The event of a ReplicaSet that was scaled.
pub(super) fn tell_scaled(world: &mut World, deployment: &Value, set: &Value, from: i64, to: i64) {
    let way = if to > from { "up" } else { "down" };
    let message = format!("Scaled {way} replica set {} from {from} to {to}", name(set));
    events::normal(world, deployment, "deployment-controller", "ScalingReplicaSet", &message);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shares_are_rounded_up_for_surge_and_down_for_unavailability() {
        let deployment = |surge: Value, gone: Value, replicas: i64| json!({ "spec": { "replicas": replicas, "strategy": { "rollingUpdate": { "maxSurge": surge, "maxUnavailable": gone } } } });
        let usual = deployment(json!("25%"), json!("25%"), 3);
        assert_eq!((surge(&usual), unavailable(&usual)), (1, 0));
        let ten = deployment(json!("25%"), json!("25%"), 10);
        assert_eq!((surge(&ten), unavailable(&ten)), (3, 2));
        let none = deployment(json!(0), json!("10%"), 3);
        assert_eq!((surge(&none), unavailable(&none)), (0, 1));
    }
}
