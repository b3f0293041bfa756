//! Deployments: a ReplicaSet for each template, rolled from the old ones to the new one within surge and unavailability.

use serde_json::{Value, json};

use super::super::json::{count, flag, is_deleting, name, namespace, set, text};
use super::super::resource::DEPLOYMENTS;
use super::super::store::World;
use super::revision::{self, Sets};
use super::{progress, rollout};

pub(super) fn sync(world: &mut World) {
    for deployment in world.all(&DEPLOYMENTS) {
        if is_deleting(&deployment) {
            continue;
        }
        let mut sets = revision::find(world, &deployment);
        if flag(&deployment, "/spec/paused") || rollout::is_resized(&deployment, &sets) {
            revision::ensure_new(world, &deployment, &mut sets, false);
            rollout::scale(world, &deployment, &sets);
        } else {
            let may_make = may_make(world, &deployment, &sets);
            revision::ensure_new(world, &deployment, &mut sets, may_make);
            match text(&deployment, "/spec/strategy/type") {
                "Recreate" => rollout::recreate(world, &deployment, &sets),
                _ => rollout::roll(world, &deployment, &sets),
            }
            revision::forget_old(world, &deployment, &sets);
        }
        let sets = revision::find(world, &deployment);
        write_status(world, &deployment, &sets);
    }
}

/// A Deployment that recreates waits with the new pods until the old ones are gone.
fn may_make(world: &World, deployment: &Value, sets: &Sets) -> bool {
    text(deployment, "/spec/strategy/type") != "Recreate" || rollout::old_pods(world, sets) == 0
}

fn write_status(world: &mut World, deployment: &Value, sets: &Sets) {
    let Some(now) = world.find(&DEPLOYMENTS, namespace(deployment), name(deployment)) else { return };
    let mut after = Value::clone(&now);
    let available = sets.sum("/status/availableReplicas");
    let mut status = json!({ "observedGeneration": deployment["metadata"]["generation"] });
    let counts = [
        ("replicas", sets.sum("/status/replicas")),
        ("updatedReplicas", sets.new.as_ref().map_or(0, |new| count(new, "/status/replicas"))),
        ("readyReplicas", sets.sum("/status/readyReplicas")),
        ("availableReplicas", available),
        ("unavailableReplicas", (sets.sum("/spec/replicas") - available).max(0)),
    ];
    for (field, number) in counts.into_iter().filter(|(_, number)| *number > 0) {
        status[field] = number.into();
    }
    for kept in ["conditions", "collisionCount"] {
        if let Some(value) = now.pointer(&format!("/status/{kept}")) {
            status[kept] = value.clone();
        }
    }
    set(&mut after, "/status", status);
    progress::judge(world, &now, &mut after, sets);
    world.save(&DEPLOYMENTS, after);
}
