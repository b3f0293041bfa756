//! What a step did, in the log: the few lines of the trail that an operator wants to find there.
//!
//! The trail itself is whole and in the store. A line goes out after its commit, so that the log never tells of what
//! did not happen.

use crate::domain::timeline::{LineKind, TimelineLine};
use crate::engine::ports::{Commit, IncidentWrite};

/// One line for the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    message: &'static str,
    is_trouble: bool,
    incident: String,
    rule: String,
    severity: &'static str,
    reason: Option<String>,
    text: String,
}

/// The lines of a commit that are worth one in the log.
pub(super) fn entries(commit: &Commit) -> Vec<Entry> {
    let of_write = |write: &IncidentWrite| -> Vec<Entry> {
        write.lines.iter().filter_map(|line| entry(write, line)).collect()
    };
    commit.incidents.iter().flat_map(of_write).collect()
}

fn entry(write: &IncidentWrite, line: &TimelineLine) -> Option<Entry> {
    let reason = line.reason.as_deref();
    let (message, is_trouble) = match line.kind {
        LineKind::Opened => ("an incident was opened", false),
        LineKind::Reopened => ("an incident was opened again", false),
        LineKind::Acknowledged => ("an incident was acknowledged", false),
        LineKind::Resolved => ("an incident was resolved", false),
        LineKind::Intent => ("an action is about to start", false),
        LineKind::Outcome => ("an action has ended", false),
        LineKind::HandedOver => ("automation stops here and people go on", false),
        LineKind::Notification if reason != Some("sent") => ("a message does not arrive", true),
        // A flood of alerts must not become a flood of lines.
        LineKind::Alert
        | LineKind::Diagnosis
        | LineKind::Decision
        | LineKind::Approval
        | LineKind::Verification
        | LineKind::Escalation
        | LineKind::Notification
        | LineKind::Task => return None,
    };
    Some(Entry {
        message,
        is_trouble,
        incident: write.incident.id.0.clone(),
        rule: write.incident.rule.clone(),
        severity: write.incident.severity.as_str(),
        reason: line.reason.clone(),
        text: line.text.clone(),
    })
}

/// Writes them.
pub(super) fn log(entries: Vec<Entry>) {
    for entry in entries {
        let Entry { message, is_trouble, incident, rule, severity, reason, text } = entry;
        let reason = reason.unwrap_or_default();
        if is_trouble {
            tracing::warn!(
                incident.id = incident,
                incident.severity = severity,
                rule.name = rule,
                reason,
                text,
                "{message}"
            );
        } else {
            tracing::info!(
                incident.id = incident,
                incident.severity = severity,
                rule.name = rule,
                reason,
                text,
                "{message}"
            );
        }
    }
}
