//! DaemonSets: one pod on each node that fits, updated one node at a time.

use serde_json::{Value, json};

use super::super::json::{count, fields, is_deleting, is_true, label, name, set, text};
use super::super::resource::{DAEMON_SETS, NODES};
use super::super::store::World;
use super::{active_pods, history, is_available, replica_set};

pub(super) fn sync(world: &mut World) {
    for owner in world.all(&DAEMON_SETS) {
        if is_deleting(&owner) {
            continue;
        }
        let update = history::current(world, &owner);
        let hash = label(&update, history::HASH).unwrap_or_default().to_owned();
        let wanted = fitting_nodes(world, &owner);
        manage(world, &owner, &wanted, &hash);
        history::forget_old(world, &owner, &[name(&update)]);
        write_status(world, &owner, &wanted, &hash);
    }
}

fn fitting_nodes(world: &World, owner: &Value) -> Vec<String> {
    let selector = fields(owner, "/spec/template/spec/nodeSelector").cloned().unwrap_or_default();
    let fits = |node: &Value| {
        let labels = fields(node, "/metadata/labels");
        selector.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
    };
    world.all(&NODES).iter().filter(|node| fits(node)).map(|node| name(node).to_owned()).collect()
}

fn manage(world: &mut World, owner: &Value, wanted: &[String], hash: &str) {
    let pods = active_pods(world, owner);
    for node in wanted {
        if pods.iter().any(|pod| text(pod, "/spec/nodeName") == node) {
            continue;
        }
        let mut with = history::template_with(owner, hash, &[]);
        set(&mut with, "/spec/template/spec/nodeName", node.as_str());
        replica_set::make_pod(world, &with, None);
    }
    for pod in pods.iter().filter(|pod| !wanted.iter().any(|node| text(pod, "/spec/nodeName") == node)) {
        replica_set::delete_pod(world, pod);
    }
    if text(owner, "/spec/updateStrategy/type") == "OnDelete" {
        return;
    }
    let most = count(owner, "/spec/updateStrategy/rollingUpdate/maxUnavailable").max(1);
    let there = pods.iter().filter(|pod| is_true(pod, "Ready")).count();
    let missing = i64::try_from(wanted.len().saturating_sub(there)).unwrap_or_default();
    let mut room = most - missing;
    for pod in pods.iter().filter(|pod| label(pod, history::HASH) != Some(hash)) {
        if !is_true(pod, "Ready") {
            replica_set::delete_pod(world, pod);
        } else if room > 0 {
            room -= 1;
            replica_set::delete_pod(world, pod);
        }
    }
}

fn write_status(world: &mut World, owner: &Value, wanted: &[String], hash: &str) {
    let pods = active_pods(world, owner);
    let ready = pods.iter().filter(|pod| is_true(pod, "Ready")).count();
    let updated = pods.iter().filter(|pod| label(pod, history::HASH) == Some(hash)).count();
    let mut available = 0;
    for pod in &pods {
        available += usize::from(is_available(world, pod, count(owner, "/spec/minReadySeconds")));
    }
    let mut status = json!({
        "observedGeneration": owner["metadata"]["generation"],
        "desiredNumberScheduled": wanted.len(),
        "currentNumberScheduled": pods.len(),
        "numberMisscheduled": 0,
        "numberReady": ready,
    });
    let counts = [
        ("updatedNumberScheduled", updated),
        ("numberAvailable", available),
        ("numberUnavailable", wanted.len().saturating_sub(available)),
    ];
    for (field, number) in counts.into_iter().filter(|(_, number)| *number > 0) {
        status[field] = number.into();
    }
    let mut after = owner.clone();
    set(&mut after, "/status", status);
    world.save(&DAEMON_SETS, after);
}
