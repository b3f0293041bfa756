//! Ladders on the real binary: a restart that does not help and the undo behind it, and autoscalers that own the replicas.

use crate::rules::{remedy, rule, scaling, undo};
use crate::servers::eventually;
use crate::world::{CLUSTER_SPEED, PATIENCE, World, newest};
use serde_json::{Value, json};
use smokejumper::sandbox::kubernetes::KubernetesSandbox;

fn rules() -> String {
    const TELL: &str = "{ name: tell, action: { checklist.start: { title: Look at it, items: [load] } } }";
    let restart = remedy(
        "restart",
        "k8s.rollout_restart: {}",
        "settle: 1s, hold: 1s, within: 8s, checks: ['findings.workload.unavailable == 0'], onFail: next",
    );
    [
        rule("unhealthy", "Unhealthy", &[&restart, &undo("", "settle: 1s, hold: 2s, within: 60s")]),
        scaling("respects", "Respect", "", &[TELL]),
        scaling("raises", "Raise", ", hpa: raise_min", &[]),
        scaling("refuses", "Refuse", ", hpa: refuse", &[]),
    ]
    .concat()
}

#[tokio::test]
async fn an_undo_behind_a_restart_goes_back_to_the_good_image() {
    let world = World::under(&rules(), "boot_hold: 0s, rates: { per_target: [] }", "").await;
    world.roll_out_badly();
    world.cluster.run(CLUSTER_SPEED);
    world.alert("Unhealthy", "firing").await;
    let asked = world.once("awaiting_approval").await;
    assert_eq!(world.writes().len(), 1, "the restart: {:?}", world.writes());
    assert_eq!(world.image(), "api:2", "which changed no image");
    let first = &asked["actions"][0];
    assert_eq!(
        (first["remedy"].as_str(), first["reason_code"].as_str()),
        (Some("restart"), Some("verification_failed"))
    );
    let summary = newest(&asked)["summary"].as_str().expect("a summary");
    assert!(summary.contains("api:1"), "back to the image, and not to before the restart: {summary}");
    world.people_read("api:1").await;
    world.approve(&asked).await;
    let helped = world.once("succeeded").await;
    assert_eq!(newest(&helped)["reason_code"], "verified");
    assert_eq!((world.image(), world.writes().len()), (json!("api:1"), 2), "{:?}", world.writes());
    let words: Vec<&str> = helped["timeline"]
        .as_array()
        .expect("lines")
        .iter()
        .filter_map(|line| line["reason"].as_str())
        .filter(|word| ["applied", "verification_failed", "asked", "verified"].contains(word))
        .collect();
    assert_eq!(words, ["applied", "verification_failed", "asked", "applied", "verified"]);
    world.people_read("it helped").await;
}

fn least(cluster: &KubernetesSandbox) -> Value {
    let autoscaler = cluster.get("horizontalpodautoscalers", "shop", "api").expect("it is there");
    autoscaler["spec"]["minReplicas"].clone()
}

#[tokio::test]
async fn an_autoscaler_is_respected_raised_for_a_while_or_a_reason_to_stop() {
    let world = World::under(&rules(), "boot_hold: 0s, rates: { per_target: [] }", "").await;
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
    world.cluster.put(autoscaler).expect("an autoscaler");
    world.cluster.set_usage("shop", "app=api", 80, 10 << 20);
    world.settle();

    world.alert("Respect", "firing").await;
    let respected = world.once_that("the checklist", |action| action["remedy"] == "tell").await;
    let timeline = respected["timeline"].as_array().expect("lines");
    let why = timeline.iter().find(|line| line["reason"] == "nothing_to_do").expect("it says why");
    assert!(why["text"].as_str().is_some_and(|text| text.contains("is respected")), "{why}");
    assert_eq!(world.writes(), Vec::<String>::new());
    let explained = world.explain("Respect", "shop", "api").await;
    assert!(explained["reason"].as_str().is_some_and(|why| why.contains("is respected")), "{explained}");

    world.alert("Refuse", "firing").await;
    let refused = world.once("blocked").await;
    world.is_stopped(&refused, "survey_refused", "a number set by hand would not last").await;
    assert_eq!(world.writes(), Vec::<String>::new());

    world.alert("Raise", "firing").await;
    let raised = world.once("succeeded").await;
    assert_eq!(least(&world.cluster), 6);
    assert_eq!(world.writes().len(), 1, "{:?}", world.writes());
    assert!(newest(&raised)["summary"].as_str().is_some_and(|summary| summary.contains("from 4 to 6")));
    world.people_read("from 4 to 6").await;
    eventually("the autoscaler follows", PATIENCE, async || {
        world.settle();
        (world.deployment("api")["spec"]["replicas"] == 6).then_some(())
    })
    .await;
}
