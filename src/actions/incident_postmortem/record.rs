//! The incident's record for programs: the same chapters as the document, as JSON with texts as they are stored.
//!
//! Names and forms are a contract; later versions only add. Nothing is left out for length: what the document has no room
//! for stands here.

use serde_json::{Value, json};

use super::chapters::{began_at, prevention, summary_in_words};
use crate::domain::action::{Action, Task};
use crate::domain::diagnosis::{Finding, FindingStatus};
use crate::domain::incident::Incident;
use crate::domain::timeline::TimelineLine;
use crate::engine::ports::IncidentView;

/// The whole record.
pub(super) fn write(title: &str, view: &IncidentView) -> Value {
    let incident = &view.incident;
    let plain = |text: &str| text.to_owned();
    json!({
        "version": 1,
        "title": title,
        "incident": head(incident),
        "summary": summary_in_words(view, &plain),
        "impact": impact(view),
        "rules": rules(view),
        "timeline": view.timeline.iter().map(entry).collect::<Vec<_>>(),
        "evidence": view.findings.iter().map(finding).collect::<Vec<_>>(),
        "decisions": incident.actions.iter().map(decision).collect::<Vec<_>>(),
        "tasks": incident.tasks.iter().map(task).collect::<Vec<_>>(),
        "prevention": prevention(view, &plain),
    })
}

fn head(incident: &Incident) -> Value {
    json!({
        "id": incident.id.0,
        "severity": incident.severity,
        "status": incident.status,
        "summary": incident.summary,
        "target": incident.target.as_ref().map(ToString::to_string),
        "runbook": incident.runbook,
        "labels": incident.labels,
        "alerts": incident.alerts.total(),
        "reopened_at": incident.reopened_at,
    })
}

fn impact(view: &IncidentView) -> Value {
    let incident = &view.incident;
    let began = began_at(view);
    let end = incident.resolved.as_ref();
    json!({
        "first_alert_at": began,
        "opened_at": incident.started_at,
        "acknowledged_at": incident.acknowledged.as_ref().map(|ack| ack.at),
        "acknowledged_by": incident.acknowledged.as_ref().map(|ack| ack.actor.to_string()),
        "resolved_at": end.map(|end| end.at),
        "resolved_by": end.and_then(|end| end.actor.as_ref()).map(ToString::to_string),
        "seconds_to_acknowledge":
            incident.acknowledged.as_ref().map(|ack| ack.at.duration_since(incident.started_at).as_secs()),
        "seconds_from_first_alert_to_end": end.map(|end| end.at.duration_since(began).as_secs()),
    })
}

/// What was in force: texts are found again by their digests.
fn rules(view: &IncidentView) -> Value {
    let incident = &view.incident;
    let alerts: std::collections::BTreeSet<&str> =
        view.alerts.iter().map(|(_, alert)| alert.name()).collect();
    json!({
        "rule": { "name": incident.rule, "digest": incident.rule_hash },
        "escalation": incident.escalation.as_ref().map(|state| json!({ "policy": state.policy, "digest": state.hash })),
        "alerts": alerts,
    })
}

fn entry(line: &TimelineLine) -> Value {
    json!({
        "at": line.at,
        "kind": line.kind,
        "actor": line.actor.to_string(),
        "reason": line.reason,
        "text": line.text,
    })
}

fn finding(finding: &Finding) -> Value {
    let unknown = match &finding.status {
        FindingStatus::Known => None,
        FindingStatus::Unknown(why) => Some(why),
    };
    json!({
        "name": finding.name,
        "kind": finding.kind,
        "taken_at": finding.taken_at,
        "unknown": unknown,
        "text": finding.text,
        "fields": finding.fields,
    })
}

fn decision(action: &Action) -> Value {
    let approvals = action.approvals.records.iter().map(|record| {
        json!({
            "verdict": record.verdict.past(),
            "by": record.actor.to_string(),
            "at": record.at,
            "reason": record.reason,
        })
    });
    json!({
        "id": action.id,
        "remedy": action.remedy,
        "tier": action.tier,
        "planned_at": action.planned_at,
        "plan": action.plan.summary,
        "target": action.plan.target,
        "status": action.status.as_str(),
        "reason": action.reason.to_string(),
        "approvals": approvals.collect::<Vec<_>>(),
        "outcome": action.outcome,
    })
}

fn task(task: &Task) -> Value {
    let items = task.items.iter().map(|item| json!({ "text": item.text, "done_at": item.done_at }));
    json!({ "title": task.title, "owner": task.owner, "items": items.collect::<Vec<_>>() })
}
