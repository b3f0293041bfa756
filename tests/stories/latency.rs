//! HighLatency under an autoscaler: what is changed are the autoscaler's bounds, for a while, and never the replicas of the
//! Deployment, which the autoscaler would take back.

use crate::platform::{PSS, at_rest, autoscaler, put, ready_pods};
use crate::world::{CHANNEL, Plan, Scene, World, action, traffic};
use serde_json::{Value, json};
use smokejumper::sandbox::kubernetes::KubernetesSandbox;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const RULE: &str = "pss-nano-high-latency";
const SERVICE: &str = "reservation-service";

/// A reservation service that is slow while it is busy and has fewer pods than this.
struct Story {
    world: World,
    busy: Arc<AtomicBool>,
}

impl Story {
    async fn begin(furnish: impl FnOnce(&KubernetesSandbox), enough: usize) -> Self {
        let scene = Scene::set(at_rest(furnish).await, &[SERVICE]).await;
        let busy = Arc::new(AtomicBool::new(false));
        let (traffic, cluster, is_busy) = (traffic(), Arc::clone(&scene.cluster), Arc::clone(&busy));
        let began = Instant::now();
        scene.town.show(SERVICE, &[("namespace", PSS), ("service", SERVICE)], move || {
            let slow = is_busy.load(Ordering::SeqCst) && ready_pods(&cluster, PSS, SERVICE).len() < enough;
            let mut traffic = traffic.lock().expect("not poisoned");
            traffic.delay(if slow { 0.1 } else { 0.0 });
            // The cache answers nine of ten: it is not what is slow.
            let lookups = began.elapsed().as_secs_f64() * 100.0;
            let (hits, misses) = (lookups * 0.9, lookups * 0.1);
            Some(format!("{}cache_hits_total {hits:.0}\ncache_misses_total {misses:.0}\n", traffic.text("")))
        });
        let plan = Plan { rule: "rules/pss-nano/high-latency.yaml", ..Plan::default() };
        Self { world: scene.begin(plan).await, busy }
    }

    fn bounds(&self) -> (Value, Value) {
        let found = self.world.cluster.get("horizontalpodautoscalers", PSS, SERVICE).expect("it is there");
        (found["spec"]["minReplicas"].clone(), found["spec"]["maxReplicas"].clone())
    }

    fn replicas(&self) -> Value {
        let deployment = self.world.cluster.get("deployments", PSS, SERVICE).expect("it is there");
        deployment["spec"]["replicas"].clone()
    }

    /// From the alert to the end of the change's time limit. `bounds` are those before and while it is in force.
    async fn play(self, remedy: &str, words: &[&str], bounds: [(Value, Value); 2], limit: Duration) {
        let [before, during] = bounds;
        let world = &self.world;
        let write = format!("patch horizontalpodautoscalers {SERVICE}");
        self.busy.store(true, Ordering::SeqCst);
        let asked = world.once(RULE, remedy, "awaiting_approval").await;
        assert_eq!(asked["severity"], "P1");
        assert_eq!((world.writes(), self.bounds()), (vec![], before.clone()));

        let card = world.approve(RULE, remedy, CHANNEL, words).await;
        let acted = world.once(RULE, remedy, "succeeded").await;
        assert_eq!(action(&acted, remedy)["reason_code"], "verified", "{acted:#}");
        assert_eq!(self.bounds(), during);
        let closed = world.closed(RULE).await;
        assert_eq!(
            world.writes(),
            std::slice::from_ref(&write),
            "nobody but the autoscaler changes replicas"
        );
        if world.page(&closed).is_some() {
            // Off hours, or after the five minutes of DevOps: whoever was called hears of the end.
            world.page_ends(&closed).await;
        }
        world.card_shows(&card, &["Resolved"]).await;
        assert_eq!(world.cards(CHANNEL).len(), 1, "one message an incident");

        world.only(&[RULE]).await;

        self.busy.store(false, Ordering::SeqCst);
        world.clock.set_ahead(limit + Duration::from_secs(60));
        world.once(RULE, &format!("restore-{remedy}"), "succeeded").await;
        assert_eq!(self.bounds(), before, "as it was before");
        assert_eq!(world.writes(), [write.clone(), write]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_autoscaler_at_its_maximum_is_widened_on_approval_and_narrowed_again() {
    let furnish = |cluster: &KubernetesSandbox| {
        put(cluster, autoscaler(SERVICE, 3, 5));
        // More than the autoscaler aims at, and far from the limit of a pod.
        cluster.set_usage(PSS, &format!("app={SERVICE}"), 160, 64 << 20);
    };
    let story = Story::begin(furnish, 8).await;
    assert_eq!(story.replicas(), 5, "it is at its maximum");
    let bounds = [(json!(3), json!(5)), (json!(3), json!(10))];
    story.play("widen-autoscaler", &["max 10"], bounds, Duration::from_secs(2 * 3_600)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_under_an_autoscaler_are_raised_by_its_minimum_and_for_a_while() {
    let furnish = |cluster: &KubernetesSandbox| {
        let mut calm = autoscaler(SERVICE, 3, 8);
        // What it aims at is what it has: it sees no reason to add any.
        calm["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] = json!(450);
        put(cluster, calm);
        cluster.set_usage(PSS, &format!("app={SERVICE}"), 450, 64 << 20);
    };
    let story = Story::begin(furnish, 6).await;
    assert_eq!(story.replicas(), 4, "the autoscaler is content");
    let bounds = [(json!(3), json!(8)), (json!(6), json!(8))];
    story.play("scale-up", &["from 3 to 6"], bounds, Duration::from_secs(3_600)).await;
}
