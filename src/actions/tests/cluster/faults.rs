//! Each write of each action against each failure of the API: what is said of its end, with the cluster's own record as
//! the judge.

use futures::StreamExt as _;

use super::*;

#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Applied,
    NotApplied,
    Unknown,
}

/// The actions whose writes differ in their verb or form.
const WHOLE_TABLE: [&str; 4] = ["k8s.rollout_restart", "k8s.rollout_undo", "k8s.scale", "k8s.delete_pod"];

/// How many clusters are played at the same time.
const CASES_AT_ONCE: usize = 8;

/// How long is waited for an answer that does not come.
const IMPATIENCE: Duration = Duration::from_secs(5);

/// What the API does, whether the write took effect, how it must end, and a part of the sentence for people.
type Failure = (&'static str, Fault, bool, End, &'static str);

fn failures() -> Vec<Failure> {
    let named = Fault::vendor_error;
    let late = IMPATIENCE * 3;
    vec![
        ("403", named("Forbidden"), false, End::NotApplied, "not permitted (403)"),
        ("404", named("NotFound"), false, End::NotApplied, ""),
        ("422", named("Invalid"), false, End::NotApplied, "refused (422)"),
        ("400", named("BadRequest"), false, End::NotApplied, "refused (400)"),
        ("401", named("Unauthorized"), false, End::NotApplied, "(401)"),
        ("429", named("TooManyRequests"), false, End::NotApplied, "overloaded"),
        ("504, not written", named("Timeout"), false, End::Unknown, "(504)"),
        ("500, written", named("InternalError").after_effect(), true, End::Applied, ""),
        ("503, written", Fault::status(503).after_effect(), true, End::Applied, ""),
        ("cut, written", Fault::dropped().after_effect(), true, End::Applied, ""),
        ("cut, not written", Fault::dropped(), false, End::Unknown, "connection broke"),
        ("too late, written", Fault::slow(late).after_effect(), true, End::Applied, ""),
        ("too late, not written", Fault::dropped().delayed(late), false, End::Unknown, "no answer within"),
    ]
}

fn end(outcome: &ActionOutcome) -> End {
    match outcome {
        ActionOutcome::Applied { .. } => End::Applied,
        ActionOutcome::NotApplied { .. } => End::NotApplied,
        ActionOutcome::Unknown { .. } => End::Unknown,
        other => panic!("{other:?}"),
    }
}

/// The actions that change fields of an object; those that delete one come after them.
const EDITS: usize = 8;

/// The actions, and the write that each makes.
fn actions() -> [(&'static str, Value, &'static str); EDITS + 1] {
    let patch = json!({"metadata": {"annotations": {"note": "hi"}}});
    [
        ("k8s.rollout_restart", json!({}), "patch deployments"),
        ("k8s.rollout_undo", json!({}), "patch deployments"),
        ("k8s.scale", json!({"replicas": 5}), "patch deployments/scale"),
        ("k8s.hpa_patch", json!({"max": 9}), "patch horizontalpodautoscalers"),
        ("k8s.set_env", json!({"vars": {"A": "1"}}), "patch deployments"),
        ("k8s.set_image", json!({"image": "api:9"}), "patch deployments"),
        ("k8s.set_resources", json!({"limits": {"memory": "1Gi"}}), "patch deployments"),
        (
            "k8s.patch",
            json!({"allowed_paths": ["/metadata/annotations/note"], "patch": patch}),
            "patch deployments",
        ),
        ("k8s.delete_pod", json!({"pick": "oldest"}), "create pods/eviction"),
    ]
}

/// With an autoscaler only where one is needed: scaling would leave the replicas to it.
async fn mk_second_version(kind: &str) -> World {
    let objects = [mk_api("api:1"), super::scaling::mk_autoscaler(2, 6)];
    let world = mk_world(if kind == "k8s.hpa_patch" { &objects } else { &objects[..1] }).await;
    world.roll_out("api:2");
    world
}

#[tokio::test]
async fn every_failure_of_every_write_has_its_own_end() {
    let cases = actions().into_iter().flat_map(|action| {
        // Those that only set other fields share all else with the first.
        let is_whole = WHOLE_TABLE.contains(&action.0);
        let failures = failures().into_iter().enumerate().filter(move |(at, _)| is_whole || at % 5 == 0);
        failures.map(move |(_, failure)| case(action.clone(), failure))
    });
    // Each waits most of its time.
    futures::stream::iter(cases).buffer_unordered(CASES_AT_ONCE).collect::<Vec<()>>().await;
}

async fn case(action: (&'static str, Value, &'static str), failure: Failure) {
    let (kind, params, call) = action;
    let (name, fault, written, expected, said) = failure;
    let world = mk_second_version(kind).await;
    let plan = world.survey(&draft(kind, params)).await.plan;
    let is_slow = fault.delay_ms > 0;
    world.cluster.faults().next(call, fault);
    let hasty = mk_actions_on(&world.cluster, if is_slow { IMPATIENCE } else { PATIENCE }).await;
    let outcome = act(&hasty, &plan, None).await;
    assert_eq!(end(&outcome), expected, "{kind}, {name}: {outcome:?}");
    let text = format!("{outcome:?}");
    assert!(text.contains(said), "{kind}, {name}: {text}");
    assert_eq!(world.effects().len(), usize::from(written), "{kind}, {name}");
    if expected == End::Unknown {
        // What nobody knows is looked up, and may be repeated then: it happens once.
        let seen = world.look_back(&plan).await;
        assert_eq!(end(&seen), End::NotApplied, "{kind}, {name}: {seen:?}");
        applied(world.act(&plan).await);
        assert_eq!(world.effects().len(), 1, "{kind}, {name}");
    } else if written {
        assert_eq!(end(&world.look_back(&plan).await), End::Applied, "{kind}, {name}");
    }
}

#[tokio::test]
async fn a_server_that_gave_up_has_not_written_where_the_object_does_not_show_it() {
    for (kind, params, call) in &actions()[..EDITS] {
        let world = mk_second_version(kind).await;
        let plan = world.survey(&draft(kind, params.clone())).await.plan;
        world.cluster.faults().next(call, Fault::vendor_error("InternalError"));
        let reason = not_applied(world.act(&plan).await);
        assert!(reason.contains("(500)") && reason.contains("does not show it"), "{kind}: {reason}");
        assert_eq!(world.effects(), [], "{kind}");
    }
}

#[tokio::test]
async fn a_conflict_is_judged_anew_and_not_for_ever() {
    for (kind, params, call) in &actions()[..EDITS] {
        let world = mk_second_version(kind).await;
        let plan = world.survey(&draft(kind, params.clone())).await.plan;
        world.cluster.faults().next(call, Fault::vendor_error("Conflict"));
        applied(world.act(&plan).await);
        assert_eq!(world.effects().len(), 1, "{kind}");
        let world = mk_second_version(kind).await;
        let plan = world.survey(&draft(kind, params.clone())).await.plan;
        world.cluster.faults().always(call, Fault::vendor_error("Conflict"));
        let reason = not_applied(world.act(&plan).await);
        assert!(reason.contains("changed by others again and again"), "{kind}: {reason}");
        assert_eq!(world.effects(), [], "{kind}");
    }
}

#[tokio::test]
async fn a_cluster_that_cannot_be_asked_makes_no_plan() {
    for (kind, params, call) in actions() {
        for (fault, said) in [
            (Fault::vendor_error("Forbidden"), "not permitted (403)"),
            (Fault::vendor_error("ServiceUnavailable"), "(503)"),
            (Fault::dropped(), "connection broke"),
        ] {
            let world = mk_second_version(kind).await;
            // The look itself, and the rehearsal of the write.
            for call in ["get deployments", call] {
                world.cluster.faults().next(call, fault.clone());
                let refusal = world.refusal(&draft(kind, params.clone())).await;
                assert!(refusal.contains(said), "{kind}, {call}: {refusal}");
                world.cluster.faults().clear();
            }
            assert_eq!(world.effects(), [], "{kind}");
        }
    }
}

#[tokio::test]
async fn a_target_that_is_gone_or_another_by_now_is_left_alone() {
    for (kind, params, _) in &actions()[..EDITS] {
        if *kind == "k8s.hpa_patch" {
            continue; // Its object is the autoscaler.
        }
        let world = mk_second_version(kind).await;
        let plan = world.survey(&draft(kind, params.clone())).await.plan;
        world.cluster.remove("deployments", "prod", "api");
        let reason = not_applied(world.act(&plan).await);
        assert!(reason.contains("the target is gone (404)"), "{kind}: {reason}");
        world.cluster.put(mk_api("api:2")).expect("an object that is played");
        settle(&world.cluster);
        let reason = not_applied(world.act(&plan).await);
        assert!(reason.contains("replaced by another of that name"), "{kind}: {reason}");
        assert_eq!(world.effects(), [], "{kind}");
    }
}
