//! One incident in all its states, for the tests of all notifiers.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::domain::Labels;
use crate::domain::action::{
    Action, ActionId, ActionPlan, ActionStatus, Repeatability, Step, Task, TaskItem, Tier,
};
use crate::domain::alert::{Alert, AlertRecord, AlertStatus};
use crate::domain::approval::{ApprovalRecord, Approvals, Verdict};
use crate::domain::correlate::{CorrelationKey, Target};
use crate::domain::decision::{Reason, Would};
use crate::domain::diagnosis::{ConditionOutcome, Finding, FindingStatus};
use crate::domain::escalation::{DueStep, EscalationState, EscalationStep};
use crate::domain::fingerprint::Fingerprint;
use crate::domain::incident::{
    Acknowledgement, AlertCounts, Incident, IncidentId, IncidentStatus, Opening, Phase, Resolution,
};
use crate::domain::notification::{Destination, DestinationState, MessageRef};
use crate::domain::people::{Actor, Role, Via};
use crate::domain::rule::{RuleHash, RuleMode};
use crate::domain::severity::Severity;
use crate::domain::timeline::LineKind;
use crate::engine::ports::{IncidentView, Sending};

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// When the incident of the stories started.
pub(crate) fn start() -> Timestamp {
    at("2026-11-21T14:02:31Z")
}

pub(crate) fn minutes(count: i64) -> Timestamp {
    start() + SignedDuration::from_mins(count)
}

/// The first try of a wish.
pub(crate) fn sending(key: &str) -> Sending<'_> {
    Sending { key, ..Sending::once(start()) }
}

pub(crate) fn mk_labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(crate) fn mk_actor(name: &str) -> Actor {
    Actor { name: name.to_owned(), via: Via::Slack, role: Role::Approver }
}

/// Just opened; evidence is being gathered.
pub(crate) fn opened() -> IncidentView {
    let labels = mk_labels(&[("alertname", "HighErrorRate"), ("namespace", "pss-nano"), ("service", "api")]);
    let mut incident = Incident::open(
        Opening {
            id: IncidentId("019a3f7c5d2e7b40a1c2d3e4f5061728".to_owned()),
            key: CorrelationKey("pss-nano-high-error-rate|Deployment/pss-nano/api".to_owned()),
            rule: "pss-nano-high-error-rate".to_owned(),
            rule_hash: RuleHash("ab12".to_owned()),
            mode: Default::default(),
            severity: Severity::P1,
            summary: "12.4 % of requests to pss-nano/api fail (limit 5 %)".to_owned(),
            runbook: Some("https://wiki.example.com/pss-nano#p1-high-error-rate".to_owned()),
            target: Some(Target {
                kind: "Deployment".to_owned(),
                namespace: "pss-nano".to_owned(),
                name: "api".to_owned(),
            }),
            labels: labels.clone(),
            annotations: Labels::new(),
        },
        start(),
    );
    incident.alerts = AlertCounts { firing: 3, resolved: 0 };
    incident.escalation = Some(EscalationState {
        policy: "pss-nano".to_owned(),
        hash: RuleHash("cd34".to_owned()),
        objectives: None,
        started_at: start(),
        next: Some(DueStep { due_at: minutes(15), step: EscalationStep::Level(1) }),
        reached: Some(0),
        deferred_until: None,
        used_up: false,
    });
    let record =
        AlertRecord { status: AlertStatus::Firing, starts_at: start(), ends_at: None, updated_at: start() };
    let alert = Alert {
        fingerprint: Fingerprint::of_labels(&labels),
        status: AlertStatus::Firing,
        labels,
        annotations: Labels::new(),
        starts_at: start(),
        ends_at: None,
        generator_url: Some("http://prometheus.monitoring:9090/graph?g0.expr=up&g0.tab=1".to_owned()),
    };
    IncidentView {
        incident,
        alerts: vec![(record, alert)],
        findings: Vec::new(),
        documents: Vec::new(),
        timeline: Vec::new(),
    }
}

pub(crate) fn mk_finding(name: &str, text: &str) -> Finding {
    Finding {
        name: name.to_owned(),
        kind: "prom.query".to_owned(),
        status: FindingStatus::Known,
        fields: Map::new(),
        text: text.to_owned(),
        chart: None,
        taken_at: minutes(1),
        duration_ms: 120,
    }
}

/// With evidence: two numbers, a log, and one diagnostic that could not answer.
pub(crate) fn diagnosed() -> IncidentView {
    let mut view = opened();
    let log: Vec<String> = (1..=9)
        .map(|n| {
            format!(
                "14:0{n}:07 ERROR could not get a connection from the connection pool (size 20, waiting {n})"
            )
        })
        .collect();
    let mut pool = mk_finding("pool", "");
    pool.fields = Map::from_iter([("in_use".to_owned(), json!(20)), ("size".to_owned(), json!(20))]);
    view.findings = vec![
        mk_finding("error_ratio", "12.4 % now, rising; 0.3 % an hour ago"),
        pool,
        mk_finding("logs", &log.join("\n")),
        Finding::unknown("database", "pg.query", "no answer within 3 s", minutes(1), 3_000),
    ];
    view.incident.phase = Phase::Deciding;
    view
}

pub(crate) fn mk_action(view: &IncidentView, status: ActionStatus, tier: Tier, reason: Reason) -> Action {
    let plan = mk_plan("Set MAX_DB_CONNECTIONS=50 on Deployment/pss-nano/api for 4 h");
    Action {
        id: ActionId(format!("{}-a{}", view.incident.id, view.incident.actions.len() + 1)),
        remedy: "raise-connection-pool".to_owned(),
        status,
        tier,
        digest: plan.digest(),
        plan,
        inverse: Some(mk_plan("Restore MAX_DB_CONNECTIONS=20 on Deployment/pss-nano/api")),
        step: Step::Apply,
        reason,
        condition: ConditionOutcome::Holds,
        guardrails: Vec::new(),
        approvals: Approvals::default(),
        verification: None,
        planned_at: minutes(1),
        surveyed_at: None,
        notes: Vec::new(),
        restores: None,
        temporary_until: None,
        beside: Vec::new(),
        put_off: 0,
        unclear: None,
        started_at: status.has_started().then(|| minutes(2)),
        ended_at: status.is_final().then(|| minutes(4)),
        outcome: None,
    }
}

pub(crate) fn mk_plan(summary: &str) -> ActionPlan {
    ActionPlan {
        kind: "k8s.set_env".to_owned(),
        params: json!({"vars": {"MAX_DB_CONNECTIONS": "50"}, "ttl": "4h", "container": "api"}),
        target: "Deployment/pss-nano/api".to_owned(),
        namespace: Some("pss-nano".to_owned()),
        summary: summary.to_owned(),
        repeatability: Repeatability::Idempotent,
        basis: None,
        ttl: None,
    }
}

fn with_action(phase: Phase, status: ActionStatus, reason: Reason) -> IncidentView {
    let mut view = diagnosed();
    view.incident.phase = phase;
    let action = mk_action(&view, status, Tier::T2, reason);
    view.incident.actions.push(action);
    view
}

fn note(view: &mut IncidentView, kind: LineKind, reason: &str, text: &str) {
    let line = view.incident.timeline.append(minutes(2), kind, &Actor::machine(), Some(reason), text);
    view.timeline.push(line);
}

/// One approval is wanted.
pub(crate) fn awaiting_approval() -> IncidentView {
    let mut view =
        with_action(Phase::AwaitingApproval, ActionStatus::AwaitingApproval, Reason::NeedsApproval(Tier::T2));
    view.incident.actions[0].approvals.expires_at = Some(minutes(16));
    view
}

/// Two approvals are wanted; one person has approved, and another has taken the incident.
pub(crate) fn awaiting_second_approval() -> IncidentView {
    let mut view = acknowledged(awaiting_approval(), mk_actor("slack:U0SAM"));
    let action = &mut view.incident.actions[0];
    action.tier = Tier::T3;
    action.reason = Reason::NeedsApproval(Tier::T3);
    action.inverse = None;
    action.approvals.records.push(ApprovalRecord {
        actor: mk_actor("una"),
        member: None,
        verdict: Verdict::Approve,
        at: minutes(3),
        reason: None,
    });
    view
}

pub(crate) fn acknowledged(mut view: IncidentView, actor: Actor) -> IncidentView {
    view.incident.status = IncidentStatus::Acknowledged;
    view.incident.acknowledged = Some(Acknowledgement { actor, at: minutes(3), expires_at: None });
    if let Some(escalation) = &mut view.incident.escalation {
        escalation.next = None;
    }
    view
}

/// The remedy is being carried out.
pub(crate) fn acting() -> IncidentView {
    let reason = Reason::Approved("una".to_owned());
    acknowledged(with_action(Phase::Acting, ActionStatus::Running, reason), mk_actor("una"))
}

/// The remedy was carried out and is being checked.
pub(crate) fn verifying() -> IncidentView {
    with_action(Phase::Verifying, ActionStatus::Verifying, Reason::Approved("una".to_owned()))
}

/// The remedy did not help and is being undone.
pub(crate) fn rolling_back() -> IncidentView {
    let why = "`findings.error_ratio.last < 0.05` does not hold".to_owned();
    let mut view = with_action(Phase::RollingBack, ActionStatus::Running, Reason::VerificationFailed(why));
    view.incident.actions[0].step = Step::Rollback;
    view
}

/// The remedy was undone, and nothing else applies.
pub(crate) fn handed_over() -> IncidentView {
    let why = "`findings.error_ratio.last < 0.05` does not hold".to_owned();
    let mut view = with_action(Phase::HandedOver, ActionStatus::RolledBack, Reason::RolledBack(why));
    let why = "raise-connection-pool: skip; it was tried in this incident before";
    note(&mut view, LineKind::Decision, "already_tried", why);
    let why = "restart-api: skip; its condition cannot be judged: `findings.database` is unknown";
    note(&mut view, LineKind::Decision, "condition_unknown", why);
    note(&mut view, LineKind::HandedOver, "handed_over", "people go on: no remedy applies");
    view
}

/// Dry run: what would have been done.
pub(crate) fn simulated() -> IncidentView {
    let mut view = with_action(Phase::HandedOver, ActionStatus::Simulated, Reason::DryRun(Tier::T2));
    let why = "people go on: dry run: it would have asked for approval (T2)";
    note(&mut view, LineKind::HandedOver, "handed_over", why);
    view
}

/// A rule in shadow: what would have been done, beside whoever does it.
pub(crate) fn in_shadow() -> IncidentView {
    let reason = Reason::Shadow(Would::Ask(Tier::T2));
    let mut view = with_action(Phase::HandedOver, ActionStatus::Simulated, reason.clone());
    view.incident.mode = RuleMode::Shadow;
    note(&mut view, LineKind::HandedOver, "handed_over", &format!("people go on: {reason}"));
    view
}

/// A checklist for people.
pub(crate) fn waiting_for_people() -> IncidentView {
    let mut view = with_action(Phase::Acting, ActionStatus::Running, Reason::DoneByPeople);
    let item = |text: &str, done: bool| TaskItem {
        text: text.to_owned(),
        done_by: done.then(|| "una".to_owned()),
        done_at: done.then(|| minutes(5)),
    };
    view.incident.actions[0].plan.summary = "Fail the database over by hand".to_owned();
    view.incident.tasks.push(Task {
        title: "Fail the database over".to_owned(),
        owner: Some("database team".to_owned()),
        items: vec![item("Check that the replica is in sync", true), item("Promote the replica", false)],
        due_at: Some(minutes(30)),
        action: Some(view.incident.actions[0].id.clone()),
    });
    view
}

/// It helped; the alerts have still to end.
pub(crate) fn watching() -> IncidentView {
    let mut view = with_action(Phase::Watching, ActionStatus::Succeeded, Reason::Verified);
    view.incident.alerts = AlertCounts { firing: 1, resolved: 2 };
    view
}

/// Over, because all alerts ended.
pub(crate) fn resolved() -> IncidentView {
    let mut view = watching();
    view.incident.alerts = AlertCounts { firing: 0, resolved: 3 };
    view.incident.status = IncidentStatus::Resolved;
    view.incident.phase = Phase::Closed;
    view.incident.resolved = Some(Resolution { actor: None, at: minutes(14) });
    if let Some(escalation) = &mut view.incident.escalation {
        escalation.next = None;
    }
    view
}

/// What a channel knows of the incident.
pub(crate) fn known_at(
    mut view: IncidentView,
    destination: Destination,
    message: Option<MessageRef>,
) -> IncidentView {
    let state = DestinationState { message, ..DestinationState::new(destination, 0) };
    view.incident.destinations.push(state);
    view
}

/// Every state with its name.
pub(crate) fn all() -> Vec<(&'static str, IncidentView)> {
    vec![
        ("opened", opened()),
        ("awaiting approval", awaiting_approval()),
        ("awaiting a second approval", awaiting_second_approval()),
        ("acting", acting()),
        ("verifying", verifying()),
        ("rolling back", rolling_back()),
        ("handed over", handed_over()),
        ("simulated", simulated()),
        ("waiting for people", waiting_for_people()),
        ("watching", watching()),
        ("resolved", resolved()),
    ]
}

/// All texts in a message's JSON that Slack or a browser would read, with their places.
pub(crate) fn texts(value: &Value) -> Vec<(String, String)> {
    fn walk(value: &Value, place: &str, found: &mut Vec<(String, String)>) {
        match value {
            Value::String(text) => found.push((place.to_owned(), text.clone())),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(n, item)| walk(item, &format!("{place}/{n}"), found));
            }
            Value::Object(fields) => {
                fields.iter().for_each(|(name, item)| walk(item, &format!("{place}/{name}"), found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(value, "", &mut found);
    found
}
