//! Rules in shadow beside live ones: they decide over the same world, and leave no trace in it.

use crate::stage::{Stage, una};
use jiff::SignedDuration;
use smokejumper::domain::approval::Verdict;
use smokejumper::domain::incident::{Incident, Phase};
use smokejumper::engine::ports::Store;

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

/// A rule that restarts what its alert names, at this tier.
fn restarts(name: &str, alertname: &str, tier: &str, more: &str) -> String {
    format!(
        "---\napiVersion: smokejumper.dev/v1\nkind: ResponseRule\nmetadata: {{ name: {name} }}\nspec:\n  \
         matchers: ['alertname=\"{alertname}\"']\n  severity: P1\n  {more}\n  \
         target: {{ kind: Deployment, namespace: '{{{{ labels.namespace }}}}', name: '{{{{ labels.deployment }}}}' }}\n  \
         remedies: [{{ name: restart, tier: {tier}, action: {{ k8s.rollout_restart: {{}} }} }}]\n"
    )
}

const SHADOW: &str = "mode: shadow";

/// Rule, status of the newest action and the word of its reason.
fn stand(incident: &Incident) -> (&str, &str, &str) {
    let (status, reason) = match incident.actions.last() {
        Some(action) => (action.status.as_str(), action.reason.word()),
        None => ("", ""),
    };
    (incident.rule.as_str(), status, reason)
}

#[tokio::test]
async fn a_rule_in_shadow_surveys_and_decides_and_touches_nothing_whatever_people_do() {
    for (tier, words) in [("T1", "it would have run alone"), ("T2", "it would have asked for approval")] {
        let stage = Stage::new(&restarts("hung", "Hung", tier, SHADOW)).await;
        stage.fires("Hung", "api").await;
        let incident = stage.incident().await;
        assert_eq!(stand(&incident), ("hung", "simulated", "shadow"));
        assert_eq!(incident.phase, Phase::HandedOver);
        let action = &incident.actions[0];
        assert!(action.reason.to_string().contains(words), "{}", action.reason);
        assert!(
            action.plan.basis.is_some(),
            "the plan was fixed over a look at the target: {:?}",
            action.plan
        );
        let verdicts: Vec<&str> =
            action.guardrails.iter().filter(|one| !one.allowed).map(|one| one.guardrail.as_str()).collect();
        assert_eq!(verdicts, ["shadow"]);
        let decided = stage.commands.decide(action.id.clone(), una(), Verdict::Approve, None, None).await;
        decided.expect_err("nobody was asked");
        let stage = stage.away_for(minutes(30)).await;
        stage.pass(minutes(30)).await;
        assert_eq!(stand(&stage.incident().await), ("hung", "simulated", "shadow"));
        assert_eq!(stage.writes(), Vec::<String>::new());
        let ledger = stage.store.ledger(jiff::Timestamp::UNIX_EPOCH).await.expect("reads");
        assert!(ledger.starts.is_empty(), "no limit counts what did not happen");
    }
}

#[tokio::test]
async fn beside_a_rule_in_shadow_the_live_one_does_as_it_would_alone() {
    let rules = restarts("watcher", "Hung", "T1", "mode: shadow\n  priority: 5")
        + &restarts("worker", "Hung", "T1", "");
    let stage = Stage::new(&rules).await;
    stage.fires("Hung", "api").await;
    let incidents = stage.incidents().await;
    let stands: Vec<_> = incidents.iter().map(stand).collect();
    assert_eq!(stands, [("watcher", "simulated", "shadow"), ("worker", "succeeded", "applied")]);
    assert_eq!(incidents[0].told_by.as_deref(), Some("worker"));
    assert!(incidents[0].destinations.is_empty(), "nobody is told of one alert twice");
    assert!(!incidents[1].destinations.is_empty());
    assert_eq!(stage.writes(), ["patch deployments api"]);
}

#[tokio::test]
async fn incidents_in_shadow_are_no_trouble_that_holds_live_rules_back() {
    let live = restarts("worker", "Hung", "T1", "");
    let rules = ["One", "Two", "Three"]
        .map(|name| restarts(&name.to_lowercase(), name, "T1", "mode: shadow\n  priority: 5"))
        .concat()
        + &live;
    let stage = Stage::new(&rules).await;
    for name in ["db", "queue", "cache"] {
        stage.cluster().put(crate::stage::deployment(name, "x:1")).expect("a deployment");
    }
    stage.pass(minutes(1)).await;
    stage.fires_together(&[("One", "db"), ("Two", "queue"), ("Three", "cache"), ("Hung", "api")]).await;
    let incidents = stage.incidents().await;
    let worker = incidents.iter().find(|one| one.rule == "worker").expect("it is open");
    assert_eq!(stand(worker), ("worker", "succeeded", "applied"));
    assert_eq!(stage.writes(), ["patch deployments api"]);
}

#[tokio::test]
async fn a_promoted_rule_acts_from_its_next_incident_on_and_not_in_the_one_that_runs() {
    let stage = Stage::new(&restarts("hung", "Hung", "T1", SHADOW)).await;
    stage.fires("Hung", "api").await;
    stage.change_rules(&restarts("hung", "Hung", "T1", ""));
    stage.fires("Hung", "web").await;
    stage.pass(minutes(10)).await;
    let incidents = stage.incidents().await;
    assert_eq!(stand(&incidents[0]), ("hung", "simulated", "shadow"), "it keeps its text");
    assert_eq!(stand(&incidents[1]), ("hung", "succeeded", "applied"), "another target is another incident");
    // It ends and begins again within the time in which the old incident would be opened again.
    stage.ends("Hung", "api").await;
    stage.pass(minutes(5)).await;
    stage.fires("Hung", "api").await;
    let incidents = stage.incidents().await;
    let stands: Vec<_> = incidents.iter().map(|one| (one.mode.as_str(), one.is_open())).collect();
    assert_eq!(stands, [("shadow", false), ("live", true), ("live", true)]);
}

#[tokio::test]
async fn a_rule_that_is_put_in_shadow_acts_in_no_incident_that_begins_or_begins_again() {
    let stage = Stage::new(&restarts("hung", "Hung", "T2", "")).await;
    stage.fires("Hung", "api").await;
    assert_eq!(stage.remedies().await, ["restart: awaiting_approval"]);
    stage.change_rules(&restarts("hung", "Hung", "T2", SHADOW));
    stage.ends("Hung", "api").await;
    stage.pass(minutes(5)).await;
    stage.fires("Hung", "api").await;
    let incidents = stage.incidents().await;
    assert_eq!(incidents.len(), 2, "the live incident is not opened again");
    assert_eq!(stand(&incidents[1]), ("hung", "simulated", "shadow"));
    assert_eq!(stage.writes(), Vec::<String>::new());
}
