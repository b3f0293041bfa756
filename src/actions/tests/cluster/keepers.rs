//! Whose pods `k8s.delete_pod` and `k8s.exec` mean: ownership decides, and a pod stands for the workload above it.

use super::*;
use crate::domain::survey::Rollout;
use crate::sandbox::kubernetes::behaviour::Behaviour;

/// A workload whose pods have the labels of `prod/api` as well.
fn mk_neighbour(kind: &str, name: &str) -> Value {
    let mut object = mk_workload(kind, name, "api:1");
    let labels = json!({"app": "api", "component": name});
    object["spec"]["selector"] = json!({"matchLabels": labels});
    object["spec"]["template"]["metadata"]["labels"] = labels;
    object
}

/// The controllers of the pods that a plan takes away.
fn owners(world: &World, surveyed: &Surveyed) -> Vec<String> {
    let taken = surveyed.plan.params["pods"].as_array().expect("pods");
    let owner = |pod: &Value| {
        let name = pod["name"].as_str().expect("a name");
        let pod = world.cluster.get("pods", "prod", name).expect("it is there");
        pod["metadata"]["ownerReferences"][0]["kind"].as_str().expect("a kind").to_owned()
    };
    taken.iter().map(owner).collect()
}

fn pod_of(world: &World, prefix: &str) -> String {
    let pods = world.cluster.list("pods", "prod");
    let mut names = pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str());
    names.find(|name| name.starts_with(prefix)).expect("a pod").to_owned()
}

#[tokio::test]
async fn a_neighbour_with_the_same_labels_keeps_its_pods() {
    let world = mk_world(&[mk_neighbour("StatefulSet", "worker"), mk_api("api:1")]).await;
    let surveyed = world.survey(&draft("k8s.delete_pod", json!({"pick": "oldest", "max": 20}))).await;
    assert_eq!(owners(&world, &surveyed), ["ReplicaSet"; 3]);
    assert_eq!((surveyed.impact.workloads, surveyed.impact.replicas, surveyed.tier_floor), (1, 3, Tier::T1));
    // Only pods of others are left that could run a command.
    for pod in world.cluster.list("pods", "prod") {
        if pod["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet" {
            let name = pod["metadata"]["name"].as_str().expect("a name");
            let conditions = json!([{"type": "Ready", "status": "False"}]);
            world.change("pods", name, "/status/conditions", conditions);
        }
    }
    let refusal = world.refusal(&draft("k8s.exec", json!({"command": "greet"}))).await;
    assert!(refusal.contains("no ready pod"), "{refusal}");
}

#[tokio::test]
async fn the_expressions_of_a_selector_count() {
    let mut api = mk_api("api:1");
    api["spec"]["selector"]["matchExpressions"] =
        json!([{"key": "track", "operator": "NotIn", "values": ["canary"]}]);
    let world = mk_world(&[api]).await;
    // Somebody takes one out of the selector to look at it.
    let name = pod_of(&world, "api-");
    let labels = json!({"app": "api", "track": "canary"});
    world.change("pods", &name, "/metadata/labels", labels);
    let surveyed = world.survey(&draft("k8s.delete_pod", json!({"pick": "oldest", "max": 20}))).await;
    let taken = surveyed.plan.params["pods"].as_array().expect("pods");
    assert_eq!(taken.len(), 2);
    assert!(taken.iter().all(|pod| pod["name"] != name.as_str()), "{taken:?}");
}

#[tokio::test]
async fn each_workload_of_a_selector_is_judged_by_itself() {
    let several = ["one", "two", "three", "four"].map(|name| {
        let mut object = mk_neighbour("Deployment", name);
        object["spec"]["replicas"] = json!(2);
        object
    });
    let world = mk_world(&several).await;
    let select = |selector: &str| json!({"selector": selector, "pick": "oldest", "max": 2});
    let one = world.survey(&draft("k8s.delete_pod", select("component=two"))).await;
    assert_eq!(one.plan.target, "Deployment/prod/two");
    let counts = |surveyed: &Surveyed| {
        let impact = &surveyed.impact;
        (impact.workloads, impact.replicas, impact.available, impact.disrupted)
    };
    assert_eq!(counts(&one), (1, 2, 2, 2));
    let mut all = select("app=api");
    all["max"] = json!(8);
    let all = world.survey(&draft("k8s.delete_pod", all)).await;
    assert_eq!(counts(&all), (4, 2, 2, 2));
    assert_eq!((all.impact.affects.len(), all.impact.objects.len()), (4, 0), "only pods are deleted");
    assert!(all.impact.affects.contains(&"Deployment/prod/three".to_owned()));
}

#[tokio::test]
async fn a_pod_that_is_named_stands_for_its_workload() {
    let world = mk_world(&[mk_api("api:1")]).await;
    world.cluster.behave("api:2", Behaviour::crash_loop());
    world.roll_out("api:2");
    let name = pod_of(&world, "api-");
    let rolling = world.survey(&draft("k8s.delete_pod", json!({"pick": "oldest"}))).await.impact.rollout;
    assert!(matches!(rolling, Rollout::UnderWay { .. }), "{rolling:?}");
    for params in [json!({"kind": "Pod", "name": name}), json!({"selector": "app=api", "pick": "oldest"})] {
        let surveyed = world.survey(&draft("k8s.delete_pod", params)).await;
        assert_eq!(surveyed.impact.rollout, rolling, "somebody's rollout is under way");
        assert_eq!((surveyed.impact.workloads, surveyed.impact.replicas), (1, 3));
        assert_eq!(surveyed.plan.target, "Deployment/prod/api");
    }
    let command = json!({"command": "greet", "kind": "Pod", "name": name});
    for command in [command, json!({"command": "greet"})] {
        let surveyed = world.survey(&draft("k8s.exec", command)).await;
        assert_eq!(
            (surveyed.plan.target.as_str(), &surveyed.impact.rollout),
            ("Deployment/prod/api", &rolling)
        );
    }
}
