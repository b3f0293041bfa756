//! What the simulated cluster of the stories holds, and how a story changes it: as people do, object by object.
//!
//! Every story has a workload of its own, so that any of them may be played while another one is under way.

use std::time::Duration;

use serde_json::{Value, json};

use super::{ClusterPlay, Scenario};
use crate::sandbox::kubernetes::KubernetesSandbox;

/// The namespace of everything.
pub const NAMESPACE: &str = "pss-nano";
/// How old the workloads are when the world begins: older than anything that a rule would take for the cause.
pub const AGE: Duration = Duration::from_secs(26 * 3_600);
/// From putting things right until pods have come to rest.
const SETTLES: Duration = Duration::from_secs(20);

/// Seconds until a rollout counts as stuck: short, since people are watching.
const DEADLINE_SECONDS: u64 = 10;

/// Name, image, replicas and limit of memory of every Deployment. The images' registry exists nowhere.
const DEPLOYMENTS: [(&str, &str, u32, &str); 5] = [
    ("user-service", "user-service:2.4.1", 4, "512Mi"),
    ("reservation-service", "reservation-service:5.1.0", 3, "512Mi"),
    ("notification-service", "notification-service:1.9.3", 2, "256Mi"),
    ("report-service", "report-service:3.2.0", 3, "256Mi"),
    ("api-gateway", "api-gateway:7.0.2", 2, "512Mi"),
];

/// Puts the workloads of all stories into the cluster, and everything else in order. [`AGE`] has passed then.
pub fn furnish(cluster: &KubernetesSandbox, scenarios: &[Scenario]) {
    for (name, image, replicas, memory) in DEPLOYMENTS {
        put(cluster, deployment(name, image, replicas, memory));
    }
    cluster.step(AGE - SETTLES);
    for play in scenarios.iter().filter_map(Scenario::in_cluster) {
        (play.calm)(cluster);
    }
    cluster.step(SETTLES);
}

impl ClusterPlay {
    /// Plays the story from its beginning: what is left of the time before is put right first.
    pub fn begin(&self, cluster: &KubernetesSandbox, was_played: bool) {
        (self.calm)(cluster);
        if was_played {
            cluster.step(SETTLES);
        }
        (self.trouble)(cluster);
    }
}

fn deployment(name: &str, image: &str, replicas: u32, memory: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": name, "namespace": NAMESPACE, "labels": { "app": name } },
        "spec": {
            "replicas": replicas,
            "progressDeadlineSeconds": DEADLINE_SECONDS,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{
                    "name": "app",
                    "image": registry(image),
                    "resources": { "requests": { "cpu": "250m", "memory": "128Mi" }, "limits": { "memory": memory } },
                }] },
            },
        },
    })
}

/// An image with its registry.
pub(super) fn registry(image: &str) -> String {
    format!("registry.example.com/pss-nano/{image}")
}

pub(super) fn put(cluster: &KubernetesSandbox, object: Value) {
    cluster.put(object).expect("the objects of a story are of kinds that are played");
}

/// Changes an object as somebody with `kubectl edit` would; one that is not there stays away.
pub(super) fn edit(cluster: &KubernetesSandbox, plural: &str, name: &str, change: impl FnOnce(&mut Value)) {
    if let Some(before) = cluster.get(plural, NAMESPACE, name) {
        let mut after = before.clone();
        change(&mut after);
        if after != before {
            put(cluster, after);
        }
    }
}

/// Gives the one container of a Deployment an image.
pub(super) fn set_image(cluster: &KubernetesSandbox, deployment: &str, image: &str) {
    edit(cluster, "deployments", deployment, |object| {
        object["spec"]["template"]["spec"]["containers"][0]["image"] = json!(registry(image));
    });
}

/// The pods of a workload.
pub(super) fn pods(cluster: &KubernetesSandbox, app: &str) -> Vec<Value> {
    let mut pods = cluster.list("pods", NAMESPACE);
    pods.retain(|pod| pod["metadata"]["labels"]["app"] == app);
    pods
}

/// How many pods of a workload wait for one of these reasons.
pub(super) fn waiting(cluster: &KubernetesSandbox, app: &str, reasons: &[&str]) -> f64 {
    let mut pods = pods(cluster, app);
    pods.retain(|pod| {
        let reason = pod.pointer("/status/containerStatuses/0/state/waiting/reason").and_then(Value::as_str);
        let is_ending = pod.pointer("/metadata/deletionTimestamp").is_some();
        !is_ending && reason.is_some_and(|reason| reasons.contains(&reason))
    });
    count(pods.len())
}

/// Whether the rollout of a Deployment has gone past its deadline.
pub(super) fn is_stuck(cluster: &KubernetesSandbox, name: &str) -> bool {
    let deployment = cluster.get("deployments", NAMESPACE, name).unwrap_or_default();
    let conditions = deployment.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| condition["reason"] == "ProgressDeadlineExceeded")
}

/// Whether a pod takes requests.
pub(super) fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|one| one["type"] == "Ready" && one["status"] == "True")
}

/// A count as Prometheus writes it.
#[allow(clippy::cast_precision_loss, reason = "a story has a handful of pods")]
pub(super) fn count(number: usize) -> f64 {
    number as f64
}
