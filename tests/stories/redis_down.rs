//! RedisDown: a real Redis stops while its pod says that it is ready; the restart of its StatefulSet is approved, and with
//! the new pod the server is there again.

use crate::platform::{PSS, at_rest, ready_pods};
use crate::servers::eventually;
use crate::world::{CHANNEL, PATIENCE, Plan, Scene, action, redis_answers};
use serde_json::json;

const RULE: &str = "pss-nano-redis-down";
const REMEDY: &str = "restart";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_stopped_in_a_ready_pod_is_restarted_on_approval_and_answers_again() {
    let scene = Scene::set(at_rest(|_| ()).await, &[]).await;
    let mut world = scene.begin(Plan { rule: "rules/pss-nano/redis-down.yaml", ..Plan::default() }).await;
    let pod = |world: &crate::world::World| {
        let pods = ready_pods(&world.cluster, PSS, "redis");
        pods.first().map(|pod| pod["metadata"]["uid"].clone())
    };
    let before = pod(&world).expect("it is ready");

    world.redis.kill();
    let asked = world.once(RULE, REMEDY, "awaiting_approval").await;
    assert_eq!(asked["severity"], "P1");
    let findings = asked["findings"].as_array().expect("findings");
    let seen = findings.iter().find(|finding| finding["name"] == "redis").expect("it was looked at");
    assert_eq!((&seen["status"], &seen["fields"]["reachable"]), (&json!("known"), &json!(false)), "{seen:#}");
    let page = eventually("PagerDuty calls somebody", PATIENCE, async || world.page(&asked)).await;
    assert_eq!(page.service, PSS);
    assert_eq!((world.writes(), pod(&world)), (vec![], Some(before.clone())));

    let card = world.approve_as("una", "T3", RULE, REMEDY, CHANNEL, &["StatefulSet", "redis"]).await;
    // It is the last replica: a second person has to think so as well.
    let half = world
        .incident_where(RULE, "approved by one", |incident| {
            action(incident, REMEDY)["approvals"] == json!(["una: approved"])
        })
        .await;
    assert_eq!((&action(&half, REMEDY)["status"], world.writes()), (&json!("awaiting_approval"), vec![]));
    world.approve_as("ravi", "T3", RULE, REMEDY, CHANNEL, &["StatefulSet", "una"]).await;
    eventually("another pod is ready", PATIENCE, async || pod(&world).filter(|now| *now != before)).await;
    assert!(!redis_answers(world.redis.port), "only the new pod brings the server back");
    // What runs in that pod.
    world.redis.run();
    let acted = world.once(RULE, REMEDY, "succeeded").await;
    assert_eq!(action(&acted, REMEDY)["reason_code"], "verified", "{acted:#}");
    let closed = world.closed(RULE).await;
    assert_eq!(world.writes(), ["patch statefulsets redis"]);
    world.page_ends(&closed).await;
    world.card_shows(&card, &["Resolved"]).await;
    assert_eq!(world.cards(CHANNEL).len(), 1, "one message an incident");
    world.only(&[RULE]).await;
}
