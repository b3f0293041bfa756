//! RecentDeployRegression: somebody rolls out what fails, the undo is approved in Slack, and the old image serves again.

use crate::platform::{HSC, at_rest, ready_pods};
use crate::servers::eventually;
use crate::world::{PATIENCE, Plan, Scene, action, traffic};
use serde_json::json;
use std::sync::Arc;

const RULE: &str = "hsc-jit-recent-deploy-regression";
const REMEDY: &str = "undo";
const CHANNEL: &str = "#hsc-jit-incidents";
const SERVICE: &str = "hsc-jit-backend";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_fails_requests_is_taken_back_on_approval() {
    let scene = Scene::set(at_rest(|_| ()).await, &[SERVICE]).await;
    let (traffic, cluster) = (traffic(), Arc::clone(&scene.cluster));
    scene.town.show(SERVICE, &[("namespace", HSC), ("service", SERVICE)], move || {
        let pods = ready_pods(&cluster, HSC, SERVICE);
        let bad =
            pods.iter().filter(|pod| pod["spec"]["containers"][0]["image"] == "hsc-jit-backend:2").count();
        let mut traffic = traffic.lock().expect("not poisoned");
        // Every fifth request that a pod of the new release gets fails.
        #[allow(clippy::cast_precision_loss, reason = "there are a handful of pods")]
        traffic.fail(0.2 * bad as f64 / pods.len().max(1) as f64);
        Some(traffic.text(""))
    });
    let plan = Plan { rule: "rules/hsc-jit/recent-deploy-regression.yaml", ..Plan::default() };
    let world = scene.begin(plan).await;
    let deployment = || world.cluster.get("deployments", HSC, SERVICE).expect("it is there");
    let image = || deployment()["spec"]["template"]["spec"]["containers"][0]["image"].clone();

    let mut released = deployment();
    released["spec"]["template"]["spec"]["containers"][0]["image"] = json!("hsc-jit-backend:2");
    world.cluster.put(released).expect("a new revision");
    let asked = world.once(RULE, REMEDY, "awaiting_approval").await;
    assert_eq!(asked["severity"], "P1");
    let page = eventually("PagerDuty calls somebody", PATIENCE, async || world.page(&asked)).await;
    assert_eq!(page.service, HSC);
    assert_eq!((world.writes(), image()), (vec![], json!("hsc-jit-backend:2")));

    let card = world.approve(RULE, REMEDY, CHANNEL, &["hsc-jit-backend:1"]).await;
    let acted = world.once(RULE, REMEDY, "succeeded").await;
    assert_eq!(action(&acted, REMEDY)["reason_code"], "verified", "{acted:#}");
    assert_eq!(action(&acted, REMEDY)["approvals"][0], "una: approved");
    assert_eq!(image(), "hsc-jit-backend:1");
    assert_eq!(world.writes(), [format!("patch deployments {SERVICE}")]);
    let closed = world.closed(RULE).await;
    world.page_ends(&closed).await;
    world.card_shows(&card, &["Resolved"]).await;
    // What only looked, because the errors as such were an alert as well, is over too.
    let looked = world.closed("hsc-jit-high-error-rate").await;
    assert_eq!(
        looked["actions"].as_array().expect("actions").iter().filter(|one| one["tier"] == "T2").count(),
        0
    );
}
