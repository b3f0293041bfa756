//! Evictions and the budgets that stand against them.

use serde_json::{Value, json};

use super::cluster::{Ground, condition, count, on_ground, text, until};
use super::objects::{pods, rolled_out, shell_pod};

fn budget(name: &str, least: i64) -> Value {
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": { "name": name },
        "spec": { "minAvailable": least, "selector": { "matchLabels": { "app": "web" } } },
    })
}

/// Makes a budget and waits until it allows exactly so many disruptions.
async fn until_budget(ground: &Ground, name: &str, least: i64, allowed: i64) {
    let path = ground.group("policy/v1", "poddisruptionbudgets");
    ground.post(&path, &budget(name, least)).await.good();
    let path = ground.group("policy/v1", &format!("poddisruptionbudgets/{name}"));
    let is_counted = |found: &Value| {
        count(found, "/status/observedGeneration") >= count(found, "/metadata/generation")
            && count(found, "/status/currentHealthy") == 2
            && count(found, "/status/disruptionsAllowed") == allowed
    };
    ground.until(&path, &format!("the budget allows {allowed}"), is_counted).await;
}

/// The path of a pod's eviction, and its body.
fn eviction(ground: &Ground, pod: &Value, options: &Value) -> (String, Value) {
    let name = text(pod, "/metadata/name");
    let body = json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": { "name": name, "namespace": ground.namespace },
        "deleteOptions": options,
    });
    (ground.core(&format!("pods/{name}/eviction")), body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_without_room_refuses_with_429_and_a_cause_that_overload_has_not() {
    on_ground(async |ground| {
        rolled_out(ground, "web", 2).await;
        until_budget(ground, "web", 2, 0).await;
        let pod = pods(ground, "web").await.remove(0);
        let (path, body) = eviction(ground, &pod, &json!({}));
        let said = ground.post(&path, &body).await.refused(429, "TooManyRequests");
        assert_eq!(text(&said, "/details/causes/0/reason"), "DisruptionBudget");
        assert!(text(&said, "/details/causes/0/message").contains("web"), "{said}");
        let after = ground.get(&ground.core(&format!("pods/{}", text(&pod, "/metadata/name")))).await.good();
        assert_eq!(after["metadata"]["uid"], pod["metadata"]["uid"]);
        assert!(after.pointer("/metadata/deletionTimestamp").is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_with_room_lets_one_go_and_a_dry_run_none() {
    on_ground(async |ground| {
        rolled_out(ground, "web", 2).await;
        let pod = pods(ground, "web").await.remove(0);
        // Before there is a budget: a real server counts even an eviction that then fails against it.
        let (path, body) = eviction(ground, &pod, &json!({ "preconditions": { "uid": "another" } }));
        ground.post(&path, &body).await.refused(409, "Conflict");
        until_budget(ground, "web", 1, 1).await;
        let own = ground.core(&format!("pods/{}", text(&pod, "/metadata/name")));
        let (path, body) = eviction(ground, &pod, &json!({ "dryRun": ["All"] }));
        ground.post(&format!("{path}?dryRun=All"), &body).await.good();
        let after = ground.get(&own).await.good();
        assert!(after.pointer("/metadata/deletionTimestamp").is_none(), "{after}");

        let uid = json!({ "preconditions": { "uid": pod["metadata"]["uid"] } });
        let (path, body) = eviction(ground, &pod, &uid);
        let done = ground.post(&path, &body).await.good();
        assert_eq!((text(&done, "/kind"), text(&done, "/status")), ("Status", "Success"));
        ground.until_gone(&own).await;
        until("another pod takes its place", async || {
            let there = pods(ground, "web").await;
            if there.len() == 2 { Ok(()) } else { Err(json!(there.len())) }
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_under_two_budgets_is_not_evicted_and_the_answer_says_500() {
    on_ground(async |ground| {
        rolled_out(ground, "web", 2).await;
        until_budget(ground, "one", 1, 1).await;
        until_budget(ground, "two", 1, 1).await;
        let pod = pods(ground, "web").await.remove(0);
        let (path, body) = eviction(ground, &pod, &json!({}));
        // The code of the answer is that of a result; the `Status` in it is what counts.
        let said = ground.post(&path, &body).await.body;
        assert_eq!((text(&said, "/status"), count(&said, "/code")), ("Failure", 500), "{said}");
        assert!(text(&said, "/message").contains("more than one PodDisruptionBudget"), "{said}");
        let after = ground.get(&ground.core(&format!("pods/{}", text(&pod, "/metadata/name")))).await.good();
        assert!(after.pointer("/metadata/deletionTimestamp").is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_never_ran_is_evicted_whatever_a_budget_says() {
    on_ground(async |ground| {
        rolled_out(ground, "web", 2).await;
        until_budget(ground, "web", 2, 0).await;
        let mut pod = shell_pod("homeless", "sleep 3600");
        pod["metadata"]["labels"] = json!({ "app": "web" });
        pod["spec"]["nodeSelector"] = json!({ "smokejumper.dev/conformance": "nowhere" });
        ground.post(&ground.core("pods"), &pod).await.good();
        // The scheduler writes once more; an eviction holds to the version that the server then finds.
        let has_no_place = |pod: &Value| condition(pod, "PodScheduled") == ("False", "Unschedulable");
        let pod = ground.until(&ground.core("pods/homeless"), "no node takes it", has_no_place).await;
        let uid = json!({ "preconditions": { "uid": pod["metadata"]["uid"] } });
        let (path, body) = eviction(ground, &pod, &uid);
        let done = ground.post(&path, &body).await.good();
        assert_eq!(text(&done, "/status"), "Success");
        ground.until_gone(&ground.core("pods/homeless")).await;
        ground.post(&path, &body).await.refused(404, "NotFound");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_without_grace_takes_a_pod_at_once_and_answers_with_the_pod() {
    on_ground(async |ground| {
        let mut pod = shell_pod("homeless", "sleep 3600");
        pod["spec"]["nodeSelector"] = json!({ "smokejumper.dev/conformance": "nowhere" });
        let pod = ground.post(&ground.core("pods"), &pod).await.good();
        let path = ground.core("pods/homeless");
        let other = json!({ "gracePeriodSeconds": 0, "preconditions": { "uid": "another" } });
        ground.delete(&path, &other).await.refused(409, "Conflict");
        let own = json!({ "gracePeriodSeconds": 0, "preconditions": { "uid": pod["metadata"]["uid"] } });
        let said = ground.delete(&path, &own).await.good();
        assert_eq!((text(&said, "/kind"), &said["metadata"]["uid"]), ("Pod", &pod["metadata"]["uid"]));
        ground.get(&path).await.refused(404, "NotFound");
    })
    .await;
}
