//! Access: what a second identity may do by its role, how it is asked for, and how it is refused.

use http::Method;
use k8s_openapi::api::core::v1::Pod;
use kube::api::AttachParams;
use kube::{Api, Client};
use serde_json::{Value, json};

use super::cluster::{Ground, ask, on_ground, text, until};

const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// Somebody who may read pods in the test's namespace, and nothing else: their name, and a client that acts as them.
async fn reader(ground: &Ground, rules: &Value) -> Option<(String, Client)> {
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "reader" } });
    ground.post(&ground.core("serviceaccounts"), &account).await.good();
    let role =
        json!({ "apiVersion": RBAC, "kind": "Role", "metadata": { "name": "reader" }, "rules": rules });
    ground.post(&ground.group(RBAC, "roles"), &role).await.good();
    let subject = json!({ "kind": "ServiceAccount", "name": "reader", "namespace": ground.namespace });
    let binding = json!({
        "apiVersion": RBAC,
        "kind": "RoleBinding",
        "metadata": { "name": "reader" },
        "subjects": [subject],
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader" },
    });
    ground.post(&ground.group(RBAC, "rolebindings"), &binding).await.good();
    let user = format!("system:serviceaccount:{}:reader", ground.namespace);
    let client = ground.client_as(&user);
    let pods = ground.core("pods");
    let first = ask(&client, Method::GET, &pods, "", &Value::Null).await;
    if first.code == 403 && text(&first.body, "/message").contains("impersonate") {
        ground.lacks("this identity may not impersonate others: access was not checked");
        return None;
    }
    // The judge learns of new roles with a delay.
    until("the role is obeyed", async || {
        let answer = ask(&client, Method::GET, &pods, "", &Value::Null).await;
        if answer.code == 200 { Ok(()) } else { Err(answer.body) }
    })
    .await;
    let other = ask(&client, Method::GET, &ground.core("secrets"), "", &Value::Null).await;
    if other.code == 200 {
        ground.lacks("this cluster lets everybody do everything: access was not checked");
        return None;
    }
    Some((user, client))
}

fn reads_pods() -> Value {
    json!([{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"] }])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_role_allows_is_refused_with_verb_resource_and_place() {
    on_ground(async |ground| {
        let Some((user, client)) = reader(ground, &reads_pods()).await else { return };
        let home = &ground.namespace;
        let refused = async |method: Method, path: &str, body: &Value| {
            ask(&client, method, path, "application/merge-patch+json", body).await.refused(403, "Forbidden")
        };
        let said = refused(Method::DELETE, &ground.core("pods/a"), &Value::Null).await;
        let words = format!(
            "pods \"a\" is forbidden: User \"{user}\" cannot delete resource \"pods\" in API group \"\" in the namespace \"{home}\""
        );
        assert!(text(&said, "/message").starts_with(&words), "{said}");
        assert_eq!(said["details"], json!({ "name": "a", "kind": "pods" }));

        let scale = json!({ "spec": { "replicas": 1 } });
        let said = refused(Method::PATCH, &ground.deployment("web/scale"), &scale).await;
        let words = format!(
            "deployments.apps \"web\" is forbidden: User \"{user}\" cannot patch resource \"deployments/scale\" in API \
             group \"apps\" in the namespace \"{home}\""
        );
        assert!(text(&said, "/message").starts_with(&words), "{said}");
        assert_eq!(said["details"], json!({ "name": "web", "group": "apps", "kind": "deployments" }));

        let said = refused(Method::GET, "/api/v1/nodes", &Value::Null).await;
        let words = format!(
            "nodes is forbidden: User \"{user}\" cannot list resource \"nodes\" in API group \"\" at the cluster scope"
        );
        assert!(text(&said, "/message").starts_with(&words), "{said}");
        let said = refused(Method::GET, &ground.core("pods/a/log"), &Value::Null).await;
        assert!(text(&said, "/message").contains("cannot get resource \"pods/log\""), "{said}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_tells_beforehand_what_will_be_refused() {
    on_ground(async |ground| {
        let Some((_, client)) = reader(ground, &reads_pods()).await else { return };
        let review = async |verb: &str, group: &str, resource: &str, subresource: &str| {
            let attributes = json!({
                "namespace": ground.namespace, "verb": verb, "group": group, "resource": resource, "subresource": subresource,
            });
            let review = json!({
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": { "resourceAttributes": attributes },
            });
            let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
            let answer = ask(&client, Method::POST, path, "application/json", &review).await;
            assert_eq!(answer.code, 201, "{answer:?}");
            answer.body["status"]["allowed"].as_bool().expect("an answer")
        };
        assert!(review("list", "", "pods", "").await);
        assert!(!review("list", "", "pods", "log").await);
        assert!(!review("delete", "", "pods", "").await);
        assert!(!review("patch", "apps", "deployments", "scale").await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_of_one_name_holds_for_that_name_alone() {
    on_ground(async |ground| {
        let rules = json!([
            { "apiGroups": [""], "resources": ["pods"], "verbs": ["list"] },
            { "apiGroups": ["apps"], "resources": ["deployments/scale"], "resourceNames": ["web"], "verbs": ["patch"] },
        ]);
        let Some((_, client)) = reader(ground, &rules).await else { return };
        let may = async |name: &str| {
            let attributes = json!({
                "namespace": ground.namespace, "verb": "patch", "group": "apps", "resource": "deployments",
                "subresource": "scale", "name": name,
            });
            let review = json!({
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": { "resourceAttributes": attributes },
            });
            let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
            let answer = ask(&client, Method::POST, path, "application/json", &review).await.good();
            answer["status"]["allowed"] == true
        };
        assert!(may("web").await);
        assert!(!may("other").await);
        assert!(!may("").await, "without a name all of them are meant");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_needs_both_verbs_of_exec_before_anybody_looks_for_its_pod() {
    // Over a web socket it begins with GET, and since 1.35 `create` is asked for as well.
    for (verbs, code) in [(json!(["get"]), 403), (json!(["create"]), 403), (json!(["get", "create"]), 404)] {
        on_ground(async |ground| {
            if !ground.is_at_least(35).await {
                return;
            }
            let rules = json!([
                { "apiGroups": [""], "resources": ["pods"], "verbs": ["list"] },
                { "apiGroups": [""], "resources": ["pods/exec"], "verbs": verbs },
            ]);
            let Some((_, client)) = reader(ground, &rules).await else { return };
            let pods: Api<Pod> = Api::namespaced(client, &ground.namespace);
            let words = AttachParams::default().container("app");
            let refused = pods.exec("none", ["true"], &words).await.err().expect("there is no such pod");
            let said = refused.to_string();
            assert!(said.contains(&code.to_string()), "{verbs}: {said}");
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_who_is_known_may_ask_whether_the_server_is_ready() {
    on_ground(async |ground| {
        let Some((_, client)) = reader(ground, &reads_pods()).await else { return };
        let answer = ask(&client, Method::GET, "/readyz", "", &Value::Null).await;
        assert_eq!((answer.code, answer.body), (200, json!("ok")));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_of_somebody_can_be_listed() {
    on_ground(async |ground| {
        let Some((_, client)) = reader(ground, &reads_pods()).await else { return };
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": { "namespace": ground.namespace },
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
        let answer = ask(&client, Method::POST, path, "application/json", &review).await.good();
        let rules = answer.pointer("/status/resourceRules").and_then(Value::as_array).expect("rules");
        let is_ours =
            |rule: &Value| rule["resources"] == json!(["pods"]) && rule["verbs"] == json!(["get", "list"]);
        assert!(rules.iter().any(is_ours), "{answer}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_for_one_name_does_not_allow_another() {
    on_ground(async |ground| {
        let rules = json!([
            { "apiGroups": [""], "resources": ["pods"], "verbs": ["list"] },
            { "apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["web"], "verbs": ["get"] },
        ]);
        let Some((_, client)) = reader(ground, &rules).await else { return };
        let get = async |name: &str| ask(&client, Method::GET, &ground.deployment(name), "", &Value::Null).await.code;
        assert_eq!((get("web").await, get("other").await), (404, 403), "refused before it is looked for");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_makes_what_its_role_names_and_nothing_else() {
    on_ground(async |ground| {
        let rules = json!([
            { "apiGroups": [""], "resources": ["pods"], "verbs": ["list"] },
            { "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["one"], "verbs": ["create", "patch"] },
        ]);
        let Some((_, client)) = reader(ground, &rules).await else { return };
        let apply = async |name: &str| {
            let path = format!("{}/{name}?fieldManager=one", ground.core("configmaps"));
            let body = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "a": "b" } });
            ask(&client, Method::PATCH, &path, "application/apply-patch+yaml", &body).await.code
        };
        assert_eq!((apply("one").await, apply("other").await), (201, 403));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_is_known_by_its_token() {
    on_ground(async |ground| {
        let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "worker" } });
        ground.post(&ground.core("serviceaccounts"), &account).await.good();
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": { "expirationSeconds": 3600 },
        });
        let answer = ground.post(&ground.core("serviceaccounts/worker/token"), &request).await.good();
        let client = ground.client_with(text(&answer, "/status/token"));
        let refused = ask(&client, Method::GET, &ground.core("secrets"), "", &Value::Null).await;
        if refused.code == 200 {
            return ground.lacks("this cluster lets everybody do everything: access was not checked");
        }
        let said = refused.refused(403, "Forbidden");
        let user = format!("system:serviceaccount:{}:worker", ground.namespace);
        assert!(text(&said, "/message").contains(&user), "{said}");
        let nobody = ask(&ground.client_with("no-such-token"), Method::GET, &ground.core("pods"), "", &Value::Null).await;
        nobody.refused(401, "Unauthorized");
    })
    .await;
}
