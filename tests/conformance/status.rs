//! Statuses: written through a path of their own, and through no other.

use serde_json::{Value, json};

use super::cluster::{Ground, condition, on_ground, text, until};
use super::objects::{deployment, rolled_out};

/// The condition that a certificate is asked for anew with.
fn issuing() -> Value {
    json!({
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "Certificate re-issuance manually triggered",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_is_written_through_its_own_path_and_nothing_else_with_it() {
    on_ground(async |ground| {
        let before = rolled_out(ground, "web", 1).await;
        let path = ground.deployment("web/status?fieldManager=smokejumper");
        let ours = json!({ "type": "Checked", "status": "True", "reason": "Conformance", "message": "" });
        let conditions =
            before.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
        let conditions: Vec<Value> = conditions.into_iter().chain([ours]).collect();
        let patch = json!({ "spec": { "replicas": 5 }, "status": { "conditions": conditions } });
        let after = ground.merge(&path, &patch).await.good();
        assert_eq!(condition(&after, "Checked"), ("True", "Conformance"));
        assert_eq!(after["spec"], before["spec"], "a status is all that its path writes");
        let managers = after.pointer("/metadata/managedFields").and_then(Value::as_array).expect("managers");
        let ours = managers.iter().find(|entry| text(entry, "/manager") == "smokejumper").expect("ours");
        assert_eq!((text(ours, "/operation"), text(ours, "/subresource")), ("Update", "status"));

        let wrong = json!({ "status": { "replicas": 77 } });
        let after = ground.merge(&ground.deployment("web"), &wrong).await.good();
        assert_ne!(after["status"]["replicas"], 77, "no other path writes a status");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_holds_to_the_version_that_it_states() {
    on_ground(async |ground| {
        let first = ground.post(&ground.deployment(""), &deployment("web", 0)).await.good();
        let paused = json!({ "spec": { "paused": true } });
        ground.merge(&ground.deployment("web"), &paused).await.good();
        let version = &first["metadata"]["resourceVersion"];
        let patch = json!({ "metadata": { "resourceVersion": version }, "status": { "collisionCount": 7 } });
        ground.merge(&ground.deployment("web/status"), &patch).await.refused(409, "Conflict");
    })
    .await;
}

/// A Certificate of an issuer that is not there; nothing where the cluster has no cert-manager.
async fn certificate(ground: &Ground) -> Option<String> {
    let all = ground.group("cert-manager.io/v1", "certificates");
    let made = json!({
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": { "name": "web" },
        "spec": { "secretName": "web", "dnsNames": ["web.example.com"], "issuerRef": { "name": "none" } },
    });
    let answer = ground.post(&all, &made).await;
    if answer.code == 404 {
        ground.lacks("this cluster has no cert-manager: certificates were not checked");
        return None;
    }
    answer.good();
    Some(format!("{all}/web"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_asked_for_anew_by_a_condition_and_keeps_no_mark_of_that() {
    on_ground(async |ground| {
        let Some(path) = certificate(ground).await else { return };
        // Others write its status as well.
        let asked = until("the condition is taken", async || {
            let now = ground.get(&path).await.good();
            let others = now.pointer("/status/conditions").and_then(Value::as_array).cloned();
            let mut conditions = others.unwrap_or_default();
            conditions.retain(|has| text(has, "/type") != "Issuing");
            conditions.push(issuing());
            let marks = json!({
                "resourceVersion": now["metadata"]["resourceVersion"],
                "annotations": { "smokejumper.dev/execution-id": "i-a1-apply" },
            });
            let patch = json!({ "metadata": marks, "status": { "conditions": conditions } });
            let answer = ground.merge(&format!("{path}/status"), &patch).await;
            if answer.code == 409 { Err(answer.body) } else { Ok(answer.good()) }
        })
        .await;
        assert_eq!(condition(&asked, "Issuing"), ("True", "ManuallyTriggered"));
        let mark = asked.pointer("/metadata/annotations/smokejumper.dev~1execution-id");
        assert!(mark.is_none(), "the status of a custom resource has no annotations: {asked}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_resource_takes_no_strategic_merge_patch() {
    on_ground(async |ground| {
        let Some(path) = certificate(ground).await else { return };
        let patch = json!({ "spec": { "secretName": "other" } });
        ground.strategic(&path, &patch).await.refused(415, "UnsupportedMediaType");
    })
    .await;
}
