//! Each write of each action against each failure of the API: what is said of its end, with the cluster's own record as
//! the judge.

use futures::StreamExt as _;

use super::manifests::mk_map;
use super::*;
use crate::domain::manifest::STORED;

#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Applied,
    NotApplied,
    Unknown,
}

/// How many clusters are played at the same time.
const CASES_AT_ONCE: usize = 16;

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
        ("500 of the store, not written", named("StoreTimeout"), false, End::Unknown, "request timed out"),
    ]
}

fn end(outcome: &ActionOutcome) -> End {
    match outcome {
        ActionOutcome::Applied { .. } => End::Applied,
        ActionOutcome::NotApplied { .. } | ActionOutcome::NotNow { .. } => End::NotApplied,
        ActionOutcome::Unknown { .. } => End::Unknown,
        other => panic!("{other:?}"),
    }
}

/// One action, what it looks at before, and the write that it makes.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) kind: &'static str,
    pub(super) params: Value,
    look: &'static str,
    write: &'static str,
    form: Form,
}

/// What kinds of writes have in common.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Form {
    /// Fields, in a form of their own: the whole table.
    Edit,
    /// Other fields in the same way.
    LikeAnother,
    /// A mark or an absence shows it, and a version that moved on is offered it again.
    Marked,
    /// One offer, after which the object is looked at.
    Once,
    /// Nobody can see it afterwards.
    Unseen,
}

pub(super) fn cases() -> Vec<Case> {
    use Form::{Edit, LikeAnother, Marked, Once, Unseen};
    let patch = json!({"metadata": {"annotations": {"note": "hi"}}});
    let patch = json!({"allowed_paths": ["/metadata/annotations/note"], "patch": patch});
    let stored = |object: Value| json!({"manifest": "m", STORED: {"objects": [object]}});
    let mut other = mk_map();
    other["metadata"]["name"] = json!("other");
    let workload = "get deployments";
    [
        ("k8s.rollout_restart", json!({}), workload, "patch deployments", Edit),
        ("k8s.rollout_undo", json!({}), workload, "patch deployments", Edit),
        ("k8s.scale", json!({"replicas": 5}), workload, "patch deployments/scale", Edit),
        ("k8s.hpa_patch", json!({"max": 9}), workload, "patch horizontalpodautoscalers", LikeAnother),
        ("k8s.set_env", json!({"vars": {"A": "1"}}), workload, "patch deployments", LikeAnother),
        ("k8s.set_image", json!({"image": "api:9"}), workload, "patch deployments", LikeAnother),
        (
            "k8s.set_resources",
            json!({"limits": {"memory": "1Gi"}}),
            workload,
            "patch deployments",
            LikeAnother,
        ),
        ("k8s.patch", patch, workload, "patch deployments", LikeAnother),
        ("k8s.apply", stored(other), "get configmaps", "patch configmaps", Marked),
        ("k8s.remove", stored(mk_map()), "get configmaps", "delete configmaps", Marked),
        ("cert.renew", json!({"name": "shop-tls"}), "get certificates", "patch certificates/status", Marked),
        ("k8s.delete_pod", json!({"pick": "oldest"}), workload, "create pods/eviction", Once),
        ("k8s.delete", json!({"kind": "Job", "name": "migrate"}), "get jobs", "delete jobs", Once),
        ("k8s.job_run", json!({"name": "backup", "timeout": "1s"}), "get cronjobs", "create jobs", Once),
        ("k8s.job_run", mk_restore(), "list jobs", "create jobs", Once),
        ("k8s.exec", json!({"command": "greet"}), workload, "get pods/exec", Unseen),
    ]
    .into_iter()
    .map(|(kind, params, look, write, form)| Case { kind, params, look, write, form })
    .collect()
}

/// A run of a manifest that holds one Job.
fn mk_restore() -> Value {
    let mut job = super::jobs::mk_job("restore");
    job["metadata"] = json!({"name": "restore"});
    json!({"manifest": "restore", "timeout": "1s", STORED: {"objects": [job]}})
}

/// Those that write fields of an object that is there.
fn edits() -> Vec<Case> {
    cases().into_iter().filter(|case| matches!(case.form, Form::Edit | Form::LikeAnother)).collect()
}

#[test]
fn every_kind_that_writes_to_a_cluster_is_in_the_table() {
    let of_cluster = |name: &&str| name.starts_with("k8s.") || name.starts_with("cert.");
    let mut all: Vec<&str> = kinds().into_iter().map(|kind| kind.name).filter(of_cluster).collect();
    let mut table: Vec<&str> = cases().into_iter().map(|case| case.kind).collect();
    all.sort_unstable();
    table.sort_unstable();
    table.dedup();
    assert_eq!(table, all);
}

/// All that the actions act on. With an autoscaler only where one is needed: scaling would leave the replicas to it.
pub(super) async fn mk_second_version(kind: &str) -> World {
    let mut map = mk_map();
    map["metadata"]["namespace"] = json!("prod");
    let mut objects = vec![
        mk_api("api:1"),
        map,
        super::jobs::mk_job("migrate"),
        super::jobs::mk_cronjob("Allow"),
        super::certificates::mk_certificate(),
        super::certificates::mk_issuer("Issuer", "True"),
    ];
    if kind == "k8s.hpa_patch" {
        objects.push(super::scaling::mk_autoscaler(2, 6));
    }
    let world = mk_world(&objects).await;
    world.roll_out("api:2");
    world
}

#[tokio::test]
async fn every_failure_of_every_write_has_its_own_end() {
    let all = cases().into_iter().flat_map(|case| {
        // Those that only set other fields share all else with the first.
        let is_whole = case.form != Form::LikeAnother;
        let failures = failures().into_iter().enumerate().filter(move |(at, _)| is_whole || at % 5 == 0);
        failures.map(move |(_, failure)| meet(case.clone(), failure))
    });
    // Each waits most of its time.
    futures::stream::iter(all).buffer_unordered(CASES_AT_ONCE).collect::<Vec<()>>().await;
}

async fn meet(case: Case, failure: Failure) {
    let Case { kind, params, write, form, .. } = case;
    let (name, fault, written, expected, said) = failure;
    let world = mk_second_version(kind).await;
    let plan = world.survey(&draft(kind, params)).await.plan;
    let is_slow = fault.delay_ms > 0;
    world.cluster.faults().next(write, fault);
    let hasty = mk_actions_on(&world.cluster, if is_slow { IMPATIENCE } else { PATIENCE }).await;
    let outcome = act(&hasty, &plan, None).await;
    // Whether a command ran cannot be seen.
    let expected = if form == Form::Unseen && written { End::Unknown } else { expected };
    assert_eq!(end(&outcome), expected, "{kind}, {name}: {outcome:?}");
    let text = format!("{outcome:?}");
    assert!(text.contains(said), "{kind}, {name}: {text}");
    assert_eq!(world.effects().len(), usize::from(written), "{kind}, {name}");
    let seen = world.look_back(&plan).await;
    if form == Form::Unseen {
        assert_eq!(end(&seen), End::Unknown, "{kind}, {name}: {seen:?}");
    } else if expected == End::Unknown {
        // What nobody knows is looked up, and may be repeated then: it happens once.
        assert_eq!(end(&seen), End::NotApplied, "{kind}, {name}: {seen:?}");
        applied(world.act(&plan).await);
        assert_eq!(world.effects().len(), 1, "{kind}, {name}");
    } else if written {
        assert_eq!(end(&seen), End::Applied, "{kind}, {name}");
    }
}

#[tokio::test]
async fn a_server_that_gave_up_has_not_written_where_the_object_does_not_show_it() {
    let marked = cases().into_iter().filter(|case| matches!(case.kind, "k8s.apply" | "k8s.remove"));
    for Case { kind, params, write: call, .. } in edits().into_iter().chain(marked) {
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
    let marked = cases().into_iter().filter(|case| case.form == Form::Marked);
    for Case { kind, params, write: call, .. } in edits().into_iter().chain(marked) {
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
    for Case { kind, params, look, write, form } in cases() {
        for (fault, said) in [
            (Fault::vendor_error("Forbidden"), "not permitted (403)"),
            (Fault::vendor_error("ServiceUnavailable"), "(503)"),
            (Fault::dropped(), "connection broke"),
        ] {
            let world = mk_second_version(kind).await;
            // The look itself, and the rehearsal of the write.
            let calls = [look, write];
            // A command cannot be rehearsed.
            for call in &calls[..if form == Form::Unseen { 1 } else { 2 }] {
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
    for Case { kind, params, .. } in edits() {
        if kind == "k8s.hpa_patch" {
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
