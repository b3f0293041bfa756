//! HighErrorRate with an exhausted pool of connections: evidence, an approval in Slack, the raised variable on the
//! Deployment, the verification, the end of the alert, and the old value again when its four hours are over.

use crate::platform::{PSS, at_rest, ready_pods};
use crate::world::{CHANNEL, Plan, Scene, action, traffic, watched_database};
use serde_json::{Value, json};
use smokejumper::sandbox::kubernetes::behaviour::Behaviour;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const RULE: &str = "pss-nano-high-error-rate";
const REMEDY: &str = "raise-connection-pool";

/// The pool that a pod was started with.
fn pool(object: &Value, containers: &str) -> Option<String> {
    let variables = object.pointer(containers)?.pointer("/0/env")?.as_array()?;
    let ours = variables.iter().find(|variable| variable["name"] == "MAX_DB_CONNECTIONS")?;
    ours["value"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exhausted_pool_is_raised_on_approval_verified_and_set_back_at_its_time_limit() {
    let cluster = at_rest(|cluster| {
        let pool = "ERROR: connection pool exhausted: 20 of 20 in use, 412 requests wait";
        cluster.behave("api-gateway:1", Behaviour::default().saying(&["started", pool]));
    })
    .await;
    let scene = Scene::set(cluster, &["api-gateway"]).await;
    // As long as there is more work than connections, pods with a small pool fail a third of their requests.
    let busy = Arc::new(AtomicBool::new(false));
    let (traffic, cluster, is_busy) = (traffic(), Arc::clone(&scene.cluster), Arc::clone(&busy));
    scene.town.show("api-gateway", &[("namespace", PSS), ("service", "api-gateway")], move || {
        let pods = ready_pods(&cluster, PSS, "api-gateway");
        let small = pods.iter().filter(|pod| pool(pod, "/spec/containers").is_none()).count();
        let fails = is_busy.load(Ordering::SeqCst) && small * 2 > pods.len();
        let mut traffic = traffic.lock().expect("not poisoned");
        traffic.fail(if fails { 0.3 } else { 0.0 });
        Some(traffic.text(""))
    });
    let plan = Plan {
        rule: "rules/pss-nano/high-error-rate.yaml",
        postgres: Some((watched_database(), String::new())),
        ..Plan::default()
    };
    let world = scene.begin(plan).await;
    let deployment = || world.cluster.get("deployments", PSS, "api-gateway").expect("it is there");
    let raised = || pool(&deployment(), "/spec/template/spec/containers");

    busy.store(true, Ordering::SeqCst);
    let asked = world.once(RULE, REMEDY, "awaiting_approval").await;
    assert_eq!((&asked["severity"], &asked["status"]), (&json!("P1"), &json!("triggered")));
    for name in ["error_ratio", "pool", "database", "redis", "history", "pods"] {
        let findings = asked["findings"].as_array().expect("findings");
        let finding = findings.iter().find(|finding| finding["name"] == name).expect("it was looked for");
        assert_eq!(finding["status"], "known", "{finding:#}");
    }
    assert_eq!((world.writes(), raised()), (vec![], None), "nothing is touched before the approval");

    let card = world.approve(RULE, REMEDY, CHANNEL, &["MAX_DB_CONNECTIONS", "api-gateway"]).await;
    let acted = world.once(RULE, REMEDY, "succeeded").await;
    assert_eq!(action(&acted, REMEDY)["reason_code"], "verified", "{acted:#}");
    assert_eq!(action(&acted, REMEDY)["approvals"][0], "una: approved");
    assert_eq!(raised().as_deref(), Some("50"));
    assert_eq!(world.writes(), ["patch deployments api-gateway"]);

    let closed = world.closed(RULE).await;
    if world.page(&closed).is_some() {
        // Off hours, or after the five minutes of DevOps: whoever was called hears of the end.
        world.page_ends(&closed).await;
    }
    world.card_shows(&card, &["Resolved"]).await;
    assert_eq!(world.cards(CHANNEL).len(), 1, "one message an incident");

    world.only(&[RULE]).await;

    // Somebody has found the leak by then, so that the old pool is enough again.
    busy.store(false, Ordering::SeqCst);
    world.clock.set_ahead(Duration::from_secs(4 * 3_600 + 60));
    let restored = world.once(RULE, &format!("restore-{REMEDY}"), "succeeded").await;
    assert_eq!(raised(), None, "{restored:#}");
    assert_eq!(world.writes().len(), 2, "{:?}", world.writes());
}
