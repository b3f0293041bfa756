//! The service is away for longer than its timers, and begins again.

use crate::rules::{rule, rule_seeing};
use crate::stage::Stage;
use jiff::SignedDuration;
use serde_json::{Value, json};

fn rules() -> String {
    let scale = |ttl: &str, check: &str| {
        format!(
            "{{ name: more, tier: T1, action: {{ k8s.scale: {{ replicas: 6, max: 8{ttl} }} }}, \
             verify: {{ settle: 10s, hold: 20s, within: 5m, checks: ['{check}'], onFail: rollback }} }}"
        )
    };
    let good = "findings.workload.unavailable == 0";
    let busy = "{ name: more, tier: T1, action: { k8s.scale: { replicas: 6, max: 8, ttl: 2h } } }";
    [
        rule("helps", "Helps", &[&scale("", good)]),
        rule("hopeless", "Hopeless", &[&scale("", "findings.workload.desired > 100")]),
        rule("short", "Short", &[&scale(", ttl: 10m", good)]),
        rule_seeing("for-a-while", "Busy", "", &[busy]),
    ]
    .concat()
}

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

fn replicas(stage: &Stage) -> Value {
    stage.cluster().get("deployments", "shop", "api").expect("it is there")["spec"]["replicas"].clone()
}

const SCALED: &str = "patch deployments/scale api";

#[tokio::test]
async fn what_held_while_nobody_looked_is_watched_for_its_time_and_kept() {
    let stage = Stage::new(&rules()).await;
    stage.fires("Helps", "api").await;
    assert_eq!((stage.remedies().await, replicas(&stage)), (vec!["more: verifying".to_owned()], json!(6)));
    let stage = stage.away_for(minutes(30)).await;
    assert_eq!(stage.remedies().await, ["more: verifying"], "time in which nobody looked does not hold");
    stage.pass(minutes(1)).await;
    assert_eq!(stage.remedies().await, ["more: succeeded"]);
    assert_eq!(stage.incident().await.actions[0].reason.word(), "verified");
    assert_eq!((stage.writes(), replicas(&stage)), (vec![SCALED.to_owned()], json!(6)));
}

#[tokio::test]
async fn what_does_not_help_is_undone_only_after_its_time_of_being_watched() {
    let stage = Stage::new(&rules()).await;
    stage.fires("Hopeless", "api").await;
    stage.pass(minutes(1)).await;
    let stage = stage.away_for(minutes(30)).await;
    assert_eq!(stage.remedies().await, ["more: verifying"], "its time has not passed either");
    stage.pass(minutes(3)).await;
    assert_eq!((stage.remedies().await, replicas(&stage)), (vec!["more: verifying".to_owned()], json!(6)));
    stage.pass(minutes(2)).await;
    assert_eq!((stage.remedies().await, replicas(&stage)), (vec!["more: rolled_back".to_owned()], json!(4)));
    assert_eq!(stage.writes(), [SCALED; 2]);
    stage.pass(minutes(60)).await;
    assert_eq!(stage.writes(), [SCALED; 2], "once");
}

#[tokio::test]
async fn what_stood_for_longer_than_its_time_is_set_back_at_once_and_once() {
    let stage = Stage::new(&rules()).await;
    stage.fires("Busy", "api").await;
    assert_eq!((stage.fixes().await.len(), replicas(&stage)), (1, json!(6)));
    let stage = stage.away_for(minutes(300)).await;
    assert_eq!((stage.fixes().await.len(), replicas(&stage)), (0, json!(4)));
    assert_eq!(stage.remedies().await, ["more: succeeded", "restore-more: succeeded"]);
    let stage = stage.away_for(minutes(300)).await;
    stage.pass(minutes(150)).await;
    assert_eq!(stage.writes(), [SCALED; 2]);
}

#[tokio::test]
async fn what_people_set_back_meanwhile_is_not_written_again() {
    let stage = Stage::new(&rules()).await;
    stage.fires("Busy", "api").await;
    let mut api = stage.cluster().get("deployments", "shop", "api").expect("it is there");
    api["spec"]["replicas"] = json!(4);
    stage.cluster().put(api).expect("it is put");
    let stage = stage.away_for(minutes(300)).await;
    assert_eq!((stage.fixes().await.len(), stage.writes()), (0, vec![SCALED.to_owned()]));
    assert_eq!(stage.incident().await.actions[1].reason.word(), "set_back");
}

#[tokio::test]
async fn what_is_due_for_both_is_watched_first_and_then_set_back() {
    let stage = Stage::new(&rules()).await;
    stage.fires("Short", "api").await;
    assert_eq!(stage.remedies().await, ["more: verifying"]);
    let stage = stage.away_for(minutes(60)).await;
    assert_eq!((stage.remedies().await, replicas(&stage)), (vec!["more: verifying".to_owned()], json!(6)));
    stage.pass(minutes(6)).await;
    assert_eq!(stage.remedies().await, ["more: succeeded", "restore-more: succeeded"]);
    assert_eq!((stage.writes(), replicas(&stage)), (vec![SCALED.to_owned(); 2], json!(4)));
    assert_eq!(stage.fixes().await.len(), 0);
}
