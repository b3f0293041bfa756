//! The world as a whole, without a product: a receiver stands in for it.

use serde_json::Value as Json;

use super::*;
use crate::sandbox::test_support::{Receiver, mk_client};

const PATIENCE: Duration = Duration::from_secs(20);

/// A world three hundred times faster than the clock, with a receiver where the product would be.
async fn mk_world() -> (World, Receiver) {
    let world =
        World::start(WorldOptions { speed: 300.0, ..WorldOptions::default() }).await.expect("free ports");
    let receiver = Receiver::start().await;
    world.connect(Product {
        base_url: receiver.server.base_url(),
        alertmanager_token: Some("am".into()),
        viewer_token: Some("viewer".into()),
    });
    (world, receiver)
}

async fn apply_remedy(world: &World, path: &str) {
    let request = mk_client()
        .post(format!("{}{path}", world.remedies().base_url()))
        .bearer_auth(world.remedies().token());
    assert_eq!(request.send().await.expect("an answer").status(), 200);
}

async fn reached(world: &World, name: &str, phase: Phase) -> ScenarioState {
    world.wait_for(name, phase, PATIENCE).await.unwrap_or_else(|state| panic!("not {phase:?} but {state:?}"))
}

#[tokio::test]
async fn the_remedy_ends_the_alert_and_both_reach_the_product() {
    let (world, receiver) = mk_world().await;
    for (name, path) in [
        ("high-error-rate", "/waf/rate-limit"),
        ("high-latency", "/cache/warm"),
        ("disk-space", "/disk/archive-logs"),
    ] {
        world.play(name).expect("calm");
        let firing = reached(&world, name, Phase::Firing).await;
        assert!(firing.value.is_some_and(|value| value > firing.measure.threshold));
        apply_remedy(&world, path).await;
        let resolved = reached(&world, name, Phase::Resolved).await;
        assert!(resolved.value.is_some_and(|value| value < resolved.measure.threshold));
        assert!(resolved.progress.fired_at < resolved.progress.ended_at);
    }
    let told = |status: &'static str| {
        move |body: &Json| {
            body["alerts"].as_array().is_some_and(|alerts| alerts.iter().any(|a| a["status"] == status))
        }
    };
    let all = receiver.seen.wait_until(PATIENCE, |seen| {
        let bodies: Vec<Json> =
            seen.iter().filter_map(|seen| serde_json::from_str(&seen.what.body).ok()).collect();
        ["HighErrorRate", "HighLatency", "DiskSpace"].iter().all(|&name| {
            let mine = || bodies.iter().filter(move |body| body["groupLabels"]["alertname"] == name);
            mine().any(told("firing")) && mine().any(told("resolved"))
        })
    });
    let seen = all.await.expect("firing and resolved of all three");
    assert_eq!(seen[0].what.headers["authorization"], "Bearer am");
    let url = format!("{}_sandbox/deliveries", world.url());
    let told: Json = mk_client().get(url).send().await.expect("answer").json().await.expect("JSON");
    assert_eq!(told["deliveries"][0]["status"], 200, "the deliveries are told over HTTP too");
}

#[tokio::test]
async fn if_nobody_acts_it_fires_on_and_can_be_ended_by_itself() {
    let (world, _receiver) = mk_world().await;
    world.play("high-error-rate").expect("calm");
    reached(&world, "high-error-rate", Phase::Firing).await;
    assert_eq!(world.play("high-error-rate"), Err(PlayError::Running("high-error-rate".into())));
    // Another hour of the world's time.
    tokio::time::sleep(Duration::from_secs(12) / 10).await;
    let later = world.state().into_iter().find(|state| state.name == "high-error-rate").expect("it exists");
    assert_eq!((later.progress.phase, later.progress.remedied_at), (Phase::Firing, None));
    world.end("high-error-rate").expect("it exists");
    reached(&world, "high-error-rate", Phase::Resolved).await;
    world.play("high-error-rate").expect("it can be played again");
    reached(&world, "high-error-rate", Phase::Firing).await;
}

#[tokio::test]
async fn a_remedy_that_does_not_work_leaves_it_firing() {
    let (world, _receiver) = mk_world().await;
    world.remedies().set_works(false);
    world.play("high-error-rate").expect("calm");
    reached(&world, "high-error-rate", Phase::Firing).await;
    apply_remedy(&world, "/waf/rate-limit").await;
    let stuck = world.wait_for("high-error-rate", Phase::Resolved, Duration::from_millis(500)).await;
    assert_eq!(stuck.expect_err("nothing helped").progress.phase, Phase::Firing);
}

#[tokio::test]
async fn the_wrong_remedy_does_not_help() {
    let (world, _receiver) = mk_world().await;
    world.play("high-error-rate").expect("calm");
    reached(&world, "high-error-rate", Phase::Firing).await;
    apply_remedy(&world, "/cache/warm").await;
    assert!(world.wait_for("high-error-rate", Phase::Resolved, Duration::from_millis(500)).await.is_err());
}

#[tokio::test]
async fn the_service_tells_its_own_state() {
    let (world, _receiver) = mk_world().await;
    let status = || async {
        let url = format!("{}/status.json", world.remedies().base_url());
        mk_client().get(url).send().await.expect("answer").json::<Json>().await.expect("JSON")
    };
    assert_eq!(status().await["facts"]["degraded"], 0.0);
    world.play("high-error-rate").expect("calm");
    reached(&world, "high-error-rate", Phase::Firing).await;
    let facts = &status().await["facts"];
    assert!(facts["error_ratio"].as_f64().is_some_and(|ratio| ratio > 0.05), "{facts}");
    assert_eq!(facts["degraded"], 1.0);
}

#[tokio::test]
async fn an_unknown_scenario_is_told_with_those_there_are() {
    let (world, _receiver) = mk_world().await;
    let error = world.play("meteor").expect_err("there is none").to_string();
    assert!(error.contains("meteor") && error.contains("bad-rollout, crash-loop,"), "{error}");
}

/// What somebody would do who mends the cluster by hand.
async fn mend(world: &World, name: &str) {
    let cluster = world.cluster();
    let change = |plural: &str, object: &str, change: &dyn Fn(&mut Json)| {
        let mut found = cluster.get(plural, "pss-nano", object).expect("it is there");
        change(&mut found);
        cluster.put(found).expect("a good object");
    };
    let container = "/spec/template/spec/containers/0";
    let set = |pointer: String, value: Json| {
        move |object: &mut Json| *object.pointer_mut(&pointer).expect("it is there") = value.clone()
    };
    match name {
        "bad-rollout" => change(
            "deployments",
            "user-service",
            &set(format!("{container}/image"), "registry.example.com/pss-nano/user-service:2.4.1".into()),
        ),
        "image-pull" => change(
            "deployments",
            "notification-service",
            &set(
                format!("{container}/image"),
                "registry.example.com/pss-nano/notification-service:1.9.3".into(),
            ),
        ),
        "oom-kill" => change(
            "deployments",
            "report-service",
            &set(format!("{container}/resources/limits/memory"), "384Mi".into()),
        ),
        "hpa-maxed" => {
            change("horizontalpodautoscalers", "api-gateway", &set("/spec/maxReplicas".into(), 10.into()));
        }
        "volume-full" => change(
            "persistentvolumeclaims",
            "data-rabbitmq-0",
            &set("/spec/resources/requests/storage".into(), "30Gi".into()),
        ),
        "crash-loop" => {
            let pods = cluster.list("pods", "pss-nano");
            let crashing = |pod: &&Json| {
                pod["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("reservation-service"))
                    && pod["status"]["containerStatuses"][0]["ready"] == false
            };
            let pod = pods.iter().find(crashing).expect("one crashes");
            cluster.remove("pods", "pss-nano", pod["metadata"]["name"].as_str().expect("a name"));
        }
        other => panic!("{other} is not played in the cluster"),
    }
}

#[tokio::test]
async fn a_story_of_the_cluster_fires_until_the_cluster_is_put_right_and_can_be_played_again() {
    let (world, _receiver) = mk_world().await;
    let names: Vec<&str> =
        world.state().iter().filter(|state| state.workload.is_some()).map(|state| state.name).collect();
    assert_eq!(names.len(), 6);
    for name in &names {
        let state = world.state().into_iter().find(|state| state.name == *name).expect("it exists");
        assert!(state.value.is_some_and(|value| value <= state.measure.threshold), "not calm: {state:?}");
        world.play(name).expect("calm");
    }
    for name in &names {
        reached(&world, name, Phase::Firing).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for name in &names {
        let state = reached(&world, name, Phase::Firing).await;
        assert!(state.value.is_some_and(|value| value > state.measure.threshold), "{state:?}");
        mend(&world, name).await;
        reached(&world, name, Phase::Resolved).await;
    }
    for name in &names {
        world.play(name).expect("over");
        reached(&world, name, Phase::Firing).await;
        world.end(name).expect("it exists");
        reached(&world, name, Phase::Resolved).await;
    }
}

#[tokio::test]
async fn the_cluster_is_shown_with_its_workloads_pods_and_events() {
    let (world, _receiver) = mk_world().await;
    let shown = || async {
        let url = format!("{}_sandbox/cluster", world.url());
        mk_client().get(url).send().await.expect("answer").json::<Json>().await.expect("JSON")
    };
    let workload = |shown: &Json, name: &str| {
        let all = shown["workloads"].as_array().expect("workloads").clone();
        all.into_iter().find(|one| one["name"] == name).expect("it is there")
    };
    let calm = shown().await;
    for one in calm["workloads"].as_array().expect("workloads") {
        assert_eq!(
            (&one["ready"], one["pods"].as_array().map(Vec::len).map(Json::from)),
            (&one["desired"], one["desired"].as_u64().map(Json::from)),
            "{one}"
        );
    }
    assert!(workload(&calm, "api-gateway")["facts"].to_string().contains("2 to 4, wants"), "{calm}");
    assert!(workload(&calm, "rabbitmq")["facts"].to_string().contains("20Gi"), "{calm}");
    world.play("image-pull").expect("calm");
    reached(&world, "image-pull", Phase::Firing).await;
    let bad = shown().await;
    let one = workload(&bad, "notification-service");
    assert!(
        one["facts"].to_string().contains("1.9.4-rc") && one.to_string().contains("ImagePullBackOff"),
        "{one}"
    );
    assert!(bad["events"].to_string().contains("Failed to pull image"), "{}", bad["events"]);
}
