//! The scheduler: gives each new pod a node that fits its selector, or says why none does.

use serde_json::Value;

use super::super::events;
use super::super::json::{fields, flag, is_deleting, is_true, items, name, set, text};
use super::super::pod_status::{Condition, set_condition};
use super::super::resource::{NODES, PODS};
use super::super::store::World;

pub(super) fn sync(world: &mut World) {
    let waiting: Vec<_> = world.all(&PODS).into_iter().filter(|pod| is_waiting(pod)).collect();
    if waiting.is_empty() {
        return;
    }
    let mut load: Vec<(usize, String)> = Vec::new();
    let nodes = world.all(&NODES);
    for node in &nodes {
        let own = |pod: &&std::sync::Arc<Value>| text(pod, "/spec/nodeName") == name(node);
        load.push((world.all(&PODS).iter().filter(own).count(), name(node).to_owned()));
    }
    for pod in waiting {
        let fits =
            |name: &str| nodes.iter().any(|node| super::super::json::name(node) == name && fits(&pod, node));
        let best = load.iter_mut().filter(|(_, node)| fits(node)).min();
        let Some((count, node)) = best else {
            unschedulable(world, &pod, nodes.len());
            continue;
        };
        *count += 1;
        let node = node.clone();
        let mut placed = Value::clone(&pod);
        set(&mut placed, "/spec/nodeName", node.as_str());
        set_condition(&mut placed, world.now, &Condition::good("PodScheduled"));
        let placed = world.save(&PODS, placed);
        let home = super::super::json::namespace(&placed).to_owned();
        let message = format!("Successfully assigned {home}/{} to {node}", name(&placed));
        events::normal(world, &placed, "default-scheduler", "Scheduled", &message);
    }
}

fn is_waiting(pod: &Value) -> bool {
    text(pod, "/spec/nodeName").is_empty()
        && !is_deleting(pod)
        && !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
        && items(pod, "/spec/schedulingGates").is_empty()
        && text(pod, "/spec/schedulerName") == "default-scheduler"
}

fn fits(pod: &Value, node: &Value) -> bool {
    let labels = fields(node, "/metadata/labels");
    let wanted = fields(pod, "/spec/nodeSelector").into_iter().flatten();
    let selected =
        wanted.into_iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value));
    let healthy = super::super::json::condition(node, "Ready").is_none() || is_true(node, "Ready");
    selected && healthy && !flag(node, "/spec/unschedulable")
}

fn unschedulable(world: &mut World, pod: &Value, nodes: usize) {
    let message = format!(
        "0/{nodes} nodes are available: {nodes} node(s) didn't match Pod's node affinity/selector. preemption: \
         0/{nodes} nodes are available: {nodes} Preemption is not helpful for scheduling."
    );
    if super::super::json::condition(pod, "PodScheduled")
        .is_none_or(|has| text(has, "/reason") != "Unschedulable")
    {
        events::warning(world, pod, "default-scheduler", "FailedScheduling", &message);
    }
    let mut pod = pod.clone();
    let condition =
        Condition { kind: "PodScheduled", status: false, reason: "Unschedulable", message: &message };
    set_condition(&mut pod, world.now, &condition);
    world.save(&PODS, pod);
}
