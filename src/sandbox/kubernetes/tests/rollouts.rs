//! Deployments as they roll, hang, pause and go back.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::KubernetesSandbox;
use super::super::json::{annotation, condition, text};
use super::support::{deployments, get, mk_deployment, mk_rolled_out, patch};

fn image(name: &str) -> Value {
    json!({ "spec": { "template": { "spec": { "containers": [{ "name": "app", "image": name }] } } } })
}

fn web(cluster: &KubernetesSandbox) -> Value {
    cluster.get("deployments", "default", "web").expect("it is there")
}

fn progressing(cluster: &KubernetesSandbox) -> String {
    let web = web(cluster);
    condition(&web, "Progressing").map(|found| text(found, "/reason").to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn a_deployment_rolls_out_and_rolls_on_without_falling_below_its_floor() {
    let cluster = mk_rolled_out().await;
    let (_, before) = get(&cluster, &deployments("/web")).await;
    assert_eq!(before["status"]["availableReplicas"], 3);
    assert_eq!(annotation(&before, "deployment.kubernetes.io/revision"), Some("1"));
    assert_eq!(progressing(&cluster), "NewReplicaSetAvailable");

    let (status, _) =
        patch(&cluster, "strategic-merge", &deployments("/web"), &image("registry.example.com/web:2")).await;
    assert_eq!(status, 200);
    assert_eq!(web(&cluster)["status"]["observedGeneration"], 1, "nothing moves before time does");
    let mut least = i64::MAX;
    for _ in 0..20 {
        cluster.step(Duration::from_secs(1));
        least = least.min(web(&cluster)["status"]["availableReplicas"].as_i64().unwrap_or_default());
    }
    assert_eq!(least, 3, "25% of three rounds to none unavailable");
    let after = web(&cluster);
    assert_eq!(after["status"]["updatedReplicas"], 3);
    assert_eq!(after["status"]["observedGeneration"], 2);
    assert_eq!(annotation(&after, "deployment.kubernetes.io/revision"), Some("2"));
    let images: Vec<Value> = cluster
        .list("pods", "default")
        .into_iter()
        .map(|pod| pod["spec"]["containers"][0]["image"].clone())
        .collect();
    assert_eq!(images, vec![json!("registry.example.com/web:2"); 3]);
}

#[tokio::test]
async fn a_bad_image_hangs_until_the_deadline_and_the_old_pods_serve_on() {
    let cluster = mk_rolled_out().await;
    patch(&cluster, "strategic-merge", &deployments("/web"), &image("registry.invalid/web:2")).await;
    cluster.step(Duration::from_secs(60));
    assert_eq!(progressing(&cluster), "ReplicaSetUpdated");
    assert_eq!(web(&cluster)["status"]["availableReplicas"], 3);
    cluster.step(Duration::from_secs(600));
    assert_eq!(progressing(&cluster), "ProgressDeadlineExceeded");
    let waiting =
        |pod: &Value| text(pod, "/status/containerStatuses/0/state/waiting/reason") == "ImagePullBackOff";
    assert_eq!(cluster.list("pods", "default").iter().filter(|pod| waiting(pod)).count(), 1);

    patch(&cluster, "strategic-merge", &deployments("/web"), &image("registry.example.com/web:1")).await;
    cluster.step(Duration::from_secs(30));
    assert_eq!(progressing(&cluster), "NewReplicaSetAvailable");
    let web = web(&cluster);
    assert_eq!(
        annotation(&web, "deployment.kubernetes.io/revision"),
        Some("3"),
        "going back is a new revision"
    );
    assert_eq!(cluster.list("replicasets", "default").len(), 2, "of the same ReplicaSet");
}

#[tokio::test]
async fn a_paused_deployment_takes_a_new_template_and_does_not_roll() {
    let cluster = mk_rolled_out().await;
    let mut pause = image("registry.example.com/web:2");
    pause["spec"]["paused"] = true.into();
    patch(&cluster, "strategic-merge", &deployments("/web"), &pause).await;
    cluster.step(Duration::from_secs(30));
    assert_eq!(progressing(&cluster), "DeploymentPaused");
    assert_eq!(cluster.list("replicasets", "default").len(), 1);
    patch(&cluster, "merge", &deployments("/web"), &json!({ "spec": { "paused": false } })).await;
    cluster.step(Duration::from_secs(30));
    assert_eq!(progressing(&cluster), "NewReplicaSetAvailable");
    assert_eq!(web(&cluster)["status"]["updatedReplicas"], 3);
}

#[tokio::test]
async fn crashing_pods_restart_ever_more_slowly_and_say_so() {
    let cluster = mk_rolled_out().await;
    let mut bad = mk_deployment("bad", "registry.example.com/bad:1", 1);
    bad["spec"]["template"]["metadata"]["annotations"] =
        json!({ "sandbox.smokejumper.dev/behaviour": "crash-loop exit=3" });
    cluster.put(bad).expect("a good object");
    cluster.step(Duration::from_secs(60));
    let pod =
        cluster.list("pods", "default").into_iter().find(|pod| text(pod, "/metadata/labels/app") == "bad");
    let status = pod.expect("its pod")["status"]["containerStatuses"][0].clone();
    assert_eq!(status["state"]["waiting"]["reason"], "CrashLoopBackOff");
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 3);
    assert_eq!(status["restartCount"], 3);
    let events = cluster.list("events", "default");
    assert!(events.iter().any(|event| event["reason"] == "BackOff" && event["type"] == "Warning"));
}

#[tokio::test]
async fn a_pod_that_no_node_has_room_for_waits_and_says_why() {
    let cluster = mk_rolled_out().await;
    let mut large = mk_deployment("large", "registry.example.com/large:1", 1);
    large["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": "5" } });
    cluster.put(large).expect("a good object");
    cluster.step(Duration::from_secs(5));
    let pods = cluster.list("pods", "default");
    let pod = pods.iter().find(|pod| text(pod, "/metadata/labels/app") == "large").expect("its pod");
    let scheduled = condition(pod, "PodScheduled").expect("a word on it");
    assert_eq!(text(scheduled, "/message"), "0/3 nodes are available: 3 Insufficient cpu.");
    assert_eq!(text(pod, "/status/phase"), "Pending");
    let patch_body = json!({ "status": { "allocatable": { "cpu": "8" } } });
    assert_eq!(patch(&cluster, "merge", "/api/v1/nodes/node-2/status", &patch_body).await.0, 200);
    cluster.step(Duration::from_secs(5));
    let pod = cluster.get("pods", "default", text(pod, "/metadata/name")).expect("still there");
    assert_eq!((text(&pod, "/spec/nodeName"), text(&pod, "/status/phase")), ("node-2", "Running"));
}
