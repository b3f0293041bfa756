//! Autoscalers: their bounds against scaling by hand. What they measure is not asked for here.

use serde_json::{Value, json};

use super::cluster::{Ground, condition, count, on_ground, text};
use super::objects::{deployment, rolled_out};

async fn autoscaler(ground: &Ground, least: i64, most: i64) -> String {
    let path = ground.group("autoscaling/v2", "horizontalpodautoscalers");
    let target = json!({ "type": "Utilization", "averageUtilization": 80 });
    let made = json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": "web" },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [{ "type": "Resource", "resource": { "name": "cpu", "target": target } }],
        },
    });
    ground.post(&path, &made).await.good();
    format!("{path}/web")
}

async fn scale(ground: &Ground, replicas: i64) {
    let body = json!({ "spec": { "replicas": replicas } });
    ground.merge(&ground.deployment("web/scale"), &body).await.good();
}

async fn until_replicas(ground: &Ground, replicas: i64) {
    let has = |web: &Value| count(web, "/spec/replicas") == replicas;
    ground.until(&ground.deployment("web"), &format!("the autoscaler sets {replicas} replicas"), has).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scaling_by_hand_below_or_above_the_bounds_is_taken_back() {
    on_ground(async |ground| {
        rolled_out(ground, "web", 2).await;
        let path = autoscaler(ground, 2, 3).await;
        let sees = |found: &Value| condition(found, "AbleToScale").0 == "True";
        ground.until(&path, "the autoscaler sees its target", sees).await;
        scale(ground, 1).await;
        until_replicas(ground, 2).await;
        scale(ground, 5).await;
        until_replicas(ground, 3).await;
        let body = json!({ "spec": { "minReplicas": 4, "maxReplicas": 5 } });
        ground.merge(&path, &body).await.good();
        until_replicas(ground, 4).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_replicas_at_all_switch_the_autoscaler_off() {
    on_ground(async |ground| {
        rolled_out(ground, "web", 1).await;
        let path = autoscaler(ground, 1, 3).await;
        scale(ground, 0).await;
        let is_off = |found: &Value| condition(found, "ScalingActive") == ("False", "ScalingDisabled");
        ground.until(&path, "the autoscaler is off", is_off).await;
        let web = ground.get(&ground.deployment("web")).await.good();
        assert_eq!(count(&web, "/spec/replicas"), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_that_cross_are_invalid_and_a_merge_patch_replaces_all_metrics() {
    on_ground(async |ground| {
        ground.post(&ground.deployment(""), &deployment("web", 0)).await.good();
        let path = autoscaler(ground, 2, 3).await;
        let crossed = json!({ "spec": { "minReplicas": 4 } });
        let said = ground.merge(&path, &crossed).await.refused(422, "Invalid");
        assert_eq!(text(&said, "/details/causes/0/field"), "spec.maxReplicas");
        let none = json!({ "spec": { "maxReplicas": 0, "minReplicas": null } });
        ground.merge(&path, &none).await.refused(422, "Invalid");
        let memory = json!([{ "type": "Resource", "resource": {
            "name": "memory", "target": { "type": "AverageValue", "averageValue": "100Mi" },
        }}]);
        let patched = ground.merge(&path, &json!({ "spec": { "metrics": memory } })).await.good();
        assert_eq!(patched["spec"]["metrics"], memory);
        assert_eq!(count(&patched, "/spec/minReplicas"), 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_measured_is_told_and_changes_no_replicas() {
    on_ground(async |ground| {
        // Its containers request nothing, so that a share of it is nothing that could be measured.
        rolled_out(ground, "web", 2).await;
        let path = autoscaler(ground, 1, 3).await;
        let is_blind =
            |found: &Value| condition(found, "ScalingActive") == ("False", "FailedGetResourceMetric");
        let found = ground.until(&path, "the autoscaler says what it lacks", is_blind).await;
        assert_eq!(condition(&found, "AbleToScale").0, "True");
        assert_eq!(count(&found, "/status/currentReplicas"), 2);
        let web = ground.get(&ground.deployment("web")).await.good();
        assert_eq!(count(&web, "/spec/replicas"), 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_not_there_is_told() {
    on_ground(async |ground| {
        let path = autoscaler(ground, 1, 3).await;
        let is_lost = |found: &Value| condition(found, "AbleToScale") == ("False", "FailedGetScale");
        ground.until(&path, "the autoscaler misses its target", is_lost).await;
    })
    .await;
}
