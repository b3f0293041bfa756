//! What waits: mild incidents for the morning, and everybody for whoever has acknowledged.

use super::Facts;
use super::draft::{Draft, Told};
use super::silencing;
use super::telling::{self, Manner};
use crate::effect::Wake;
use crate::escalation::{DueStep, EscalationStep};
use crate::incident::IncidentStatus;
use crate::notification::{Destination, Notice};
use crate::timeline::LineKind;
use jiff::Timestamp;

/// Whoever had it has it no longer, and it goes on: the path begins at its first level again.
pub(super) fn begin_again(draft: &mut Draft, facts: &Facts<'_>) {
    draft.incident.status = IncidentStatus::Triggered;
    draft.incident.acknowledged = None;
    let known = draft.pagerduty_destinations();
    telling::page_those_who_had_it(draft, &known);
    let text = "it fires still, and nobody has it any more: the escalation begins again";
    draft.line(LineKind::Escalation, Some("begun_again"), text);
    telling::begin_escalation(draft, facts);
}

/// Nobody has come back to what they acknowledged: the level that was told last hears again, and those above it keep
/// their distance.
pub(super) fn acknowledgement_expired(draft: &mut Draft, facts: &Facts<'_>) {
    if draft.incident.status != IncidentStatus::Acknowledged {
        return;
    }
    let by = draft.incident.acknowledged.as_ref().map_or("somebody", |taken| taken.actor.name.as_str());
    let note = format!("the acknowledgement of {by} has expired");
    draft.line(LineKind::Escalation, Some("acknowledgement_expired"), note.clone());
    draft.incident.status = IncidentStatus::Triggered;
    draft.incident.acknowledged = None;
    draft.visible();
    let Some(state) = &draft.incident.escalation else { return };
    let last = state.reached.unwrap_or(0);
    telling::begin_again_at(draft, last, facts);
    let manner = Manner { by_hand: false, note: Some(&note) };
    telling::reach_after(draft, EscalationStep::Level(last), manner, facts, telling::page_those_who_had_it);
}

/// The next step is not where it must be: it is set anew, for when it is due. Without a policy there is nothing to go by.
pub(super) fn step_missing(draft: &mut Draft, facts: &Facts<'_>) {
    let now = draft.now;
    match draft.incident.status {
        IncidentStatus::Triggered if facts.policy.is_some() => {
            let Some(state) = &mut draft.incident.escalation else { return };
            let above = state.reached.map_or(0, |index| index + 1);
            let next = *state.next.get_or_insert(DueStep { due_at: now, step: EscalationStep::Level(above) });
            draft.wake_at(next.due_at.max(now), Wake::Escalate);
        }
        IncidentStatus::Acknowledged => {
            let expires_at = draft.incident.acknowledged.as_ref().and_then(|taken| taken.expires_at);
            match (expires_at, &draft.incident.silence) {
                (None, None) => return,
                (Some(expires_at), _) => draft.wake_at(expires_at.max(now), Wake::AcknowledgementExpires),
                (None, Some(_)) => silencing::look_later(draft),
            }
        }
        _ => return,
    }
    let text = "the audit did not find the next step of the escalation: it is set anew";
    draft.line(LineKind::Escalation, Some("step_set_anew"), text);
    draft.visible();
}

/// Lets a step of a mild incident wait until people are at work. Later ones keep their distance.
pub(super) fn postpone(draft: &mut Draft, step: EscalationStep, until: Timestamp) {
    let wait = until.duration_since(draft.now);
    if let Some(state) = &mut draft.incident.escalation {
        state.started_at = state.started_at.checked_add(wait).unwrap_or(state.started_at);
        state.next = Some(DueStep { due_at: until, step });
        state.deferred_until = Some(until);
    }
    draft.line(LineKind::Escalation, Some("deferred"), format!("off hours: people are told at {until}"));
    draft.wake_at(until, Wake::Escalate);
    draft.visible();
}

/// Shows a deferred incident to whoever looks at the channels, and calls nobody: those of its first level, or else those
/// that are told by default.
pub(super) fn show_quietly(draft: &mut Draft, facts: &Facts<'_>) {
    let is_channel = |destination: &&Destination| matches!(destination, Destination::Slack { .. });
    let first = facts.policy.and_then(|policy| policy.levels.first());
    let mut channels: Vec<Destination> =
        first.iter().flat_map(|level| &level.destinations).filter(is_channel).cloned().collect();
    if channels.is_empty() {
        channels = facts.default_destinations.iter().filter(is_channel).cloned().collect();
    }
    for channel in &channels {
        draft.notify(channel, Notice::Card);
    }
    if !channels.is_empty() {
        let name = "shown quietly, as it is off hours".to_owned();
        draft.told.push(Told { name, destinations: channels, on_call: Vec::new(), skipped: Vec::new() });
    }
}
