//! The scheduler: gives each new pod the emptiest node that fits its selector and its requests, or says why none does.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::super::events;
use super::super::json::{condition, fields, flag, is_deleting, is_true, items, name, namespace, set, text};
use super::super::pod_status::{Condition, set_condition};
use super::super::quantity::amount as quantity;
use super::super::resource::{NODES, PODS};
use super::super::store::World;

pub(super) fn sync(world: &mut World) {
    let waiting: Vec<_> = world.all(&PODS).into_iter().filter(|pod| is_waiting(pod)).collect();
    if waiting.is_empty() {
        return;
    }
    let mut places: Vec<Place> = world.all(&NODES).into_iter().map(|node| Place::of(world, node)).collect();
    for pod in waiting {
        let best =
            places.iter_mut().filter(|place| place.refusal(&pod).is_none()).min_by_key(|place| place.pods);
        let Some(place) = best else {
            unschedulable(world, &pod, &places);
            continue;
        };
        place.take(&pod);
        let node = name(&place.node).to_owned();
        let mut placed = Value::clone(&pod);
        set(&mut placed, "/spec/nodeName", node.as_str());
        set_condition(&mut placed, world.now, &Condition::good("PodScheduled"));
        let placed = world.save(&PODS, placed);
        let message = format!("Successfully assigned {}/{} to {node}", namespace(&placed), name(&placed));
        events::normal(world, &placed, "default-scheduler", "Scheduled", &message);
    }
}

/// A node, and what the pods on it have asked for.
struct Place {
    node: Arc<Value>,
    pods: usize,
    cpu: f64,
    memory: f64,
}

impl Place {
    fn of(world: &World, node: Arc<Value>) -> Self {
        let mut place = Self { node, pods: 0, cpu: 0.0, memory: 0.0 };
        for pod in world.all(&PODS) {
            let ended = matches!(text(&pod, "/status/phase"), "Succeeded" | "Failed");
            if text(&pod, "/spec/nodeName") == name(&place.node) && !ended {
                place.take(&pod);
            }
        }
        place
    }

    fn take(&mut self, pod: &Value) {
        self.pods += 1;
        self.cpu += requested(pod, "cpu");
        self.memory += requested(pod, "memory");
    }

    /// Why a pod does not fit here, in the scheduler's words.
    fn refusal(&self, pod: &Value) -> Option<&'static str> {
        let labels = fields(&self.node, "/metadata/labels");
        let mut wanted = fields(pod, "/spec/nodeSelector").into_iter().flatten();
        let room = |resource: &str| {
            self.node
                .pointer(&format!("/status/allocatable/{resource}"))
                .and_then(quantity)
                .unwrap_or(f64::MAX)
        };
        if flag(&self.node, "/spec/unschedulable") {
            Some("node(s) were unschedulable")
        } else if condition(&self.node, "Ready").is_some() && !is_true(&self.node, "Ready") {
            Some("node(s) had untolerated taint {node.kubernetes.io/not-ready: }")
        } else if !wanted.all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value)) {
            Some("node(s) didn't match Pod's node affinity/selector")
        } else if self.cpu + requested(pod, "cpu") > room("cpu") {
            Some("Insufficient cpu")
        } else if self.memory + requested(pod, "memory") > room("memory") {
            Some("Insufficient memory")
        } else {
            None
        }
    }
}

/// What the containers of a pod ask for together.
fn requested(pod: &Value, resource: &str) -> f64 {
    let of =
        |container: &Value| container.pointer(&format!("/resources/requests/{resource}")).and_then(quantity);
    items(pod, "/spec/containers").iter().filter_map(of).sum()
}

fn is_waiting(pod: &Value) -> bool {
    text(pod, "/spec/nodeName").is_empty()
        && !is_deleting(pod)
        && !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
        && items(pod, "/spec/schedulingGates").is_empty()
        && text(pod, "/spec/schedulerName") == "default-scheduler"
}

fn unschedulable(world: &mut World, pod: &Value, places: &[Place]) {
    let mut reasons = BTreeMap::<&str, usize>::new();
    for place in places {
        *reasons.entry(place.refusal(pod).unwrap_or_default()).or_default() += 1;
    }
    let told: Vec<String> = reasons.iter().map(|(reason, nodes)| format!("{nodes} {reason}")).collect();
    let message = format!("0/{} nodes are available: {}.", places.len(), told.join(", "));
    if condition(pod, "PodScheduled").is_none_or(|has| text(has, "/reason") != "Unschedulable") {
        events::warning(world, pod, "default-scheduler", "FailedScheduling", &message);
    }
    let mut pod = pod.clone();
    let condition =
        Condition { kind: "PodScheduled", status: false, reason: "Unschedulable", message: &message };
    set_condition(&mut pod, world.now, &condition);
    world.save(&PODS, pod);
}
