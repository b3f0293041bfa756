//! The objects of the tests, and the images that they run.

use std::time::Duration;

use serde_json::{Value, json};

use super::cluster::{Ground, condition, count, text};

/// How often a pod that runs is looked at for the identity of its container.
const IDENTITY_LOOKS: u32 = 10;
/// Names an image that runs for ever without doing anything, where the usual one cannot be pulled.
const IMAGE: &str = "SMOKEJUMPER_TEST_IMAGE";
/// Names an image with a shell, where the usual one cannot be pulled.
const SHELL_IMAGE: &str = "SMOKEJUMPER_TEST_SHELL_IMAGE";

/// The image that only waits.
pub fn image() -> String {
    std::env::var(IMAGE).unwrap_or_else(|_| "registry.k8s.io/pause:3.10".to_owned())
}

/// The image with a shell.
pub fn shell_image() -> String {
    std::env::var(SHELL_IMAGE)
        .unwrap_or_else(|_| "registry.k8s.io/e2e-test-images/busybox:1.36.1-1".to_owned())
}

/// A pod template of one container `app` that only waits. `version` makes one template differ from another.
pub fn template(app: &str, version: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": app } },
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{ "name": "app", "image": image(), "env": [{ "name": "VERSION", "value": version }] }],
        },
    })
}

/// A Deployment of such pods.
pub fn deployment(app: &str, replicas: i64) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": app },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": app } },
            "template": template(app, "1"),
        },
    })
}

/// A pod that runs a shell script.
pub fn shell_pod(name: &str, script: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name },
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{ "name": "app", "image": shell_image(), "command": ["sh", "-c", script] }],
        },
    })
}

/// The patch that gives the pods of a workload another version.
pub fn version(version: &str) -> Value {
    let env = json!([{ "name": "VERSION", "value": version }]);
    json!({ "spec": { "template": { "spec": { "containers": [{ "name": "app", "env": env }] } } } })
}

/// Whether a Deployment's rollout is done, as `kubectl rollout status` judges it.
pub fn is_rolled_out(deployment: &Value) -> bool {
    let wanted = count(deployment, "/spec/replicas");
    let (total, updated) =
        (count(deployment, "/status/replicas"), count(deployment, "/status/updatedReplicas"));
    count(deployment, "/status/observedGeneration") >= count(deployment, "/metadata/generation")
        && updated >= wanted
        && total <= updated
        && count(deployment, "/status/availableReplicas") >= updated
}

/// A Deployment that is made and rolled out.
pub async fn rolled_out(ground: &Ground, app: &str, replicas: i64) -> Value {
    ground.post(&ground.deployment(""), &deployment(app, replicas)).await.good();
    until_rolled_out(ground, app).await
}

/// Waits for a rollout, and for the condition that says so.
pub async fn until_rolled_out(ground: &Ground, app: &str) -> Value {
    let is_done =
        |found: &Value| is_rolled_out(found) && condition(found, "Progressing").1 == "NewReplicaSetAvailable";
    ground.until(&ground.deployment(app), "the rollout is done", is_done).await
}

/// The pods of an app that are not going.
pub async fn pods(ground: &Ground, app: &str) -> Vec<Value> {
    let mut pods = ground.items(&ground.core(&format!("pods?labelSelector=app%3D{app}"))).await;
    pods.retain(|pod| pod.pointer("/metadata/deletionTimestamp").is_none());
    pods
}

/// The ReplicaSets of an app, by revision.
pub async fn replica_sets(ground: &Ground, app: &str) -> Vec<Value> {
    let path = ground.group("apps/v1", &format!("replicasets?labelSelector=app%3D{app}"));
    let mut sets = ground.items(&path).await;
    sets.sort_by_key(revision);
    sets
}

/// The revision of a Deployment or ReplicaSet.
pub fn revision(object: &Value) -> i64 {
    text(object, "/metadata/annotations/deployment.kubernetes.io~1revision").parse().unwrap_or_default()
}

/// A pod that runs a script and that a node has really started; nothing where the cluster runs no containers.
pub async fn started(ground: &Ground, pod: &Value) -> Option<Value> {
    ground.post(&ground.core("pods"), pod).await.good();
    let path = ground.core(&format!("pods/{}", text(pod, "/metadata/name")));
    let is_running = |pod: &Value| text(pod, "/status/phase") == "Running";
    let pod = ground.until(&path, "the pod runs", is_running).await;
    if runs_containers(ground, &path).await {
        return Some(pod);
    }
    ground.lacks("the nodes of this cluster run no containers: nothing that needs one was checked");
    None
}

/// Whether the nodes are more than played: a real one gives a container an identity when it starts it.
async fn runs_containers(ground: &Ground, path: &str) -> bool {
    for _ in 0..IDENTITY_LOOKS {
        let pod = ground.get(path).await.good();
        if text(&pod, "/status/containerStatuses/0/containerID").contains("://") {
            return !all_nodes_are_played(ground).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    false
}

/// KWOK says of its nodes what they are.
async fn all_nodes_are_played(ground: &Ground) -> bool {
    let is_played = |node: &Value| {
        let labels = node.pointer("/metadata/labels").and_then(Value::as_object);
        let annotations = node.pointer("/metadata/annotations").and_then(Value::as_object);
        let all = labels.into_iter().chain(annotations).flatten();
        all.into_iter().any(|(key, value)| key.contains("kwok") || value == "kwok")
    };
    ground.items("/api/v1/nodes").await.iter().all(is_played)
}
