//! Scaling under an autoscaler, and changes for a limited time.

use crate::rules::{rule, rule_seeing, scaling};
use crate::stage::Stage;
use jiff::SignedDuration;
use serde_json::{Value, json};
use smokejumper::engine::ports::Store as _;

fn rules() -> String {
    const RESTART: &str = "{ name: restart, tier: T1, action: { k8s.rollout_restart: {} } }";
    let busy = "{ name: more, tier: T1, action: { k8s.scale: { replicas: 6, max: 8, ttl: 2h } } }";
    const WATCHED: &str = "{ name: watched, tier: T1, action: { k8s.rollout_restart: {} }, \
                           verify: { settle: 1m, hold: 8m, within: 15m, checks: ['findings.workload.unavailable == 0'] } }";
    // The autoscaler is named by itself, and not by what it scales.
    let bounds = "{ name: wider, action: { k8s.hpa_patch: { kind: HorizontalPodAutoscaler, name: api, max: 9 } }, \
                  verify: { settle: 1m, hold: 5m, within: 10m, checks: ['findings.workload.unavailable == 0'] } }";
    // For longer than any limit looks back.
    let long = "{ name: wide, action: { k8s.hpa_patch: { kind: HorizontalPodAutoscaler, name: api, max: 9, ttl: 26h } } }";
    [
        rule_seeing("long", "Long", "", &[long]),
        scaling("respects", "Respect", "", &[RESTART]),
        scaling("raises", "Raise", ", hpa: raise_min", &[]),
        scaling("refuses", "Refuse", ", hpa: refuse", &[RESTART]),
        rule_seeing("for-a-while", "Busy", "", &[busy]),
        rule("bounds", "Bounds", &[bounds]),
        rule_seeing("restarts", "Hung", "", &[RESTART]),
        rule("watched", "Slow", &[WATCHED]),
    ]
    .concat()
}

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

/// `api` is scaled by an autoscaler between four and seven.
async fn scaled() -> Stage {
    let stage = Stage::new(&rules()).await;
    let autoscaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": "api", "namespace": "shop" },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "api" },
            "minReplicas": 4, "maxReplicas": 7,
            "metrics": [{ "type": "Resource", "resource": {
                "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 80 },
            }}],
        },
    });
    stage.cluster().put(autoscaler).expect("an autoscaler");
    stage.cluster().set_usage("shop", "app=api", 80, 10 << 20);
    stage.pass(minutes(1)).await;
    stage
}

fn replicas(stage: &Stage) -> Value {
    stage.cluster().get("deployments", "shop", "api").expect("it is there")["spec"]["replicas"].clone()
}

fn least(stage: &Stage) -> Value {
    let autoscaler = stage.cluster().get("horizontalpodautoscalers", "shop", "api").expect("it is there");
    autoscaler["spec"]["minReplicas"].clone()
}

#[tokio::test]
async fn an_autoscaler_is_respected_and_the_next_remedy_taken() {
    let stage = scaled().await;
    stage.fires("Respect", "api").await;
    let timeline = stage.timeline().await;
    let passed = timeline.iter().find(|(word, _)| word == "nothing_to_do").expect("it says why");
    assert!(passed.1.contains("more: skip") && passed.1.contains("is respected"), "{passed:?}");
    assert_eq!(stage.writes(), ["patch deployments api"], "the restart alone");
    assert_eq!((replicas(&stage), least(&stage)), (json!(4), json!(4)));
}

#[tokio::test]
async fn an_autoscalers_minimum_is_raised_within_its_maximum_for_a_while_and_restored() {
    let stage = scaled().await;
    stage.fires("Raise", "api").await;
    assert_eq!(stage.remedies().await, ["more: succeeded"]);
    assert_eq!(least(&stage), 6);
    stage.pass(minutes(2)).await;
    assert_eq!(replicas(&stage), 6, "the autoscaler has done it");
    stage.ends("Raise", "api").await;
    stage.pass(minutes(57)).await;
    assert_eq!(least(&stage), 6, "for an hour");
    stage.pass(minutes(3)).await;
    assert_eq!(least(&stage), 4, "also after the incident");
    let by = ["patch horizontalpodautoscalers api"; 2];
    assert_eq!(stage.writes(), by);
}

#[tokio::test]
async fn a_rule_may_refuse_to_meddle_with_an_autoscaler() {
    let stage = scaled().await;
    stage.fires("Refuse", "api").await;
    let action = stage.incident().await.actions[0].clone();
    assert_eq!((action.status.as_str(), action.reason.word()), ("blocked", "survey_refused"));
    assert!(action.reason.to_string().contains("would not last"), "{}", action.reason);
    assert_eq!(stage.writes(), Vec::<String>::new(), "and the ladder stops");
}

#[tokio::test]
async fn what_somebody_has_set_back_is_not_written_again_and_stands_on_no_list() {
    let stage = Stage::new(&rules()).await;
    stage.fires("Busy", "api").await;
    assert_eq!(replicas(&stage), 6);
    assert_eq!(stage.fixes().await.len(), 1);
    // A person scales it back.
    let mut api = stage.cluster().get("deployments", "shop", "api").expect("it is there");
    api["spec"]["replicas"] = json!(4);
    stage.cluster().put(api).expect("it is put");
    stage.pass(minutes(60)).await;
    assert_eq!(stage.fixes().await.len(), 1, "nobody has looked yet");
    stage.pass(minutes(61)).await;
    assert_eq!(stage.fixes().await.len(), 0);
    assert_eq!(stage.writes(), ["patch deployments/scale api"], "nothing was written a second time");
    let timeline = stage.timeline().await;
    let line = timeline.iter().find(|(word, _)| word == "set_back").expect("it says so");
    assert!(line.1.contains("somebody"), "{line:?}");
    let restore = stage.incident().await.actions[1].clone();
    assert_eq!((restore.status.as_str(), restore.reason.word()), ("succeeded", "set_back"));
}

#[tokio::test]
async fn it_is_not_set_back_while_another_action_is_watched_on_the_same_target() {
    let stage = Stage::new(&rules()).await;
    stage.fires("Busy", "api").await;
    stage.pass(minutes(118)).await;
    stage.fires("Slow", "api").await;
    let watched = async || stage.incidents().await[1].actions[0].status.as_str();
    stage.pass(minutes(7)).await;
    assert_eq!((watched().await, replicas(&stage)), ("verifying", json!(6)));
    let restore = stage.incidents().await[0].actions[1].clone();
    assert_eq!((restore.status.as_str(), restore.reason.word()), ("blocked", "in_flight"), "{restore:?}");
    stage.pass(minutes(10)).await;
    assert_eq!((watched().await, replicas(&stage)), ("succeeded", json!(4)));
    let ledger = stage.store.ledger(jiff::Timestamp::UNIX_EPOCH).await.expect("reads");
    let start = ledger.starts.last().expect("it was counted");
    assert_eq!(
        (start.remedy.as_str(), start.target.as_str()),
        ("for-a-while/restore-more", "Deployment/shop/api")
    );
    assert!(start.end.is_some_and(|end| end.result.as_str() == "not_started"), "it is over: {start:?}");
}

#[tokio::test]
async fn after_a_day_a_way_back_still_knows_what_else_its_change_touched() {
    let stage = scaled().await;
    let most = |stage: &Stage| {
        let found = stage.cluster().get("horizontalpodautoscalers", "shop", "api").expect("it is there");
        found["spec"]["maxReplicas"].clone()
    };
    stage.fires("Long", "api").await;
    stage.approve().await;
    assert_eq!(most(&stage), json!(9));
    let stage = stage.away_for(minutes(26 * 60 - 3)).await;
    stage.pass(minutes(2)).await;
    // Another action on the workload behind the autoscaler is being watched.
    stage.fires("Slow", "api").await;
    stage.pass(minutes(7)).await;
    let restore = stage.incidents().await[0].actions.last().cloned().expect("its way back");
    assert_eq!((restore.status.as_str(), restore.reason.word()), ("blocked", "in_flight"), "{restore:?}");
    assert_eq!(most(&stage), json!(9));
    stage.pass(minutes(15)).await;
    assert_eq!(most(&stage), json!(7));
}

#[tokio::test]
async fn a_look_at_what_stands_finds_what_somebody_has_set_back() {
    let stage = Stage::new(&rules()).await;
    stage.fires("Busy", "api").await;
    stage.look_at_fixes().await;
    assert_eq!(stage.fixes().await.len(), 1, "it stands");
    let mut api = stage.cluster().get("deployments", "shop", "api").expect("it is there");
    api["spec"]["replicas"] = json!(4);
    stage.cluster().put(api).expect("it is put");
    stage.look_at_fixes().await;
    assert_eq!(stage.fixes().await.len(), 0);
    stage.pass(minutes(150)).await;
    assert_eq!(stage.writes(), ["patch deployments/scale api"], "its time is over, and nothing happens");
    let timeline = stage.timeline().await;
    assert_eq!(timeline.iter().filter(|(word, _)| word == "set_back").count(), 1, "{timeline:?}");
}

#[tokio::test]
async fn an_autoscaler_and_the_workload_that_it_scales_are_one_to_limits() {
    let stage = scaled().await;
    stage.fires("Bounds", "api").await;
    stage.approve().await;
    let bounds = stage.incident().await;
    assert_eq!(bounds.actions[0].status.as_str(), "verifying", "{:?}", bounds.actions);
    for alertname in ["Hung", "Raise"] {
        stage.fires(alertname, "api").await;
        let incident = stage.incidents().await.pop().expect("it opened one");
        let action = incident.actions.last().expect("an action");
        assert_eq!((action.status.as_str(), action.reason.word()), ("blocked", "in_flight"), "{action:?}");
    }
    assert_eq!(stage.writes(), ["patch horizontalpodautoscalers api"]);
}
