//! A started cluster, and requests to it.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::super::super::test_support::mk_client;
use super::super::KubernetesSandbox;

/// A path below the Deployments of the namespace `default`.
pub(super) fn deployments(rest: &str) -> String {
    format!("/apis/apps/v1/namespaces/default/deployments{rest}")
}

pub(super) async fn mk_cluster() -> KubernetesSandbox {
    KubernetesSandbox::start(0).await.expect("a free port")
}

/// A Deployment of three replicas, rolled out.
pub(super) async fn mk_rolled_out() -> KubernetesSandbox {
    let cluster = mk_cluster().await;
    cluster.put(mk_deployment("web", "registry.example.com/web:1", 3)).expect("a good object");
    cluster.step(Duration::from_secs(30));
    cluster
}

pub(super) fn mk_deployment(name: &str, image: &str, replicas: i64) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "namespace": "default", "name": name },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "app", "image": image }] },
            },
        },
    })
}

/// What a request is answered: the status and the body, null where that is no JSON.
pub(super) async fn send(
    cluster: &KubernetesSandbox,
    method: Method,
    path: &str,
    content_type: &str,
    body: &Value,
) -> (u16, Value) {
    let mut request = mk_client().request(method, format!("{}{path}", cluster.base_url()));
    if !body.is_null() {
        request = request.header("content-type", content_type).body(body.to_string());
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("a text");
    (status, serde_json::from_str(&text).unwrap_or_default())
}

pub(super) async fn get(cluster: &KubernetesSandbox, path: &str) -> (u16, Value) {
    send(cluster, Method::GET, path, "", &Value::Null).await
}

pub(super) async fn post(cluster: &KubernetesSandbox, path: &str, body: &Value) -> (u16, Value) {
    send(cluster, Method::POST, path, "application/json", body).await
}

pub(super) async fn delete(cluster: &KubernetesSandbox, path: &str, body: &Value) -> (u16, Value) {
    send(cluster, Method::DELETE, path, "application/json", body).await
}

/// Sends a patch of a kind: `merge`, `strategic-merge` or `json`.
pub(super) async fn patch(cluster: &KubernetesSandbox, kind: &str, path: &str, body: &Value) -> (u16, Value) {
    let content_type = format!(
        "application/{}+json",
        if kind == "json" { "json-patch".into() } else { format!("{kind}-patch") }
    );
    send(cluster, Method::PATCH, path, &content_type, body).await
}

/// Sends a request without a body as somebody, by a bearer token and, where one is named, as another.
pub(super) async fn send_as(
    cluster: &KubernetesSandbox,
    token: &str,
    as_user: &str,
    method: Method,
    path: &str,
) -> (u16, Value) {
    let mut request = mk_client().request(method, format!("{}{path}", cluster.base_url()));
    if !token.is_empty() {
        request = request.bearer_auth(token);
    }
    if !as_user.is_empty() {
        request = request.header("impersonate-user", as_user);
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("a text");
    (status, serde_json::from_str(&text).unwrap_or_default())
}
