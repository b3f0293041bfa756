//! Rollouts that go wrong, and remedies that help or do not.

use crate::rules::{hopeless_ladder, remedy, rule, undo};
use crate::stage::Stage;
use jiff::SignedDuration;
use smokejumper::domain::incident::{IncidentStatus, Phase};

fn rules() -> String {
    let healthy = "checks: ['findings.workload.unavailable == 0', 'findings.workload.rollout == \"done\"'], onFail: next";
    let restart = remedy(
        "restart",
        "k8s.rollout_restart: {}",
        &format!("settle: 10s, hold: 10s, within: 1m, {healthy}"),
    );
    [
        rule(
            "crash-loop",
            "CrashLoop",
            &[&undo(", when: findings.workload.unavailable > 0", "settle: 10s, hold: 20s, within: 5m")],
        ),
        rule("unhealthy", "Unhealthy", &[&restart, &undo("", "settle: 10s, hold: 10s, within: 5m")]),
        hopeless_ladder("settle: 10s, hold: 1s, within: 30s", "settle: 10s, hold: 1s, within: 30s"),
    ]
    .concat()
}

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

#[tokio::test]
async fn a_bad_rollout_is_undone_after_an_approval_verified_and_closed() {
    let stage = Stage::new(&rules()).await;
    stage.roll_out("api", "api:2");
    stage.pass(minutes(2)).await;
    stage.fires("CrashLoop", "api").await;
    assert_eq!(stage.phase().await, Phase::AwaitingApproval);
    assert_eq!(stage.writes(), Vec::<String>::new(), "nothing is touched before anybody approves");
    stage.approve().await;
    stage.pass(minutes(3)).await;
    assert_eq!(stage.remedies().await, ["undo: succeeded"]);
    assert_eq!(stage.incident().await.actions[0].reason.word(), "verified");
    assert_eq!((stage.image("api"), stage.writes().len()), ("api:1".into(), 1));
    let told = stage.told();
    assert!(told.iter().any(|text| text.contains("put Deployment shop/api back to")), "{told:?}");
    stage.ends("CrashLoop", "api").await;
    assert_eq!(stage.incident().await.status, IncidentStatus::Resolved);
}

#[tokio::test]
async fn what_a_restart_does_not_mend_goes_back_to_the_good_image_and_not_to_before_the_restart() {
    let stage = Stage::new(&rules()).await;
    stage.roll_out("api", "api:2");
    stage.pass(minutes(2)).await;
    stage.fires("Unhealthy", "api").await;
    stage.pass(minutes(2)).await;
    let remedies = stage.remedies().await;
    assert_eq!(remedies[0], "restart: failed", "{remedies:?}");
    assert_eq!(stage.image("api"), "api:2", "a restart changes no image");
    stage.pass(minutes(16)).await;
    // It waits for the restart's own rollout, and for one action on a target in a quarter of an hour.
    let actions = stage.incident().await.actions;
    let waits: Vec<&str> = actions[1..].iter().map(|action| action.reason.word()).collect();
    assert_eq!(waits, ["rollout", "needs_approval"]);
    assert_eq!(stage.phase().await, Phase::AwaitingApproval);
    stage.approve().await;
    stage.pass(minutes(3)).await;
    let action = stage.incident().await.actions.last().cloned().expect("an action");
    assert_eq!((action.remedy.as_str(), action.reason.word()), ("undo", "verified"), "{action:?}");
    assert_eq!((stage.image("api"), stage.writes().len()), ("api:1".into(), 2), "{:?}", stage.writes());
}

#[tokio::test]
async fn a_remedy_that_does_not_help_is_rolled_back_then_the_next_then_people() {
    let stage = Stage::under("rates: { per_target: [] }", &rules()).await;
    stage.fires("Ladder", "api").await;
    stage.pass(minutes(4)).await;
    assert_eq!(stage.remedies().await, ["more: rolled_back", "restart: failed"]);
    assert_eq!(stage.phase().await, Phase::HandedOver);
    let api = stage.cluster().get("deployments", "shop", "api").expect("it is there");
    assert_eq!(api["spec"]["replicas"], 4, "as it was before");
    assert_eq!(
        stage.writes(),
        ["patch deployments/scale api", "patch deployments/scale api", "patch deployments web"]
    );
}

#[tokio::test]
async fn a_persons_rollout_that_makes_progress_is_waited_for_and_one_that_hangs_may_be_undone() {
    let stage = Stage::new(&rules()).await;
    stage.roll_out("api", "api:2");
    stage.pass(SignedDuration::from_secs(10)).await;
    stage.fires("CrashLoop", "api").await;
    let action = stage.incident().await.actions[0].clone();
    assert_eq!((action.status.as_str(), action.reason.word()), ("blocked", "rollout"), "{action:?}");
    assert_eq!(stage.writes(), Vec::<String>::new());
    // The deadline of its progress passes, and the next look finds that it hangs.
    stage.pass(minutes(4)).await;
    assert_eq!(stage.phase().await, Phase::AwaitingApproval, "{:?}", stage.timeline().await);
}

#[tokio::test]
async fn a_rollout_that_takes_long_to_hang_is_waited_for() {
    let stage = Stage::new(&rules()).await;
    let mut api = stage.cluster().get("deployments", "shop", "api").expect("it is there");
    api["spec"]["progressDeadlineSeconds"] = 2400.into();
    stage.cluster().put(api).expect("it is put");
    stage.roll_out("api", "api:2");
    stage.pass(SignedDuration::from_secs(10)).await;
    stage.fires("CrashLoop", "api").await;
    stage.pass(minutes(38)).await;
    let incident = stage.incident().await;
    assert_eq!(incident.phase, Phase::HandedOver, "people have it meanwhile");
    assert!(incident.actions.iter().all(|action| action.reason.word() == "rollout"), "{incident:?}");
    assert!(incident.actions.len() <= 9, "the looks grow apart: {}", incident.actions.len());
    stage.pass(minutes(35)).await;
    assert_eq!(stage.phase().await, Phase::AwaitingApproval, "{:?}", stage.timeline().await);
}

#[tokio::test]
async fn people_are_asked_anew_where_somebody_has_changed_the_target_since() {
    let stage = Stage::new(&rules()).await;
    stage.roll_out("api", "api:2");
    stage.pass(minutes(2)).await;
    stage.fires("CrashLoop", "api").await;
    assert_eq!(stage.phase().await, Phase::AwaitingApproval);
    stage.roll_out("api", "api:3");
    stage.pass(minutes(1)).await;
    stage.approve().await;
    stage.pass(minutes(1)).await;
    let action = stage.incident().await.actions[0].clone();
    assert_eq!(action.status.as_str(), "cancelled", "{action:?}");
    assert_eq!((stage.image("api"), stage.writes().len()), ("api:3".into(), 0), "the person's image stands");
}
