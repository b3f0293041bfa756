//! The state in a few words of our own, and what is wrong in the rule's.

use jiff::{SignedDuration, Timestamp};

use super::{SUMMARY_UNITS_MAX, TEXT_UNITS_MAX};
use crate::domain::action::{ActionStatus, Tier};
use crate::domain::decision::Reason;
use crate::domain::incident::{Incident, IncidentStatus, Phase};
use crate::domain::severity::Severity;
use crate::engine::ports::IncidentView;
use crate::notify::slack::blocks::HEADER_UNITS_MAX;
use crate::notify::slack::markup::Scribe;
use crate::notify::words::units;

/// What everybody must know who reads the card of a rule in shadow: whatever stands below, the work is theirs.
const IN_SHADOW: &str =
    "\n*This rule is in shadow.* It says what it would do: nothing is carried out, and nobody is asked.";

/// The large line. Nothing in it comes from outside, so nothing from outside can look like it.
pub(super) fn header(incident: &Incident) -> String {
    let shadow = if incident.mode.is_shadow() { "In shadow · " } else { "" };
    let line = format!("{} {} · {shadow}{}", sign(incident), incident.severity, state(incident));
    debug_assert!(units(&line) <= HEADER_UNITS_MAX);
    line
}

/// What is wrong, and with what.
pub(super) fn summary(view: &IncidentView, scribe: Scribe<'_>) -> String {
    let incident = &view.incident;
    let mut text = format!("*{}*", scribe.prose(&incident.summary, SUMMARY_UNITS_MAX));
    let target = incident.target.as_ref().map(|target| scribe.code(&target.to_string(), 250));
    let rule = format!("rule {}", scribe.code(&incident.rule, 150));
    let parts: Vec<String> = target.into_iter().chain([rule]).collect();
    text.push_str(&format!("\n{}", parts.join(" · ")));
    if incident.mode.is_shadow() {
        text.push_str(IN_SHADOW);
    }
    text
}

/// One line for notifications.
pub(super) fn notification(view: &IncidentView, scribe: Scribe<'_>) -> String {
    let incident = &view.incident;
    let head = header(incident);
    let room = SUMMARY_UNITS_MAX.min(TEXT_UNITS_MAX - units(&head) - 2);
    format!("{head}: {}", scribe.prose(&incident.summary, room))
}

fn sign(incident: &Incident) -> &'static str {
    match (incident.status, incident.severity) {
        (IncidentStatus::Resolved, _) => "✅",
        (_, Severity::P0) => "🔴",
        (_, Severity::P1) => "🟠",
        (_, Severity::P2) => "🟡",
        (_, Severity::P3) => "🔵",
    }
}

fn state(incident: &Incident) -> String {
    if let Some(resolution) = &incident.resolved {
        return format!("Resolved after {}", span(incident.started_at, resolution.at));
    }
    let words = match incident.phase {
        Phase::Diagnosing => "Gathering evidence",
        Phase::Deciding => "Deciding what to do",
        Phase::AwaitingApproval => return approvals_wanted(incident).to_owned(),
        Phase::Acting if waits_for_people(incident) => "Waiting for people",
        Phase::Acting => "Applying a remedy",
        Phase::Verifying => "Checking whether it helped",
        Phase::RollingBack => "Undoing a remedy that did not help",
        Phase::Watching if last_reason(incident) == Some(&Reason::Verified) => {
            "Remedy helped, alerts still to end"
        }
        Phase::Watching => "Remedy applied, alerts still to end",
        Phase::HandedOver if incident.mode.is_shadow() => "Over to people",
        Phase::HandedOver if last_status(incident) == Some(ActionStatus::Simulated) => {
            "Dry run: over to people"
        }
        Phase::HandedOver => "Over to people",
        Phase::Closed => "Resolved",
    };
    words.to_owned()
}

fn approvals_wanted(incident: &Incident) -> &'static str {
    match incident.current_action() {
        Some(action) if action.tier == Tier::T3 && action.approvals.records.is_empty() => {
            "Two approvals needed"
        }
        Some(action) if action.tier == Tier::T3 => "One more approval needed",
        _ => "Approval needed",
    }
}

fn waits_for_people(incident: &Incident) -> bool {
    incident.current_action().is_some_and(|action| {
        incident.tasks.iter().any(|task| task.action.as_ref() == Some(&action.id) && !task.is_done())
    })
}

fn last_status(incident: &Incident) -> Option<ActionStatus> {
    incident.actions.last().map(|action| action.status)
}

fn last_reason(incident: &Incident) -> Option<&Reason> {
    incident.actions.last().map(|action| &action.reason)
}

/// How long it took, in the two largest units. A clock that went backwards counts as no time.
pub(super) fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).max(SignedDuration::ZERO).as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_naturally_and_are_never_negative() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let start = at("2026-11-21T14:00:00Z");
        let cases = [
            ("2026-11-21T14:00:42Z", "42 s"),
            ("2026-11-21T14:14:59Z", "14 min"),
            ("2026-11-21T16:05:00Z", "2 h 5 min"),
            ("2026-11-24T17:00:00Z", "3 d 3 h"),
            ("2026-11-21T13:00:00Z", "0 s"),
        ];
        for (end, expected) in cases {
            assert_eq!(span(start, at(end)), expected);
        }
    }
}
