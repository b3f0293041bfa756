//! `k8s.rollout_restart`.

use super::*;
use crate::domain::survey::{Rollout, agree};

#[tokio::test]
async fn a_restart_replaces_the_pods_once_and_bears_our_mark() {
    let world = mk_world(&[mk_api("api:1")]).await;
    let before: Vec<Value> = world.cluster.list("pods", "prod");
    let surveyed = world.survey(&draft("k8s.rollout_restart", json!({}))).await;
    assert_eq!(world.effects(), [], "a survey changes nothing");
    assert_eq!((surveyed.tier_floor, surveyed.inverse.is_none()), (Tier::T1, true));
    assert_eq!(surveyed.plan.target, "Deployment/prod/api");
    assert_eq!(surveyed.plan.namespace.as_deref(), Some("prod"));
    let impact = &surveyed.impact;
    assert_eq!((impact.workloads, impact.replicas, impact.available, impact.disrupted), (1, 3, 3, 0));
    assert_eq!(impact.rollout, Rollout::Settled);
    let detail = applied(world.act(&surveyed.plan).await);
    assert!(detail.contains("restartedAt") && detail.contains("2026-11-21T12:00:00Z"), "{detail}");
    let effects = world.effects();
    let [write] = effects.as_slice() else { panic!("one write: {effects:?}") };
    assert_eq!((write.verb.as_str(), write.resource.as_str()), ("patch", "deployments"));
    assert_eq!(write.execution_id.as_deref(), Some(KEY));
    assert_eq!(write.field_manager.as_deref(), Some("smokejumper"));
    settle(&world.cluster);
    let after = world.cluster.list("pods", "prod");
    assert_eq!(after.len(), 3);
    assert!(
        after.iter().all(|pod| !before.iter().any(|old| old["metadata"]["uid"] == pod["metadata"]["uid"]))
    );
}

#[tokio::test]
async fn the_same_plan_again_is_no_second_restart() {
    let world = mk_world(&[mk_api("api:1")]).await;
    let plan = world.survey(&draft("k8s.rollout_restart", json!({}))).await.plan;
    applied(world.act(&plan).await);
    let detail = applied(world.act(&plan).await);
    assert!(detail.contains("before"), "{detail}");
    // Another attempt of somebody else at the same values.
    let reason = not_applied(world.act_as(&plan, "02-a1-apply").await);
    assert!(reason.contains("is so already"), "{reason}");
    assert_eq!(world.effects().len(), 1);
    assert!(applied(world.look_back(&plan).await).contains("the object shows it"));
}

#[tokio::test]
async fn two_surveys_of_an_unchanged_workload_agree_and_those_of_a_changed_one_do_not() {
    let world = mk_world(&[mk_api("api:1")]).await;
    let draft = draft("k8s.rollout_restart", json!({}));
    let one = world.survey(&draft).await.plan;
    let later = SurveyContext {
        now: "2026-11-21T12:04:00Z".parse().expect("a time"),
        incident: Box::new(mk_incident(None)),
    };
    let SurveyOutcome::Ready(two) = world.actions.survey(&draft, later).await else { panic!("ready") };
    assert!(one != two.plan && agree(&one, &two.plan), "times are no part of the basis");
    world.roll_out("api:2");
    assert!(!agree(&one, &world.survey(&draft).await.plan));
}

#[tokio::test]
async fn a_workload_that_was_changed_since_the_plan_is_left_alone() {
    let world = mk_world(&[mk_api("api:1")]).await;
    let plan = world.survey(&draft("k8s.rollout_restart", json!({}))).await.plan;
    world.roll_out("api:2");
    let reason = not_applied(world.act(&plan).await);
    assert!(reason.contains("somebody changed the template of Deployment prod/api"), "{reason}");
    assert_eq!(world.effects(), []);
}

#[tokio::test]
async fn a_status_that_moves_the_version_does_not_hold_up_a_restart() {
    let world = mk_world(&[mk_api("api:1")]).await;
    let plan = world.survey(&draft("k8s.rollout_restart", json!({}))).await.plan;
    world.change("deployments", "api", "/status/availableReplicas", json!(1));
    world.change("deployments", "api", "/spec/replicas", json!(4));
    applied(world.act(&plan).await);
}

#[tokio::test]
async fn state_and_owners_raise_the_tier_and_say_so() {
    let mut owned = mk_api("api:1");
    owned["metadata"]["annotations"] =
        json!({"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:prod/api"});
    let mut claims = mk_workload("Deployment", "db", "db:1");
    claims["spec"]["template"]["spec"]["volumes"] =
        json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
    let world = mk_world(&[owned, claims, mk_workload("StatefulSet", "redis", "redis:7")]).await;
    for (kind, name, tier, said) in [
        ("Deployment", "api", Tier::T2, "owned by Argo CD application shop"),
        ("Deployment", "db", Tier::T2, "keeps state"),
        ("StatefulSet", "redis", Tier::T2, "keeps state"),
    ] {
        let draft =
            draft_for("k8s.rollout_restart", json!({}), Some(&mk_target(kind, name))).expect("a draft");
        let surveyed = world.survey(&draft).await;
        assert_eq!(surveyed.tier_floor, tier, "{name}");
        assert!(surveyed.notes.iter().any(|note| note.contains(said)), "{name}: {:?}", surveyed.notes);
    }
}

#[tokio::test]
async fn crashing_pods_are_no_rollout_and_a_new_image_that_hangs_is_one() {
    use crate::sandbox::kubernetes::behaviour::Behaviour;
    let world = mk_world(&[mk_api("api:1")]).await;
    world.cluster.behave("api:2", Behaviour::crash_loop());
    world.roll_out("api:2");
    let draft = draft("k8s.rollout_restart", json!({}));
    let rollout = world.survey(&draft).await.impact.rollout;
    assert!(matches!(rollout, Rollout::UnderWay { .. }), "{rollout:?}");
    world.cluster.step(Duration::from_secs(700));
    let rollout = world.survey(&draft).await.impact.rollout;
    assert!(matches!(rollout, Rollout::Stuck { .. }), "{rollout:?}");
}

#[tokio::test]
async fn what_is_down_already_is_not_taken_away() {
    let mut api = mk_api("api:1");
    api["spec"]["strategy"] = json!({"type": "Recreate"});
    let world = mk_world(&[api]).await;
    let draft = draft("k8s.rollout_restart", json!({}));
    for available in [3, 1, 0] {
        world.change("deployments", "api", "/status/availableReplicas", json!(available));
        let impact = world.survey(&draft).await.impact;
        assert_eq!((impact.replicas, impact.available, impact.disrupted), (3, available, available));
    }
}
