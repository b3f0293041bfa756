//! What a test can play: logs, commands, metrics, access, and the faults of each.

use std::time::Duration;

use axum::body::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::super::exec::ExecAnswer;
use super::super::json::{condition, text};
use super::super::metrics::MetricsApi;
use super::super::{KubernetesSandbox, access, behaviour};
use super::support::{delete, get, mk_cluster, mk_deployment, mk_rolled_out, patch, post, send_as};
use crate::sandbox::test_support::mk_client;

const PODS: &str = "/api/v1/namespaces/default/pods";

fn mk_pod(annotations: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "namespace": "default", "name": "a", "annotations": annotations },
        "spec": { "containers": [{ "name": "app", "image": "registry.example.com/a:1" }] },
    })
}

#[tokio::test]
async fn a_gigabyte_of_log_is_made_while_it_is_read_and_cut_at_its_limit() {
    let cluster = mk_cluster().await;
    let pod = mk_pod(&json!({ behaviour::LOGS: "ERROR one\nINFO two", behaviour::LOG_BYTES: "1073741824" }));
    cluster.put(pod).expect("a good object");
    cluster.step(Duration::from_secs(5));
    let url = |options: &str| format!("{}{PODS}/a/log?{options}", cluster.base_url());
    let cut = mk_client().get(url("limitBytes=200000")).send().await.expect("an answer");
    let text = cut.text().await.expect("a text");
    assert_eq!(text.len(), 200_000);
    assert!(text.starts_with("ERROR one\nINFO two\nERROR one\n"));
    let mut whole = mk_client().get(url("")).send().await.expect("an answer");
    let mut read = 0;
    while read < 3_000_000 {
        read += whole.chunk().await.expect("it goes on").as_ref().map_or(0, Bytes::len);
    }
}

#[tokio::test]
async fn printed_lines_and_canned_answers_are_what_a_scenario_says() {
    let cluster = mk_cluster().await;
    cluster.put(mk_pod(&json!({}))).expect("a good object");
    cluster.step(Duration::from_secs(5));
    cluster.print("default", "a", "app", &["one", "two"]);
    let url = format!("{}{PODS}/a/log?tailLines=1", cluster.base_url());
    assert_eq!(mk_client().get(url).send().await.expect("an answer").text().await.expect("text"), "two\n");
    cluster.answer_exec(&["df", "-h"], ExecAnswer::failing(2, "no"));
    let (status, said) = get(&cluster, &format!("{PODS}/a/exec?command=df&command=-h")).await;
    assert_eq!((status, &said["reason"]), (400, &json!("BadRequest")), "not without a websocket: {said}");
    let write = cluster.writes().entries().remove(0).what;
    assert_eq!(write.body["command"], json!(["df", "-h"]), "the record shows the words");
    assert!(!write.took_effect);
}

#[tokio::test]
async fn an_autoscaler_follows_what_its_pods_use_within_its_bounds() {
    let cluster = mk_cluster().await;
    let mut web = mk_deployment("web", "registry.example.com/web:1", 2);
    web["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": "100m" } });
    cluster.put(web).expect("a good object");
    let autoscaler = json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": { "namespace": "default", "name": "web" },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
            "minReplicas": 2,
            "maxReplicas": 5,
            "metrics": [{ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 80 } } }],
        },
    });
    cluster.put(autoscaler).expect("a good object");
    let replicas = |cluster: &KubernetesSandbox| {
        cluster.get("deployments", "default", "web").expect("there")["spec"]["replicas"].as_i64()
    };
    let limited = |cluster: &KubernetesSandbox| {
        let found = cluster.get("horizontalpodautoscalers", "default", "web").expect("there");
        condition(&found, "ScalingLimited").map(|found| text(found, "/reason").to_owned())
    };
    cluster.set_usage("default", "app=web", 80, 1 << 20);
    cluster.step(Duration::from_secs(60));
    assert_eq!(replicas(&cluster), Some(2));
    cluster.set_usage("default", "app=web", 160, 1 << 20);
    cluster.step(Duration::from_secs(20));
    assert_eq!(replicas(&cluster), Some(4));
    cluster.set_usage("default", "app=web", 400, 1 << 20);
    cluster.step(Duration::from_secs(60));
    assert_eq!((replicas(&cluster), limited(&cluster).as_deref()), (Some(5), Some("TooManyReplicas")));
    cluster.set_metrics(MetricsApi::Absent);
    cluster.step(Duration::from_secs(20));
    let found = cluster.get("horizontalpodautoscalers", "default", "web").expect("there");
    assert_eq!(
        condition(&found, "ScalingActive").map(|found| text(found, "/reason")),
        Some("FailedGetResourceMetric")
    );
}

#[tokio::test]
async fn metrics_are_there_absent_or_down() {
    let cluster = mk_rolled_out().await;
    let path = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods";
    cluster.set_usage("default", "app=web", 250, 64 << 20);
    let (status, list) = get(&cluster, path).await;
    assert_eq!(status, 200);
    assert_eq!(
        list["items"][0]["containers"][0]["usage"],
        json!({ "cpu": "250000000n", "memory": "65536Ki" })
    );
    assert_eq!(get(&cluster, "/apis/metrics.k8s.io/v1beta1").await.0, 200);
    cluster.set_metrics(MetricsApi::Absent);
    assert_eq!(get(&cluster, path).await.0, 404);
    assert_eq!(get(&cluster, "/apis/metrics.k8s.io/v1beta1").await.0, 404);
    cluster.set_metrics(MetricsApi::Unavailable);
    assert_eq!(get(&cluster, path).await.0, 503);
}

#[tokio::test]
async fn tokens_roles_and_impersonation_are_obeyed_once_access_is_enforced() {
    let cluster = mk_rolled_out().await;
    let role = json!([
        { "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "namespace": "default", "name": "reads" } },
        { "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": "reads" },
          "rules": [{ "apiGroups": ["", "apps"], "resources": ["pods", "deployments"], "verbs": ["get", "list"] }] },
        { "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": "reads" },
          "subjects": [{ "kind": "ServiceAccount", "namespace": "default", "name": "reads" }],
          "roleRef": { "kind": "ClusterRole", "name": "reads" } },
    ]);
    cluster.load(&role.to_string()).expect("good objects");
    let reads = cluster.token_for("default", "reads");
    let status = async |token: &str, method: Method, as_user: &str| {
        send_as(&cluster, token, as_user, method, &format!("{PODS}?limit=1")).await.0
    };
    assert_eq!(status(&reads, Method::DELETE, "").await, 200, "not enforced yet");
    cluster.enforce_access(true);
    assert_eq!(status(&reads, Method::GET, "").await, 200);
    assert_eq!(status(&reads, Method::DELETE, "").await, 403);
    assert_eq!(status("unknown", Method::GET, "").await, 401);
    assert_eq!(status("", Method::GET, "").await, 403);
    assert_eq!(status(&reads, Method::GET, "somebody").await, 403, "it may not impersonate");
    let reader = "system:serviceaccount:default:reads";
    assert_eq!(status(cluster.admin_token(), Method::GET, reader).await, 200);
    assert_eq!(status(cluster.admin_token(), Method::DELETE, reader).await, 403);
    let last = cluster.writes().entries().pop().expect("a write").what;
    assert_eq!((last.user.as_str(), last.took_effect), (reader, false));
    assert!(access::User::new(reader, &[]).groups.contains(&"system:serviceaccounts:default".to_owned()));
}

#[tokio::test]
async fn an_exec_needs_the_verb_of_what_it_does_besides_that_of_its_upgrade() {
    let cluster = mk_cluster().await;
    cluster.put(mk_pod(&json!({}))).expect("a good object");
    let rules = |verbs: Value| {
        json!([
            { "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": "runs" },
              "rules": [{ "apiGroups": [""], "resources": ["pods/exec"], "verbs": verbs }] },
            { "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": "runs" },
              "subjects": [{ "kind": "ServiceAccount", "namespace": "default", "name": "runs" }],
              "roleRef": { "kind": "ClusterRole", "name": "runs" } },
        ])
        .to_string()
    };
    cluster.load(&rules(json!(["get"]))).expect("good objects");
    cluster.enforce_access(true);
    let token = cluster.token_for("default", "runs");
    let run =
        async || send_as(&cluster, &token, "", Method::GET, &format!("{PODS}/a/exec?command=true")).await;
    let (status, said) = run().await;
    assert_eq!(status, 403);
    assert!(text(&said, "/message").contains("cannot create resource \"pods/exec\""), "{said}");
    cluster.load(&rules(json!(["get", "create"]))).expect("good objects");
    assert_eq!(run().await.0, 400, "allowed, and no websocket");
}

#[tokio::test]
async fn an_eviction_counts_as_a_write_that_took_effect_only_where_the_pod_goes() {
    let cluster = mk_rolled_out().await;
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "namespace": "default", "name": "web" },
        "spec": { "minAvailable": 3, "selector": { "matchLabels": { "app": "web" } } },
    });
    cluster.put(budget).expect("a good object");
    cluster.step(Duration::from_secs(1));
    let pod = cluster.list("pods", "default").remove(0);
    let path = format!("{PODS}/{}/eviction", text(&pod, "/metadata/name"));
    assert_eq!(post(&cluster, &path, &json!({})).await.0, 429);
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets/web";
    assert_eq!(patch(&cluster, "merge", budgets, &json!({ "spec": { "minAvailable": 2 } })).await.0, 200);
    assert_eq!(post(&cluster, &path, &json!({})).await.0, 429, "not counted again yet");
    cluster.step(Duration::from_secs(1));
    assert_eq!(post(&cluster, &path, &json!({})).await.0, 201);
    let took: Vec<bool> = cluster.writes().entries().iter().map(|entry| entry.what.took_effect).collect();
    assert_eq!(took, [false, true, false, true]);
    assert_eq!(delete(&cluster, budgets, &Value::Null).await.0, 200);
}

#[tokio::test]
async fn a_certificate_that_is_asked_for_anew_is_issued_with_the_next_revision() {
    let cluster = mk_cluster().await;
    let certificate = json!({
        "apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": { "namespace": "default", "name": "web" },
        "spec": { "secretName": "web-tls", "issuerRef": { "name": "main" } },
        "status": { "revision": 1, "notAfter": "2020-01-01T00:00:00Z", "conditions": [] },
    });
    cluster.put(certificate).expect("a good object");
    let issuing =
        json!({ "type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "" });
    let path = "/apis/cert-manager.io/v1/namespaces/default/certificates/web/status";
    let asked = json!({ "status": { "conditions": [issuing] } });
    assert_eq!(
        patch(&cluster, "strategic-merge", path, &asked).await.0,
        415,
        "custom resources have no merge keys"
    );
    assert_eq!(patch(&cluster, "merge", path, &asked).await.0, 200);
    cluster.step(Duration::from_secs(60));
    let after = cluster.get("certificates", "default", "web").expect("there");
    assert_eq!((&after["status"]["revision"], condition(&after, "Issuing")), (&json!(2), None));
    assert!(text(&after, "/status/notAfter") > "2026", "{after}");
    assert_eq!(cluster.list("certificaterequests", "default").len(), 1);
}
