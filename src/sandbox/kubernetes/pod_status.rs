//! The status of a pod, put together from the lives of its containers.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::json::{condition, fields, items, name, set, set_default, stamp, text};
use super::kubelet::{Run, Stage, state, terminated};
use super::resource::PODS;
use super::store::World;

/// Writes the status of a pod that a node runs.
pub(super) fn write(world: &mut World, before: &Value, runs: &[Run]) {
    let mut pod = before.clone();
    let now = world.now;
    set_default(&mut pod, "/status/startTime", stamp(now));
    set_default(&mut pod, "/status/hostIP", "192.0.2.1");
    if text(&pod, "/status/podIP").is_empty() {
        world.play.addresses += 1;
        let number = world.play.addresses;
        let address = format!("10.{}.{}.{}", (number >> 16) & 255, (number >> 8) & 255, number & 255);
        set(&mut pod, "/status/podIP", address.as_str());
        set(&mut pod, "/status/podIPs", json!([{ "ip": address }]));
    }
    let containers = items(before, "/spec/containers");
    let told = containers.iter().zip(runs).map(|(container, run)| container_status(before, container, run));
    set(&mut pod, "/status/containerStatuses", told.collect::<Vec<_>>());
    let inits: Vec<Value> =
        items(before, "/spec/initContainers").iter().map(|init| done(init, now)).collect();
    if !inits.is_empty() {
        set_default(&mut pod, "/status/initContainerStatuses", inits);
    }
    let phase = phase(before, runs);
    set(&mut pod, "/status/phase", phase);
    set(&mut pod, "/status/qosClass", quality(before));
    let finished = matches!(phase, "Succeeded" | "Failed");
    let unready = unready_names(containers, runs);
    set_condition(&mut pod, now, &Condition::good("PodScheduled"));
    set_condition(&mut pod, now, &Condition::good("PodReadyToStartContainers"));
    set_condition(
        &mut pod,
        now,
        &Condition { reason: if finished { "PodCompleted" } else { "" }, ..Condition::good("Initialized") },
    );
    for kind in ["ContainersReady", "Ready"] {
        let message = format!("containers with unready status: [{unready}]");
        let condition = match phase {
            _ if finished => Condition { kind, status: false, reason: "PodCompleted", message: "" },
            _ if unready.is_empty() => Condition::good(kind),
            _ => Condition { kind, status: false, reason: "ContainersNotReady", message: &message },
        };
        set_condition(&mut pod, now, &condition);
    }
    world.save(&PODS, pod);
}

fn unready_names(containers: &[Value], runs: &[Run]) -> String {
    let unready = containers.iter().zip(runs).filter(|(_, run)| !run.ready);
    unready.map(|(container, _)| text(container, "/name")).collect::<Vec<_>>().join(" ")
}

fn container_status(pod: &Value, container: &Value, run: &Run) -> Value {
    let own = text(container, "/name");
    let image = text(container, "/image");
    let mut told = json!({
        "name": own,
        "image": image,
        "imageID": format!("{image}@sha256:{}", "0".repeat(64)),
        "restartCount": run.restarts,
        "ready": run.ready,
        "started": matches!(run.stage, Stage::Running { .. }),
        "state": state(run, own, name(pod)),
        "lastState": run.last.as_ref().map_or_else(|| json!({}), terminated),
    });
    if !matches!(run.stage, Stage::Creating { .. } | Stage::PullFailed { .. }) {
        set(&mut told, "/containerID", format!("containerd://{}-{}", super::json::uid(pod), run.restarts));
    }
    told
}

/// Init containers are taken as done as soon as the pod has a node.
fn done(init: &Value, now: Timestamp) -> Value {
    json!({
        "name": init["name"],
        "image": init["image"],
        "imageID": "",
        "restartCount": 0,
        "ready": true,
        "state": { "terminated": { "exitCode": 0, "reason": "Completed", "startedAt": stamp(now), "finishedAt": stamp(now) } },
        "lastState": {},
    })
}

fn phase(pod: &Value, runs: &[Run]) -> &'static str {
    let ended = |run: &Run| match &run.stage {
        Stage::Ended(ended) => Some(ended.code),
        _ => None,
    };
    let codes: Vec<i32> = runs.iter().filter_map(ended).collect();
    let began = |run: &Run| !matches!(run.stage, Stage::Creating { .. } | Stage::PullFailed { .. });
    if codes.len() == runs.len() && text(pod, "/spec/restartPolicy") != "Always" {
        if codes.iter().all(|code| *code == 0) { "Succeeded" } else { "Failed" }
    } else if runs.iter().all(began) {
        "Running"
    } else {
        "Pending"
    }
}

/// Guaranteed, Burstable or BestEffort, by what the containers ask for.
fn quality(pod: &Value) -> &'static str {
    let empty = Map::new();
    let list = |container: &Value, name: &str| {
        fields(container, &format!("/resources/{name}")).unwrap_or(&empty).clone()
    };
    let all: Vec<_> = super::defaults::containers(&pod["spec"])
        .map(|one| (list(one, "requests"), list(one, "limits")))
        .collect();
    if all.iter().all(|(requests, limits)| requests.is_empty() && limits.is_empty()) {
        return "BestEffort";
    }
    let exact = |(requests, limits): &(Map<String, Value>, Map<String, Value>)| {
        ["cpu", "memory"]
            .iter()
            .all(|name| limits.contains_key(*name) && requests.get(*name) == limits.get(*name))
    };
    if all.iter().all(exact) { "Guaranteed" } else { "Burstable" }
}

/// One condition of an object.
pub(super) struct Condition<'a> {
    pub kind: &'a str,
    pub status: bool,
    pub reason: &'a str,
    pub message: &'a str,
}

impl<'a> Condition<'a> {
    /// A condition that holds and needs no words.
    pub(super) fn good(kind: &'a str) -> Self {
        Self { kind, status: true, reason: "", message: "" }
    }
}

/// Sets a condition; its time of transition changes only with its status.
pub(super) fn set_condition(object: &mut Value, now: Timestamp, new: &Condition<'_>) {
    let status = if new.status { "True" } else { "False" };
    let before = condition(object, new.kind);
    let since = before
        .filter(|before| text(before, "/status") == status)
        .map(|before| text(before, "/lastTransitionTime"));
    let mut told = json!({ "type": new.kind, "status": status, "lastTransitionTime": since.map_or_else(|| stamp(now), str::to_owned) });
    for (field, words) in [("reason", new.reason), ("message", new.message)] {
        if !words.is_empty() {
            told[field] = words.into();
        }
    }
    if object["kind"] == "Pod" {
        told["lastProbeTime"] = Value::Null;
    }
    let mut conditions = items(object, "/status/conditions").to_vec();
    match conditions.iter_mut().find(|has| text(has, "/type") == new.kind) {
        Some(place) => *place = told,
        None => conditions.push(told),
    }
    set(object, "/status/conditions", conditions);
}
