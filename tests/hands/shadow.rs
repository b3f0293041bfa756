//! Rules in shadow, in the real binary: nothing is written to the cluster, and cards, `explain` and the report tell what
//! would have been.

use crate::servers::eventually;
use crate::world::{PATIENCE, TOKEN, World, newest};
use serde_json::Value;
use std::process::{Command, Output};

/// A rule that restarts what its alert names.
fn restarts(name: &str, alertname: &str, more: &str) -> String {
    format!(
        "---\napiVersion: smokejumper.dev/v1\nkind: ResponseRule\nmetadata: {{ name: {name} }}\nspec:\n  \
         matchers: ['alertname=\"{alertname}\"']\n  severity: P1\n  {more}\n  \
         target: {{ kind: Deployment, namespace: '{{{{ labels.namespace }}}}', name: '{{{{ labels.deployment }}}}' }}\n  \
         remedies: [{{ name: restart, tier: T2, action: {{ k8s.rollout_restart: {{}} }} }}]\n"
    )
}

/// `smokejumper shadow report` against the running service.
async fn report(world: &World, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smokejumper"));
    command.args(["shadow", "report"]).args(arguments);
    command.env("SMOKEJUMPER_URL", world.service.url()).env("SMOKEJUMPER_TOKEN", TOKEN);
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic");
    output.expect("it runs")
}

async fn report_json(world: &World) -> Value {
    let output = report(world, &["--output", "json"]).await;
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
async fn a_rule_in_shadow_writes_nothing_and_says_what_it_would_have_done() {
    let world = World::under(&restarts("hung", "Hung", "mode: shadow"), "boot_hold: 0s", "").await;
    world.alert("Hung", "firing").await;
    let incident = world.once("simulated").await;
    let action = newest(&incident);
    assert_eq!((&incident["mode"], &action["reason_code"]), (&"shadow".into(), &"shadow".into()));
    assert!(action["summary"].as_str().is_some_and(|plan| plan.contains("restart")), "{action}");
    world.people_read("This rule is in shadow").await;
    world.people_read("it would have asked for approval (T2)").await;

    let id = action["id"].as_str().expect("an id");
    let answer = world.post(&format!("/api/v1/actions/{id}/approve")).await;
    assert_eq!(answer.status(), 409, "nobody was asked");
    let explained = world.explain("Hung", "shop", "api").await;
    assert_eq!((&explained["decision"], &explained["reason_code"]), (&"simulate".into(), &"shadow".into()));

    world.alert("Hung", "resolved").await;
    let rule = eventually("the report has it", PATIENCE, async || {
        let report = report_json(&world).await;
        let rule = report["rules"][0].clone();
        (!rule["remedies"][0]["disagrees"]["not_needed"].is_null()).then_some(rule)
    })
    .await;
    assert_eq!((&rule["rule"], &rule["incidents"]), (&"hung".into(), &1.into()));
    assert_eq!(rule["remedies"][0]["would_have_asked"], 1);
    assert_eq!((&rule["promote"], &rule["edit"]), (&false.into(), &Value::Null));
    let page = report(&world, &["--rule", "hung", "--since", "1d"]).await;
    let page = String::from_utf8_lossy(&page.stdout).into_owned();
    assert!(page.contains("hung: 1 incident") && page.contains("promote?  not yet"), "{page}");
    let unknown = report(&world, &["--rule", "hnug"]).await;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there is no rule `hnug`"));
    assert_eq!(world.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn what_people_approve_under_a_live_rule_is_agreement_for_the_one_in_shadow() {
    let rules = restarts("watcher", "Hung", "mode: shadow") + &restarts("worker", "Hung", "");
    let world = World::under(&rules, "boot_hold: 0s", "").await;
    world.alert("Hung", "firing").await;
    let incidents = eventually("both are decided", PATIENCE, async || {
        let incidents = world.incidents().await;
        let is_decided = |one: &&Value| !newest(one).is_null();
        (incidents.iter().filter(is_decided).count() == 2).then_some(incidents)
    })
    .await;
    let of = |rule: &str| incidents.iter().find(|one| one["rule"] == rule).expect("it is open").clone();
    assert_eq!(newest(&of("watcher"))["status"], "simulated");
    assert_eq!(of("watcher")["told_by"], "worker");
    assert_eq!(newest(&of("worker"))["status"], "awaiting_approval");
    world.approve(&of("worker")).await;
    let report = eventually("it is carried out", PATIENCE, async || {
        let report = report_json(&world).await;
        (!report["rules"][0]["remedies"][0]["agrees"]["same_approved"].is_null()).then_some(report)
    })
    .await;
    let rule = &report["rules"][0];
    assert_eq!((&rule["rule"], &rule["beside"]["worker"]), (&"watcher".into(), &1.into()));
    // The approval is told before the cluster was.
    let writes = async || Some(world.writes()).filter(|writes| !writes.is_empty());
    let writes = eventually("the live rule writes", PATIENCE, writes).await;
    assert_eq!(writes.len(), 1, "and no other: {writes:?}");
    // One message in Slack: that of the live rule.
    let messages = world.slack.messages("#incidents");
    assert!(!messages.iter().any(|message| format!("{message:?}").contains("in shadow")), "{messages:?}");
}
