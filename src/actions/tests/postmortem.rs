//! `incident.postmortem`: the whole record of a small incident, and hostile and endless ones.

use jiff::SignedDuration;

use super::*;
use crate::domain::Labels;
use crate::domain::action::{Action, ActionId, ActionStatus, Repeatability, Task, TaskItem, Tier};
use crate::domain::alert::{Alert, AlertRecord, AlertStatus};
use crate::domain::approval::{ApprovalRecord, Approvals, Verdict};
use crate::domain::correlate::{CorrelationKey, Target};
use crate::domain::decision::Reason;
use crate::domain::diagnosis::{ConditionOutcome, Finding, FindingStatus};
use crate::domain::fingerprint::Fingerprint;
use crate::domain::incident::{
    Acknowledgement, AlertCounts, Incident, IncidentId, IncidentStatus, Opening, Resolution,
};
use crate::domain::people::{Actor, Role, Via};
use crate::domain::rule::RuleHash;
use crate::domain::severity::Severity;
use crate::domain::timeline::LineKind;

fn minutes(count: i64) -> Timestamp {
    mk_now() + SignedDuration::from_mins(count)
}

fn mk_una() -> Actor {
    Actor { name: "una".to_owned(), via: Via::Slack, role: Role::Approver }
}

/// Opened at noon, over after 42 minutes, with `summary` as the text from outside.
fn mk_view(summary: &str) -> IncidentView {
    let labels = Labels::from([("alertname".to_owned(), "HighErrorRate".to_owned())]);
    let mut incident = Incident::open(
        Opening {
            id: IncidentId("019a3f7c".to_owned()),
            key: CorrelationKey("errors|api".to_owned()),
            rule: "errors".to_owned(),
            rule_hash: RuleHash("ab12".to_owned()),
            mode: Default::default(),
            severity: Severity::P1,
            summary: summary.to_owned(),
            runbook: None,
            target: Some(Target {
                kind: "Deployment".to_owned(),
                namespace: "prod".to_owned(),
                name: "api".to_owned(),
            }),
            labels: labels.clone(),
            annotations: Labels::new(),
        },
        mk_now(),
    );
    incident.status = IncidentStatus::Resolved;
    incident.alerts = AlertCounts { firing: 0, resolved: 2 };
    incident.acknowledged = Some(Acknowledgement { actor: mk_una(), at: minutes(3), expires_at: None });
    incident.resolved = Some(Resolution { actor: None, at: minutes(42) });
    let timeline =
        vec![incident.timeline.append(mk_now(), LineKind::Opened, &Actor::machine(), None, summary)];
    let record = AlertRecord {
        status: AlertStatus::Resolved,
        starts_at: minutes(-1),
        ends_at: Some(minutes(42)),
        updated_at: minutes(42),
    };
    let alert = Alert {
        fingerprint: Fingerprint::of_labels(&labels),
        status: AlertStatus::Resolved,
        labels,
        annotations: Labels::new(),
        starts_at: minutes(-1),
        ends_at: Some(minutes(42)),
        generator_url: None,
    };
    IncidentView {
        incident,
        alerts: vec![(record, alert)],
        findings: Vec::new(),
        documents: Vec::new(),
        timeline,
    }
}

fn mk_action(status: ActionStatus, reason: Reason) -> Action {
    let plan = ActionPlan {
        kind: "http.call".to_owned(),
        params: json!({}),
        target: "endpoint:waf".to_owned(),
        namespace: None,
        summary: "POST waf /enable".to_owned(),
        repeatability: Repeatability::AtMostOnce,
        basis: None,
        ttl: None,
    };
    let record = ApprovalRecord {
        actor: mk_una(),
        member: None,
        verdict: Verdict::Approve,
        at: minutes(5),
        reason: Some("clear case".to_owned()),
    };
    Action {
        id: ActionId("019a3f7c-a1".to_owned()),
        remedy: "limit-rate".to_owned(),
        status,
        tier: Tier::T2,
        digest: plan.digest(),
        plan,
        inverse: None,
        step: Step::Apply,
        reason,
        condition: ConditionOutcome::Holds,
        guardrails: Vec::new(),
        approvals: Approvals { expires_at: None, records: vec![record] },
        verification: None,
        planned_at: minutes(4),
        surveyed_at: None,
        notes: Vec::new(),
        restores: None,
        temporary_until: None,
        beside: Vec::new(),
        put_off: 0,
        unclear: None,
        started_at: Some(minutes(5)),
        ended_at: Some(minutes(6)),
        outcome: Some("HTTP 200 in 12 ms".to_owned()),
    }
}

fn mk_finding(text: &str) -> Finding {
    Finding {
        name: "error_ratio".to_owned(),
        kind: "prom.query".to_owned(),
        status: FindingStatus::Known,
        fields: Default::default(),
        text: text.to_owned(),
        chart: None,
        taken_at: minutes(1),
        duration_ms: 12,
    }
}

async fn write(params: Value, view: IncidentView) -> (String, String) {
    let endpoint = mk_endpoint("http://127.0.0.1:9", Method::POST);
    let plan = mk_plan("incident.postmortem", params, &endpoint).expect("a plan");
    let asked = requests(act(&mk_actions(endpoint), &plan, Some(view)).await);
    let [Request::KeepDocument { title, body }] = &asked[..] else { panic!("one document: {asked:?}") };
    (title.clone(), body.clone())
}

#[tokio::test]
async fn the_record_tells_the_whole_story_and_always_the_same() {
    let mut view = mk_view("12 % of requests fail");
    view.findings = vec![
        mk_finding("12 % now"),
        Finding::unknown("logs", "http.json", "no answer within 3 s", minutes(1), 3_000),
    ];
    view.incident.actions = vec![
        mk_action(ActionStatus::RolledBack, Reason::RolledBack("still 12 %".to_owned())),
        mk_action(ActionStatus::Succeeded, Reason::Verified),
    ];
    let item = |text: &str, done_at| TaskItem { text: text.to_owned(), done_by: None, done_at };
    view.incident.tasks = vec![Task {
        title: "Look after it".to_owned(),
        owner: Some("team-api".to_owned()),
        items: vec![item("watch", Some(minutes(30))), item("tell", None)],
        due_at: None,
        action: None,
    }];
    let (title, body) = write(json!({}), view.clone()).await;
    assert_eq!(title, "Incident record: 12 % of requests fail");
    insta::assert_snapshot!(body);
    assert_eq!(write(json!({}), view).await.1, body);
}

#[tokio::test]
async fn hostile_labels_cannot_format_link_or_break_out() {
    let hostile = format!("1. ](http://e)<script>|x| `a` ![i](y)\n# head\n```\n@here {SECRET}");
    let mut view = mk_view(&hostile);
    view.findings = vec![mk_finding("line\n```\n# not a head\n````"), mk_finding(&hostile)];
    let (title, body) = write(json!({"title": hostile}), view).await;
    assert!(!title.contains('\n'), "{title}");
    let fenced = body.split("## Evidence").nth(1).expect("a chapter");
    assert!(fenced.contains("`````text\nline\n```\n# not a head\n````\n`````"), "{fenced}");
    let outside = body.split("## Evidence").next().expect("the chapters before");
    for line in outside.lines() {
        assert!(!line.starts_with("1.") && !line.contains("<script>"), "{line}");
        assert!(!line.replace(r"\]", "").contains("](") && !line.replace(r"\`", "").contains('`'), "{line}");
    }
    assert_eq!(outside.lines().filter(|line| line.starts_with("# ")).count(), 1, "{outside}");
}

#[tokio::test]
async fn an_endless_incident_gives_a_document_of_bounded_length() {
    let mut view = mk_view(&"x".repeat(50_000));
    let mut head = view.incident.timeline.clone();
    for _ in 0..5_000 {
        view.timeline.push(head.append(mk_now(), LineKind::Alert, &mk_una(), None, "ä|".repeat(900)));
    }
    view.findings = (0..100).map(|_| mk_finding(&"`".repeat(8_000))).collect();
    view.incident.actions =
        (0..500).map(|_| mk_action(ActionStatus::Failed, Reason::NotApplied("y".repeat(2_000)))).collect();
    let (title, body) = write(json!({}), view).await;
    assert!(title.len() < 300 && body.len() < 200_000, "{} {}", title.len(), body.len());
    assert!(
        body.contains("4921 lines left out") && body.trim_end().ends_with("Share this record with the team.")
    );
}

#[tokio::test]
async fn without_the_incident_there_is_no_record() {
    let endpoint = mk_endpoint("http://127.0.0.1:9", Method::POST);
    let plan = mk_plan("incident.postmortem", json!({}), &endpoint).expect("a plan");
    let outcome = act(&mk_actions(endpoint), &plan, None).await;
    assert_eq!(outcome, ActionOutcome::NotApplied { reason: "the incident could not be read".to_owned() });
}

#[test]
fn the_record_for_programs_has_the_same_chapters_with_texts_as_they_are_stored() {
    let mut view = mk_view("12 % of <requests> fail");
    view.findings =
        vec![mk_finding("12 % now"), Finding::unknown("logs", "http.json", "no answer", minutes(1), 3)];
    view.incident.actions =
        vec![mk_action(ActionStatus::RolledBack, Reason::RolledBack("still 12 %".to_owned()))];
    let record = crate::actions::record_of(&view);
    assert_eq!(record["title"], "Incident record: 12 % of <requests> fail");
    assert_eq!(record["incident"]["summary"], "12 % of <requests> fail");
    assert_eq!(record["impact"]["seconds_to_acknowledge"], 180);
    assert_eq!(record["impact"]["seconds_from_first_alert_to_end"], 43 * 60);
    assert_eq!(record["rules"]["rule"], json!({ "name": "errors", "digest": "ab12" }));
    assert_eq!(record["rules"]["alerts"], json!(["HighErrorRate"]));
    assert_eq!(record["timeline"].as_array().map(Vec::len), Some(1));
    assert_eq!(record["evidence"][1]["unknown"], "no answer");
    assert_eq!(record["decisions"][0]["reason"], Reason::RolledBack("still 12 %".to_owned()).to_string());
    assert_eq!(record["decisions"][0]["approvals"][0]["by"], mk_una().to_string());
    let items: Vec<&str> =
        record["prevention"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert!(items.contains(&"Correct or remove the remedy limit-rate: it did not help here."), "{items:?}");
    let document = record["markdown"].as_str().expect("a document");
    assert!(
        document.starts_with("# Incident record: 12 % of") && document.contains("## Rules that took part")
    );
}
