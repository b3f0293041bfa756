//! Messages that arrive, and messages that do not: then the next destination hears instead.

use super::Facts;
use super::draft::Draft;
use super::telling::open_at;
use crate::incident::IncidentStatus;
use crate::notification::{Destination, MessageRef, Notice};
use crate::timeline::LineKind;
use jiff::{SignedDuration, Timestamp};

/// How long after a page it is looked whether it stands there: PagerDuty shows it within seconds, and an on-call engineer
/// has five minutes to react.
const CONFIRM_AFTER: SignedDuration = SignedDuration::from_mins(3);

/// A notice reached its destination.
pub(super) fn sent(
    draft: &mut Draft,
    destination: &Destination,
    notice: &Notice,
    message: Option<MessageRef>,
    shown_version: u64,
) {
    // An answer to one person says nothing of whether the channel hears.
    if matches!(notice, Notice::Whisper { .. }) {
        return;
    }
    draft.changed = true;
    let visible_version = draft.incident.visible_version;
    let Some(state) = draft.incident.destinations.iter_mut().find(|state| &state.destination == destination)
    else {
        return;
    };
    let recovered = state.failure.take().is_some();
    state.replaced = false;
    let mut first_card = false;
    if *notice == Notice::Card {
        state.card_waits = false;
        state.shown_version = state.shown_version.max(shown_version);
        first_card = state.message.is_none() && message.is_some();
        if message.is_some() {
            state.message = message;
        }
        if visible_version > shown_version {
            draft.notify(destination, Notice::Card);
        }
    }
    if let Notice::Trigger { episode, .. } = notice {
        confirm_later(draft, destination, *episode);
    }
    if first_card || recovered || notice.is_told_in_the_trail() {
        draft.line(LineKind::Notification, Some("sent"), format!("{} reached {destination}", notice.kind()));
    }
}

/// PagerDuty answers before it does anything with a page, so once an episode it is looked whether it did.
fn confirm_later(draft: &mut Draft, destination: &Destination, episode: u32) {
    let incident = &mut draft.incident;
    let is_wanted = incident.severity.is_urgent()
        && incident.status == IncidentStatus::Triggered
        && incident.episode == episode
        && matches!(destination, Destination::PagerDuty { .. });
    let state = incident.destinations.iter_mut().find(|state| &state.destination == destination);
    let Some(state) = state.filter(|state| is_wanted && state.confirms != Some(episode)) else { return };
    state.confirms = Some(episode);
    let due_at = draft.now.checked_add(CONFIRM_AFTER).unwrap_or(Timestamp::MAX);
    draft.confirm_at(due_at, destination, episode);
}

/// A notice cannot be delivered, or takes too long: the next destination hears instead.
pub(super) fn failed(
    draft: &mut Draft,
    destination: &Destination,
    notice: Notice,
    error: String,
    given_up: bool,
    facts: &Facts<'_>,
) {
    if matches!(notice, Notice::Whisper { .. }) {
        return;
    }
    let word = if given_up { "given_up" } else { "delayed" };
    let text = match &notice {
        Notice::Confirm { .. } => format!("{destination} lost the page: {error}"),
        other => format!("{} did not reach {destination}: {error}", other.kind()),
    };
    draft.line(LineKind::Notification, Some(word), text);
    let untold = draft.incident.is_untold_without(destination, &notice);
    let mut is_replaced = false;
    if let Some(state) =
        draft.incident.destinations.iter_mut().find(|state| &state.destination == destination)
    {
        is_replaced = state.replaced;
        state.replaced |= untold;
        state.failure = Some(error);
        if given_up && notice == Notice::Card {
            state.card_waits = false;
        }
    }
    // Edits, acknowledgements and resolves tell people nothing that they must act on, whoever has taken the incident
    // is enough, and who was replaced before is replaced still.
    if !untold || is_replaced {
        return;
    }
    match next_destination(draft, destination, facts) {
        Some(next) => {
            draft.line(LineKind::Notification, Some("rerouted"), format!("{next} is told instead"));
            open_at(draft, &next, &format!("instead of {destination}"), &[]);
        }
        None => {
            draft.line(LineKind::Notification, Some("unreachable"), "no destination is left to tell instead")
        }
    }
}

fn next_destination(draft: &Draft, failed: &Destination, facts: &Facts<'_>) -> Option<Destination> {
    let policy = facts.policy.map_or(&[][..], |policy| policy.fallback.as_slice());
    policy
        .iter()
        .chain(facts.fallback_destinations)
        .find(|candidate| {
            let state = draft.incident.destination(candidate);
            *candidate != failed && state.is_none_or(|state| state.episode < draft.incident.episode)
        })
        .cloned()
}
