//! The controllers: small ones, each a function that brings the world one step nearer to what is asked for.
//!
//! They run one after the other until nothing changes any more, and leave a note where time must pass first.

use std::sync::Arc;

use serde_json::Value;

use super::json::{controller, is_deleting, text, uid};
use super::kubelet;
use super::resource::{PODS, Resource};
use super::store::World;

mod autoscaler;
mod budget;
mod certificate;
mod claims;
mod cron_job;
mod daemon_set;
mod deployment;
mod endpoints;
mod garbage;
mod history;
mod job;
mod namespaces;
mod progress;
mod replica_set;
mod revision;
mod rollout;
mod scheduler;
mod stateful_set;

/// Rounds until nothing changes; more means that two controllers fight.
const ROUNDS_MAX: usize = 200;

/// Lets all controllers work until nothing changes any more at this time.
pub(super) fn settle(world: &mut World) {
    for _ in 0..ROUNDS_MAX {
        let before = world.version();
        round(world);
        if world.version() == before {
            return;
        }
    }
}

fn round(world: &mut World) {
    namespaces::sync(world);
    garbage::sync(world);
    autoscaler::sync(world);
    deployment::sync(world);
    replica_set::sync(world);
    stateful_set::sync(world);
    daemon_set::sync(world);
    cron_job::sync(world);
    job::sync(world);
    claims::sync(world);
    certificate::sync(world);
    scheduler::sync(world);
    kubelet::sync(world);
    endpoints::sync(world);
    budget::sync(world);
}

/// The objects that an owner controls.
fn owned(world: &World, resource: &Resource, owner: &Value) -> Vec<Arc<Value>> {
    let all = world.within(resource, super::json::namespace(owner));
    all.into_iter().filter(|object| controller(object).is_some_and(|(_, id)| id == uid(owner))).collect()
}

/// The pods that an owner controls and that count: neither ended nor ending.
fn active_pods(world: &World, owner: &Value) -> Vec<Arc<Value>> {
    let mut pods = owned(world, &PODS, owner);
    pods.retain(|pod| !is_deleting(pod) && !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed"));
    pods
}

/// A reference to the owner that controls an object.
fn owner_reference(owner: &Value) -> Value {
    serde_json::json!([{
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": true,
        "blockOwnerDeletion": true,
    }])
}

/// Whether a pod has been ready for as long as its owner asks for. Where time must pass, a note is left.
fn is_available(world: &mut World, pod: &Value, min_ready_seconds: i64) -> bool {
    if !super::json::is_true(pod, "Ready") {
        return false;
    }
    let since = super::json::condition(pod, "Ready")
        .and_then(|ready| super::json::time(ready, "/lastTransitionTime"));
    let wait = jiff::SignedDuration::from_secs(min_ready_seconds);
    let at = since.and_then(|since| since.checked_add(wait).ok()).unwrap_or(world.now);
    if at > world.now {
        world.play.wake_at(at);
    }
    at <= world.now
}
