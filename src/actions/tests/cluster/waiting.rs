//! What a way back waits for when its time is over, and when a rollout that says nothing hangs.

use super::access::permit;
use super::manifests::mk_draft;
use super::scaling::mk_autoscaler;
use super::*;
use crate::domain::rule::{TargetSpec, Template};
use crate::domain::survey::Rollout;
use crate::sandbox::kubernetes::behaviour::Behaviour;

/// Where the image of a workload stands.
const IMAGE: &str = "/spec/template/spec/containers/0/image";

/// A workload whose controller never says that a rollout hangs.
fn mk_endless() -> Value {
    let mut api = mk_api("api:1");
    api["spec"]["progressDeadlineSeconds"] = json!(i32::MAX);
    api
}

/// What is changed for a while, by which action, and where somebody else begins a rollout.
struct Case {
    draft: ActionPlan,
    objects: Vec<Value>,
    /// The workload that somebody rolls out.
    rolls: (&'static str, &'static str, &'static str),
}

fn cases() -> Vec<Case> {
    let env = || json!({"vars": {"LEVEL": "debug"}, "ttl": "1h"});
    let of = |action: &str, params: Value, kind: &str, name: &str| {
        draft_for(action, params, Some(&mk_target(kind, name))).expect("a draft")
    };
    let api = ("Deployment", "deployments", "api");
    let redis = ("StatefulSet", "statefulsets", "redis");
    let agent = ("DaemonSet", "daemonsets", "agent");
    let mk_redis = || mk_workload("StatefulSet", "redis", "redis:6");
    let mk_agent = || mk_workload("DaemonSet", "agent", "agent:1");
    let hpa = || vec![mk_api("api:1"), mk_autoscaler(2, 6)];
    let bound = json!({"max": 9, "ttl": "1h"});
    let by_name = json!({"kind": "HorizontalPodAutoscaler", "name": "api-hpa", "max": 9, "ttl": "1h"});
    let minimum = json!({"replicas": 5, "hpa": "raise_min", "ttl": "1h"});
    let replicas = json!({"replicas": 5, "ttl": "1h"});
    let mut debug = mk_api("api:1");
    debug["metadata"] = json!({"name": "api"});
    debug["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = json!("debug");
    let mut wider = mk_autoscaler(2, 9);
    wider["metadata"] = json!({"name": "api-hpa"});
    let hour = || json!({"ttl": "1h"});
    let on_api = |action: &str, params: Value| of(action, params, "Deployment", "api");
    let mut all = Vec::new();
    let mut add = |draft, objects, rolls| all.push(Case { draft, objects, rolls });
    add(on_api("k8s.set_env", env()), vec![mk_api("api:1")], api);
    add(on_api("k8s.set_env", env()), vec![mk_endless()], api);
    add(of("k8s.set_env", env(), "StatefulSet", "redis"), vec![mk_redis()], redis);
    add(of("k8s.set_env", env(), "DaemonSet", "agent"), vec![mk_agent()], agent);
    add(on_api("k8s.scale", replicas.clone()), vec![mk_api("api:1")], api);
    add(of("k8s.scale", replicas, "StatefulSet", "redis"), vec![mk_redis()], redis);
    add(on_api("k8s.scale", minimum), hpa(), api);
    add(on_api("k8s.hpa_patch", bound), hpa(), api);
    add(on_api("k8s.hpa_patch", by_name), hpa(), api);
    add(mk_draft("k8s.apply", &[debug], hour()), vec![mk_api("api:1")], api);
    add(mk_draft("k8s.apply", &[wider], hour()), hpa(), api);
    all
}

#[tokio::test]
async fn what_is_set_back_waits_for_somebody_elses_rollout_whatever_it_changes() {
    for Case { draft, objects, rolls: (kind, plural, name) } in cases() {
        let world = mk_world(&objects).await;
        let surveyed = world.survey(&draft).await;
        applied(world.act(&surveyed.plan).await);
        settle(&world.cluster);
        let back = surveyed.inverse.expect("a way back");
        let labels = json!({"app": name, "release": "2"});
        world.change(plural, name, "/spec/template/metadata/labels", labels);
        world.cluster.step(Duration::from_secs(1));
        let done = world.effects().len();
        let outcome = world.act_as(&back, "01-a2-apply").await;
        let ActionOutcome::NotNow { reason, wait } = &outcome else {
            panic!("{}: {outcome:?}", draft.summary)
        };
        let begins = format!("a rollout of {kind} prod/{name} is under way: ");
        assert!(reason.starts_with(&begins), "{}: {reason}", draft.summary);
        assert_eq!(*wait, Some(jiff::SignedDuration::from_mins(10)), "{}", draft.summary);
        assert_eq!(world.effects().len(), done, "{}", draft.summary);
        // What did not help is taken back at once.
        applied(world.act_as(&back, "01-a1-rollback").await);
    }
}

#[tokio::test]
async fn what_is_set_back_does_not_wait_once_the_rollout_is_over() {
    for Case { draft, objects, rolls: (_, plural, name) } in cases() {
        let world = mk_world(&objects).await;
        let surveyed = world.survey(&draft).await;
        applied(world.act(&surveyed.plan).await);
        let labels = json!({"app": name, "release": "2"});
        world.change(plural, name, "/spec/template/metadata/labels", labels);
        settle(&world.cluster);
        settle(&world.cluster);
        applied(world.act_as(&surveyed.inverse.expect("a way back"), "01-a2-apply").await);
    }
}

#[tokio::test]
async fn what_was_brought_is_taken_away_whatever_its_rollout_does() {
    let world = mk_world(&[mk_api("api:1")]).await;
    let mut page = mk_endless();
    page["metadata"] = json!({"name": "page"});
    world.cluster.behave("api:1", Behaviour::crash_loop());
    let surveyed = world.survey(&mk_draft("k8s.apply", &[page], json!({"ttl": "1h"}))).await;
    applied(world.act(&surveyed.plan).await);
    world.cluster.step(Duration::from_secs(900));
    let status = &world.cluster.get("deployments", "prod", "page").expect("it is there")["status"];
    assert_eq!(status["availableReplicas"].as_u64().unwrap_or_default(), 0, "its rollout never ends");
    applied(world.act_as(&surveyed.inverse.expect("a way back"), "01-a2-apply").await);
    assert_eq!(world.cluster.get("deployments", "prod", "page"), None);
}

/// The kinds that never say that they hang, each under a rollout whose pods crash.
async fn mk_hanging() -> World {
    let sets = [mk_workload("StatefulSet", "redis", "redis:6"), mk_workload("DaemonSet", "agent", "agent:1")];
    let world = mk_world(&sets).await;
    world.cluster.behave("bad:9", Behaviour::crash_loop());
    world
}

const SETS: [(&str, &str, &str); 2] =
    [("StatefulSet", "statefulsets", "redis"), ("DaemonSet", "daemonsets", "agent")];

#[tokio::test]
async fn a_set_that_hangs_holds_up_no_way_back_and_no_other_template() {
    for (kind, plural, name) in SETS {
        let world = mk_hanging().await;
        let target = mk_target(kind, name);
        let on = |action: &str, params: Value| draft_for(action, params, Some(&target)).expect("a draft");
        let env = json!({"vars": {"LEVEL": "debug"}, "ttl": "1h"});
        let surveyed = world.survey(&on("k8s.set_env", env)).await;
        applied(world.act(&surveyed.plan).await);
        settle(&world.cluster);
        world.change(plural, name, IMAGE, json!("bad:9"));
        world.cluster.step(Duration::from_secs(2));
        let probe = json!([{"name": name, "terminationMessagePath": "/dev/log"}]);
        let patch = json!({"spec": {"template": {"spec": {"containers": probe}}}});
        let path = ["/spec/template/spec/containers"];
        let templates = [
            on("k8s.set_env", json!({"vars": {"MODE": "safe"}})),
            on("k8s.set_image", json!({"image": "good:2"})),
            on("k8s.set_resources", json!({"limits": {"memory": "1Gi"}})),
            on("k8s.patch", json!({"allowed_paths": path, "patch": patch})),
        ];
        for draft in &templates {
            let begun = world.survey(draft).await.impact;
            assert!(matches!(begun.rollout, Rollout::UnderWay { .. }), "{}: {begun:?}", draft.summary);
            assert!(!begun.ends_rollout, "{}", draft.summary);
        }
        let back = surveyed.inverse.expect("a way back");
        not_applied(world.act_as(&back, "01-a2-apply").await);
        world.cluster.step(Duration::from_secs(900));
        for draft in &templates {
            let hung = world.survey(draft).await.impact;
            assert!(matches!(hung.rollout, Rollout::Stuck { .. }), "{}: {hung:?}", draft.summary);
            assert!(hung.ends_rollout, "{}", draft.summary);
        }
        // A restart gives it no other template.
        let restart = world.survey(&on("k8s.rollout_restart", json!({}))).await.impact.rollout;
        assert!(matches!(restart, Rollout::UnderWay { .. }), "{kind}: {restart:?}");
        applied(world.act_as(&back, "01-a2-apply").await);
    }
}

/// Hands on the cluster that may do what `action` says it needs, and nothing else.
async fn restrict(world: &mut World, action: &str, params: &Value, target: &Target) {
    let kind = kinds().into_iter().find(|kind| kind.name == action).expect("a kind");
    let template = |text: &str| Template(text.to_owned());
    let target = TargetSpec {
        kind: target.kind.clone(),
        namespace: template(&target.namespace),
        name: template(&target.name),
    };
    permit(world, &(kind.access)(params, Some(&target)));
    let kubeconfig = world.cluster.kubeconfig_of(&world.cluster.token_for("prod", "act"));
    world.actions = mk_actions_by(&kubeconfig, PATIENCE).await;
}

#[tokio::test]
async fn a_hang_that_only_pods_show_is_seen_with_the_permissions_that_are_asked_for() {
    let env = json!({"vars": {"MODE": "safe"}});
    for (kind, plural, name, action, params) in [
        ("Deployment", "deployments", "api", "k8s.rollout_undo", json!({})),
        ("StatefulSet", "statefulsets", "redis", "k8s.rollout_undo", json!({})),
        ("DaemonSet", "daemonsets", "agent", "k8s.rollout_undo", json!({})),
        ("StatefulSet", "statefulsets", "redis", "k8s.set_env", env.clone()),
        ("DaemonSet", "daemonsets", "agent", "k8s.set_env", env),
    ] {
        let mut world = mk_hanging().await;
        world.cluster.put(mk_endless()).expect("an object that is played");
        settle(&world.cluster);
        world.change(plural, name, IMAGE, json!("bad:9"));
        world.cluster.step(Duration::from_secs(900));
        let target = mk_target(kind, name);
        restrict(&mut world, action, &params, &target).await;
        let found = world.survey(&draft_for(action, params, Some(&target)).expect("a draft")).await;
        assert!(matches!(found.impact.rollout, Rollout::Stuck { .. }), "{action} {kind}: {:?}", found.impact);
    }
}

#[tokio::test]
async fn an_autoscaler_that_is_named_by_itself_stands_for_its_workload_as_well() {
    let bound =
        |kind: &str| json!({"kind": "HorizontalPodAutoscaler", "name": format!("{kind}-hpa"), "max": 9});
    let path = json!({
        "kind": "HorizontalPodAutoscaler", "name": "api-hpa",
        "allowed_paths": ["/spec/maxReplicas"], "patch": {"spec": {"maxReplicas": 9}},
    });
    for (action, params) in [("k8s.hpa_patch", bound("api")), ("k8s.patch", path)] {
        let mut world = mk_world(&[mk_api("api:1"), mk_autoscaler(2, 6)]).await;
        let target = mk_target("Deployment", "api");
        restrict(&mut world, action, &params, &target).await;
        world.change("deployments", "api", IMAGE, json!("api:2"));
        world.cluster.step(Duration::from_secs(1));
        let impact = world.survey(&draft(action, params)).await.impact;
        assert!(matches!(impact.rollout, Rollout::UnderWay { .. }), "{action}: {impact:?}");
        assert_eq!((impact.kind.as_str(), impact.replicas), ("Deployment", 3), "{action}");
        assert_eq!(impact.objects, ["HorizontalPodAutoscaler/prod/api-hpa"], "{action}");
        assert_eq!(impact.affects, ["Deployment/prod/api"], "{action}");
    }
    // What keeps state is one tier higher, as when it is named.
    let mut autoscaler = mk_autoscaler(2, 6);
    autoscaler["metadata"]["name"] = json!("redis-hpa");
    autoscaler["spec"]["scaleTargetRef"] =
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "redis"});
    let world = mk_world(&[mk_workload("StatefulSet", "redis", "redis:6"), autoscaler.clone()]).await;
    let surveyed = world.survey(&draft("k8s.hpa_patch", bound("redis"))).await;
    assert_eq!(surveyed.tier_floor, Tier::T3, "{:?}", surveyed.notes);
    // Of what nobody here knows, only the autoscaler can be judged.
    autoscaler["spec"]["scaleTargetRef"] =
        json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "redis"});
    let world = mk_world(&[autoscaler]).await;
    let surveyed = world.survey(&draft("k8s.hpa_patch", bound("redis"))).await;
    assert_eq!(surveyed.impact.affects, ["Rollout/prod/redis"]);
}
