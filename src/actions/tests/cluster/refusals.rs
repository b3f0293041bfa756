//! What no action does, whatever labels say: hostile names, other namespaces, paused and missing objects.

use super::*;

const ON_WORKLOADS: [(&str, &str); 9] = [
    ("k8s.hpa_patch", r#"{"max": 9}"#),
    ("k8s.set_resources", r#"{"limits": {"memory": "1Gi"}}"#),
    ("k8s.set_env", r#"{"vars": {"A": "1"}}"#),
    ("k8s.set_image", r#"{"image": "api:9"}"#),
    ("k8s.patch", r#"{"allowed_paths": ["/spec/x"], "patch": {}}"#),
    ("k8s.rollout_restart", "{}"),
    ("k8s.rollout_undo", "{}"),
    ("k8s.scale", r#"{"replicas": 2}"#),
    ("k8s.delete_pod", "{}"),
];

fn params(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn refused(kind: &str, params: Value, target: Option<&Target>) -> ParamsError {
    draft_for(kind, params, target).expect_err("a refusal")
}

#[test]
fn no_label_leads_into_the_namespaces_of_the_cluster() {
    for (kind, text) in ON_WORKLOADS {
        for namespace in ["kube-system", "kube-public", "kube-node-lease"] {
            let target = Target { namespace: namespace.to_owned(), ..mk_target("Deployment", "api") };
            let error = refused(kind, params(text), Some(&target));
            assert!(error.message.contains("a namespace of the cluster itself"), "{kind}: {error}");
            // A rule that says so itself means it.
            let mut own = params(text);
            own["namespace"] = json!(namespace);
            let plan = draft_for(kind, own, Some(&target)).expect("a draft");
            assert_eq!(plan.namespace.as_deref(), Some(namespace));
        }
    }
}

#[test]
fn names_that_are_none_are_refused_wherever_they_come_from() {
    let bad =
        ["", " ", "../secrets/x", "api/../../x", "API", "api;rm", "a b", "-api", "api-", "{{7*7}}", "é"];
    for (kind, text) in ON_WORKLOADS {
        for name in bad {
            let target = Target { name: name.to_owned(), ..mk_target("Deployment", "api") };
            refused(kind, params(text), Some(&target));
            let target = Target { namespace: name.to_owned(), ..mk_target("Deployment", "api") };
            refused(kind, params(text), Some(&target));
            let mut own = params(text);
            own["namespace"] = json!(name);
            refused(kind, own, Some(&mk_target("Deployment", "api")));
        }
        for name in &bad[..9] {
            let mut own = params(text);
            own["name"] = json!(name);
            refused(kind, own, Some(&mk_target("Deployment", "api")));
        }
        let mut own = params(text);
        own["namespace"] = json!("{{ labels.namespace }}");
        assert_eq!(check(kind, own).map_err(|error| error.pointer), Err("/namespace".to_owned()), "{kind}");
        let mut own = params(text);
        own["kind"] = json!("Secret");
        assert_eq!(check(kind, own).map_err(|error| error.pointer), Err("/kind".to_owned()), "{kind}");
        assert_eq!(refused(kind, params(text), None).pointer, "/kind", "{kind}");
        assert_eq!(refused(kind, params(text), Some(&mk_target("Node", "n1"))).pointer, "/kind", "{kind}");
        // The name of a target of another kind says nothing.
        let other = json!({"kind": "StatefulSet"});
        let mut own = params(text);
        own.as_object_mut().expect("an object").extend(other.as_object().expect("an object").clone());
        assert_eq!(refused(kind, own, Some(&mk_target("Deployment", "api"))).pointer, "/name", "{kind}");
    }
}

#[tokio::test]
async fn a_paused_deployment_is_refused_and_said_to_be_paused() {
    let mut paused = mk_api("api:1");
    paused["spec"]["paused"] = json!(true);
    let world = mk_world(&[paused]).await;
    for kind in ["k8s.rollout_restart", "k8s.rollout_undo"] {
        let refusal = world.refusal(&draft(kind, json!({}))).await;
        assert!(refusal.starts_with("Deployment prod/api is paused"), "{kind}: {refusal}");
    }
    assert!(world.cluster.writes().entries().is_empty(), "nothing was even rehearsed");
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let world = mk_world(&[]).await;
    for (kind, text) in ON_WORKLOADS {
        let refusal = world.refusal(&draft(kind, params(text))).await;
        assert_eq!(refusal, "there is no Deployment prod/api", "{kind}");
    }
}

#[tokio::test]
async fn without_a_cluster_in_the_settings_nothing_is_planned_or_done() {
    let actions = mk_actions(mk_endpoint("http://127.0.0.1:9", Method::POST));
    for (kind, text) in ON_WORKLOADS {
        let draft = draft(kind, params(text));
        let context = SurveyContext { now: mk_now(), incident: Box::new(mk_incident(None)) };
        let SurveyOutcome::Refused { reason } = actions.survey(&draft, context).await else {
            panic!("refused")
        };
        assert!(reason.contains("no section `kubernetes`"), "{reason}");
        let reason = not_applied(act(&actions, &draft, None).await);
        assert!(reason.contains("no section `kubernetes`"), "{reason}");
        assert_eq!(
            check(kind, params(text)).expect("good").references,
            [crate::domain::catalog::Reference::Kubernetes]
        );
    }
}

#[tokio::test]
async fn a_draft_that_nobody_surveyed_is_not_carried_out() {
    let world = mk_world(&[mk_api("api:1")]).await;
    for (kind, text) in ON_WORKLOADS {
        let reason = not_applied(world.act(&draft(kind, params(text))).await);
        assert!(reason.contains("no fixed values"), "{kind}: {reason}");
    }
    assert_eq!(world.effects(), []);
}

#[test]
fn each_action_says_what_it_needs_in_the_cluster() {
    use crate::domain::rule::{TargetSpec, Template};
    let target = TargetSpec {
        kind: "Deployment".to_owned(),
        namespace: Template("{{ labels.namespace }}".to_owned()),
        name: Template("api".to_owned()),
    };
    let needs = |name: &str, params: Value| -> Vec<String> {
        let kind = kinds().into_iter().find(|kind| kind.name == name).expect("a kind");
        (kind.access)(&params, Some(&target)).iter().map(ToString::to_string).collect()
    };
    let here = "in the target's namespace";
    assert_eq!(
        needs("k8s.rollout_restart", json!({})),
        [format!("get, patch deployments.apps `api` {here}")]
    );
    assert_eq!(
        needs(
            "k8s.rollout_undo",
            json!({"namespace": "shop", "kind": "StatefulSet", "name": "{{ labels.a }}"})
        ),
        [
            "get, patch statefulsets.apps in namespace shop",
            "list controllerrevisions.apps in namespace shop",
            "list pods in namespace shop"
        ]
    );
    // Nobody knows before whether a Deployment has a deadline.
    assert_eq!(
        needs("k8s.rollout_undo", json!({})),
        [
            format!("get, patch deployments.apps `api` {here}"),
            format!("list replicasets.apps {here}"),
            format!("list pods {here}"),
        ]
    );
    // Who gives it another template looks whether its rollout hangs, which a Deployment says itself.
    for kind in ["StatefulSet", "DaemonSet", "Deployment"] {
        let workload =
            json!({"kind": kind, "name": "redis", "vars": {}, "allowed_paths": ["/spec/template"]});
        for name in ["k8s.set_env", "k8s.set_image", "k8s.set_resources", "k8s.patch"] {
            let lists = [format!("list controllerrevisions.apps {here}"), format!("list pods {here}")];
            let expected = if kind == "Deployment" { &[][..] } else { &lists };
            assert_eq!(needs(name, workload.clone())[1..], *expected, "{name} {kind}");
        }
    }
    let notes = json!({"kind": "StatefulSet", "name": "redis", "allowed_paths": ["/metadata/labels/a"]});
    assert_eq!(needs("k8s.patch", notes), [format!("get, patch statefulsets.apps `redis` {here}")]);
    // An autoscaler is read with whatever it scales.
    let scaled = [format!("get deployments.apps {here}"), format!("get statefulsets.apps {here}")];
    let autoscaler =
        json!({"kind": "HorizontalPodAutoscaler", "name": "a", "allowed_paths": ["/spec/minReplicas"]});
    for name in ["k8s.hpa_patch", "k8s.patch"] {
        let needs = needs(name, autoscaler.clone());
        assert_eq!(needs[0], format!("get, patch horizontalpodautoscalers.autoscaling `a` {here}"));
        assert_eq!(needs[1..], scaled, "{name}");
    }
    assert_eq!(
        needs("k8s.scale", json!({"replicas": 2})),
        [
            format!("get deployments.apps `api` {here}"),
            format!("patch deployments/scale.apps `api` {here}"),
            format!("list horizontalpodautoscalers.autoscaling {here}"),
        ]
    );
    assert!(
        needs("k8s.scale", json!({"replicas": 2, "hpa": "raise_min"}))[2].starts_with("get, list, patch")
    );
    assert_eq!(
        needs("k8s.delete_pod", json!({})),
        [
            format!("get deployments.apps `api` {here}"),
            format!("list replicasets.apps {here}"),
            format!("get, list pods {here}"),
            format!("create pods/eviction {here}"),
        ]
    );
    assert_eq!(
        needs("k8s.delete_pod", json!({"force": true, "selector": "a=b"})),
        [
            format!("get deployments.apps {here}"),
            format!("get statefulsets.apps {here}"),
            format!("get daemonsets.apps {here}"),
            format!("get, list replicasets.apps {here}"),
            format!("get, list pods {here}"),
            format!("delete pods {here}"),
        ]
    );
}

/// Objects as an owner marks them, with what people are told of it.
fn owners() -> [(Value, &'static str); 3] {
    [
        (
            json!({"annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:prod/api"}}),
            "owned by Argo CD application shop",
        ),
        (json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}), "owned by Flux Kustomization apps"),
        (json!({"labels": {"app.kubernetes.io/managed-by": "Helm"}}), "owned by Helm"),
    ]
}

fn mk_owned(mut object: Value, marks: &Value) -> Value {
    let metadata = object["metadata"].as_object_mut().expect("metadata");
    metadata.extend(marks.as_object().expect("marks").clone());
    object
}

#[tokio::test]
async fn whoever_owns_an_object_is_named_and_needs_an_approval() {
    let patch = json!({"allowed_paths": ["/metadata/annotations/note"], "patch": {"metadata": {"annotations": {"note": "hi"}}}});
    for (marks, said) in owners() {
        let world = mk_world(&[
            mk_owned(mk_api("api:1"), &marks),
            mk_owned(super::scaling::mk_autoscaler(2, 6), &marks),
            mk_owned(super::jobs::mk_job("migrate"), &marks),
        ])
        .await;
        let mut api = mk_owned(mk_api("api:2"), &marks);
        api["metadata"]["uid"] = world.deployment()["metadata"]["uid"].clone();
        world.cluster.put(api).expect("an object that is played");
        settle(&world.cluster);
        for (kind, params, tier) in [
            ("k8s.rollout_restart", json!({}), Tier::T2),
            ("k8s.rollout_undo", json!({}), Tier::T2),
            ("k8s.scale", json!({"replicas": 5, "hpa": "raise_min"}), Tier::T2),
            ("k8s.hpa_patch", json!({"max": 9}), Tier::T2),
            ("k8s.set_resources", json!({"limits": {"memory": "1Gi"}}), Tier::T2),
            ("k8s.set_env", json!({"vars": {"A": "1"}}), Tier::T2),
            ("k8s.set_image", json!({"image": "api:9"}), Tier::T3),
            ("k8s.patch", patch.clone(), Tier::T2),
            ("k8s.delete", json!({"kind": "Job", "name": "migrate"}), Tier::T2),
        ] {
            let surveyed = world.survey(&draft(kind, params)).await;
            assert_eq!(surveyed.tier_floor, tier, "{kind}, {said}");
            assert!(
                surveyed.notes.iter().any(|note| note.contains(said)),
                "{kind}, {said}: {:?}",
                surveyed.notes
            );
        }
    }
}
