//! One incident as a page for a terminal.

use std::fmt::Write;

use jiff::Timestamp;

use crate::cli::actions;
use crate::cli::ids;
use crate::cli::terminal::{Table, block, line};
use crate::cli::time::relative_text;
use crate::domain::action::Task;
use crate::http::api::shapes::{FindingShape, IncidentDetail};

/// What all parts of the page stand behind.
const INDENT: &str = "  ";

/// One line about an incident: who it is and where it stands.
pub(super) fn headline(incident: &IncidentDetail) -> String {
    let summary = &incident.summary;
    if let (Some(name), None) = (&summary.taken_over_by, &summary.resolved_at) {
        return format!("{} {}: taken over by {}", ids::short(&summary.id), line(&summary.rule), line(name));
    }
    let by = match &summary.acknowledged_by {
        Some(name) if summary.status == "acknowledged" => format!(" by {}", line(name)),
        _ => String::new(),
    };
    let silenced = silenced(incident).map(|text| format!(", silenced {text}")).unwrap_or_default();
    format!("{} {}: {}{by}{silenced}", ids::short(&summary.id), line(&summary.rule), line(&summary.status))
}

/// By whom and until when its alerts are silenced.
fn silenced(incident: &IncidentDetail) -> Option<String> {
    let by = incident.summary.silenced_by.as_ref()?;
    let until = incident.summary.silenced_until.as_deref().unwrap_or("it is resolved");
    Some(format!("by {} until {}", line(by), line(until)))
}

/// The whole page. Times are relative to `now`, except in the timeline, which is an audit trail.
pub(super) fn page(incident: &IncidentDetail, now: Timestamp) -> String {
    let mut page = String::new();
    head(&mut page, incident, now);
    alerts(&mut page, incident, now);
    findings(&mut page, &incident.findings);
    if !incident.actions.is_empty() {
        section(&mut page, "actions", &actions::table(incident.actions.iter(), now));
        for action in &incident.actions {
            let denials = action.guardrails.iter().filter(|verdict| !verdict.allowed);
            let denials: String = denials
                .map(|verdict| format!("{} denies: {}\n", verdict.guardrail.as_str(), line(&verdict.reason)))
                .collect();
            if !denials.is_empty() {
                section(&mut page, &format!("guardrails of {}", line(&action.remedy)), &denials);
            }
        }
    }
    tasks(&mut page, incident);
    for document in &incident.documents {
        section(&mut page, &format!("document: {}", line(&document.title)), &block(&document.body, ""));
    }
    timeline(&mut page, incident);
    page
}

fn section(page: &mut String, title: &str, body: &str) {
    put(page, format_args!("\n{title}\n{}", block(body, INDENT)));
}

fn put(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("writing to a string cannot fail");
}

fn head(page: &mut String, incident: &IncidentDetail, now: Timestamp) {
    let summary = &incident.summary;
    put(page, format_args!("{} {}: {}\n", summary.severity, line(&summary.rule), line(&summary.summary)));
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            put(page, format_args!("{INDENT}{name:<13}{}\n", line(value)));
        }
    };
    let when = |at: &Option<String>| {
        at.as_ref().map(|at| format!("{at} ({})", relative_text(at, now))).unwrap_or_default()
    };
    fact("id", &summary.id);
    fact("status", &summary.status);
    fact("phase", &summary.phase);
    if summary.mode.is_shadow() {
        let told = summary.told_by.as_ref().map(|rule| format!("; people are told by {rule}"));
        let text = "shadow: it says what it would do, nothing is carried out, and nobody is asked";
        fact("mode", &format!("{text}{}", told.unwrap_or_default()));
    }
    fact("target", summary.target.as_deref().unwrap_or_default());
    fact("started", &when(&Some(summary.started_at.clone())));
    fact("acknowledged", &summary.acknowledged_by.as_ref().map(|by| format!("by {by}")).unwrap_or_default());
    fact("silenced", &silenced(incident).unwrap_or_default());
    if summary.alerts_suppressed > 0 {
        fact("kept quiet", &format!("{} alerts, by Alertmanager", summary.alerts_suppressed));
    }
    fact("taken over", &summary.taken_over_by.as_ref().map(|by| format!("by {by}")).unwrap_or_default());
    fact("escalates", &when(&summary.next_escalation_at));
    fact("resolved", &when(&summary.resolved_at));
    fact("runbook", incident.runbook.as_deref().unwrap_or_default());
}

fn alerts(page: &mut String, incident: &IncidentDetail, now: Timestamp) {
    let summary = &incident.summary;
    let title = format!("alerts: {} of {} firing", summary.alerts_firing, summary.alerts_total);
    let mut table = Table::new(&["FINGERPRINT", "STATUS", "STARTED", "LABELS"]);
    for alert in &incident.alerts {
        let labels: Vec<String> =
            alert.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        table.row([
            alert.fingerprint.as_str(),
            &alert.status,
            &relative_text(&alert.starts_at, now),
            &labels.join(", "),
        ]);
    }
    section(page, &title, &table.show());
}

fn findings(page: &mut String, findings: &[FindingShape]) {
    if findings.is_empty() {
        return;
    }
    let mut text = String::new();
    for finding in findings {
        let known = match &finding.reason {
            Some(reason) => format!("{}: {}", finding.status, line(reason)),
            None => finding.status.clone(),
        };
        put(&mut text, format_args!("{} ({}) {known}\n", line(&finding.name), line(&finding.kind)));
        text.push_str(&block(&finding.text, INDENT));
    }
    section(page, "findings", &text);
}

fn tasks(page: &mut String, incident: &IncidentDetail) {
    // A newer service may tell more about tasks than this version knows; JSON output shows all of it.
    let Ok(tasks) = serde_json::from_value::<Vec<Task>>(incident.tasks.clone()) else { return };
    for task in tasks {
        let owner = task.owner.map(|owner| format!(" ({})", line(&owner))).unwrap_or_default();
        let items: String = task
            .items
            .iter()
            .map(|item| {
                let mark = if item.done_at.is_some() { "x" } else { " " };
                let by = item.done_by.as_ref().map(|by| format!(" ({by})")).unwrap_or_default();
                // What is quoted from findings has many lines.
                let text = block(&format!("{}{by}", item.text), "    ");
                format!("[{mark}] {}", text.trim_start())
            })
            .collect();
        section(page, &format!("task: {}{owner}", line(&task.title)), &items);
    }
}

fn timeline(page: &mut String, incident: &IncidentDetail) {
    let mut table = Table::new(&["TIME", "WHAT", "WHO", "TEXT"]);
    for entry in &incident.timeline {
        table.row([entry.at.as_str(), &entry.kind, &entry.actor, &entry.text]);
    }
    section(page, "timeline", &table.show());
}
