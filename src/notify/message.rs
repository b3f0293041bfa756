//! What is told where a message cannot be edited: mail, Teams, webhooks. One message for each thing that happens, the same
//! words everywhere.
//!
//! All texts are one line each, without anything hidden and without secrets; what shows them escapes them for its markup.

use super::words::{Words, as_it_is, cut_escaped};
use crate::domain::diagnosis::FindingStatus;
use crate::domain::incident::Incident;
use crate::domain::notification::Notice;
use crate::domain::redact::Redactor;
use crate::domain::scheduled::{CheckReport, ItemOutcome};
use crate::domain::severity::Severity;
use crate::engine::ports::IncidentView;

/// UTF-16 units of the headline: subjects are cut at about so many by whatever shows them.
const HEADLINE_UNITS_MAX: usize = 200;
/// UTF-16 units of one fact.
const FACT_UNITS_MAX: usize = 300;
/// UTF-16 units of one finding.
const FINDING_UNITS_MAX: usize = 500;
/// Findings of one message.
const FINDINGS_MAX: usize = 15;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// What happened: `trigger`, `acknowledge`, `resolve`, `change` or `report`.
    pub(super) event: &'static str,
    /// What is wrong and how it stands, on one line.
    pub(super) headline: String,
    /// Why this is told, such as the level's name.
    pub(super) note: Option<String>,
    /// What people ask first, with its name.
    pub(super) facts: Vec<(&'static str, String)>,
    /// What is known, with its name.
    pub(super) findings: Vec<(String, String)>,
    /// Where to look further.
    pub(super) page: Option<String>,
}

/// Why a notice leads to no message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoMessage {
    /// It is for destinations of another kind.
    NotForUs,
    /// It would call people for what is over.
    Over,
}

/// Reads what happened.
pub(super) fn message(
    notice: &Notice,
    view: &IncidentView,
    external_url: Option<&str>,
    redactor: &Redactor,
) -> Result<Message, NoMessage> {
    let incident = &view.incident;
    let words = Words::new(redactor);
    let line = |text: &str, units_max: usize| cut_escaped(&words.line(text), units_max, as_it_is);
    let (event, state, note) = match notice {
        Notice::Trigger { episode, .. } if *episode < incident.episode || !incident.is_open() => {
            return Err(NoMessage::Over);
        }
        Notice::Trigger { note, .. } => ("trigger", "not acknowledged".to_owned(), Some(note.as_str())),
        Notice::Acknowledge { .. } => {
            let by = incident.acknowledged.as_ref().map(|by| format!("acknowledged by {}", by.actor.name));
            ("acknowledge", by.unwrap_or_else(|| "acknowledged".to_owned()), None)
        }
        Notice::Resolve { .. } => ("resolve", "resolved".to_owned(), None),
        Notice::Change { summary, .. } => ("change", "changed".to_owned(), Some(summary.as_str())),
        Notice::Card
        | Notice::Reply { .. }
        | Notice::Call { .. }
        | Notice::Evidence
        | Notice::Charts
        | Notice::Confirm { .. }
        | Notice::Whisper { .. } => return Err(NoMessage::NotForUs),
    };
    let headline = format!("[{}] {}: {}", incident.severity, state, incident.summary);
    let findings = view.findings.iter().take(FINDINGS_MAX).map(|finding| {
        let text = match &finding.status {
            FindingStatus::Known => finding.text.clone(),
            FindingStatus::Unknown(why) => format!("unknown: {why}"),
        };
        (line(&finding.name, FACT_UNITS_MAX), line(&text, FINDING_UNITS_MAX))
    });
    Ok(Message {
        event,
        headline: line(&headline, HEADLINE_UNITS_MAX),
        note: note.map(|note| line(note, FACT_UNITS_MAX)),
        facts: facts(incident).into_iter().map(|(name, text)| (name, line(&text, FACT_UNITS_MAX))).collect(),
        findings: findings.filter(|(_, text)| !text.is_empty()).collect(),
        page: external_url.map(|url| format!("{}/incidents/{}", url.trim_end_matches('/'), incident.id)),
    })
}

/// What a scheduled check found, for whoever is told by messages.
pub(super) fn of_report(report: &CheckReport, redactor: &Redactor) -> Message {
    let words = Words::new(redactor);
    let line = |text: &str, units_max: usize| cut_escaped(&words.line(text), units_max, as_it_is);
    let headline = format!("[{}] {}: {}", report.verdict().as_str(), report.summary, report.in_short());
    let mut facts = vec![("Check", report.check.clone()), ("Ran", report.ran_at.to_string())];
    match &report.asked_by {
        Some(by) => facts.push(("Asked for by", by.clone())),
        None if report.is_late() => facts.push(("Late", format!("it was due {}", report.due_at))),
        None => {}
    }
    if report.missed > 0 {
        facts.push(("Missed", format!("{} more since", report.missed)));
    }
    facts.extend(report.next_at.map(|next| ("Next", next.to_string())));
    facts.extend(report.runbook.clone().map(|runbook| ("Runbook", runbook)));
    let findings = report.items.iter().map(|item| {
        let found = match &item.outcome {
            ItemOutcome::Unknown { why } => format!("unknown: {why}"),
            ItemOutcome::ForPeople { owner } => format!("to be looked at by {owner}"),
            judged => [judged.as_str(), item.text.as_str()].join(" ").trim().to_owned(),
        };
        (line(&item.title, FACT_UNITS_MAX), line(&found, FINDING_UNITS_MAX))
    });
    Message {
        event: "report",
        headline: line(&headline, HEADLINE_UNITS_MAX),
        note: None,
        facts: facts.into_iter().map(|(name, text)| (name, line(&text, FACT_UNITS_MAX))).collect(),
        findings: findings.collect(),
        page: None,
    }
}

fn facts(incident: &Incident) -> Vec<(&'static str, String)> {
    let counts = incident.alerts;
    let mut facts = vec![
        ("Since", incident.started_at.to_string()),
        ("Alerts", format!("{} firing, {} ended", counts.firing, counts.resolved)),
        ("Rule", incident.rule_in_words()),
    ];
    if let Some(target) = &incident.target {
        facts.push(("Target", target.to_string()));
    }
    match (&incident.taken_over, &incident.acknowledged) {
        (Some(by), _) => facts.push(("On it", format!("{}, by hand", by.actor.name))),
        (None, Some(by)) => facts.push(("On it", by.actor.name.clone())),
        (None, None) => facts.push(("On it", "nobody yet".to_owned())),
    }
    if let Some(next) = incident.next_escalation_at() {
        facts.push(("Escalates next", next.to_string()));
    }
    let state = incident.escalation.as_ref().filter(|_| incident.severity == Severity::P0);
    if let Some(back_by) = state.and_then(|state| state.back_by()) {
        facts.push(("Service back by", back_by.to_string()));
    }
    if let Some(runbook) = &incident.runbook {
        facts.push(("Runbook", runbook.clone()));
    }
    facts
}
