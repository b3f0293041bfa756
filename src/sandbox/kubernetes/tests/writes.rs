//! Writes, their refusals, and the record that judges them.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::super::faults::Fault;
use super::super::super::test_support::mk_client;
use super::support::{delete, deployments, get, mk_cluster, mk_deployment, mk_rolled_out, patch, post};

#[tokio::test]
async fn a_dry_run_answers_as_if_and_changes_nothing() {
    let cluster = mk_rolled_out().await;
    let before = cluster.get("deployments", "default", "web");
    let body = json!({ "spec": { "replicas": 5 } });
    let (status, shown) = patch(&cluster, "merge", &deployments("/web?dryRun=All"), &body).await;
    assert_eq!((status, &shown["spec"]["replicas"]), (200, &json!(5)));
    assert_eq!(cluster.get("deployments", "default", "web"), before);
    let write = cluster.writes().entries().remove(0).what;
    assert!(write.dry_run && !write.took_effect && write.status == Some(200), "{write:?}");
}

#[tokio::test]
async fn an_old_version_is_a_conflict_and_a_wrong_identity_too() {
    let cluster = mk_rolled_out().await;
    let stale = json!({ "metadata": { "resourceVersion": "1" }, "spec": { "replicas": 5 } });
    let (status, said) = patch(&cluster, "merge", &deployments("/web"), &stale).await;
    assert_eq!((status, &said["reason"]), (409, &json!("Conflict")));
    let (status, _) = patch(&cluster, "merge", &deployments("/web/scale"), &stale).await;
    assert_eq!(status, 409);
    let pod = cluster.list("pods", "default").remove(0);
    let path =
        format!("/api/v1/namespaces/default/pods/{}", pod["metadata"]["name"].as_str().expect("a name"));
    let (status, _) = delete(&cluster, &path, &json!({ "preconditions": { "uid": "another" } })).await;
    assert_eq!(status, 409);
    let (status, _) =
        delete(&cluster, &path, &json!({ "preconditions": { "uid": pod["metadata"]["uid"] } })).await;
    assert_eq!(status, 200);
    cluster.step(Duration::from_secs(5));
    assert_eq!(get(&cluster, &path).await.0, 404);
    assert_eq!(cluster.list("pods", "default").len(), 3, "another took its place");
}

#[tokio::test]
async fn refusals_look_like_the_real_ones() {
    let cluster = mk_rolled_out().await;
    let (status, said) = get(&cluster, &deployments("/none")).await;
    assert_eq!(status, 404);
    assert_eq!(said["message"], "deployments.apps \"none\" not found");
    assert_eq!(said["details"], json!({ "name": "none", "group": "apps", "kind": "deployments" }));
    let (status, said) = post(&cluster, &deployments(""), &mk_deployment("web", "a:1", 1)).await;
    assert_eq!((status, &said["reason"]), (409, &json!("AlreadyExists")));
    let (status, said) = post(&cluster, &deployments(""), &mk_deployment("bad", "a:1", -1)).await;
    assert_eq!(status, 422);
    let cause = &said["details"]["causes"][0];
    assert_eq!((&cause["field"], &cause["reason"]), (&json!("spec.replicas"), &json!("FieldValueInvalid")));
    let mut other = mk_deployment("bad", "a:1", 1);
    other["spec"]["selector"]["matchLabels"] = json!({ "app": "other" });
    assert_eq!(post(&cluster, &deployments(""), &other).await.0, 422);
    let elsewhere = "/apis/apps/v1/namespaces/nowhere/deployments";
    let mut away = mk_deployment("away", "a:1", 1);
    away["metadata"]["namespace"] = "nowhere".into();
    let (status, said) = post(&cluster, elsewhere, &away).await;
    assert_eq!((status, &said["message"]), (404, &json!("namespaces \"nowhere\" not found")));
}

#[tokio::test]
async fn a_fault_after_the_effect_leaves_its_trace_in_the_record() {
    let cluster = mk_rolled_out().await;
    cluster.faults().next("patch deployments/scale", Fault::dropped().after_effect());
    cluster.faults().next("patch deployments/scale", Fault::status(503));
    let url = format!("{}{}", cluster.base_url(), deployments("/web/scale?fieldManager=smokejumper"));
    let send = |replicas: u32| {
        let body = json!({ "metadata": { "annotations": { "smokejumper.dev/execution-id": "x1" } }, "spec": { "replicas": replicas } });
        mk_client()
            .patch(&url)
            .header("content-type", "application/merge-patch+json")
            .body(body.to_string())
            .send()
    };
    assert!(send(5).await.is_err(), "cut");
    assert_eq!(send(7).await.expect("an answer").status(), 503);
    let writes: Vec<_> = cluster.writes().entries().into_iter().map(|entry| entry.what).collect();
    assert_eq!(writes.iter().map(|write| write.took_effect).collect::<Vec<_>>(), [true, false]);
    assert_eq!(writes[1].status, None);
    assert_eq!(writes[0].field_manager.as_deref(), Some("smokejumper"));
    assert_eq!(writes[0].execution_id.as_deref(), Some("x1"));
    assert_eq!(cluster.get("deployments", "default", "web").expect("there")["spec"]["replicas"], 5);
}

#[tokio::test]
async fn lists_select_and_come_in_pages() {
    let cluster = mk_rolled_out().await;
    let pods = "/api/v1/namespaces/default/pods";
    let (_, all) = get(&cluster, &format!("{pods}?labelSelector=app%3Dweb&limit=2")).await;
    assert_eq!(all["items"].as_array().map(Vec::len), Some(2));
    let mark = all["metadata"]["continue"].as_str().expect("there is more");
    let (_, rest) = get(&cluster, &format!("{pods}?labelSelector=app%3Dweb&limit=2&continue={mark}")).await;
    assert_eq!(rest["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(rest["metadata"]["continue"], Value::Null);
    let (_, none) = get(&cluster, &format!("{pods}?fieldSelector=status.phase%3DFailed")).await;
    assert_eq!(none["items"], json!([]));
}

#[tokio::test]
async fn a_watch_tells_what_happens_after_its_version() {
    let cluster = mk_cluster().await;
    let (_, list) = get(&cluster, "/api/v1/namespaces/default/pods").await;
    let version = list["metadata"]["resourceVersion"].as_str().expect("a version");
    let url =
        format!("{}/api/v1/namespaces/default/pods?watch=1&resourceVersion={version}", cluster.base_url());
    let mut watch = mk_client().get(url).send().await.expect("an answer");
    cluster.put(mk_deployment("web", "a:1", 1)).expect("a good object");
    cluster.step(Duration::from_secs(10));
    let mut lines = String::new();
    while !lines.contains("MODIFIED") {
        let chunk = watch.chunk().await.expect("it goes on").expect("it has not ended");
        lines.push_str(&String::from_utf8_lossy(&chunk));
    }
    let first: Value = serde_json::from_str(lines.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&first["type"], &first["object"]["kind"]), (&json!("ADDED"), &json!("Pod")));
}

#[tokio::test]
async fn deleting_a_deployment_takes_its_pods_along_and_a_namespace_everything() {
    let cluster = mk_rolled_out().await;
    assert_eq!(delete(&cluster, &deployments("/web"), &Value::Null).await.0, 200);
    cluster.step(Duration::from_secs(5));
    assert!(cluster.list("replicasets", "").is_empty() && cluster.list("pods", "").is_empty());
    let mut home = mk_deployment("web", "a:1", 1);
    home["metadata"]["namespace"] = "home".into();
    cluster.put(home).expect("a good object");
    cluster.step(Duration::from_secs(5));
    let (status, gone) = delete(&cluster, "/api/v1/namespaces/home", &Value::Null).await;
    assert_eq!((status, &gone["status"]["phase"]), (200, &json!("Terminating")));
    cluster.step(Duration::from_secs(5));
    assert_eq!(get(&cluster, "/api/v1/namespaces/home").await.0, 404);
    assert!(cluster.list("deployments", "home").is_empty());
}
