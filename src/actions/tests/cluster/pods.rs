//! `k8s.delete_pod`: eviction, budgets, and pods that are others by now.

use super::*;
use crate::sandbox::kubernetes::behaviour::Behaviour;

fn mk_budget(min_available: u32) -> Value {
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": "api", "namespace": "prod"},
        "spec": {"minAvailable": min_available, "selector": {"matchLabels": {"app": "api"}}},
    })
}

fn pods(world: &World) -> Vec<Value> {
    world.cluster.list("pods", "prod")
}

fn names(surveyed: &Surveyed) -> Vec<String> {
    let pods = surveyed.plan.params["pods"].as_array().expect("pods");
    pods.iter().map(|pod| pod["name"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn a_pod_is_evicted_once_by_its_uid() {
    let world = mk_world(&[mk_api("api:1")]).await;
    let surveyed = world.survey(&draft("k8s.delete_pod", json!({"pick": "oldest"}))).await;
    assert_eq!(world.effects(), []);
    assert_eq!(surveyed.tier_floor, Tier::T1);
    let impact = &surveyed.impact;
    assert_eq!((impact.workloads, impact.replicas, impact.available, impact.disrupted), (1, 3, 3, 1));
    applied(world.act(&surveyed.plan).await);
    let [write] = &world.effects()[..] else { panic!("one write") };
    assert_eq!((write.verb.as_str(), write.resource.as_str()), ("create", "pods/eviction"));
    let uid = &surveyed.plan.params["pods"][0]["uid"];
    assert_eq!(&write.body["deleteOptions"]["preconditions"]["uid"], uid);
    settle(&world.cluster);
    assert!(pods(&world).iter().all(|pod| pod["metadata"]["uid"] != *uid), "it is gone");
    // The same plan again finds that it was done, and takes nobody else.
    let reason = not_applied(world.act(&surveyed.plan).await);
    assert!(reason.contains("gone before"), "{reason}");
    applied(world.look_back(&surveyed.plan).await);
    assert_eq!(world.effects().len(), 1);
}

#[tokio::test]
async fn a_new_pod_under_an_old_name_is_not_taken() {
    let world = mk_world(&[mk_workload("StatefulSet", "redis", "redis:7")]).await;
    let target = mk_target("StatefulSet", "redis");
    for evict in [true, false] {
        let params = json!({"pick": "oldest", "evict": evict});
        let surveyed =
            world.survey(&draft_for("k8s.delete_pod", params, Some(&target)).expect("a draft")).await;
        assert_eq!(surveyed.tier_floor, if evict { Tier::T2 } else { Tier::T3 });
        applied(world.act(&surveyed.plan).await);
        settle(&world.cluster);
        assert_eq!(pods(&world).len(), 3, "a new one of the same name is there");
        let done = world.effects().len();
        let reason = not_applied(world.act(&surveyed.plan).await);
        assert!(reason.contains("replaced by another of that name"), "{reason}");
        assert_eq!(world.effects().len(), done);
    }
}

#[tokio::test]
async fn a_budget_forbids_in_its_own_words_and_overload_is_another_matter() {
    let world = mk_world(&[mk_api("api:1"), mk_budget(2)]).await;
    let draft = draft("k8s.delete_pod", json!({"pick": "oldest", "max": 2}));
    let surveyed = world.survey(&draft).await;
    assert_eq!(names(&surveyed).len(), 2);
    // The budget allows one of both.
    let detail = applied(world.act(&surveyed.plan).await);
    assert!(detail.contains("taken away") && detail.contains("PodDisruptionBudget forbids it"), "{detail}");
    assert_eq!(world.effects().len(), 1);
    let refusal = world.refusal(&draft).await;
    assert!(refusal.contains("PodDisruptionBudget forbids it"), "{refusal}");
    settle(&world.cluster);
    let surveyed = world.survey(&draft).await;
    world.cluster.faults().next("create pods/eviction", Fault::vendor_error("TooManyRequests"));
    world.cluster.faults().next("create pods/eviction", Fault::vendor_error("TooManyRequests"));
    let reason = not_applied(world.act(&surveyed.plan).await);
    assert!(reason.contains("overloaded") && !reason.contains("Budget"), "{reason}");
}

#[tokio::test]
async fn a_pod_under_two_budgets_is_not_taken_for_evicted_although_the_answer_is_201() {
    let mut second = mk_budget(1);
    second["metadata"]["name"] = json!("another");
    let world = mk_world(&[mk_api("api:1"), mk_budget(1), second]).await;
    let refusal = world.refusal(&draft("k8s.delete_pod", json!({"pick": "oldest"}))).await;
    assert!(refusal.contains("more than one PodDisruptionBudget"), "{refusal}");
    assert_eq!(world.effects().len(), 0);
}

#[tokio::test]
async fn pods_are_picked_by_what_is_wrong_with_them() {
    let world = mk_world(&[mk_api("api:1")]).await;
    let nothing = world.nothing(&draft("k8s.delete_pod", json!({}))).await;
    assert!(nothing.contains("none of the 3 selected pods"), "{nothing}");
    let name = pods(&world)[1]["metadata"]["name"].as_str().expect("a name").to_owned();
    let ready = pods(&world)[1]["status"]["conditions"]
        .as_array()
        .expect("conditions")
        .iter()
        .position(|condition| condition["type"] == "Ready");
    let ready = format!("/status/conditions/{}/status", ready.expect("a condition"));
    world.change("pods", &name, &ready, json!("False"));
    let surveyed = world.survey(&draft("k8s.delete_pod", json!({"max": 3}))).await;
    assert_eq!(names(&surveyed), std::slice::from_ref(&name));
    assert_eq!((surveyed.impact.available, surveyed.impact.disrupted), (2, 0));
    world.change("pods", &name, "/status/containerStatuses/0/restartCount", json!(7));
    let surveyed = world.survey(&draft("k8s.delete_pod", json!({"pick": "most_restarts"}))).await;
    assert_eq!(names(&surveyed), std::slice::from_ref(&name));
    // A pod that answers now may have restarted more often in its longer life.
    let healthy = pods(&world)[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    world.change("pods", &healthy, "/status/containerStatuses/0/restartCount", json!(50));
    let surveyed = world.survey(&draft("k8s.delete_pod", json!({"pick": "most_restarts"}))).await;
    assert_eq!(names(&surveyed), std::slice::from_ref(&name));
    let one = draft_for(
        "k8s.delete_pod",
        json!({"kind": "Pod", "name": name}),
        Some(&mk_target("Deployment", "api")),
    );
    assert_eq!(names(&world.survey(&one.expect("a draft")).await), [name]);
    let surveyed = world
        .survey(&draft("k8s.delete_pod", json!({"selector": "app=api", "pick": "newest", "max": 2})))
        .await;
    assert_eq!(names(&surveyed).len(), 2);
    assert_eq!(surveyed.plan.target, "Deployment/prod/api", "limits hold for the workload");
}

/// A pod is told to end, and takes its time.
fn tell_to_end(world: &World, pod: &Value) {
    let mut metadata = pod["metadata"].clone();
    metadata["deletionTimestamp"] = json!("2026-11-21T11:00:00Z");
    metadata["finalizers"] = json!(["example.com/hold"]);
    world.change("pods", pod["metadata"]["name"].as_str().expect("a name"), "/metadata", metadata);
}

#[tokio::test]
async fn a_pod_that_is_to_end_is_none_that_stays_available() {
    let mut api = mk_api("api:1");
    api["spec"]["replicas"] = json!(4);
    let world = mk_world(&[api]).await;
    for pod in &pods(&world)[1..] {
        tell_to_end(&world, pod);
    }
    for params in [json!({"pick": "oldest"}), json!({"pick": "oldest", "selector": "app=api"})] {
        let impact = world.survey(&draft("k8s.delete_pod", params)).await.impact;
        assert_eq!((impact.replicas, impact.available, impact.disrupted), (4, 1, 1), "none would be left");
    }
}

#[tokio::test]
async fn force_is_for_pods_that_hang_and_needs_two_people() {
    let world = mk_world(&[mk_api("api:1")]).await;
    let draft = draft("k8s.delete_pod", json!({"force": true}));
    assert!(world.nothing(&draft).await.contains("none of the 3"));
    let name = pods(&world)[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    tell_to_end(&world, &pods(&world)[0]);
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

#[tokio::test]
async fn pods_that_a_busy_server_does_not_take_are_told_as_that() {
    let world = mk_world(&[mk_api("api:1")]).await;
    let plan = world.survey(&draft("k8s.delete_pod", json!({"pick": "oldest"}))).await.plan;
    world.cluster.faults().next("create pods/eviction", Fault::rate_limited(7));
    let outcome = world.act(&plan).await;
    assert!(matches!(outcome, ActionOutcome::NotNow { wait: Some(_), .. }), "{outcome:?}");
    world.cluster.faults().next("create pods/eviction", Fault::vendor_error("Forbidden"));
    let outcome = world.act(&plan).await;
    assert!(matches!(outcome, ActionOutcome::NotApplied { .. }), "{outcome:?}");
}
