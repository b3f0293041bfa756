//! Changes of fields: `k8s.set_env`, `k8s.set_image`, `k8s.set_resources`, `k8s.hpa_patch`, `k8s.patch`.

use super::scaling::mk_autoscaler;
use super::*;

fn container(world: &World) -> Value {
    world.deployment()["spec"]["template"]["spec"]["containers"][0].clone()
}

/// `prod/api` with these resources.
fn mk_sized(resources: Value) -> Value {
    let mut api = mk_api("api:1");
    api["spec"]["template"]["spec"]["containers"][0]["resources"] = resources;
    api
}

/// There, and back to exactly what was.
async fn there_and_back(world: &World, kind: &str, params: Value, plural: &str, name: &str) -> Surveyed {
    let before = world.cluster.get(plural, "prod", name).expect("it is there")["spec"].clone();
    let surveyed = world.survey(&draft(kind, params)).await;
    assert_eq!(world.effects(), [], "a survey changes nothing");
    applied(world.act(&surveyed.plan).await);
    let [write] = &world.effects()[..] else { panic!("one write") };
    assert_eq!((write.verb.as_str(), write.resource.as_str()), ("patch", plural));
    assert_eq!(write.execution_id.as_deref(), Some(KEY));
    let after = world.cluster.get(plural, "prod", name).expect("it is there")["spec"].clone();
    assert_ne!(before, after);
    settle(&world.cluster);
    applied(world.act_as(surveyed.inverse.as_ref().expect("a way back"), "01-a1-rollback").await);
    assert_eq!(world.cluster.get(plural, "prod", name).expect("it is there")["spec"], before);
    applied(world.act(&surveyed.plan).await);
    surveyed
}

#[tokio::test]
async fn variables_are_set_and_put_back_exactly() {
    let mut api = mk_api("api:1");
    api["spec"]["template"]["spec"]["containers"][0]["env"] = json!([
        {"name": "LEVEL", "value": "info"},
        {"name": "POOL", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "pool"}}},
    ]);
    let world = mk_world(&[api]).await;
    let params = json!({"vars": {"LEVEL": "debug", "POOL": "50", "NEW": "1"}, "ttl": "4h"});
    let surveyed = there_and_back(&world, "k8s.set_env", params.clone(), "deployments", "api").await;
    assert_eq!(surveyed.tier_floor, Tier::T2);
    assert_eq!(surveyed.plan.ttl, Some(jiff::SignedDuration::from_hours(4)));
    let env = container(&world)["env"].clone();
    let value = |name: &str| {
        let all = env.as_array().expect("variables");
        all.iter().find(|item| item["name"] == name).expect("a variable").clone()
    };
    assert_eq!(value("LEVEL"), json!({"name": "LEVEL", "value": "debug"}));
    assert_eq!(value("POOL"), json!({"name": "POOL", "value": "50"}), "the reference made way");
    assert!(world.nothing(&draft("k8s.set_env", params)).await.contains("these values already"));
    // A person sets one of them to something else: it is not put back.
    let place = "/spec/template/spec/containers/0/env";
    world.change("deployments", "api", place, json!([{"name": "LEVEL", "value": "trace"}, {"name": "POOL", "value": "50"}, {"name": "NEW", "value": "1"}]));
    let reason = not_applied(world.act_as(&surveyed.inverse.expect("a way back"), "02").await);
    assert!(reason.contains("env[LEVEL]") && reason.contains("somebody changed"), "{reason}");
}

#[tokio::test]
async fn what_is_set_back_waits_for_a_rollout_and_a_rollback_does_not() {
    let params = json!({"vars": {"LEVEL": "debug"}, "ttl": "4h"});
    let place = "/spec/template/spec/containers/0/image";
    for (key, is_rollback) in [("01-a1-rollback", true), ("01-a2-apply", false)] {
        let world = mk_world(&[mk_api("api:1")]).await;
        let surveyed = world.survey(&draft("k8s.set_env", params.clone())).await;
        applied(world.act(&surveyed.plan).await);
        settle(&world.cluster);
        world.change("deployments", "api", place, json!("api:2"));
        world.cluster.step(Duration::from_secs(1));
        let back = surveyed.inverse.expect("a way back");
        if !is_rollback {
            let outcome = world.act_as(&back, key).await;
            let ActionOutcome::NotNow { reason, .. } = &outcome else { panic!("it waits: {outcome:?}") };
            assert!(reason.starts_with("a rollout of Deployment prod/api is under way: "), "{reason}");
            assert_eq!(world.effects().iter().filter(|write| write.execution_id.is_some()).count(), 1);
            settle(&world.cluster);
        }
        applied(world.act_as(&back, key).await);
        assert_eq!(container(&world)["env"], json!([{"name": "LEVEL", "value": "info"}]));
    }
}

#[tokio::test]
async fn a_value_that_somebody_keeps_on_purpose_is_not_put_back() {
    let world = mk_world(&[mk_api("api:1")]).await;
    let surveyed = world.survey(&draft("k8s.set_image", json!({"image": "api:2"}))).await;
    applied(world.act(&surveyed.plan).await);
    settle(&world.cluster);
    let mut api = world.deployment();
    let fields = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {
        "k:{\"name\":\"api\"}": {"f:image": {}},
    }}}}});
    // They apply it beside us: from then on it is theirs as well.
    api["metadata"]["managedFields"].as_array_mut().expect("a record").push(json!({
        "manager": "kubectl", "operation": "Apply", "apiVersion": "apps/v1", "time": "2026-11-21T12:05:00Z",
        "fieldsType": "FieldsV1", "fieldsV1": fields,
    }));
    world.cluster.put(api).expect("an object that is played");
    let reason = not_applied(world.act_as(&surveyed.inverse.expect("a way back"), "01-a1-rollback").await);
    assert!(reason.starts_with("kubectl at 2026-11-21T12:05:00Z set spec.template"), "{reason}");
    assert_eq!((container(&world)["image"].clone(), world.effects().len()), (json!("api:2"), 1));
}

#[tokio::test]
async fn what_holds_a_secret_is_neither_kept_nor_changed() {
    let mut api = mk_api("api:1");
    api["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "KEY", "value": SECRET}]);
    let world = mk_world(&[api]).await;
    for vars in [json!({"KEY": "x"}), json!({"OTHER": SECRET})] {
        let refusal = world.refusal(&draft("k8s.set_env", json!({"vars": vars}))).await;
        assert!(refusal.contains("holds a secret") && !refusal.contains(SECRET), "{refusal}");
    }
    let patch = json!({"metadata": {"annotations": {"note": SECRET}}});
    let params = json!({"allowed_paths": ["/metadata/annotations/note"], "patch": patch});
    let refusal = world.refusal(&draft("k8s.patch", params)).await;
    assert!(refusal.contains("holds a secret") && !refusal.contains(SECRET), "{refusal}");
    // Beyond what people are shown, and in a variable whose name alone tells.
    let long = format!("{}{SECRET}", "word ".repeat(100));
    let patch = json!({"metadata": {"annotations": {"note": long}}});
    let params = json!({"allowed_paths": ["/metadata/annotations/note"], "patch": patch});
    let env = json!([{"name": "DB_PASSWORD", "value": "hunter2"}]);
    let containers = json!([{"name": "api", "env": env}]);
    let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    let of_env = json!({"allowed_paths": ["/spec/template/spec/containers/*/env"], "patch": patch});
    for params in [params, of_env] {
        let draft = draft("k8s.patch", params);
        assert!(!draft.summary.contains("hunter2"), "{}", draft.summary);
        let refusal = world.refusal(&draft).await;
        assert!(refusal.contains("holds a secret") && !refusal.contains("hunter2"), "{refusal}");
    }
}

#[tokio::test]
async fn an_image_is_given_by_two_people_and_taken_back() {
    let world = mk_world(&[mk_api("api:1")]).await;
    let surveyed =
        there_and_back(&world, "k8s.set_image", json!({"image": "api:3"}), "deployments", "api").await;
    assert_eq!((surveyed.tier_floor, world.image().as_str()), (Tier::T3, "api:3"));
    let refusal = world.refusal(&draft("k8s.set_image", json!({"image": "api:4", "container": "web"}))).await;
    assert!(refusal.contains("no container `web`"), "{refusal}");
    for image in ["{{ labels.image }}", "", "api:1; rm", "api 1"] {
        assert!(check("k8s.set_image", json!({"image": image})).is_err(), "{image}");
    }
}

#[tokio::test]
async fn resources_grow_up_to_their_cap() {
    let world = mk_world(&[mk_sized(
        json!({"requests": {"memory": "512Mi", "cpu": "1"}, "limits": {"memory": "1Gi"}}),
    )])
    .await;
    let params = json!({"limits": {"memory": "150%", "cpu": "2"}, "cap": {"memory": "2Gi"}});
    let surveyed = there_and_back(&world, "k8s.set_resources", params.clone(), "deployments", "api").await;
    assert_eq!(surveyed.tier_floor, Tier::T2);
    assert_eq!(container(&world)["resources"]["limits"], json!({"memory": "1536Mi", "cpu": "2"}));
    assert_eq!(container(&world)["resources"]["requests"]["memory"], "512Mi");
    // Half as much again would be above the cap.
    let plan = world.survey(&draft("k8s.set_resources", params.clone())).await.plan;
    applied(world.act_as(&plan, "02").await);
    assert_eq!(container(&world)["resources"]["limits"]["memory"], "2Gi");
    assert!(world.nothing(&draft("k8s.set_resources", params.clone())).await.contains("at the cap"));
    // What somebody raised above the cap on purpose is not taken away.
    world.change(
        "deployments",
        "api",
        "/spec/template/spec/containers/0/resources/limits/memory",
        json!("4Gi"),
    );
    assert!(world.nothing(&draft("k8s.set_resources", params)).await.contains("at the cap"));
    let refusal = world
        .refusal(&draft(
            "k8s.set_resources",
            json!({"requests": {"ephemeral-storage": "200%"}, "cap": {"ephemeral-storage": "4Gi"}}),
        ))
        .await;
    assert!(refusal.contains("is not set"), "{refusal}");
}

#[test]
fn amounts_are_checked_when_rules_are_loaded() {
    for (params, place) in [
        (json!({}), ""),
        (json!({"limits": {"memory": "lots"}}), "/limits/memory"),
        (json!({"limits": {"memory": "0"}}), "/limits/memory"),
        (json!({"limits": {"gpu": "1"}}), "/limits/gpu"),
        (json!({"limits": {"memory": "150%"}}), "/limits/memory"),
        (json!({"limits": {"memory": "x%"}, "cap": {"memory": "2Gi"}}), "/limits/memory"),
        (json!({"limits": {"memory": "3Gi"}, "cap": {"memory": "2Gi"}}), "/limits/memory"),
        (json!({"limits": {"memory": "1Gi"}, "cap": {"memory": "200%"}}), "/cap/memory"),
    ] {
        let refused = check("k8s.set_resources", params.clone()).map_err(|error| error.pointer);
        assert_eq!(refused, Err(place.to_owned()), "{params}");
    }
}

#[tokio::test]
async fn bounds_and_targets_of_an_autoscaler_are_changed_and_put_back() {
    let mut autoscaler = mk_autoscaler(2, 6);
    let memory = json!({"type": "Resource", "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 80}}});
    autoscaler["spec"]["metrics"].as_array_mut().expect("metrics").push(memory.clone());
    let world = mk_world(&[mk_api("api:1"), autoscaler]).await;
    let params = json!({"max": 12, "targets": {"cpu": 60}, "ttl": "2h"});
    let surveyed =
        there_and_back(&world, "k8s.hpa_patch", params, "horizontalpodautoscalers", "api-hpa").await;
    assert_eq!((surveyed.tier_floor, surveyed.impact.disrupted), (Tier::T2, 0));
    let spec = world.cluster.get("horizontalpodautoscalers", "prod", "api-hpa").expect("it")["spec"].clone();
    assert_eq!((&spec["maxReplicas"], &spec["minReplicas"]), (&json!(12), &json!(2)));
    assert_eq!(spec["metrics"][0]["resource"]["target"]["averageUtilization"], 60);
    assert_eq!(spec["metrics"][1], memory, "metrics that are not meant stay");
    let refusal = world.refusal(&draft("k8s.hpa_patch", json!({"targets": {"gpu": 60}}))).await;
    assert!(refusal.contains("does not look at gpu"), "{refusal}");
    let refusal = world.refusal(&draft("k8s.hpa_patch", json!({"min": 50}))).await;
    assert!(refusal.contains("at least 50 and at most 12"), "{refusal}");
}

#[tokio::test]
async fn without_an_autoscaler_there_is_none_to_change() {
    let world = mk_world(&[mk_api("api:1")]).await;
    let refusal = world.refusal(&draft("k8s.hpa_patch", json!({"max": 9}))).await;
    assert_eq!(refusal, "nothing scales Deployment prod/api: it has no autoscaler");
    let named = json!({"kind": "HorizontalPodAutoscaler", "name": "none", "max": 9});
    assert_eq!(
        world.refusal(&draft("k8s.hpa_patch", named)).await,
        "there is no HorizontalPodAutoscaler prod/none"
    );
}

#[tokio::test]
async fn a_patch_changes_what_its_paths_allow_and_nothing_else() {
    let world = mk_world(&[mk_api("api:1")]).await;
    let containers = json!([{"name": "api", "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 30}}]);
    let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    let paths = json!(["/spec/template/spec/containers/*/readinessProbe"]);
    let params = json!({"allowed_paths": paths, "patch": patch});
    let surveyed = there_and_back(&world, "k8s.patch", params, "deployments", "api").await;
    assert_eq!(surveyed.tier_floor, Tier::T2);
    assert_eq!(container(&world)["readinessProbe"]["periodSeconds"], 30);
    assert_eq!(container(&world)["image"], "api:1");
    let mut wider = patch.clone();
    wider["spec"]["template"]["spec"]["containers"][0]["image"] = json!("evil:1");
    wider["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["periodSeconds"] = json!(9);
    let refusal = world.refusal(&draft("k8s.patch", json!({"allowed_paths": paths, "patch": wider}))).await;
    assert!(refusal.contains("would also change") && refusal.contains("image: api:1 → evil:1"), "{refusal}");
    for (params, place) in [
        (json!({"allowed_paths": [], "patch": {}}), "/allowed_paths"),
        (json!({"allowed_paths": ["/metadata/ownerReferences"], "patch": {}}), "/allowed_paths/0"),
        (json!({"allowed_paths": ["/spec/"], "patch": {}}), "/allowed_paths/0"),
        (json!({"allowed_paths": ["/spec/{{ labels.x }}"], "patch": {}}), "/allowed_paths/0"),
        (json!({"kind": "Secret", "allowed_paths": ["/data/x"], "patch": {}}), "/kind"),
        (json!({"allowed_paths": ["/spec/*"], "patch": {"spec": {"replicas": 0}}}), "/patch/spec/replicas"),
        (
            json!({"allowed_paths": ["/spec/*"], "patch": {"spec": {"replicas": null}}}),
            "/patch/spec/replicas",
        ),
    ] {
        let refused = check("k8s.patch", params.clone()).map_err(|error| error.pointer);
        assert_eq!(refused, Err(place.to_owned()), "{params}");
    }
}

#[tokio::test]
async fn what_says_what_may_be_taken_away_is_patched_by_two_people() {
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": "api", "namespace": "prod"},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "api"}}},
    });
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "api", "namespace": "prod"},
        "spec": {"podSelector": {"matchLabels": {"app": "api"}}, "policyTypes": ["Ingress"]},
    });
    let world = mk_world(&[budget, policy]).await;
    for (kind, spec) in [
        ("PodDisruptionBudget", json!({"minAvailable": 0})),
        ("NetworkPolicy", json!({"policyTypes": ["Ingress", "Egress"]})),
    ] {
        let params =
            json!({"kind": kind, "name": "api", "allowed_paths": ["/spec/*"], "patch": {"spec": spec}});
        let surveyed = world.survey(&draft("k8s.patch", params)).await;
        assert_eq!(surveyed.tier_floor, Tier::T3, "{kind}");
        assert!(surveyed.notes.iter().any(|note| note.contains(kind)), "{:?}", surveyed.notes);
    }
}

#[tokio::test]
async fn a_paused_deployment_takes_no_new_template() {
    let mut paused = mk_sized(json!({"limits": {"memory": "1Gi"}}));
    paused["spec"]["paused"] = json!(true);
    let world = mk_world(&[paused]).await;
    for (kind, params) in [
        ("k8s.set_env", json!({"vars": {"A": "1"}})),
        ("k8s.set_image", json!({"image": "api:2"})),
        ("k8s.set_resources", json!({"limits": {"memory": "2Gi"}})),
        (
            "k8s.patch",
            json!({"allowed_paths": ["/spec/template"], "patch": {"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}}}),
        ),
    ] {
        let refusal = world.refusal(&draft(kind, params)).await;
        assert!(refusal.contains("is paused"), "{kind}: {refusal}");
    }
    assert_eq!(world.effects(), []);
}

#[tokio::test]
async fn the_first_annotation_and_the_first_label_can_be_set_and_taken_back() {
    let bare = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "flags", "namespace": "prod"},
        "data": {"a": "b"},
    });
    for (paths, patch) in [
        (json!(["/metadata/annotations/note"]), json!({"metadata": {"annotations": {"note": "hi"}}})),
        (json!(["/metadata/labels/tier"]), json!({"metadata": {"labels": {"tier": "web"}}})),
        (
            json!(["/metadata/annotations/example.com~1a", "/metadata/labels/*"]),
            json!({"metadata": {"annotations": {"example.com/a": "1"}, "labels": {"x": "1", "y": "2"}}}),
        ),
    ] {
        let world = mk_world(std::slice::from_ref(&bare)).await;
        let params = json!({"kind": "ConfigMap", "name": "flags", "allowed_paths": paths, "patch": patch});
        let surveyed = world.survey(&draft("k8s.patch", params.clone())).await;
        applied(world.act(&surveyed.plan).await);
        let get =
            || world.cluster.get("configmaps", "prod", "flags").expect("it is there")["metadata"].clone();
        for field in ["annotations", "labels"] {
            for (name, value) in patch["metadata"][field].as_object().into_iter().flatten() {
                assert_eq!(get()[field][name], *value, "{field} {name}");
            }
        }
        assert_eq!(get()["annotations"]["smokejumper.dev/execution-id"], KEY);
        applied(world.act_as(&surveyed.inverse.expect("a way back"), "01-a1-rollback").await);
        let after = get();
        let left: Vec<&String> = ["annotations", "labels"]
            .iter()
            .filter_map(|field| after[field].as_object())
            .flat_map(|fields| fields.keys())
            .collect();
        assert_eq!(left, ["smokejumper.dev/execution-id"], "only our mark stays");
        // What comes with them and is not allowed is refused all the same.
        let mut wider = params;
        wider["patch"]["metadata"]["annotations"]["other"] = json!("x");
        let refusal = world.refusal(&draft("k8s.patch", wider)).await;
        assert!(refusal.contains("other"), "{refusal}");
    }
}

#[tokio::test]
async fn one_of_several_containers_must_be_named() {
    let mut object = mk_api("api:1");
    let containers = object["spec"]["template"]["spec"]["containers"].as_array_mut().expect("a list");
    containers.push(json!({"name": "proxy", "image": "envoy:1"}));
    let world = mk_world(&[object]).await;
    for (kind, params) in [
        ("k8s.set_image", json!({"image": "api:2"})),
        ("k8s.set_env", json!({"vars": {"A": "1"}})),
        ("k8s.set_resources", json!({"limits": {"memory": "1Gi"}})),
    ] {
        let refusal = world.refusal(&draft(kind, params.clone())).await;
        assert!(refusal.contains("name one of them in `container`: api, proxy"), "{kind}: {refusal}");
        let with = |name: &str| {
            let mut params = params.clone();
            params["container"] = json!(name);
            params
        };
        let refusal = world.refusal(&draft(kind, with("web"))).await;
        assert!(refusal.contains("has no container `web`, but api, proxy"), "{kind}: {refusal}");
        let plan = world.survey(&draft(kind, with("proxy"))).await.plan;
        let fields = plan.params["write"]["strategic"].to_string();
        assert!(fields.contains("\"name\":\"proxy\""), "{kind}: {fields}");
    }
    let refusal = world.refusal(&draft("k8s.exec", json!({"command": "greet", "container": "web"}))).await;
    assert!(refusal.contains("has no container `web`, but api, proxy"), "{refusal}");
}
