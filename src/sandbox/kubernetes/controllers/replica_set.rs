//! ReplicaSets: as many pods as are asked for, and a status that counts them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::change::{self, Deletion};
use super::super::events;
use super::super::json::{count, fields, is_deleting, is_true, name, namespace, set, text};
use super::super::resource::{PODS, REPLICA_SETS};
use super::super::store::World;
use super::{active_pods, is_available, owner_reference};

pub(super) fn sync(world: &mut World) {
    for set in world.all(&REPLICA_SETS) {
        if !is_deleting(&set) {
            manage(world, &set);
        }
        write_status(world, &set);
    }
}

fn manage(world: &mut World, owner: &Value) {
    let mut pods = active_pods(world, owner);
    let wanted = usize::try_from(count(owner, "/spec/replicas")).unwrap_or_default();
    for _ in pods.len()..wanted {
        let made = make_pod(world, owner, None);
        let message = format!("Created pod: {}", name(&made));
        events::normal(world, owner, "replicaset-controller", "SuccessfulCreate", &message);
    }
    if pods.len() > wanted {
        pods.sort_by_key(|pod| rank(pod));
        for pod in &pods[..pods.len() - wanted] {
            delete_pod(world, pod);
            let message = format!("Deleted pod: {}", name(pod));
            events::normal(world, owner, "replicaset-controller", "SuccessfulDelete", &message);
        }
    }
}

/// Who goes first: what has no node, then what is not ready, then the youngest.
fn rank(pod: &Value) -> (bool, bool, std::cmp::Reverse<String>) {
    let has_node = !text(pod, "/spec/nodeName").is_empty();
    let age = text(pod, "/metadata/creationTimestamp").to_owned();
    (has_node, is_true(pod, "Ready"), std::cmp::Reverse(age))
}

/// Makes a pod from its owner's template; without a name it gets one of its own.
pub(super) fn make_pod(world: &mut World, owner: &Value, own_name: Option<String>) -> Arc<Value> {
    let template = &owner["spec"]["template"];
    let prefix = format!("{}-", name(owner));
    let own_name = own_name.unwrap_or_else(|| format!("{prefix}{}", world.letters(5)));
    let mut pod = json!({
        "metadata": {
            "namespace": namespace(owner),
            "name": own_name,
            "generateName": prefix,
            "ownerReferences": owner_reference(owner),
        },
        "spec": template["spec"],
    });
    for map in ["labels", "annotations"] {
        if let Some(values) = fields(template, &format!("/metadata/{map}")) {
            set(&mut pod, &format!("/metadata/{map}"), values.clone());
        }
    }
    change::insert(world, &PODS, pod)
}

/// Deletes a pod as a controller does: with its own grace.
pub(super) fn delete_pod(world: &mut World, pod: &Arc<Value>) {
    // Without preconditions a deletion cannot be refused.
    change::delete(world, &PODS, pod, &Deletion::default()).ok();
}

fn write_status(world: &mut World, owner: &Arc<Value>) {
    let Some(owner) = world.find(&REPLICA_SETS, namespace(owner), name(owner)) else { return };
    let pods = active_pods(world, &owner);
    let ready = pods.iter().filter(|pod| is_true(pod, "Ready")).count();
    let wait = count(&owner, "/spec/minReadySeconds");
    let mut available = 0;
    for pod in &pods {
        available += usize::from(is_available(world, pod, wait));
    }
    let mut status = json!({ "replicas": pods.len(), "observedGeneration": owner["metadata"]["generation"] });
    let counts =
        [("fullyLabeledReplicas", pods.len()), ("readyReplicas", ready), ("availableReplicas", available)];
    for (field, number) in counts.into_iter().filter(|(_, number)| *number > 0) {
        status[field] = number.into();
    }
    let mut after = Value::clone(&owner);
    set(&mut after, "/status", status);
    world.save(&REPLICA_SETS, after);
}
