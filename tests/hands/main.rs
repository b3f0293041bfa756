//! The real binary with hands on the simulated cluster: from the alert over the plan and the approval to what the
//! cluster's own record says was done.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test starts the service, and says why it did not start"
)]

mod budgets;
mod guards;
mod killed;
mod ladders;
mod permissions;
mod refusals;
mod shadow;
mod world;

#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/rules.rs"]
mod rules;
#[path = "../support/servers.rs"]
mod servers;

use serde_json::json;
use servers::eventually;
use smokejumper::sandbox::faults::Fault;
use std::time::Duration;
use world::{CLUSTER_SPEED, PATIENCE, World};

#[tokio::test]
async fn a_bad_rollout_is_undone_after_an_approval_verified_and_closed() {
    let world = World::start("boot_hold: 0s").await;
    world.roll_out_badly();
    world.alert("KubePodCrashLooping", "firing").await;
    let asked = world.once("awaiting_approval").await;
    let action = &asked["actions"][0];
    assert_eq!((action["tier"].as_str(), action["kind"].as_str()), (Some("T2"), Some("k8s.rollout_undo")));
    let summary = action["summary"].as_str().expect("a summary");
    assert!(
        summary.contains("shop/api") && summary.contains("api:1"),
        "what exactly would be done: {summary}"
    );
    assert_eq!(world.writes(), Vec::<String>::new(), "nothing is touched before anybody approves");
    assert_eq!(world.image(), "api:2");

    world.approve(&asked).await;
    world.cluster.run(CLUSTER_SPEED);
    let helped = world.once("succeeded").await;
    assert_eq!(helped["actions"][0]["reason_code"], "verified");
    assert_eq!(world.image(), "api:1");
    assert_eq!(world.writes().len(), 1, "one write is all it took: {:?}", world.writes());

    world.alert("KubePodCrashLooping", "resolved").await;
    eventually("the incident is closed", PATIENCE, async || {
        world.incident().await.filter(|incident| incident["status"] == "resolved")
    })
    .await;
}

#[tokio::test]
async fn what_a_person_changes_between_question_and_answer_is_not_overwritten() {
    let world = World::start("boot_hold: 0s").await;
    world.roll_out_badly();
    world.alert("KubePodCrashLooping", "firing").await;
    let asked = world.once("awaiting_approval").await;
    let mut mended = world.deployment("api");
    mended["spec"]["template"]["spec"]["containers"][0]["image"] = json!("api:3");
    world.cluster.put(mended).expect("a person's revision");
    for _ in 0..30 {
        world.cluster.step(Duration::from_secs(2));
    }
    world.approve(&asked).await;
    let incident = eventually("the approved action is given up", PATIENCE, async || {
        let incident = world.incident().await?;
        (incident["actions"][0]["status"] == "cancelled").then_some(incident)
    })
    .await;
    let reason = incident["actions"][0]["reason"].as_str().expect("a reason");
    assert!(!reason.is_empty());
    assert_eq!(world.image(), "api:3", "the person's image stands");
    assert_eq!(world.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_process_that_is_killed_before_it_hears_the_answer_does_not_do_it_twice() {
    let mut world = World::start("boot_hold: 0s").await;
    world.roll_out_badly();
    world.alert("KubePodCrashLooping", "firing").await;
    let asked = world.once("awaiting_approval").await;
    // The look at the click is rehearsed with a dry run; the write itself is done and not answered.
    world.cluster.faults().next_honest("patch deployments");
    world.cluster.faults().next("patch deployments", Fault::slow(Duration::from_secs(60)).after_effect());
    world.approve(&asked).await;
    eventually("the cluster has done it", PATIENCE, async || (world.writes().len() == 1).then_some(())).await;
    assert_eq!(world.image(), "api:1");
    world.kill_and_restart().await;
    world.cluster.run(CLUSTER_SPEED);
    let helped = world.once("succeeded").await;
    assert_eq!(world.writes().len(), 1, "the cluster is the judge: {:?}", world.writes());
    let timeline = helped["timeline"].as_array().expect("lines");
    let words: Vec<&str> = timeline.iter().filter_map(|line| line["reason"].as_str()).collect();
    assert!(words.contains(&"outcome_unknown") && words.contains(&"applied"), "{words:?}");
}

#[tokio::test]
async fn a_remedy_that_does_not_help_is_rolled_back_then_the_next_then_people() {
    let world = World::start("boot_hold: 0s, rates: { per_target: [] }").await;
    world.cluster.run(CLUSTER_SPEED);
    world.alert("Ladder", "firing").await;
    let incident = eventually("people go on", PATIENCE, async || {
        world.incident().await.filter(|incident| incident["phase"] == "handed_over")
    })
    .await;
    let actions = incident["actions"].as_array().expect("actions").iter();
    let ended: Vec<(&str, &str)> = actions
        .map(|action| {
            (action["remedy"].as_str().expect("a name"), action["status"].as_str().expect("a status"))
        })
        .collect();
    assert_eq!(ended, [("more", "rolled_back"), ("restart", "failed")]);
    let deployment = world.deployment("api");
    assert_eq!(deployment["spec"]["replicas"], 4, "as it was before");
    assert_eq!(world.writes().len(), 3, "scaled, scaled back, restarted: {:?}", world.writes());
}

#[tokio::test]
async fn the_machine_restarts_alone_and_only_where_it_may() {
    let world = World::start("boot_hold: 0s, namespaces: [bank]").await;
    world.alert("Hung", "firing").await;
    let blocked = world.once("blocked").await;
    assert_eq!(blocked["actions"][0]["reason_code"], "allow_list");
    assert_eq!(world.writes(), Vec::<String>::new());

    let world = World::start("boot_hold: 0s").await;
    world.cluster.run(CLUSTER_SPEED);
    world.alert("Hung", "firing").await;
    world.once("succeeded").await;
    assert_eq!(world.writes().len(), 1, "{:?}", world.writes());
    let restarted = world.deployment("api");
    let annotations = &restarted["spec"]["template"]["metadata"]["annotations"];
    assert!(annotations["kubectl.kubernetes.io/restartedAt"].is_string(), "{annotations}");
}
