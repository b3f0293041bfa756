//! An incident gets worse: an alert joins it that its rule grades higher than the one that opened it.
//!
//! What began as a warning must not wait for the morning, or end with one message, once it is critical. So the incident
//! takes the worst severity that any of its alerts had, and never a milder one again.

use super::Facts;
use super::draft::Draft;
use super::telling;
use crate::effect::Wake;
use crate::incident::IncidentStatus;
use crate::severity::Severity;
use crate::timeline::LineKind;

pub(super) fn worsened(draft: &mut Draft, severity: Severity, title: &str, facts: &Facts<'_>) {
    let before = draft.incident.severity;
    if severity >= before {
        return;
    }
    draft.incident.severity = severity;
    let text = format!("it is {severity} from now on, and was {before}: {title} fires");
    draft.line(LineKind::Alert, Some("worsened"), text.clone());
    draft.visible();
    // Whoever tells of its alerts says how bad they are.
    if draft.incident.told_by.is_some() {
        return;
    }
    let policy_is_another = follow_policy(draft, facts);
    match draft.incident.status {
        // Whoever opens it again tells of it.
        IncidentStatus::Resolved => {}
        // Somebody has it, and hears that it is more than they took.
        IncidentStatus::Acknowledged => telling::page(draft, &text, facts),
        IncidentStatus::Triggered if policy_is_another || !before.is_urgent() => begin_anew(draft, facts),
        // Whoever is told by the same policy is told already, and the next level keeps its time.
        IncidentStatus::Triggered => telling::page(draft, &text, facts),
    }
}

/// From now on the incident keeps to the policy for its severity. True where that is another one.
fn follow_policy(draft: &mut Draft, facts: &Facts<'_>) -> bool {
    let Some(policy) = facts.policy else { return false };
    let Some(state) = &mut draft.incident.escalation else { return true };
    let hash = facts.policy_hash.cloned().unwrap_or_else(|| policy.hash());
    if state.hash == hash {
        return false;
    }
    state.policy.clone_from(&policy.name);
    state.hash = hash;
    // Which levels were told is said of those of the other policy.
    state.reached = None;
    true
}

/// The path begins at its first level: what was told of a mild incident called nobody as urgently.
fn begin_anew(draft: &mut Draft, facts: &Facts<'_>) {
    draft.cancel_wake(&Wake::Escalate);
    let known = draft.pagerduty_destinations();
    telling::page_those_who_had_it(draft, &known);
    telling::begin_escalation(draft, facts);
}
