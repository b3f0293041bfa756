//! `k8s.delete_pod`: eviction, budgets, and pods that are others by now.

use super::*;
use crate::sandbox::kubernetes::behaviour::Behaviour;

fn pods(world: &World) -> Vec<Value> {
    world.cluster.list("pods", "prod")
}

fn names(surveyed: &Surveyed) -> Vec<String> {
    let pods = surveyed.plan.params["pods"].as_array().expect("pods");
    pods.iter().map(|pod| pod["name"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn force_is_for_pods_that_hang_and_needs_two_people() {
    let world = mk_world(&[mk_api("api:1")]).await;
    let draft = draft("k8s.delete_pod", json!({"force": true}));
    assert!(world.nothing(&draft).await.contains("none of the 3"));
    let name = pods(&world)[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    world.change("pods", &name, "/metadata", {
        let mut metadata = pods(&world)[0]["metadata"].clone();
        metadata["deletionTimestamp"] = json!("2026-11-21T11:00:00Z");
        metadata["finalizers"] = json!(["example.com/hold"]);
        metadata
    });
    let surveyed = world.survey(&draft).await;
    assert_eq!((surveyed.tier_floor, names(&surveyed)), (Tier::T3, vec![name]));
    assert!(surveyed.notes[0].contains("may still run on its node"), "{:?}", surveyed.notes);
    applied(world.act(&surveyed.plan).await);
    let writes = world.cluster.writes().entries();
    let write = &writes.last().expect("a write").what;
    assert_eq!((write.verb.as_str(), &write.body["gracePeriodSeconds"]), ("delete", &json!(0)));
}

#[tokio::test]
async fn pods_that_nobody_would_replace_are_left_alone() {
    let lone = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "lone", "namespace": "prod", "labels": {"app": "lone"}},
        "spec": {"containers": [{"name": "c", "image": "x:1"}]}});
    let world = mk_world(&[lone]).await;
    world.cluster.behave("x:1", Behaviour::default());
    let refusal =
        world.refusal(&draft("k8s.delete_pod", json!({"selector": "app=lone", "pick": "oldest"}))).await;
    assert!(refusal.contains("nobody would make a new one"), "{refusal}");
    assert_eq!(world.effects(), []);
}

#[tokio::test]
async fn a_selector_that_matches_nothing_takes_nothing() {
    let world = mk_world(&[mk_api("api:1")]).await;
    let refusal = world.refusal(&draft("k8s.delete_pod", json!({"selector": "app=nobody"}))).await;
    assert!(refusal.contains("no pod is selected in prod"), "{refusal}");
}

#[test]
fn selectors_hold_only_what_narrows() {
    for selector in
        ["", " ", "app", "app=", "=api", "app!=api", "app in (a,b)", "app=api,", "app=a b", "!app", "app=*"]
    {
        assert!(check("k8s.delete_pod", json!({"selector": selector})).is_err(), "{selector:?}");
        let rendered =
            draft_for("k8s.delete_pod", json!({"selector": selector}), Some(&mk_target("Deployment", "api")));
        assert!(rendered.is_err(), "{selector:?}");
    }
    for selector in ["app=api", "app==api", "app.kubernetes.io/name=api,tier=web", "app={{ labels.service }}"]
    {
        assert!(check("k8s.delete_pod", json!({"selector": selector})).is_ok(), "{selector:?}");
    }
    for params in [
        json!({"selector": "app=api", "name": "x"}),
        json!({"selector": "app=api", "kind": "Pod"}),
        json!({"max": 0}),
        json!({"max": 500}),
        json!({"force": true, "evict": true}),
    ] {
        assert!(check("k8s.delete_pod", params.clone()).is_err(), "{params}");
    }
}
