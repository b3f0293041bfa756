//! The JSON that scripts rely on.

use crate::domain::Labels;
use crate::domain::action::Action;
use crate::domain::alert::{Alert, AlertRecord};
use crate::domain::chart::Chart;
use crate::domain::diagnosis::{Finding, FindingStatus};
use crate::domain::guardrail::{GuardrailVerdict, Pause};
use crate::domain::incident::{Incident, IncidentStatus};
use crate::domain::rule::RuleMode;
use crate::domain::timeline::TimelineLine;
use crate::engine::ports::IncidentView;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// An incident in a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct IncidentSummary {
    /// Identity.
    pub id: String,
    /// `triggered`, `acknowledged` or `resolved`.
    pub status: String,
    /// What the machine is doing: `diagnosing`, `deciding`, `awaiting_approval`, `acting`, `verifying`,
    /// `rolling_back`, `watching`, `handed_over`, `closed`.
    pub phase: String,
    /// `P0` to `P3`.
    pub severity: String,
    /// Name of the rule.
    pub rule: String,
    /// `live`, or `shadow` for a rule that only records what it would do.
    #[serde(default)]
    #[schema(value_type = String)]
    pub mode: RuleMode,
    /// The live rule that tells people of its alerts, where this one is in shadow beside it.
    #[serde(default)]
    pub told_by: Option<String>,
    /// One line: what is wrong.
    pub summary: String,
    /// What it is about, as `kind/namespace/name`.
    pub target: Option<String>,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339; null while open.
    pub resolved_at: Option<String>,
    /// RFC 3339; null when nobody else will be told.
    pub next_escalation_at: Option<String>,
    /// Who took it; null while nobody has.
    pub acknowledged_by: Option<String>,
    /// RFC 3339; until when that counts. Null where it counts until the end.
    #[serde(default)]
    pub acknowledged_until: Option<String>,
    /// RFC 3339; until when telling people waits, as it is off hours. Null where it does not wait.
    #[serde(default)]
    pub deferred_until: Option<String>,
    /// Who goes on by hand, so that nothing more is tried; null while the machine may.
    pub taken_over_by: Option<String>,
    /// Who silenced its alerts from here; null while nobody has.
    #[serde(default)]
    pub silenced_by: Option<String>,
    /// RFC 3339; until when, null for one that stands until the incident is over.
    #[serde(default)]
    pub silenced_until: Option<String>,
    /// Alerts that fire and that Alertmanager keeps quiet, by a silence or because of another alert.
    #[serde(default)]
    pub alerts_suppressed: u32,
    /// Alerts that fire now.
    pub alerts_firing: u32,
    /// Alerts that belong to it.
    pub alerts_total: u32,
}

/// An incident with everything.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct IncidentDetail {
    /// What the list shows.
    #[serde(flatten)]
    pub summary: IncidentSummary,
    /// Labels of the alert that opened it.
    #[schema(value_type = BTreeMap<String, String>)]
    pub labels: Labels,
    /// Annotations of the alert that opened it.
    #[schema(value_type = BTreeMap<String, String>)]
    pub annotations: Labels,
    /// Link to the human document.
    pub runbook: Option<String>,
    /// Its alerts, oldest first, at most 500.
    pub alerts: Vec<AlertShape>,
    /// Evidence, newest of each name.
    pub findings: Vec<FindingShape>,
    /// Remedies that were judged or taken, in order.
    pub actions: Vec<ActionShape>,
    /// Lists of things for people to do.
    #[schema(value_type = Vec<Object>)]
    pub tasks: Value,
    /// Documents that stay with it, such as the post-incident record.
    pub documents: Vec<DocumentShape>,
    /// The audit trail, in order, chained by hashes.
    pub timeline: Vec<TimelineShape>,
}

/// An alert of an incident.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AlertShape {
    /// Identity.
    pub fingerprint: String,
    /// `firing` or `resolved`.
    pub status: String,
    /// Labels.
    #[schema(value_type = BTreeMap<String, String>)]
    pub labels: Labels,
    /// Annotations.
    #[schema(value_type = BTreeMap<String, String>)]
    pub annotations: Labels,
    /// RFC 3339.
    pub starts_at: String,
    /// RFC 3339; null while it fires.
    pub ends_at: Option<String>,
}

/// What a diagnostic found.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FindingShape {
    /// Name in the rule.
    pub name: String,
    /// Kind of the diagnostic.
    pub kind: String,
    /// `known` or `unknown`.
    pub status: String,
    /// Why it is unknown.
    pub reason: Option<String>,
    /// Typed fields.
    #[schema(value_type = Object)]
    pub fields: Map<String, Value>,
    /// For people.
    pub text: String,
    /// How values went, for a picture: `from` (RFC 3339), `step_ms`, `threshold`, and `lines` with `name` and `values`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub chart: Option<Box<Chart>>,
    /// RFC 3339.
    pub taken_at: String,
}

/// An action of an incident.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ActionShape {
    /// Identity; what `approve` and `reject` take.
    pub id: String,
    /// Remedy of the rule.
    pub remedy: String,
    /// `proposed`, `blocked`, `awaiting_approval`, `approved`, `rejected`, `expired`, `running`, `verifying`,
    /// `succeeded`, `failed`, `outcome_unknown`, `rolled_back`, `simulated`, `cancelled`.
    pub status: String,
    /// `T0` to `T3`.
    pub tier: String,
    /// Kind of the action.
    pub kind: String,
    /// What it does, for people.
    pub summary: String,
    /// What it acts on.
    pub target: String,
    /// Its values.
    #[schema(value_type = Object)]
    pub params: Value,
    /// Digest of the plan that an approval counts for.
    pub digest: String,
    /// Why it stands where it stands.
    pub reason: String,
    /// The same as one word.
    pub reason_code: String,
    /// What each guardrail said.
    #[schema(value_type = Vec<Object>)]
    pub guardrails: Vec<GuardrailVerdict>,
    /// Who decided, as `name: verdict`.
    pub approvals: Vec<String>,
    /// RFC 3339; when an outstanding approval expires.
    pub approval_expires_at: Option<String>,
    /// What people should know about the plan: why its tier was raised, who owns the object.
    #[serde(default)]
    pub notes: Vec<String>,
    /// RFC 3339; until when its change stands, for one that is in force for a limited time.
    #[serde(default)]
    pub temporary_until: Option<String>,
    /// What the last attempt answered.
    pub outcome: Option<String>,
    /// RFC 3339; when it first touched the world.
    pub started_at: Option<String>,
    /// RFC 3339; when it came to its end.
    pub ended_at: Option<String>,
}

/// A document of an incident.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DocumentShape {
    /// Title.
    pub title: String,
    /// Markdown.
    pub body: String,
}

/// A line of the audit trail.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TimelineShape {
    /// Position, from 1.
    pub seq: u64,
    /// RFC 3339.
    pub at: String,
    /// What it tells.
    pub kind: String,
    /// Who did it.
    pub actor: String,
    /// The stable word of the reason.
    pub reason: Option<String>,
    /// A sentence.
    pub text: String,
    /// Hash over this line and the one before, in hex.
    pub hash: String,
}

/// A pause in force.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PauseShape {
    /// The namespace it covers; null covers everything.
    pub namespace: Option<String>,
    /// Who set it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// RFC 3339.
    pub since: String,
}

impl From<&Incident> for IncidentSummary {
    fn from(incident: &Incident) -> Self {
        Self {
            id: incident.id.to_string(),
            status: incident.status.as_str().to_owned(),
            phase: incident.phase.as_str().to_owned(),
            severity: incident.severity.to_string(),
            rule: incident.rule.clone(),
            mode: incident.mode,
            told_by: incident.told_by.clone(),
            summary: incident.summary.clone(),
            target: incident.target.as_ref().map(ToString::to_string),
            started_at: incident.started_at.to_string(),
            resolved_at: incident.resolved.as_ref().map(|resolution| resolution.at.to_string()),
            next_escalation_at: incident.next_escalation_at().map(|at| at.to_string()),
            acknowledged_by: incident.acknowledged.as_ref().map(|by| by.actor.name.clone()),
            acknowledged_until: incident
                .acknowledged
                .as_ref()
                .filter(|_| incident.status == IncidentStatus::Acknowledged)
                .and_then(|by| by.expires_at)
                .map(|at| at.to_string()),
            deferred_until: incident.deferred_until().map(|at| at.to_string()),
            taken_over_by: incident.taken_over.as_ref().map(|by| by.actor.name.clone()),
            silenced_by: incident.silence.as_ref().map(|silence| silence.actor.name.clone()),
            silenced_until: incident.silence.as_ref().and_then(|it| it.until).map(|at| at.to_string()),
            alerts_suppressed: incident.suppressed.map_or(0, |quiet| quiet.silenced + quiet.inhibited),
            alerts_firing: incident.alerts.firing,
            alerts_total: incident.alerts.total(),
        }
    }
}

impl From<&IncidentView> for IncidentDetail {
    fn from(view: &IncidentView) -> Self {
        let incident = &view.incident;
        Self {
            summary: incident.into(),
            labels: incident.labels.clone(),
            annotations: incident.annotations.clone(),
            runbook: incident.runbook.clone(),
            alerts: view.alerts.iter().map(AlertShape::from).collect(),
            findings: view.findings.iter().map(FindingShape::from).collect(),
            actions: incident.actions.iter().map(ActionShape::from).collect(),
            tasks: serde_json::to_value(&incident.tasks).unwrap_or_default(),
            documents: view
                .documents
                .iter()
                .map(|document| DocumentShape { title: document.title.clone(), body: document.body.clone() })
                .collect(),
            timeline: view.timeline.iter().map(TimelineShape::from).collect(),
        }
    }
}

impl From<&(AlertRecord, Alert)> for AlertShape {
    fn from((record, alert): &(AlertRecord, Alert)) -> Self {
        Self {
            fingerprint: alert.fingerprint.to_string(),
            status: record.status.as_str().to_owned(),
            labels: alert.labels.clone(),
            annotations: alert.annotations.clone(),
            starts_at: record.starts_at.to_string(),
            ends_at: record.ends_at.map(|at| at.to_string()),
        }
    }
}

impl From<&Finding> for FindingShape {
    fn from(finding: &Finding) -> Self {
        let (status, reason) = match &finding.status {
            FindingStatus::Known => ("known", None),
            FindingStatus::Unknown(reason) => ("unknown", Some(reason.clone())),
        };
        Self {
            name: finding.name.clone(),
            kind: finding.kind.clone(),
            status: status.to_owned(),
            reason,
            fields: finding.fields.clone(),
            text: finding.text.clone(),
            chart: finding.chart.clone(),
            taken_at: finding.taken_at.to_string(),
        }
    }
}

impl From<&Action> for ActionShape {
    fn from(action: &Action) -> Self {
        Self {
            id: action.id.to_string(),
            remedy: action.remedy.clone(),
            status: action.status.as_str().to_owned(),
            tier: action.tier.to_string(),
            kind: action.plan.kind.clone(),
            summary: action.plan.summary.clone(),
            target: action.plan.target.clone(),
            params: action.plan.params.clone(),
            digest: action.digest.0.clone(),
            reason: action.reason.to_string(),
            reason_code: action.reason.word().to_owned(),
            guardrails: action.guardrails.clone(),
            approvals: action
                .approvals
                .records
                .iter()
                .map(|record| format!("{}: {}", record.actor.name, record.verdict.past()))
                .collect(),
            approval_expires_at: action.approvals.expires_at.map(|at| at.to_string()),
            notes: action.notes.clone(),
            temporary_until: action.temporary_until.map(|at| at.to_string()),
            outcome: action.outcome.clone(),
            started_at: action.started_at.map(|at| at.to_string()),
            ended_at: action.ended_at.map(|at| at.to_string()),
        }
    }
}

impl From<&TimelineLine> for TimelineShape {
    fn from(line: &TimelineLine) -> Self {
        Self {
            seq: line.seq,
            at: line.at.to_string(),
            kind: serde_json::to_value(line.kind)
                .ok()
                .and_then(|kind| kind.as_str().map(str::to_owned))
                .unwrap_or_default(),
            actor: line.actor.to_string(),
            reason: line.reason.clone(),
            text: line.text.clone(),
            hash: line.hash.clone(),
        }
    }
}

impl From<&Pause> for PauseShape {
    fn from(pause: &Pause) -> Self {
        Self {
            namespace: pause.namespace.clone(),
            by: pause.by.clone(),
            reason: pause.reason.clone(),
            since: pause.since.to_string(),
        }
    }
}
