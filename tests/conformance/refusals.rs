//! How the API says no: codes, reasons, details and causes.

use http::Method;
use serde_json::{Value, json};

use super::cluster::{home, on_ground, text};
use super::objects::deployment;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_told_by_kind_group_and_name() {
    on_ground(async |ground| {
        let said = ground.get(&ground.deployment("none")).await.refused(404, "NotFound");
        assert_eq!(text(&said, "/message"), "deployments.apps \"none\" not found");
        assert_eq!(said["details"], json!({ "name": "none", "group": "apps", "kind": "deployments" }));
        let said = ground.get(&ground.core("pods/none")).await.refused(404, "NotFound");
        assert_eq!(text(&said, "/message"), "pods \"none\" not found");
        let said = ground.delete(&ground.core("pods/none"), &Value::Null).await.refused(404, "NotFound");
        assert_eq!(said["details"], json!({ "name": "none", "kind": "pods" }));
        let unknown = ground.get(&ground.group("example.invalid/v1", "things")).await;
        assert_eq!(unknown.code, 404, "{unknown:?}");
        let empty = ground.get("/api/v1/namespaces/smokejumper-test-none/pods").await.good();
        assert_eq!(empty["items"], json!([]), "a namespace that is not there has no pods");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_already_and_where_nothing_can_be() {
    on_ground(async |ground| {
        ground.post(&ground.deployment(""), &deployment("web", 0)).await.good();
        let said =
            ground.post(&ground.deployment(""), &deployment("web", 0)).await.refused(409, "AlreadyExists");
        assert_eq!(text(&said, "/message"), "deployments.apps \"web\" already exists");
        let nowhere = "/apis/apps/v1/namespaces/smokejumper-test-none/deployments";
        let said = ground.post(nowhere, &deployment("web", 0)).await.refused(404, "NotFound");
        assert_eq!(text(&said, "/details/kind"), "namespaces");
        let mut elsewhere = deployment("web", 0);
        elsewhere["metadata"]["namespace"] = "kube-system".into();
        ground.post(&ground.deployment(""), &elsewhere).await.refused(400, "BadRequest");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_invalid_names_each_field_and_why() {
    on_ground(async |ground| {
        let said = ground.post(&ground.deployment(""), &deployment("web", -1)).await.refused(422, "Invalid");
        assert!(
            text(&said, "/message")
                .starts_with("Deployment.apps \"web\" is invalid: spec.replicas: Invalid value: -1")
        );
        let details = &said["details"];
        let about = (&details["name"], &details["group"], &details["kind"]);
        assert_eq!(about, (&json!("web"), &json!("apps"), &json!("Deployment")));
        assert_eq!(text(details, "/causes/0/reason"), "FieldValueInvalid");
        assert_eq!(text(details, "/causes/0/field"), "spec.replicas");

        ground.post(&ground.deployment(""), &deployment("web", 0)).await.good();
        let selector = json!({ "spec": { "selector": { "matchLabels": { "more": "x" } } } });
        let said = ground.merge(&ground.deployment("web"), &selector).await.refused(422, "Invalid");
        let causes = said["details"]["causes"].as_array().cloned().unwrap_or_default();
        let is_fixed = |cause: &Value| {
            text(cause, "/field") == "spec.selector" && text(cause, "/message").contains("field is immutable")
        };
        assert!(causes.iter().any(is_fixed), "{said}");
        for bad in ["Upper", "two words", "../up", "-dash"] {
            ground.post(&ground.deployment(""), &deployment(bad, 0)).await.refused(422, "Invalid");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_a_bad_request_or_an_unknown_type() {
    on_ground(async |ground| {
        ground.post(&ground.deployment(""), &deployment("web", 0)).await.good();
        let path = ground.deployment("web");
        let patch = json!({ "spec": { "replicas": 1 } });
        ground
            .ask(Method::PATCH, &path, "application/unknown", &patch)
            .await
            .refused(415, "UnsupportedMediaType");
        ground.json_patch(&path, &json!({ "op": "remove" })).await.refused(400, "BadRequest");
        ground
            .json_patch(&path, &json!([{ "op": "unknown", "path": "/spec" }]))
            .await
            .refused(422, "Invalid");
        let wrong = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web" } });
        ground.post(&ground.deployment(""), &wrong).await.refused(400, "BadRequest");
        ground.get(&ground.core("pods?labelSelector=%7B%7Bx%7D%7D%3D1")).await.refused(400, "BadRequest");
        ground.get(&ground.core("pods?fieldSelector=spec.replicas%3D1")).await.refused(400, "BadRequest");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_ends_takes_nothing_new() {
    on_ground(async |ground| {
        // Kept from ending by a finalizer, so that there is time to look.
        let mut held = deployment("held", 0);
        held["metadata"]["finalizers"] = json!(["smokejumper.dev/conformance"]);
        let name = format!("{}-b", ground.namespace);
        ground.post("/api/v1/namespaces", &home(&name)).await.good();
        let there = format!("/apis/apps/v1/namespaces/{name}/deployments");
        ground.post(&there, &held).await.good();
        let own = format!("/api/v1/namespaces/{name}");
        ground.delete(&own, &Value::Null).await.good();
        let late = ground.post(&there, &deployment("late", 0)).await;
        // First of all it is let go, so that nothing is left where an expectation fails.
        let free = json!({ "metadata": { "finalizers": null } });
        ground.merge(&format!("{there}/held"), &free).await.good();
        let said = late.refused(403, "Forbidden");
        assert_eq!(text(&said, "/details/causes/0/reason"), "NamespaceTerminating");
        ground.until_gone(&own).await;
    })
    .await;
}
