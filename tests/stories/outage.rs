//! ServiceDown with the whole ladder: nothing that the rule knows helps, rung after rung is tried, taken back or given up,
//! and at its end users get the maintenance page, until people have mended what was really wrong.

use crate::platform::{PSS, at_rest_after, autoscaler, put, ready_pods};
use crate::servers::eventually;
use crate::world::{CHANNEL, PATIENCE, Plan, Scene, World, action, timeline, traffic, watched_database};
use serde_json::{Value, json};
use smokejumper::sandbox::kubernetes::KubernetesSandbox;
use smokejumper::sandbox::kubernetes::behaviour::{Behaviour, Fate};
use std::sync::Arc;
use std::time::Duration;

const RULE: &str = "pss-nano-service-down";
const SERVICE: &str = "api-gateway";
const PAGE: &str = "pss-nano-maintenance";

/// A divisor of `within`: ten minutes are eight seconds.
const UNTIL_FAILED_BY: u64 = 75;

/// From now on pods of both releases behave so, and those that are there are replaced.
fn pods_begin_anew(cluster: &KubernetesSandbox, fate: Fate) {
    for image in ["api-gateway:1", "api-gateway:2"] {
        cluster.behave(image, Behaviour::of(fate));
    }
    for pod in cluster.list("pods", PSS) {
        if pod["metadata"]["labels"]["app"] == SERVICE {
            cluster.remove("pods", PSS, pod["metadata"]["name"].as_str().expect("a name"));
        }
    }
}

fn image(world: &World) -> Value {
    let deployment = world.cluster.get("deployments", PSS, SERVICE).expect("it is there");
    deployment["spec"]["template"]["spec"]["containers"][0]["image"].clone()
}

fn least(world: &World) -> Value {
    let autoscaler = world.cluster.get("horizontalpodautoscalers", PSS, SERVICE).expect("it is there");
    autoscaler["spec"]["minReplicas"].clone()
}

async fn begin() -> World {
    let furnish = |cluster: &KubernetesSandbox| {
        let mut calm = autoscaler(SERVICE, 3, 10);
        calm["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] = json!(450);
        put(cluster, calm);
        // Nine tenths of the limit of a pod, which is what the autoscaler aims at.
        cluster.set_usage(PSS, &format!("app={SERVICE}"), 450, 64 << 20);
    };
    let release = |cluster: &KubernetesSandbox| {
        let mut released = cluster.get("deployments", PSS, SERVICE).expect("it is there");
        released["spec"]["template"]["spec"]["containers"][0]["image"] = json!("api-gateway:2");
        put(cluster, released);
    };
    let cluster = at_rest_after(furnish, Duration::from_secs(600), release).await;
    let scene = Scene::set(cluster, &[SERVICE]).await;
    let (traffic, cluster) = (traffic(), Arc::clone(&scene.cluster));
    scene.town.show(SERVICE, &[("namespace", PSS), ("service", SERVICE)], move || {
        // What has no pod that takes requests does not answer Prometheus either.
        (!ready_pods(&cluster, PSS, SERVICE).is_empty())
            .then(|| traffic.lock().expect("not poisoned").text(""))
    });
    let plan = Plan {
        rule: "rules/pss-nano/service-down.yaml",
        until_failed_by: Some(UNTIL_FAILED_BY),
        // As the head of the rule and docs/guardrails.md say of a ladder whose rungs follow each other.
        guardrails: ", rates: { per_target: [{ count: 9, window: 15m }], per_namespace: [{ count: 9, window: 10m }] }, \
                     circuit_breaker: { failures: 9 }",
        postgres: Some((watched_database(), String::new())),
        ..Plan::default()
    };
    scene.begin(plan).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_down_goes_through_the_whole_ladder_to_the_maintenance_page_and_back() {
    let world = begin().await;
    // So fast that a rollout hangs before anybody looks at it: ten seconds are a blink.
    world.cluster.run(500);
    pods_begin_anew(&world.cluster, Fate::NeverReady);

    // 1 The release is young: it is taken back, which does not help, and so the undo is taken back as well.
    let asked = world.once(RULE, "undo-deployment", "awaiting_approval").await;
    assert_eq!(asked["severity"], "P0");
    let page = eventually("PagerDuty calls somebody", PATIENCE, async || world.page(&asked)).await;
    assert_eq!((page.service.as_str(), page.severity.as_str()), (PSS, "critical"));
    assert_eq!((world.writes(), image(&world)), (vec![], json!("api-gateway:2")));
    let card = world.approve(RULE, "undo-deployment", CHANNEL, &["api-gateway:1"]).await;
    world.once(RULE, "undo-deployment", "rolled_back").await;
    assert_eq!(image(&world), "api-gateway:2");

    // 2 Processors are at their limit: more replicas, by the autoscaler's minimum.
    assert_eq!(least(&world), 3);
    world.approve(RULE, "scale-up", CHANNEL, &["from 3 to 9"]).await;
    let tried = world.once(RULE, "scale-up", "failed").await;
    assert_eq!(action(&tried, "scale-up")["reason_code"], "verification_failed");
    assert_eq!(least(&world), 9, "it stays for its hour");

    // 3 A restart, without asking.
    let tried = world.once(RULE, "restart", "failed").await;
    let restart = action(&tried, "restart");
    assert_eq!((&restart["tier"], &restart["reason_code"]), (&json!("T1"), &json!("verification_failed")));
    assert_eq!(restart["approvals"], json!([]), "{restart:#}");

    // 4 A list for people, and 5 the page for users.
    world.once(RULE, "restore-service", "succeeded").await;
    let ingress = || world.cluster.get("ingresses", PSS, PAGE);
    world.once(RULE, "maintenance-page", "awaiting_approval").await;
    assert!(ingress().is_none(), "nobody is sent to the page before the approval");
    world.approve(RULE, "maintenance-page", CHANNEL, &[PAGE]).await;
    let shown = world.once(RULE, "maintenance-page", "succeeded").await;
    let rules = ingress().expect("users see the page");
    assert_eq!(rules["metadata"]["annotations"]["nginx.ingress.kubernetes.io/canary-weight"], "100");
    assert_eq!(
        rules["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"],
        "maintenance-page"
    );
    assert_eq!(shown["status"], "triggered", "it is not over");
    assert_eq!(world.page(&shown).map(|page| page.resolved_at), Some(None));
    world.thread_has(CHANNEL, &card, "Bring api-gateway back").await;
    let ladder: Vec<_> = shown["actions"]
        .as_array()
        .expect("actions")
        .iter()
        .map(|one| (one["remedy"].as_str().expect("a name"), one["status"].as_str().expect("a status")))
        .collect();
    assert_eq!(
        ladder,
        [
            ("undo-deployment", "rolled_back"),
            ("scale-up", "failed"),
            ("restart", "failed"),
            ("restore-service", "succeeded"),
            ("maintenance-page", "succeeded")
        ]
    );

    // People have found what it was.
    pods_begin_anew(&world.cluster, Fate::Runs);
    let closed = world.closed(RULE).await;
    eventually("the rollout is over, which a way back would wait for", PATIENCE, async || {
        let deployment = world.cluster.get("deployments", PSS, SERVICE)?;
        let status = &deployment["status"];
        let wanted = &deployment["spec"]["replicas"];
        let is_done = ["replicas", "updatedReplicas", "availableReplicas"]
            .iter()
            .all(|field| status[*field] == *wanted);
        is_done.then_some(())
    })
    .await;
    world.page_ends(&closed).await;
    world.card_shows(&card, &["Resolved"]).await;
    assert_eq!(world.cards(CHANNEL).len(), 1, "one message an incident");

    world.only(&[RULE]).await;

    // What was for a while goes by itself: the replicas after an hour, the page after its window.
    world.clock.set_ahead(Duration::from_secs(3_600 + 60));
    world.once(RULE, "restore-scale-up", "succeeded").await;
    assert_eq!(least(&world), 3);
    assert!(ingress().is_some(), "the page has three hours left");
    world.clock.set_ahead(Duration::from_secs(4 * 3_600 + 60));
    world.once(RULE, "restore-maintenance-page", "succeeded").await;
    assert!(ingress().is_none(), "{:#?}", timeline(&closed));
}
