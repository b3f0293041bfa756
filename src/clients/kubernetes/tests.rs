//! The API server as it answers, refuses, stalls and breaks: what each comes to, and whether a write may have arrived.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::exec::ExecQuery;
use super::fake::{Answer, Seen, mk_cluster};
use super::logs::LogQuery;
use super::*;
use crate::domain::catalog::AccessNeed;

const TIMEOUT: Duration = Duration::from_millis(200);

fn status(code: u16, reason: &str, message: &str, details: Value) -> String {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
        "message": message, "details": details})
    .to_string()
}

async fn patch_answered(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> KubernetesError {
    let (client, _) = mk_cluster(answer);
    let acts = ActHandle::over(client, TIMEOUT);
    let patch = Patch::Merge(json!({"spec": {"replicas": 3}}));
    acts.patch::<Value>(&Resource::DEPLOYMENTS, None, Some("prod"), "api", &patch, false)
        .await
        .expect_err("no good answer")
}

#[tokio::test]
async fn each_refusal_has_its_own_meaning() {
    let none = || json!({});
    let budget = json!({"causes": [{"reason": "DisruptionBudget", "message": "needs 2"}]});
    let managed = json!({"causes": [{"reason": "FieldManagerConflict", "field": ".data.a"}]});
    let table: Vec<(u16, String, &str, bool)> = vec![
        (401, status(401, "Unauthorized", "Unauthorized", none()), "credentials (401)", false),
        (
            403,
            status(403, "Forbidden", "User \"sa\" cannot patch", none()),
            "not permitted (403): User",
            false,
        ),
        (404, status(404, "NotFound", "deployments \"api\" not found", none()), "there is none (404)", false),
        (
            409,
            status(409, "Conflict", "the object has been modified", none()),
            "changed meanwhile (409)",
            false,
        ),
        (409, status(409, "Conflict", "Apply failed", managed), "others manage fields", false),
        (409, status(409, "AlreadyExists", "exists", none()), "it exists already (409)", false),
        (422, status(422, "Invalid", "spec.replicas: Invalid value", none()), "refused (422): spec", false),
        (
            400,
            status(400, "BadRequest", "the webhook does not support dry run", none()),
            "refused (400)",
            false,
        ),
        (415, "unsupported media type".to_owned(), "refused (415): unsupported", false),
        (
            429,
            status(429, "TooManyRequests", "too many", json!({"retryAfterSeconds": 7})),
            "busy (429)",
            false,
        ),
        (429, status(429, "TooManyRequests", "Cannot evict pod", budget), "PodDisruptionBudget", false),
        (500, status(500, "InternalError", "etcdserver: timed out", none()), "failed (500): etcd", true),
        (
            500,
            status(500, "InternalError", "This pod has more than one PodDisruptionBudget, which", none()),
            "PodDisruptionBudget forbids",
            false,
        ),
        (503, "<html>upstream gone</html>".to_owned(), "failed (503): <html>", true),
        (504, String::new(), "failed (504): Gateway Timeout", true),
    ];
    for (code, body, words, maybe_sent) in table {
        let error = patch_answered(move |_| Answer::Says(code, body.clone())).await;
        let shown = error.to_string();
        assert!(shown.starts_with("patch deployments.apps prod/api: "), "{shown}");
        assert!(shown.contains(words), "{code}: {shown}");
        assert_eq!(error.maybe_sent(), maybe_sent, "{code}: {shown}");
    }
}

#[tokio::test]
async fn a_busy_server_says_how_long_to_wait_and_a_budget_is_something_else() {
    let error = patch_answered(|_| Answer::Wait(429, 3, status(429, "TooManyRequests", "", json!({})))).await;
    assert_eq!(error.wait(), Some(Duration::from_secs(3)));
    let details = json!({"retryAfterSeconds": 7});
    let body = status(429, "TooManyRequests", "busy", details);
    let error = patch_answered(move |_| Answer::Says(429, body.clone())).await;
    assert_eq!(error.wait(), Some(Duration::from_secs(7)));
    let error = patch_answered(|_| Answer::Wait(503, 999_999, String::new())).await;
    assert_eq!(error.wait(), Some(Duration::from_secs(3600)), "a mistaken wait is not believed for days");
    let details = json!({"causes": [{"reason": "DisruptionBudget"}], "retryAfterSeconds": 10});
    let body = status(429, "TooManyRequests", "Cannot evict", details);
    let error = patch_answered(move |_| Answer::Says(429, body.clone())).await;
    assert!(matches!(error.failure, Failure::Budget(_)) && error.wait().is_none(), "{error}");
}

#[tokio::test]
async fn what_ends_without_an_answer_may_have_arrived() {
    let error = patch_answered(|_| Answer::Never).await;
    assert!(matches!(error.failure, Failure::TimedOut(TIMEOUT)) && error.maybe_sent(), "{error}");
    let error = patch_answered(|_| Answer::Breaks).await;
    assert!(matches!(error.failure, Failure::Broken(_)) && error.maybe_sent(), "{error}");
    let error = patch_answered(|_| Answer::Parts(vec![Err(std::io::Error::other("reset"))])).await;
    assert!(matches!(error.failure, Failure::Broken(_)) && error.maybe_sent(), "{error}");
    let error = patch_answered(|_| Answer::Says(200, "token: hunter2".to_owned())).await;
    assert!(matches!(error.failure, Failure::Unreadable(_)) && error.maybe_sent(), "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[tokio::test]
async fn what_is_not_reached_was_not_sent() {
    crate::clients::http::install_crypto_provider();
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = closed.local_addr().expect("is bound");
    drop(closed);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kubeconfig");
    let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "u", "user": {"token": "t"}}]});
    std::fs::write(&path, kubeconfig.to_string()).expect("written");
    let options = ConnectOptions { kubeconfig: Some(path), timeout: TIMEOUT, ..ConnectOptions::default() };
    let reads = ReadHandle::new(options.clone());
    let error = reads.get::<Value>(&Resource::NODES, None, "n").await.expect_err("nobody is there");
    assert!(matches!(error.failure, Failure::NotReached(_)) && !error.maybe_sent(), "{error}");

    let other = ConnectOptions { context: Some("gone".to_owned()), ..options };
    let error = ReadHandle::new(other).connect().await.expect_err("no such context");
    assert!(matches!(error.failure, Failure::Setup(_)) && !error.maybe_sent(), "{error}");
}

#[tokio::test]
async fn a_name_from_outside_never_leaves_its_place_in_the_path() {
    let (client, requests) = mk_cluster(|_| Answer::Says(200, "{}".to_owned()));
    let reads = ReadHandle::over(client.clone(), TIMEOUT);
    for (namespace, name) in [
        (Some("prod"), "../../kube-system/secrets"),
        (Some("prod"), ""),
        (Some("prod"), "api?x=y"),
        (Some("prod/../kube-system"), "api"),
        (Some("kube%2dsystem"), "api"),
        (Some(""), "api"),
        (None, "api"),
    ] {
        let error = reads.get::<Value>(&Resource::PODS, namespace, name).await.expect_err("no such name");
        assert!(matches!(error.failure, Failure::Refused(_)) && !error.maybe_sent(), "{error}");
        let acts = ActHandle::over(client.clone(), TIMEOUT);
        let how = DeleteRequest::default();
        let error =
            acts.delete(&Resource::PODS, namespace, name, &how, false).await.expect_err("no such name");
        assert!(matches!(error.failure, Failure::Refused(_)), "{error}");
    }
    let everything = ListQuery { labels: Some(" "), ..ListQuery::default() };
    let error = reads.list::<Value>(&Resource::PODS, Some("prod"), everything).await.expect_err("empty");
    assert!(error.to_string().contains("would select everything"), "{error}");
    assert!(requests.lock().expect("no panic").is_empty(), "nothing was sent");
}

#[tokio::test]
async fn a_list_is_read_page_by_page_and_ends() {
    let (client, requests) = mk_cluster(|request| {
        let next = if request.target.contains("continue=") { Value::Null } else { json!("a+b/=") };
        let page = json!({"metadata": {"continue": next}, "items": [{"n": 1}, {"n": 2}]});
        Answer::Says(200, page.to_string())
    });
    let reads = ReadHandle::over(client, TIMEOUT);
    let query = ListQuery { labels: Some("app=api,tier!=cache"), ..ListQuery::default() };
    let all: Vec<Value> = reads.list(&Resource::PODS, Some("prod"), query).await.expect("a list");
    assert_eq!(all.len(), 4);
    let requests = requests.lock().expect("no panic").clone();
    let first = "/api/v1/namespaces/prod/pods?limit=250&labelSelector=app%3Dapi%2Ctier%21%3Dcache";
    assert_eq!(requests[0].target, first);
    assert_eq!(requests[1].target, format!("{first}&continue=a%2Bb%2F%3D"));

    // Go writes an empty list as null.
    let (client, _) = mk_cluster(|_| Answer::Says(200, r#"{"metadata": {}, "items": null}"#.to_owned()));
    let none: Vec<Value> = ReadHandle::over(client, TIMEOUT)
        .list(&Resource::NODES, None, ListQuery::default())
        .await
        .expect("an empty list");
    assert!(none.is_empty());
}

#[tokio::test]
async fn a_list_whose_later_pages_are_forgotten_is_not_taken_for_none() {
    let (client, _) = mk_cluster(|request| {
        if request.target.contains("continue=") {
            return Answer::Says(
                410,
                status(410, "Expired", "The provided continue parameter is too old", json!({})),
            );
        }
        Answer::Says(200, json!({"metadata": {"continue": "more"}, "items": [{}]}).to_string())
    });
    let reads = ReadHandle::over(client, TIMEOUT);
    let error =
        reads.list::<Value>(&Resource::PODS, Some("p"), ListQuery::default()).await.expect_err("cut off");
    assert!(!error.is_not_found() && error.is_passing(), "{error}");
    assert!(error.to_string().contains("ask again"), "{error}");
}

#[tokio::test]
async fn an_endless_list_is_refused_and_an_endless_answer_too() {
    let page = json!({"metadata": {"continue": "more"}, "items": vec![json!({}); 250]}).to_string();
    let (client, _) = mk_cluster(move |_| Answer::Says(200, page.clone()));
    let reads = ReadHandle::over(client, Duration::from_secs(60));
    let error =
        reads.list::<Value>(&Resource::PODS, Some("p"), ListQuery::default()).await.expect_err("endless");
    assert!(error.to_string().contains("more than 10000 objects"), "{error}");

    let part = Bytes::from(vec![b' '; 4 << 20]);
    let (client, _) = mk_cluster(move |_| Answer::Parts((0..9).map(|_| Ok(part.clone())).collect()));
    let reads = ReadHandle::over(client, Duration::from_secs(60));
    let error = reads.get::<Value>(&Resource::PODS, Some("p"), "x").await.expect_err("endless");
    assert!(matches!(error.failure, Failure::TooLarge(_)), "{error}");
}

#[tokio::test]
async fn a_storm_of_questions_is_asked_a_few_at_a_time() {
    let (client, requests) = mk_cluster(|_| Answer::Never);
    let reads = ReadHandle::over(client, Duration::from_secs(60));
    let mut asked =
        futures::future::join_all((0..40).map(|_| reads.get::<Value>(&Resource::NODES, None, "n")));
    let count = || requests.lock().expect("no panic").len();
    while count() < 8 {
        assert!(futures::poll!(&mut asked).is_pending());
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        assert!(futures::poll!(&mut asked).is_pending());
        tokio::task::yield_now().await;
    }
    assert_eq!(count(), 8, "the others wait");
}

#[tokio::test]
async fn a_write_says_who_writes_and_carries_its_preconditions() {
    let (client, requests) = mk_cluster(|_| Answer::Says(200, "{}".to_owned()));
    let acts = ActHandle::over(client, TIMEOUT);
    let scale = Patch::Merge(json!({"spec": {"replicas": 3}}));
    let place = Some("prod");
    let _: Value =
        acts.patch(&Resource::DEPLOYMENTS, Some("scale"), place, "api", &scale, true).await.expect("patched");
    let apply = Patch::Apply { object: json!({"kind": "ConfigMap"}), force: false };
    let _: Value =
        acts.patch(&Resource::CONFIG_MAPS, None, place, "x", &apply, false).await.expect("applied");
    let how = DeleteRequest {
        uid: Some("u-1".to_owned()),
        grace_seconds: Some(0),
        propagation: Some(Propagation::Background),
        ..DeleteRequest::default()
    };
    acts.delete(&Resource::JOBS, place, "once", &how, false).await.expect("deleted");
    acts.evict("prod", "api-0", &how, true).await.expect("evicted");
    let _: Value = acts
        .create(&Resource::JOBS, place, &json!({"metadata": {"name": "j"}}), true)
        .await
        .expect("created");

    let requests = requests.lock().expect("no panic").clone();
    let lines: Vec<String> = requests.iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect();
    assert_eq!(
        lines,
        [
            "PATCH /apis/apps/v1/namespaces/prod/deployments/api/scale?fieldManager=smokejumper&dryRun=All",
            "PATCH /api/v1/namespaces/prod/configmaps/x?fieldManager=smokejumper&force=false",
            "DELETE /apis/batch/v1/namespaces/prod/jobs/once",
            "POST /api/v1/namespaces/prod/pods/api-0/eviction?fieldManager=smokejumper&dryRun=All",
            "POST /apis/batch/v1/namespaces/prod/jobs?fieldManager=smokejumper&dryRun=All",
        ]
    );
    assert_eq!(requests[0].content_type, "application/merge-patch+json");
    assert_eq!(requests[1].content_type, "application/apply-patch+yaml");
    let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "u-1"},
        "gracePeriodSeconds": 0, "propagationPolicy": "Background"});
    assert_eq!(requests[2].body, options);
    assert_eq!(requests[3].body["deleteOptions"]["preconditions"]["uid"], "u-1");
    assert_eq!(requests[3].body["deleteOptions"]["dryRun"], json!(["All"]));
}

#[tokio::test]
async fn a_log_streams_and_stops_at_its_limit() {
    let part = || Ok(Bytes::from(vec![b'x'; 1000]));
    let (client, requests) = mk_cluster(move |_| Answer::Parts((0..50).map(|_| part()).collect()));
    let reads = ReadHandle::over(client, TIMEOUT);
    let query = LogQuery {
        container: Some("app".to_owned()),
        previous: true,
        since: Some(Duration::from_millis(10)),
        tail_lines: 500,
        bytes_max: 2500,
    };
    let mut log = reads.logs("prod", "api-0", &query).await.expect("a log");
    let mut sizes = Vec::new();
    while let Some(part) = log.part().await.expect("a part") {
        sizes.push(part.len());
    }
    assert_eq!(sizes, [1000, 1000, 500]);
    assert!(log.reached_limit());
    let target = "/api/v1/namespaces/prod/pods/api-0/log?tailLines=500&limitBytes=2500&container=app\
                  &sinceSeconds=1&previous=true";
    assert_eq!(requests.lock().expect("no panic")[0].target, target);
}

#[tokio::test]
async fn a_log_that_breaks_off_says_so() {
    let parts = || vec![Ok(Bytes::from_static(b"first\n")), Err(std::io::Error::other("reset"))];
    let (client, _) = mk_cluster(move |_| Answer::Parts(parts()));
    let query = LogQuery { container: None, previous: false, since: None, tail_lines: 5, bytes_max: 1 << 20 };
    let mut log = ReadHandle::over(client, TIMEOUT).logs("prod", "api-0", &query).await.expect("a log");
    assert!(log.part().await.expect("the first part").is_some());
    let error = log.part().await.expect_err("it broke off");
    assert!(error.to_string().starts_with("get pods/log prod/api-0: the connection broke"), "{error}");
}

#[tokio::test]
async fn permissions_are_asked_verb_by_verb() {
    let (client, requests) = mk_cluster(|request| {
        let allowed = request.body["spec"]["resourceAttributes"]["verb"] != "delete";
        Answer::Says(201, json!({"status": {"allowed": allowed}}).to_string())
    });
    let reads = ReadHandle::over(client, TIMEOUT);
    let need = AccessNeed::namespaced("", "pods/log", &["get", "list"]);
    assert_eq!(reads.may(&need, Some("prod")).await, Ok(true));
    let seen = requests.lock().expect("no panic")[1].body["spec"]["resourceAttributes"].clone();
    let expected = json!({"namespace": "prod", "group": "", "resource": "pods", "subresource": "log",
        "verb": "list", "name": ""});
    assert_eq!(seen, expected);
    let need = AccessNeed::namespaced("apps", "deployments", &["get", "delete"]);
    assert_eq!(reads.may(&need, Some("prod")).await, Ok(false));
}

#[tokio::test]
async fn a_command_needs_a_program_and_a_refusal_says_why() {
    let body = status(403, "Forbidden", "cannot create resource \"pods/exec\"", json!({}));
    let (client, _) = mk_cluster(move |_| Answer::Says(403, body.clone()));
    let reads = ReadHandle::over(client, TIMEOUT);
    let mut query =
        ExecQuery { namespace: "prod", pod: "redis-0", container: None, argv: &[], timeout: TIMEOUT };
    let error = reads.exec(query).await.expect_err("no command");
    assert!(matches!(error.failure, Failure::Refused(_)), "{error}");
    let argv = ["redis-cli".to_owned(), "ping".to_owned()];
    query.argv = &argv;
    let error = reads.exec(query).await.expect_err("forbidden");
    assert!(matches!(error.failure, Failure::Forbidden(_)) && !error.maybe_sent(), "{error}");
}

#[test]
fn the_paths_of_kinds_are_those_of_the_api() {
    let path = |resource: &Resource, namespace| resource.path(namespace).expect("a path");
    assert_eq!(path(&Resource::PODS, Some("a")), "/api/v1/namespaces/a/pods");
    assert_eq!(
        path(&Resource::AUTOSCALERS, Some("a")),
        "/apis/autoscaling/v2/namespaces/a/horizontalpodautoscalers"
    );
    assert_eq!(path(&Resource::NODES, None), "/api/v1/nodes");
    assert_eq!(Resource::of_kind("Event"), Some(&Resource::EVENTS));
    assert_eq!(Resource::of_manifest("events.k8s.io/v1", "Event"), Some(&Resource::NEW_EVENTS));
    assert_eq!(Resource::of_kind("deployment"), None);
    assert_eq!(Resource::DEPLOYMENTS.to_string(), "deployments.apps");
}
