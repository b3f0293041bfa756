//! `k8s.rollout_undo`.

use super::*;
use crate::domain::action::{Action, ActionId, ActionStatus};
use crate::domain::approval::Approvals;
use crate::domain::decision::Reason;
use crate::domain::diagnosis::ConditionOutcome;
use crate::domain::survey::Rollout;
use crate::sandbox::kubernetes::behaviour::{Behaviour, Fate};

/// `api:1`, then `api:2`, and then a restart of it.
async fn mk_restarted() -> World {
    let mut world = mk_world(&[mk_api("api:1")]).await;
    world.roll_out("api:2");
    let restart = world.survey(&draft("k8s.rollout_restart", json!({}))).await.plan;
    applied(world.act_as(&restart, "00-a1-apply").await);
    settle(&world.cluster);
    world.before = world.cluster.writes().total();
    world
}

#[tokio::test]
async fn an_undo_shows_and_keeps_no_value_of_a_variable() {
    let mut api = mk_api("api:1");
    let containers = "/spec/template/spec/containers";
    api["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "DB_PASSWORD", "value": "hunter2"}]);
    let world = mk_world(&[api.clone()]).await;
    let mut all = api.pointer(containers).expect("containers").clone();
    all[0]["env"][0]["value"] = json!("hunter3");
    let proxy = json!({"name": "proxy", "image": "proxy:1", "env": [{"name": "KEY", "value": "hunter4"}]});
    all.as_array_mut().expect("a list").push(proxy);
    world.change("deployments", "api", containers, all);
    world.roll_out("api:2");
    let surveyed = world.survey(&draft("k8s.rollout_undo", json!({}))).await;
    let notes = surveyed.notes.join("\n");
    assert!(notes.contains("env[DB_PASSWORD].value: changed") && notes.contains("KEY"), "{notes}");
    let kept = serde_json::to_string(&surveyed.plan).expect("JSON");
    let outcome = world.act(&surveyed.plan).await;
    let all = format!("{surveyed:?} {kept} {outcome:?}");
    assert!(!all.contains("hunter"), "{all}");
}

#[tokio::test]
async fn an_undo_after_a_restart_goes_back_to_the_good_image() {
    let world = mk_restarted().await;
    let surveyed = world.survey(&draft("k8s.rollout_undo", json!({}))).await;
    assert_eq!((surveyed.tier_floor, surveyed.impact.ends_rollout), (Tier::T2, true));
    assert_eq!(surveyed.plan.summary, "put Deployment prod/api back to revision 1 (api:1)");
    assert!(
        surveyed.notes.contains(&"spec.containers[api].image: api:2 → api:1".to_owned()),
        "{:?}",
        surveyed.notes
    );
    assert_eq!(world.effects(), []);
    applied(world.act(&surveyed.plan).await);
    assert_eq!(world.image(), "api:1");
    settle(&world.cluster);
    let [write] = &world.effects()[..] else { panic!("one write") };
    assert_eq!(write.execution_id.as_deref(), Some(KEY));
    assert_eq!(write.patch_type.as_deref(), Some("application/json-patch+json"));
    assert!(!write.body.to_string().contains("pod-template-hash"), "{}", write.body);
    // What was left behind is marked, so that nobody goes back to it.
    let nothing = world.nothing(&draft("k8s.rollout_undo", json!({}))).await;
    assert!(nothing.contains("marked as bad"), "{nothing}");
}

#[tokio::test]
async fn an_undo_that_did_not_help_is_taken_back_with_its_mark() {
    let world = mk_restarted().await;
    let surveyed = world.survey(&draft("k8s.rollout_undo", json!({}))).await;
    applied(world.act(&surveyed.plan).await);
    settle(&world.cluster);
    let back = surveyed.inverse.expect("a way back");
    assert!(back.basis.is_some() && back.summary.contains("revision 3 (api:2)"), "{}", back.summary);
    applied(world.act_as(&back, "01-a1-rollback").await);
    assert_eq!(world.image(), "api:2");
    let annotations = world.deployment()["metadata"]["annotations"].clone();
    assert_eq!(annotations["smokejumper.dev/bad-revisions"], Value::Null);
    assert_eq!(annotations["smokejumper.dev/execution-id"], "01-a1-rollback");
    // The same once more changes nothing.
    assert!(applied(world.act_as(&back, "01-a1-rollback").await).contains("before"));
    assert_eq!(world.effects().len(), 2);
}

#[tokio::test]
async fn nothing_is_undone_twice_in_one_incident() {
    let world = mk_restarted().await;
    let draft = draft("k8s.rollout_undo", json!({}));
    let plan = world.survey(&draft).await.plan;
    let mut incident = mk_incident(None);
    let mut before = Action {
        id: ActionId("01-a1".to_owned()),
        remedy: "undo".to_owned(),
        status: ActionStatus::Failed,
        tier: Tier::T2,
        digest: plan.digest(),
        plan,
        inverse: None,
        step: Step::Apply,
        reason: Reason::VerificationFailed("no".to_owned()),
        condition: ConditionOutcome::Holds,
        guardrails: Vec::new(),
        approvals: Approvals { expires_at: None, records: Vec::new() },
        verification: None,
        planned_at: mk_now(),
        restores: None,
        temporary_until: None,
        beside: Vec::new(),
        put_off: 0,
        unclear: None,
        surveyed_at: None,
        notes: Vec::new(),
        started_at: None,
        ended_at: None,
        outcome: None,
    };
    for (status, reason, is_twice) in [
        (ActionStatus::Failed, Reason::VerificationFailed("no".to_owned()), true),
        (ActionStatus::OutcomeUnknown, Reason::OutcomeUnknown("lost".to_owned()), true),
        (ActionStatus::Failed, Reason::NotApplied("403".to_owned()), false),
        (ActionStatus::AwaitingApproval, Reason::NeedsApproval(Tier::T2), false),
    ] {
        (before.status, before.reason) = (status, reason);
        incident.actions = vec![before.clone()];
        let outcome = world.look_in(&draft, incident.clone()).await;
        let is_nothing =
            matches!(&outcome, SurveyOutcome::NothingToDo { reason } if reason.contains("before"));
        assert_eq!(is_nothing, is_twice, "{status:?}: {outcome:?}");
    }
    before.plan.target = "Deployment/prod/other".to_owned();
    (before.status, before.reason) = (ActionStatus::Succeeded, Reason::Verified);
    incident.actions = vec![before];
    assert!(matches!(world.look_in(&draft, incident).await, SurveyOutcome::Ready(_)));
}

#[tokio::test]
async fn without_history_there_is_nothing_to_undo() {
    let world = mk_world(&[mk_api("api:1")]).await;
    let nothing = world.nothing(&draft("k8s.rollout_undo", json!({}))).await;
    assert_eq!(nothing, "Deployment prod/api: there is no earlier revision to go back to");
    let refusal = world.refusal(&draft("k8s.rollout_undo", json!({"to": 7}))).await;
    assert_eq!(refusal, "Deployment prod/api: revision 7 is not kept any more");
    assert_eq!(world.effects(), []);
}

#[tokio::test]
async fn a_deployment_that_moved_on_is_not_put_back() {
    let world = mk_restarted().await;
    let plan = world.survey(&draft("k8s.rollout_undo", json!({}))).await.plan;
    world.roll_out("api:3");
    let reason = not_applied(world.act(&plan).await);
    assert!(reason.contains("somebody changed the template"), "{reason}");
    assert_eq!((world.image().as_str(), world.effects().len()), ("api:3", 0));
}

#[tokio::test]
async fn a_revision_that_was_thrown_away_since_the_plan_is_told() {
    let world = mk_restarted().await;
    let plan = world.survey(&draft("k8s.rollout_undo", json!({}))).await.plan;
    let name = plan.params["write"]["revision"]["name"].as_str().expect("a name").to_owned();
    world.cluster.remove("replicasets", "prod", &name);
    let reason = not_applied(world.act(&plan).await);
    assert!(reason.contains(&name) && reason.contains("not kept any more"), "{reason}");
    assert_eq!(world.image(), "api:2");
}

#[tokio::test]
async fn stateful_sets_and_daemon_sets_go_back_by_their_controller_revisions() {
    let world = mk_world(&[
        mk_workload("StatefulSet", "redis", "redis:6"),
        mk_workload("DaemonSet", "agent", "agent:1"),
    ])
    .await;
    for (kind, plural, name, image, tier) in [
        ("StatefulSet", "statefulsets", "redis", "redis:6", Tier::T3),
        ("DaemonSet", "daemonsets", "agent", "agent:1", Tier::T2),
    ] {
        world.change(plural, name, "/spec/template/spec/containers/0/image", json!("bad:9"));
        settle(&world.cluster);
        let draft = draft_for("k8s.rollout_undo", json!({}), Some(&mk_target(kind, name))).expect("a draft");
        let surveyed = world.survey(&draft).await;
        assert_eq!(surveyed.tier_floor, tier, "{kind}");
        applied(world.act(&surveyed.plan).await);
        let image_of = || {
            world.cluster.get(plural, "prod", name).expect("it")["spec"]["template"]["spec"]["containers"][0]
                ["image"]
                .clone()
        };
        assert_eq!(image_of(), json!(image), "{kind}");
        settle(&world.cluster);
        applied(world.act_as(&surveyed.inverse.expect("a way back"), "01-a1-rollback").await);
        assert_eq!(image_of(), json!("bad:9"), "{kind}");
    }
}

/// Judges the rollout that a survey of an undo found as the guardrail does.
async fn rollout_of(world: &World, kind: &str, name: &str, now: Timestamp) -> Rollout {
    let target = mk_target(kind, name);
    let draft = draft_for("k8s.rollout_undo", json!({}), Some(&target)).expect("a draft");
    let context = SurveyContext { now, incident: Box::new(mk_incident(Some(target))) };
    match world.actions.survey(&draft, context).await {
        SurveyOutcome::Ready(surveyed) => surveyed.impact.rollout,
        other => panic!("not ready: {other:?}"),
    }
}

#[tokio::test]
async fn what_has_no_deadline_hangs_once_its_new_pods_do() {
    let fates = [
        (Behaviour::crash_loop(), "CrashLoopBackOff"),
        (Behaviour::of(Fate::ImagePullBackOff), "ImagePullBackOff"),
        (Behaviour::of(Fate::NeverReady), "is not ready for"),
    ];
    for (behaviour, why) in fates {
        let mut endless = mk_api("api:1");
        endless["spec"]["progressDeadlineSeconds"] = json!(i32::MAX);
        let sets =
            [mk_workload("StatefulSet", "redis", "redis:6"), mk_workload("DaemonSet", "agent", "agent:1")];
        let world = mk_world(&[&sets[..], &[endless]].concat()).await;
        world.cluster.behave("bad:9", behaviour);
        let all = [
            ("StatefulSet", "statefulsets", "redis"),
            ("DaemonSet", "daemonsets", "agent"),
            ("Deployment", "deployments", "api"),
        ];
        for (kind, plural, name) in all {
            world.change(plural, name, "/spec/template/spec/containers/0/image", json!("bad:9"));
            world.cluster.step(Duration::from_secs(2));
            // A rollout that has only just begun is healthy for all that anybody knows.
            let begun = rollout_of(&world, kind, name, world.cluster.now()).await;
            assert!(matches!(begun, Rollout::UnderWay { .. }), "{kind}: {begun:?}");
        }
        world.cluster.step(Duration::from_secs(900));
        for (kind, _, name) in all {
            let found = rollout_of(&world, kind, name, world.cluster.now()).await;
            assert!(matches!(&found, Rollout::Stuck { reason } if reason.contains(why)), "{kind}: {found:?}");
        }
    }
}
