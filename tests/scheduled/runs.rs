//! When checks run, what they report, and what red items lead to.

use crate::house::House;
use jiff::SignedDuration;
use serde_json::json;
use smokejumper::domain::incident::IncidentStatus;
use smokejumper::domain::scheduled::{CheckReport, ItemOutcome};
use smokejumper::engine::ports::Delivered;

const RULES: &str = r##"
apiVersion: smokejumper.dev/v1
kind: ScheduledCheck
metadata: { name: morning }
spec:
  procedures: [P27]
  summary: Morning check of the shop
  schedule: "0 9 * * 1-5"
  timeZone: Europe/Berlin
  labels: { namespace: shop }
  report: [{ slack: { channel: "#shop" } }]
  items:
    - { name: pods, title: All pods run, k8s.pods: { namespace: "{{ labels.namespace }}", selector: app=api }, expect: findings.pods.ready == 3, severity: P1 }
    - { name: ratio, title: Few errors, prom.query: { expr: 'errors:ratio{namespace="{{ labels.namespace }}"}' }, expect: findings.ratio.value < 0.05 }
    - { name: notes, title: Read the notes of the night, owner: on-call }
---
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: morning-pods }
spec:
  matchers: ['alertname="ScheduledCheckFailed"', 'check="morning"', 'item="pods"']
  severity: "{{ labels.severity }}"
  groupBy: [check, item]
"##;

/// A Friday morning in winter.
const BEFORE: &str = "2026-11-20T07:00:00Z";
const NINE: &str = "2026-11-20T08:00:00Z";
const MONDAY: &str = "2026-11-23T08:00:00Z";

fn good() -> serde_json::Value {
    json!({ "pods": { "ready": 3, "text": "3 of 3 ready" }, "ratio": { "value": 0.01 } })
}

fn words(report: &CheckReport) -> Vec<&str> {
    report.items.iter().map(|item| item.outcome.as_str()).collect()
}

#[tokio::test]
async fn a_check_runs_at_its_moments_by_the_local_clock_and_reports_once() {
    let house = House::under(RULES, BEFORE).await;
    house.find(good());
    house.settle().await;
    assert_eq!(house.planned().await, [format!("morning {NINE}")]);
    house.at("2026-11-20T07:59:59Z").await;
    assert_eq!(house.reports(), []);
    house.at(NINE).await;
    let reports = house.reports();
    assert_eq!(reports.iter().map(words).collect::<Vec<_>>(), [["green", "green", "for_people"]]);
    assert_eq!(reports[0].in_short(), "2 green, 1 for people");
    assert_eq!(reports[0].next_at, Some(MONDAY.parse().expect("a time")), "not on a weekend");
    house.pass(SignedDuration::from_hours(2)).await;
    assert_eq!(house.reports(), []);
    assert_eq!(house.planned().await, [format!("morning {MONDAY}")]);
    assert!(house.incidents().await.is_empty());
}

#[tokio::test]
async fn a_red_item_is_an_alert_that_rules_match_and_that_ends_with_the_next_green_run() {
    let house = House::under(RULES, BEFORE).await;
    house.find(json!({ "pods": { "ready": 2, "text": "2 of 3 ready" }, "ratio": { "value": 0.5 } }));
    house.settle().await;
    house.at(NINE).await;
    assert_eq!(words(&house.reports()[0]), ["red", "red", "for_people"]);
    let incidents = house.incidents().await;
    let mut named: Vec<(&str, &str)> =
        incidents.iter().map(|incident| (incident.rule.as_str(), incident.severity.as_str())).collect();
    named.sort_unstable();
    assert_eq!(named, [("(smokejumper)", "P2"), ("morning-pods", "P1")], "one for each red item");
    let summaries: Vec<&str> = incidents.iter().map(|incident| incident.summary.as_str()).collect();
    assert!(
        summaries.iter().any(|text| text.contains("All pods run") && text.contains("2 of 3 ready")),
        "{summaries:?}"
    );

    // What nobody can tell ends nothing; what is green does.
    house.find(json!({ "pods": "unknown", "ratio": { "value": 0.01 } }));
    house.at(MONDAY).await;
    let report = house.reports().remove(0);
    assert_eq!(words(&report), ["unknown", "green", "for_people"]);
    let open = || async {
        let all = house.incidents().await;
        let open = all.into_iter().filter(|incident| incident.status != IncidentStatus::Resolved);
        open.map(|incident| incident.rule).collect::<Vec<_>>()
    };
    assert_eq!(open().await, ["morning-pods"]);
    house.find(good());
    house.asks("morning", "una").await;
    assert_eq!(house.reports()[0].asked_by.as_deref(), Some("una"));
    assert!(open().await.is_empty());
}

#[tokio::test]
async fn what_cannot_be_had_or_judged_is_unknown_and_never_green() {
    let house = House::under(RULES, BEFORE).await;
    house.find(json!({ "pods": { "unknown": "the cluster does not answer" }, "ratio": { "value": "high" } }));
    house.settle().await;
    house.at(NINE).await;
    let report = house.reports().remove(0);
    assert_eq!(words(&report), ["unknown", "unknown", "for_people"]);
    let ItemOutcome::Unknown { why } = &report.items[0].outcome else { panic!("{report:?}") };
    assert_eq!(why, "the cluster does not answer");
    assert_eq!(report.verdict().as_str(), "unknown");
    assert!(house.incidents().await.is_empty());
}

#[tokio::test]
async fn a_run_that_nobody_was_there_for_comes_once_and_late() {
    let mut house = House::under(&RULES.replace("0 9 * * 1-5", "0 * * * *"), BEFORE).await;
    house.find(good());
    house.settle().await;
    house.is_killed_and_starts_at("2026-11-20T11:30:00Z").await;
    let reports = house.reports();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(reports[0].is_late());
    assert_eq!((reports[0].due_at.to_string().as_str(), reports[0].missed), (NINE, 3));
    assert_eq!(house.planned().await, ["morning 2026-11-20T12:00:00Z"]);
    house.at("2026-11-20T12:00:00Z").await;
    let next = house.reports().remove(0);
    assert!(!next.is_late() && next.missed == 0, "{next:?}");
}

#[tokio::test]
async fn a_restart_neither_loses_nor_doubles_a_run() {
    let mut house = House::under(RULES, BEFORE).await;
    house.find(good());
    house.settle().await;
    house.is_killed_and_starts_at("2026-11-20T07:30:00Z").await;
    assert_eq!(house.planned().await, [format!("morning {NINE}")]);
    house.at(NINE).await;
    assert_eq!(house.reports().len(), 1);
    house.is_killed_and_starts_at("2026-11-20T08:00:10Z").await;
    assert_eq!((house.reports().len(), house.planned().await), (0, vec![format!("morning {MONDAY}")]));
}

#[tokio::test]
async fn of_several_replicas_one_runs_it() {
    let house = House::under(RULES, BEFORE).await;
    house.find(good());
    let other = house.another();
    let (one, two) = tokio::join!(house.process.executor.look_at_checks(), other.executor.look_at_checks());
    one.and(two).expect("planned");
    assert_eq!(house.planned().await.len(), 1);
    house.clock.set(NINE.parse().expect("a time"));
    let (one, two) = tokio::join!(house.process.work(), other.work());
    one.and(two).expect("worked");
    house.settle().await;
    assert_eq!(house.reports().len(), 1);
}

#[tokio::test]
async fn rules_that_change_move_the_next_run_and_end_the_alerts_of_what_is_gone() {
    let house = House::under(RULES, BEFORE).await;
    house.find(json!({ "pods": { "ready": 2 }, "ratio": { "value": 0.5 } }));
    house.settle().await;
    house.rules(&RULES.replace("0 9 * * 1-5", "30 9 * * *"));
    house.settle().await;
    assert_eq!(house.planned().await, ["morning 2026-11-20T08:30:00Z"]);
    house.at("2026-11-20T08:30:00Z").await;
    assert_eq!(house.reports().len(), 1);
    // One item goes, then all of it.
    let without: String =
        RULES.lines().filter(|line| !line.contains("name: ratio")).collect::<Vec<_>>().join("\n");
    house.rules(&without);
    house.settle().await;
    house.settle().await;
    let standing = || async {
        let all = house.incidents().await;
        all.into_iter().filter(|incident| incident.status != IncidentStatus::Resolved).count()
    };
    assert_eq!(standing().await, 1);
    house.rules(RULES.split_once("---").expect("two documents").1);
    house.settle().await;
    house.settle().await;
    assert_eq!((standing().await, house.planned().await.len()), (0, 0));
}

#[tokio::test]
async fn a_place_that_does_not_listen_is_told_again_and_holds_up_nobody() {
    let rules = RULES.replace("report: [", "report: [{ email: { to: una@example.com } }, ");
    let house = House::under(&rules, BEFORE).await;
    house.find(good());
    house.settle().await;
    let later = Delivered::Later { wait: None, reason: "down".to_owned(), failed: true };
    house.ears.refusing.lock().expect("not poisoned").insert("email:una@example.com".to_owned(), later);
    house.at(NINE).await;
    assert_eq!(house.reports().len(), 1);
    house.ears.refusing.lock().expect("not poisoned").clear();
    house.pass(SignedDuration::from_mins(2)).await;
    assert_eq!(house.reports().len(), 1);
    house.pass(SignedDuration::from_mins(30)).await;
    assert_eq!(house.reports(), []);
}
