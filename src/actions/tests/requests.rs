//! Actions that ask the engine or people, and touch nothing.

use super::*;
use crate::domain::action::{Task, TaskItem};
use crate::domain::catalog::{Reference, Slot, SlotLanguage};
use crate::domain::notification::Destination;

fn mk_idle() -> Endpoint {
    mk_endpoint("http://127.0.0.1:9", Method::POST)
}

async fn ask(kind: &str, params: Value) -> (ActionPlan, ActionOutcome) {
    let plan = mk_plan(kind, params, &mk_idle()).expect("a plan");
    let outcome = act(&mk_actions(mk_idle()), &plan, None).await;
    (plan, outcome)
}

fn mk_task(title: &str, owner: Option<&str>, items: &[&str]) -> Task {
    let item = |text: &&str| TaskItem { text: (*text).to_owned(), done_by: None, done_at: None };
    Task {
        title: title.to_owned(),
        owner: owner.map(str::to_owned),
        items: items.iter().map(item).collect(),
        due_at: None,
        action: None,
    }
}

#[tokio::test]
async fn people_get_their_steps_and_a_time_limit() {
    let params =
        json!({"title": "Restore the backup", "owner": "dba", "steps": ["stop", "restore"], "within": "30m"});
    let (plan, outcome) = ask("human.task", params).await;
    let due_at = Some("2026-11-21T12:30:00Z".parse().expect("a time"));
    let task = Task { due_at, ..mk_task("Restore the backup", Some("dba"), &["stop", "restore"]) };
    assert_eq!(outcome, ActionOutcome::HandedToPeople { task });
    assert_eq!(
        (plan.summary.as_str(), plan.target.as_str()),
        ("ask people: Restore the backup", "the incident's own")
    );
    let (_, outcome) = ask("human.task", json!({"title": "Look", "steps": ["look"]})).await;
    assert_eq!(outcome, ActionOutcome::HandedToPeople { task: mk_task("Look", None, &["look"]) });
}

#[tokio::test]
async fn a_checklist_is_started_and_nothing_waits_for_it() {
    let (_, outcome) =
        ask("checklist.start", json!({"title": "After the fix", "items": ["watch", "tell"]})).await;
    let task = mk_task("After the fix", None, &["watch", "tell"]);
    assert_eq!(requests(outcome), [Request::StartTask { task }]);
}

#[tokio::test]
async fn people_are_told_where_the_rule_says() {
    let (plan, outcome) = ask("notify.slack", json!({"channel": "#ops", "text": "hello"})).await;
    let destination = Destination::Slack { channel: "#ops".to_owned() };
    assert_eq!(requests(outcome), [Request::Notify { destination, text: "hello".to_owned() }]);
    assert_eq!(plan.summary, "tell #ops in Slack");
    let (plan, outcome) = ask("notify.pagerduty", json!({"service": "pss", "text": "hello"})).await;
    let destination = Destination::PagerDuty { service: "pss".to_owned() };
    assert_eq!(requests(outcome), [Request::Notify { destination, text: "hello".to_owned() }]);
    assert_eq!(plan.summary, "tell pss in PagerDuty");
    let (_, outcome) = ask("escalate", json!({})).await;
    assert_eq!(requests(outcome), [Request::Escalate]);
}

#[tokio::test]
async fn secrets_and_endless_texts_do_not_reach_people() {
    let (_, outcome) = ask(
        "notify.slack",
        json!({"channel": "#ops", "text": format!("key {SECRET} {}", "é".repeat(9_000))}),
    )
    .await;
    let [Request::Notify { text, .. }] = &requests(outcome)[..] else { panic!("one notice") };
    assert!(text.starts_with("key [redacted]") && text.len() <= 4_000, "{}", text.len());
    let steps = json!([format!("use {SECRET}")]);
    let (_, outcome) = ask("human.task", json!({"title": SECRET, "owner": SECRET, "steps": steps})).await;
    let task = mk_task("[redacted]", Some("[redacted]"), &["use [redacted]"]);
    assert_eq!(outcome, ActionOutcome::HandedToPeople { task });
}

#[test]
fn labels_may_fill_texts_but_not_choose_whom_to_tell() {
    let checked = check("notify.slack", json!({"channel": "#ops", "text": "{{ labels.a }}"})).expect("good");
    assert_eq!(checked.slots, [Slot::new("/text", SlotLanguage::Text)]);
    assert_eq!(checked.references, [Reference::SlackChannel("#ops".to_owned())]);
    let checked = check("notify.pagerduty", json!({"service": "pss", "text": "x"})).expect("good");
    assert_eq!(checked.references, [Reference::PagerDutyService("pss".to_owned())]);
    let checked =
        check("human.task", json!({"title": "a", "owner": "b", "steps": ["c", "d"]})).expect("good");
    let pointers: Vec<_> = checked.slots.iter().map(|slot| slot.pointer.as_str()).collect();
    assert_eq!(pointers, ["/title", "/owner", "/steps/0", "/steps/1"]);
    for (kind, params, place) in [
        ("notify.slack", json!({"channel": "{{ labels.c }}", "text": "x"}), "/channel"),
        ("notify.slack", json!({"channel": "#ops", "text": " "}), "/text"),
        ("notify.pagerduty", json!({"service": "{{ labels.s }}", "text": "x"}), "/service"),
        ("human.task", json!({"title": "t", "steps": []}), "/steps"),
        ("human.task", json!({"title": "t", "steps": [""]}), "/steps/0"),
        ("human.task", json!({"title": "t", "steps": vec!["s"; 51]}), "/steps"),
        ("human.task", json!({"title": "t", "steps": ["s"], "within": "10s"}), "/within"),
        ("checklist.start", json!({"title": "x".repeat(300), "items": ["i"]}), "/title"),
    ] {
        assert_eq!(
            check(kind, params.clone()).map_err(|error| error.pointer),
            Err(place.to_owned()),
            "{params}"
        );
    }
}
