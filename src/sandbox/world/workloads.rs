//! The cluster as a person sees it: each workload with its pods, what bounds it, and the newest events.
//!
//! It reads the stored objects and says nothing that `kubectl get` would not say.

use serde_json::{Value, json};

use crate::sandbox::kubernetes::KubernetesSandbox;
use crate::sandbox::scenario::cluster::NAMESPACE;

/// Events that are shown.
const EVENTS_MAX: usize = 12;

/// What every start of a container goes through: shown, it would hide the rest.
const ROUTINE: [&str; 4] = ["Scheduled", "Pulling", "Pulled", "Created"];

/// Everything at once.
pub(super) fn view(cluster: &KubernetesSandbox) -> Value {
    let pods = cluster.list("pods", NAMESPACE);
    let workloads = ["deployments", "statefulsets"].into_iter().flat_map(|plural| {
        let all = cluster.list(plural, NAMESPACE);
        all.into_iter().map(|object| workload(cluster, &object, &pods)).collect::<Vec<_>>()
    });
    json!({
        "namespace": NAMESPACE,
        "workloads": workloads.collect::<Vec<_>>(),
        "events": events(cluster),
    })
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn workload(cluster: &KubernetesSandbox, object: &Value, pods: &[Value]) -> Value {
    let name = text(object, "/metadata/name");
    let container = &object["spec"]["template"]["spec"]["containers"][0];
    let image = text(container, "/image");
    let own = pods.iter().filter(|pod| text(pod, "/metadata/labels/app") == name);
    let mut facts = vec![json!(["image", image.rsplit('/').next().unwrap_or(image)])];
    let limit = text(container, "/resources/limits/memory");
    if !limit.is_empty() {
        facts.push(json!(["memory limit", limit]));
    }
    if let Some(autoscaler) = cluster.get("horizontalpodautoscalers", NAMESPACE, name) {
        let number = |pointer: &str| autoscaler.pointer(pointer).and_then(Value::as_i64).unwrap_or_default();
        let (min, max) = (number("/spec/minReplicas"), number("/spec/maxReplicas"));
        facts.push(json!([
            "autoscaler",
            format!("{min} to {max}, wants {}", number("/status/desiredReplicas"))
        ]));
    }
    let claim = text(object, "/spec/template/spec/volumes/0/persistentVolumeClaim/claimName");
    if let Some(claim) = cluster.get("persistentvolumeclaims", NAMESPACE, claim) {
        facts.push(json!(["volume", text(&claim, "/status/capacity/storage")]));
    }
    json!({
        "kind": object["kind"],
        "name": name,
        "ready": object["status"]["readyReplicas"].as_i64().unwrap_or_default(),
        "desired": object["spec"]["replicas"],
        "facts": facts,
        "pods": own.map(pod).collect::<Vec<_>>(),
    })
}

fn pod(pod: &Value) -> Value {
    let (status, tone) = status(pod);
    let container = &pod["status"]["containerStatuses"][0];
    let image = text(pod, "/spec/containers/0/image");
    json!({
        "name": pod["metadata"]["name"],
        "status": status,
        "tone": tone,
        "restarts": container["restartCount"].as_i64().unwrap_or_default(),
        "image": image.rsplit('/').next().unwrap_or(image),
    })
}

/// The word that `kubectl get pods` shows, and how it is meant: `good`, `waiting`, `bad` or `ending`.
fn status(pod: &Value) -> (String, &'static str) {
    if pod.pointer("/metadata/deletionTimestamp").is_some() {
        return ("Terminating".to_owned(), "ending");
    }
    let state = &pod["status"]["containerStatuses"][0]["state"];
    for kind in ["waiting", "terminated"] {
        let reason = text(state, &format!("/{kind}/reason"));
        if !reason.is_empty() {
            let tone = if reason == "ContainerCreating" { "waiting" } else { "bad" };
            return (reason.to_owned(), tone);
        }
    }
    let is_ready = pod["status"]["containerStatuses"][0]["ready"] == true;
    let phase = text(pod, "/status/phase");
    let phase = if phase.is_empty() { "Pending" } else { phase };
    (phase.to_owned(), if is_ready { "good" } else { "waiting" })
}

fn events(cluster: &KubernetesSandbox) -> Vec<Value> {
    let mut all = cluster.list("events", NAMESPACE);
    all.retain(|event| !ROUTINE.contains(&text(event, "/reason")));
    let version = |event: &Value| text(event, "/metadata/resourceVersion").parse::<u64>().unwrap_or_default();
    all.sort_by_key(|event| std::cmp::Reverse(version(event)));
    all.truncate(EVENTS_MAX);
    let told = |event: &Value| {
        json!({
            "at": event["lastTimestamp"],
            "warning": event["type"] == "Warning",
            "reason": event["reason"],
            "object": event["involvedObject"]["name"],
            "message": event["message"],
            "count": event["count"],
        })
    };
    all.iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_shown_with_the_word_that_kubectl_has_for_it() {
        let with = |state: Value, ready: bool| json!({ "status": { "phase": "Running", "containerStatuses": [{ "state": state, "ready": ready }] } });
        let mut ending = with(json!({ "running": {} }), true);
        ending["metadata"] = json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" });
        for (pod, word, tone) in [
            (json!({}), "Pending", "waiting"),
            (with(json!({ "running": {} }), true), "Running", "good"),
            (with(json!({ "running": {} }), false), "Running", "waiting"),
            (
                with(json!({ "waiting": { "reason": "ContainerCreating" } }), false),
                "ContainerCreating",
                "waiting",
            ),
            (with(json!({ "waiting": { "reason": "CrashLoopBackOff" } }), false), "CrashLoopBackOff", "bad"),
            (with(json!({ "terminated": { "reason": "OOMKilled" } }), false), "OOMKilled", "bad"),
            (ending, "Terminating", "ending"),
        ] {
            assert_eq!(status(&pod), (word.to_owned(), tone), "{pod}");
        }
    }
}
