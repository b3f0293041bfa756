//! StatefulSets and DaemonSets: order, fixed names, and their revisions.

use serde_json::{Value, json};

use super::cluster::{Ground, count, on_ground, text, until};
use super::objects::{template, version};

async fn revisions(ground: &Ground, app: &str) -> Vec<Value> {
    let path = ground.group("apps/v1", &format!("controllerrevisions?labelSelector=app%3D{app}"));
    let mut all = ground.items(&path).await;
    all.sort_by_key(|revision| count(revision, "/revision"));
    all
}

/// Waits until there are as many revisions, and returns them by number.
async fn until_revisions(ground: &Ground, app: &str, numbers: &[i64]) -> Vec<Value> {
    until("the revisions are there", async || {
        let found = revisions(ground, app).await;
        let has: Vec<i64> = found.iter().map(|revision| count(revision, "/revision")).collect();
        if has == numbers { Ok(found) } else { Err(json!(has)) }
    })
    .await
}

fn stateful_set(replicas: i64) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": { "name": "db" },
        "spec": {
            "serviceName": "db",
            "replicas": replicas,
            "selector": { "matchLabels": { "app": "db" } },
            "template": template("db", "1"),
        },
    })
}

fn is_done(set: &Value) -> bool {
    let replicas = count(set, "/spec/replicas");
    count(set, "/status/observedGeneration") >= count(set, "/metadata/generation")
        && count(set, "/status/readyReplicas") == replicas
        && count(set, "/status/updatedReplicas") == replicas
        && text(set, "/status/currentRevision") == text(set, "/status/updateRevision")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stateful_set_rolls_by_revisions_and_goes_back_by_the_patch_of_one() {
    on_ground(async |ground| {
        let path = ground.group("apps/v1", "statefulsets/db");
        ground.post(&ground.group("apps/v1", "statefulsets"), &stateful_set(2)).await.good();
        let first = ground.until(&path, "the set is up", is_done).await;
        let revision = until_revisions(ground, "db", &[1]).await.remove(0);
        assert_eq!(text(&first, "/status/currentRevision"), text(&revision, "/metadata/name"));
        assert_eq!(text(&revision, "/data/spec/template/$patch"), "replace");
        for at in 0..2 {
            let pod = ground.get(&ground.core(&format!("pods/db-{at}"))).await.good();
            let hash = text(&pod, "/metadata/labels/controller-revision-hash");
            assert_eq!(hash, text(&revision, "/metadata/name"));
            assert_eq!(
                text(&pod, "/metadata/labels/statefulset.kubernetes.io~1pod-name"),
                format!("db-{at}")
            );
        }

        ground.strategic(&path, &version("2")).await.good();
        let second = ground.until(&path, "the update is done", is_done).await;
        assert_ne!(second["status"]["updateRevision"], first["status"]["updateRevision"]);
        until_revisions(ground, "db", &[1, 2]).await;

        ground.strategic(&path, &revision["data"]).await.good();
        let third = ground.until(&path, "the way back is done", is_done).await;
        assert_eq!(third["spec"]["template"], first["spec"]["template"]);
        assert_eq!(third["status"]["updateRevision"], first["status"]["updateRevision"]);
        let numbers = until_revisions(ground, "db", &[2, 3]).await;
        assert_eq!(
            numbers[1]["metadata"]["uid"], revision["metadata"]["uid"],
            "the old revision has a new number"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_of_a_stateful_set_come_back_under_the_same_name_with_another_identity() {
    on_ground(async |ground| {
        let path = ground.group("apps/v1", "statefulsets/db");
        ground.post(&ground.group("apps/v1", "statefulsets"), &stateful_set(1)).await.good();
        ground.until(&path, "the set is up", is_done).await;
        let pod = ground.core("pods/db-0");
        let before = ground.get(&pod).await.good();
        let uid = json!({ "preconditions": { "uid": before["metadata"]["uid"] } });
        ground.delete(&pod, &uid).await.good();
        let is_new = |found: &Value| found["metadata"]["uid"] != before["metadata"]["uid"];
        ground.until(&pod, "the pod is back", is_new).await;
        ground.delete(&pod, &uid).await.refused(409, "Conflict");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_set_has_revisions_even_where_it_runs_nowhere() {
    on_ground(async |ground| {
        let path = ground.group("apps/v1", "daemonsets/agent");
        let mut set = stateful_set(1);
        set["kind"] = "DaemonSet".into();
        set["metadata"]["name"] = "agent".into();
        set["spec"] =
            json!({ "selector": { "matchLabels": { "app": "agent" } }, "template": template("agent", "1") });
        set["spec"]["template"]["spec"]["nodeSelector"] = json!({ "smokejumper.dev/conformance": "nowhere" });
        let made = ground.post(&ground.group("apps/v1", "daemonsets"), &set).await.good();
        let revision = until_revisions(ground, "agent", &[1]).await.remove(0);
        ground.strategic(&path, &version("2")).await.good();
        until_revisions(ground, "agent", &[1, 2]).await;
        ground.strategic(&path, &revision["data"]).await.good();
        until_revisions(ground, "agent", &[2, 3]).await;
        let after = ground.get(&path).await.good();
        assert_eq!(after["spec"]["template"], made["spec"]["template"]);
        assert_eq!(count(&after, "/status/desiredNumberScheduled"), 0);
    })
    .await;
}
