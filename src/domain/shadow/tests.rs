//! What incidents in shadow are compared with, as tables of single cases: none of it asks a store or a clock.

use super::*;
use crate::action::{ActionId, ActionPlan, PlanDigest, Repeatability, Step};
use crate::approval::{ApprovalRecord, Approvals};
use crate::correlate::CorrelationKey;
use crate::diagnosis::ConditionOutcome;
use crate::incident::{Acknowledgement, Opening, Resolution};
use crate::people::Role;
use crate::rule::RuleHash;
use crate::severity::Severity;
use crate::timeline::LineKind;
use serde_json::json;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + minute * 60).expect("in range")
}

fn una() -> Actor {
    Actor { name: "una".to_owned(), via: Via::Slack, role: Role::Approver }
}

fn mk_incident(rule: &str, mode: RuleMode, from: i64, to: Option<i64>) -> Incident {
    let target =
        Target { kind: "Deployment".to_owned(), namespace: "shop".to_owned(), name: "api".to_owned() };
    let opening = Opening {
        id: IncidentId(format!("i-{rule}")),
        key: CorrelationKey::for_target(rule, &target),
        rule: rule.to_owned(),
        rule_hash: RuleHash(String::new()),
        mode,
        severity: Severity::P1,
        summary: "errors".to_owned(),
        runbook: None,
        target: Some(target),
        labels: Labels::from([("alertname".to_owned(), rule.to_owned())]),
        annotations: Labels::new(),
    };
    let mut incident = Incident::open(opening, at(from));
    incident.resolved = to.map(|minute| Resolution { actor: None, at: at(minute) });
    incident
}

fn mk_action(kind: &str, status: ActionStatus, reason: Reason, minute: i64) -> Action {
    let plan = ActionPlan {
        kind: kind.to_owned(),
        params: json!({}),
        target: "Deployment/shop/api".to_owned(),
        namespace: Some("shop".to_owned()),
        summary: kind.to_owned(),
        repeatability: Repeatability::Idempotent,
        basis: None,
        ttl: None,
    };
    Action {
        id: ActionId("a".to_owned()),
        remedy: "restart".to_owned(),
        status,
        tier: Tier::T2,
        digest: PlanDigest(String::new()),
        plan,
        inverse: None,
        step: Step::Apply,
        reason,
        condition: ConditionOutcome::Holds,
        guardrails: Vec::new(),
        approvals: Approvals::default(),
        verification: None,
        planned_at: at(minute),
        surveyed_at: None,
        notes: Vec::new(),
        restores: None,
        temporary_until: None,
        beside: Vec::new(),
        put_off: 0,
        unclear: None,
        started_at: status.has_started().then(|| at(minute)),
        ended_at: None,
        outcome: None,
    }
}

/// An incident in shadow that would have asked in its second minute, with the line that says so.
fn mk_watched(to: Option<i64>) -> (Incident, Vec<TimelineLine>) {
    let mut incident = mk_incident("watcher", RuleMode::Shadow, 0, to);
    let reason = Reason::Shadow(Would::Ask(Tier::T2));
    let text = format!("restart: simulate; {reason}");
    let head = &mut incident.timeline;
    let line = head.append(at(2), LineKind::Decision, &Actor::machine(), Some("shadow"), text);
    incident.actions = vec![mk_action("k8s.rollout_restart", ActionStatus::Simulated, reason, 2)];
    (incident, vec![line])
}

fn mk_other(action: Option<Action>, from: i64) -> Incident {
    let mut incident = mk_incident("worker", RuleMode::Live, from, None);
    incident.actions.extend(action);
    incident
}

fn approved(mut action: Action, verdict: Verdict, minute: i64) -> Action {
    let record = ApprovalRecord { actor: una(), member: None, verdict, at: at(minute), reason: None };
    action.approvals.records.push(record);
    action
}

fn answer(to: Option<i64>, other: Option<Incident>) -> Answer {
    let (incident, lines) = mk_watched(to);
    let other = other.map(|other| Other::of(&other));
    let beside: Vec<&Other> = other.iter().filter(|other| other.is_beside(&incident)).collect();
    let moment = courses(&incident, &lines).remove(0).moment.expect("it has its moment");
    Reality::of(&incident, &lines, &beside).answer(&moment)
}

#[test]
fn what_a_remedy_came_to_is_read_from_its_incident() {
    let (mut incident, mut lines) = mk_watched(None);
    for (decision, word) in [("block", "rate_target"), ("skip", "condition_fails"), ("skip", "already_tried")]
    {
        let text = format!("scale: {decision}; why");
        let head = &mut incident.timeline;
        lines.push(head.append(at(3), LineKind::Decision, &Actor::machine(), Some(word), text));
    }
    let text = "on-resolve-1: simulate; in shadow".to_owned();
    let head = &mut incident.timeline;
    lines.push(head.append(at(4), LineKind::Decision, &Actor::machine(), Some("shadow"), text));
    let all = courses(&incident, &lines);
    assert_eq!(all.iter().map(|course| course.remedy.as_str()).collect::<Vec<_>>(), ["restart", "scale"]);
    let moment = all[0].moment.as_ref().expect("a moment");
    assert_eq!((moment.at, moment.would), (at(2), Would::Ask(Tier::T2)));
    assert_eq!(all[1].moment, None);
    assert_eq!(all[1].blocked, BTreeSet::from(["rate_target".to_owned()]));
    assert_eq!(all[1].skipped, BTreeSet::from(["condition_fails".to_owned()]));
}

#[test]
fn the_same_on_the_same_target_is_agreement_and_anything_else_there_is_none() {
    let restart = |status| mk_action("k8s.rollout_restart", status, Reason::Applied, 4);
    let alone = restart(ActionStatus::Succeeded);
    assert_eq!(answer(Some(10), Some(mk_other(Some(alone.clone()), 1))), Answer::SameAlone);
    let asked = approved(alone, Verdict::Approve, 4);
    assert_eq!(answer(Some(10), Some(mk_other(Some(asked), 1))), Answer::SameApproved);
    let refused = approved(restart(ActionStatus::Rejected), Verdict::Reject, 4);
    assert_eq!(answer(Some(10), Some(mk_other(Some(refused), 1))), Answer::Refused);
    let scaled = mk_action("k8s.scale", ActionStatus::Succeeded, Reason::Applied, 4);
    assert_eq!(answer(Some(10), Some(mk_other(Some(scaled), 1))), Answer::Another);
}

#[test]
fn what_happened_elsewhere_or_at_another_time_does_not_count() {
    let restart = mk_action("k8s.rollout_restart", ActionStatus::Succeeded, Reason::Applied, 4);
    let mut elsewhere = mk_other(Some(restart.clone()), 1);
    elsewhere.target = None;
    elsewhere.actions[0].plan.target = "Deployment/shop/web".to_owned();
    assert_eq!(answer(Some(10), Some(elsewhere)), Answer::NotNeeded);
    // The same incident, and something else was restarted.
    let mut other_object = mk_other(Some(restart.clone()), 1);
    other_object.actions[0].plan.target = "Deployment/shop/web".to_owned();
    assert_eq!(answer(Some(10), Some(other_object)), Answer::NotNeeded);
    let mut before = mk_other(Some(restart), -90);
    before.resolved = Some(Resolution { actor: None, at: at(-60) });
    before.actions[0].started_at = Some(at(-80));
    assert!(!Other::of(&before).is_beside(&mk_watched(Some(10)).0), "it was over by then");
    assert_eq!(answer(Some(10), Some(before)), Answer::NotNeeded);
}

#[test]
fn without_a_deed_it_depends_on_people_and_on_how_long_it_went_on() {
    assert_eq!(answer(None, None), Answer::Open);
    assert_eq!(answer(Some(17), None), Answer::NotNeeded);
    assert_eq!(answer(Some(18), None), Answer::WentOn);
    let mut taken = mk_other(None, 1);
    taken.acknowledged = Some(Acknowledgement { actor: una(), at: at(3), expires_at: None });
    assert_eq!(answer(Some(10), Some(taken)), Answer::ByHand);
    // An observing action is nothing that was done.
    let mut told = mk_action("notify.slack", ActionStatus::Succeeded, Reason::Applied, 4);
    told.tier = Tier::T0;
    assert_eq!(answer(Some(10), Some(mk_other(Some(told), 1))), Answer::NotNeeded);
}

#[test]
fn what_people_say_in_the_incident_itself_counts_and_the_machine_is_nobody() {
    let (mut incident, mut lines) = mk_watched(Some(10));
    let moment = courses(&incident, &lines).remove(0).moment.expect("a moment");
    assert!(Reality::of(&incident, &lines, &[]).ended_by_itself());
    let head = &mut incident.timeline;
    lines.push(head.append(at(5), LineKind::Acknowledged, &una(), Some("acknowledged"), "una"));
    let reality = Reality::of(&incident, &lines, &[]);
    assert_eq!(reality.answer(&moment), Answer::ByHand);
    assert_eq!((reality.people_after(&moment), reality.ended_after(&moment)), (Some(180), Some(480)));
    assert!(!reality.ended_by_itself());
}

#[test]
fn every_answer_has_a_word_and_a_meaning_of_its_own() {
    let words: BTreeSet<&str> = Answer::ALL.iter().map(|one| one.as_str()).collect();
    let meanings: BTreeSet<&str> = Answer::ALL.iter().map(|one| one.meaning()).collect();
    assert_eq!((words.len(), meanings.len()), (Answer::ALL.len(), Answer::ALL.len()));
}
