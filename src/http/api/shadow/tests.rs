//! The report over a shelf of incidents: what is counted, what is suggested, and how much is read for it.

use super::*;
use crate::domain::Labels;
use crate::domain::action::{
    Action, ActionId, ActionPlan, ActionStatus, PlanDigest, Repeatability, Step, Tier,
};
use crate::domain::approval::{ApprovalRecord, Approvals, Verdict};
use crate::domain::correlate::{CorrelationKey, Target};
use crate::domain::decision::{Reason, Would};
use crate::domain::diagnosis::ConditionOutcome;
use crate::domain::guardrail::Pause;
use crate::domain::incident::{Incident, Opening, Resolution};
use crate::domain::people::{Actor, Role, Via};
use crate::domain::rule::{RuleHash, RuleMode};
use crate::domain::severity::Severity;
use crate::domain::temporary::TemporaryFix;
use crate::domain::timeline::{LineKind, TimelineLine};
use crate::engine::ports::{ChecksView, IncidentCounts, IncidentView, PastQuery, PortFuture, StoreError};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

const HOUR: i64 = 60;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + minute * 60).expect("in range")
}

/// An incident with its trail.
type Kept = (Incident, Vec<TimelineLine>);

fn mk_incident(serial: usize, rule: &str, mode: RuleMode, name: &str, from: i64) -> Incident {
    let target =
        Target { kind: "Deployment".to_owned(), namespace: "shop".to_owned(), name: name.to_owned() };
    let opening = Opening {
        id: IncidentId(format!("{serial:08}")),
        key: CorrelationKey::for_target(rule, &target),
        rule: rule.to_owned(),
        rule_hash: RuleHash(String::new()),
        mode,
        severity: Severity::P1,
        summary: String::new(),
        runbook: None,
        target: Some(target),
        labels: Labels::from([("alertname".to_owned(), format!("{rule}-{name}"))]),
        annotations: Labels::new(),
    };
    let mut incident = Incident::open(opening, at(from));
    incident.resolved = Some(Resolution { actor: None, at: at(from + 10) });
    incident.status = crate::domain::incident::IncidentStatus::Resolved;
    incident
}

fn mk_action(name: &str, status: ActionStatus, reason: Reason, minute: i64) -> Action {
    Action {
        id: ActionId("a".to_owned()),
        remedy: "restart".to_owned(),
        status,
        tier: Tier::T2,
        digest: PlanDigest(String::new()),
        plan: ActionPlan {
            kind: "k8s.rollout_restart".to_owned(),
            params: json!({}),
            target: format!("Deployment/shop/{name}"),
            namespace: Some("shop".to_owned()),
            summary: String::new(),
            repeatability: Repeatability::Idempotent,
            basis: None,
            ttl: None,
        },
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

/// One that would have asked, in the minute after it began.
fn mk_watched(serial: usize, name: &str, from: i64) -> Kept {
    let mut incident = mk_incident(serial, "watcher", RuleMode::Shadow, name, from);
    let reason = Reason::Shadow(Would::Ask(Tier::T2));
    let (line_at, text) = (at(from + 1), format!("restart: simulate; {reason}"));
    let line = incident.timeline.append(line_at, LineKind::Decision, &Actor::machine(), Some("shadow"), text);
    incident.actions.push(mk_action(name, ActionStatus::Simulated, reason, from + 1));
    (incident, vec![line])
}

/// One in which Ben approved the same, three minutes after it began.
fn mk_approved(serial: usize, name: &str, from: i64) -> Kept {
    let mut incident = mk_incident(serial, "worker", RuleMode::Live, name, from);
    let mut action = mk_action(name, ActionStatus::Succeeded, Reason::Applied, from + 3);
    let actor = Actor { name: "ben".to_owned(), via: Via::Slack, role: Role::Approver };
    let record =
        ApprovalRecord { actor, member: None, verdict: Verdict::Approve, at: at(from + 3), reason: None };
    action.approvals.records.push(record);
    incident.actions.push(action);
    (incident, Vec::new())
}

/// A store of these incidents, newest first.
struct Shelf {
    kept: Vec<Kept>,
    listed: AtomicUsize,
    opened: AtomicUsize,
}

impl Shelf {
    fn of(mut kept: Vec<Kept>) -> Self {
        kept.sort_by(|left, right| right.0.id.cmp(&left.0.id));
        Self { kept, listed: AtomicUsize::new(0), opened: AtomicUsize::new(0) }
    }
}

impl Reader for Shelf {
    fn incidents(&self, query: IncidentQuery) -> PortFuture<'_, Result<Vec<Incident>, StoreError>> {
        assert!(query.limit <= PART_MAX, "few stand in memory at one time");
        let all = self.kept.iter().map(|(incident, _)| incident);
        let rest = all.filter(|incident| query.after.as_ref().is_none_or(|after| incident.id < *after));
        let found: Vec<Incident> = rest.take(query.limit as usize).cloned().collect();
        self.listed.fetch_add(found.len(), Ordering::Relaxed);
        Box::pin(async move { Ok(found) })
    }
    fn incident(&self, id: &IncidentId) -> PortFuture<'_, Result<Option<IncidentView>, StoreError>> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let found = self.kept.iter().find(|(incident, _)| incident.id == *id).cloned();
        let view = |(incident, timeline)| IncidentView {
            incident,
            alerts: Vec::new(),
            findings: Vec::new(),
            documents: Vec::new(),
            timeline,
        };
        Box::pin(async move { Ok(found.map(view)) })
    }
    fn past(&self, _: PastQuery) -> PortFuture<'_, Result<Vec<Incident>, StoreError>> {
        unreachable!("the report reads lists")
    }
    fn counts(&self) -> PortFuture<'_, Result<IncidentCounts, StoreError>> {
        unreachable!("the report reads lists")
    }
    fn temporary_fixes(&self) -> PortFuture<'_, Result<Vec<TemporaryFix>, StoreError>> {
        unreachable!("the report reads lists")
    }
    fn checks(&self) -> PortFuture<'_, Result<ChecksView, StoreError>> {
        unreachable!("the report reads lists")
    }
    fn pauses(&self) -> PortFuture<'_, Result<Vec<Pause>, StoreError>> {
        unreachable!("the report reads lists")
    }
}

async fn reported(shelf: &Shelf, mode: RuleMode, since: i64) -> ShadowReport {
    let modes = BTreeMap::from([("watcher".to_owned(), mode), ("worker".to_owned(), RuleMode::Live)]);
    let tally = Tally::new(modes, None, at(since), at(1_000 * HOUR));
    let Ok(report) = gather(shelf, tally).await else { panic!("the shelf answers") };
    report
}

/// As many pairs of an incident in shadow and a live one beside it, an hour apart.
fn pairs(count: usize) -> Vec<Kept> {
    let pair = |n: usize| {
        let from = i64::try_from(n).expect("small") * HOUR;
        [mk_approved(2 * n, "api", from), mk_watched(2 * n + 1, "api", from)]
    };
    (0..count).flat_map(pair).collect()
}

#[tokio::test]
async fn agreement_over_enough_incidents_speaks_for_promotion_with_the_edit_as_text() {
    let report = reported(&Shelf::of(pairs(12)), RuleMode::Shadow, 0).await;
    let [rule] = report.rules.as_slice() else { panic!("one rule is in shadow: {report:?}") };
    let [remedy] = rule.remedies.as_slice() else { panic!("one remedy") };
    assert_eq!((rule.incidents, remedy.would_have_asked, remedy.would_have_run), (12, 12, 0));
    assert_eq!(remedy.agrees, BTreeMap::from([("same_approved".to_owned(), 12)]));
    assert_eq!((remedy.people_after_seconds, remedy.ended_after_seconds), (Some(120), Some(540)));
    assert!(rule.promote, "{:?}", rule.reasons);
    let edit = rule.edit.as_deref().expect("an edit");
    assert!(edit.contains("name: watcher") && edit.contains("+  mode: live"), "{edit}");
    assert!(report.words.contains_key("same_approved") && !report.limits.is_empty());
}

#[tokio::test]
async fn too_few_incidents_disagreement_and_guardrails_each_speak_against_it() {
    let few = reported(&Shelf::of(pairs(9)), RuleMode::Shadow, 0).await;
    assert!(!few.rules[0].promote && few.rules[0].edit.is_none());
    assert!(few.rules[0].reasons[0].contains("9 incidents, of 10 wanted"), "{:?}", few.rules[0].reasons);

    // Two of twenty are too many to differ in, as soon as there are three.
    let alone = |n: usize| mk_watched(100 + n, "web", i64::try_from(n).expect("small") * HOUR);
    let differing = |count| pairs(18).into_iter().chain((0..count).map(alone)).collect();
    let report = reported(&Shelf::of(differing(2)), RuleMode::Shadow, 0).await;
    assert!(report.rules[0].promote, "{:?}", report.rules[0]);
    let report = reported(&Shelf::of(differing(3)), RuleMode::Shadow, 0).await;
    assert_eq!(report.rules[0].remedies[0].disagrees, BTreeMap::from([("not_needed".to_owned(), 3)]));
    assert!(!report.rules[0].promote);
    assert!(report.rules[0].reasons[0].contains("3 of 21"), "{:?}", report.rules[0].reasons);

    let blocked = |n: usize| {
        let (mut incident, _) = mk_watched(200 + n, "db", i64::try_from(n).expect("small") * HOUR);
        incident.actions.clear();
        let text = "restart: block; too many";
        let head = &mut incident.timeline;
        let line = head.append(at(1), LineKind::Decision, &Actor::machine(), Some("correlation"), text);
        (incident, vec![line])
    };
    let kept = pairs(12).into_iter().chain((0..13).map(blocked)).collect();
    let report = reported(&Shelf::of(kept), RuleMode::Shadow, 0).await;
    let remedy = &report.rules[0].remedies[0];
    assert_eq!((remedy.blocked["correlation"], remedy.ended_first), (13, 13));
    assert!(report.rules[0].reasons[0].contains("mostly correlation"), "{:?}", report.rules[0].reasons);
}

#[tokio::test]
async fn what_would_run_alone_and_who_takes_the_same_alerts_is_said_before() {
    let mut kept = pairs(12);
    for (incident, _) in kept.iter_mut().filter(|(incident, _)| incident.mode.is_shadow()) {
        incident.told_by = Some("worker".to_owned());
        incident.actions[0].reason = Reason::Shadow(Would::Run(Tier::T1));
    }
    let report = reported(&Shelf::of(kept), RuleMode::Shadow, 0).await;
    let told = report.rules[0].reasons.join("\n");
    assert!(told.contains("`tier: T2` on it") && told.contains("worker answered the same alerts"), "{told}");
    assert_eq!(report.rules[0].beside["worker"], 12);
}

#[tokio::test]
async fn a_rule_that_is_live_or_gone_by_now_gets_no_suggestion() {
    let shelf = Shelf::of(pairs(12));
    let report = reported(&shelf, RuleMode::Live, 0).await;
    assert_eq!(report.rules[0].mode_now.as_deref(), Some("live"));
    assert!(!report.rules[0].promote && report.rules[0].reasons[0].contains("live already"));
    let tally = Tally::new(BTreeMap::new(), None, at(0), at(0));
    let Ok(report) = gather(&shelf, tally).await else { panic!("the shelf answers") };
    assert_eq!((report.rules[0].mode_now.as_deref(), report.rules[0].promote), (None, false));
}

#[tokio::test]
async fn only_as_much_is_read_as_the_time_asks_for() {
    // Three hundred pairs, an hour apart; the last day is wanted, and a day before it may be beside it.
    let shelf = Shelf::of(pairs(300));
    let report = reported(&shelf, RuleMode::Shadow, 276 * HOUR).await;
    assert_eq!(report.rules[0].incidents, 24);
    assert_eq!((report.read_from, shelf.opened.load(Ordering::Relaxed)), (None, 24));
    assert!(shelf.listed.load(Ordering::Relaxed) <= 200, "{:?}", shelf.listed);
    let report = reported(&shelf, RuleMode::Shadow, 0).await;
    assert_eq!(report.rules[0].remedies[0].agrees["same_approved"], 300, "pages have no seams");
}

#[tokio::test]
async fn a_flood_ends_the_report_and_the_report_says_from_when_it_is_whole() {
    let flood: Vec<Kept> =
        (0..WATCHED_MAX + 50).map(|n| mk_watched(n, "api", i64::try_from(n).expect("small"))).collect();
    let shelf = Shelf::of(flood);
    let report = reported(&shelf, RuleMode::Shadow, 0).await;
    assert_eq!(shelf.opened.load(Ordering::Relaxed), WATCHED_MAX);
    assert_eq!(report.read_from.as_deref(), Some(at(50).to_string().as_str()));
}
