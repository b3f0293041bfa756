//! What people say: I have it, I go on by hand, call the next level, it is over, this item is done.

use super::draft::Draft;
use super::{Facts, Refused, acting, alerts, telling, verifying};
use crate::action::ActionStatus;
use crate::decision::Reason;
use crate::effect::Wake;
use crate::incident::{Acknowledgement, IncidentStatus, Phase};
use crate::notification::Notice;
use crate::people::{Actor, Role};
use crate::timeline::LineKind;
use crate::verification::after;

pub(super) fn need(actor: &Actor, needed: Role) -> Result<(), Refused> {
    if actor.role >= needed {
        return Ok(());
    }
    Err(Refused::NotAllowed { who: actor.name.clone(), role: actor.role.as_str(), needed: needed.as_str() })
}

/// Somebody has taken the incident: nothing escalates while that counts. Whoever has it may say so again, and it counts
/// anew.
pub(super) fn acknowledge(
    draft: &mut Draft,
    actor: Actor,
    reason: Option<String>,
    facts: &Facts<'_>,
) -> Result<(), Refused> {
    need(&actor, Role::Responder)?;
    match (draft.incident.status, &draft.incident.acknowledged) {
        (IncidentStatus::Resolved, _) => return Err(Refused::AlreadyResolved),
        (IncidentStatus::Acknowledged, Some(by))
            if by.actor.name == actor.name && by.expires_at.is_some() =>
        {
            let text = said(draft, "acknowledged again by", &actor, reason);
            draft.line_by(&actor, LineKind::Acknowledged, Some("acknowledged_again"), text);
            begin_to_count(draft, actor, facts);
            draft.visible();
            return Ok(());
        }
        (IncidentStatus::Acknowledged, Some(by)) => {
            return Err(Refused::AlreadyAcknowledged(by.actor.name.clone()));
        }
        _ => {}
    }
    let text = said(draft, "acknowledged by", &actor, reason);
    draft.line_by(&actor, LineKind::Acknowledged, Some("acknowledged"), text);
    hold_escalation(draft, actor, facts);
    draft.visible();
    Ok(())
}

/// An acknowledgement counts from now on, for as long as the policy says.
pub(super) fn begin_to_count(draft: &mut Draft, actor: Actor, facts: &Facts<'_>) {
    let counts_for = facts.policy.and_then(|policy| policy.acknowledgement_expires_after);
    let expires_at = counts_for.map(|time| after(draft.now, time));
    draft.incident.acknowledged = Some(Acknowledgement { actor, at: draft.now, expires_at });
    match expires_at {
        Some(expires_at) => draft.wake_at(expires_at, Wake::AcknowledgementExpires),
        None => draft.cancel_wake(&Wake::AcknowledgementExpires),
    }
}

/// Nothing escalates from here on.
pub(super) fn hold_escalation(draft: &mut Draft, actor: Actor, facts: &Facts<'_>) {
    draft.incident.status = IncidentStatus::Acknowledged;
    begin_to_count(draft, actor, facts);
    draft.cancel_wake(&Wake::Escalate);
    if let Some(escalation) = &mut draft.incident.escalation {
        escalation.next = None;
        escalation.deferred_until = None;
    }
    for destination in draft.told_destinations() {
        let episode = draft.incident.episode;
        draft.notify(&destination, Notice::Acknowledge { episode });
    }
}

/// Somebody goes on by hand. What waits is called off and nothing is undone any more; an attempt under way comes to its
/// end, whether a remedy helped is still looked at, and what was changed for a limited time is set back when it is due.
pub(super) fn take_over(
    draft: &mut Draft,
    actor: Actor,
    reason: Option<String>,
    facts: &Facts<'_>,
) -> Result<(), Refused> {
    need(&actor, Role::Responder)?;
    if !draft.incident.is_open() {
        return Err(Refused::AlreadyResolved);
    }
    if let Some(by) = &draft.incident.taken_over {
        return Err(Refused::AlreadyTakenOver(by.actor.name.clone()));
    }
    let text = said(draft, "nothing more is tried here: taken over by", &actor, reason);
    draft.line_by(&actor, LineKind::HandedOver, Some("taken_over"), text);
    draft.incident.taken_over =
        Some(Acknowledgement { actor: actor.clone(), at: draft.now, expires_at: None });
    acting::stand_back(draft, &actor.name);
    draft.cancel_wake(&Wake::Decide);
    if draft.incident.current_action().is_none() {
        draft.incident.phase = Phase::HandedOver;
    }
    if draft.incident.status == IncidentStatus::Triggered {
        hold_escalation(draft, actor, facts);
    }
    draft.visible();
    Ok(())
}

/// Somebody wants the next level to hear now. Whoever has the incident asks for help by it, so it waits for an
/// acknowledgement again; that they have it still holds back what would run alone.
pub(super) fn escalate(
    draft: &mut Draft,
    actor: &Actor,
    seen: Option<&str>,
    reason: Option<String>,
    facts: &Facts<'_>,
) -> Result<(), Refused> {
    need(actor, Role::Responder)?;
    if !draft.incident.is_open() {
        return Err(Refused::AlreadyResolved);
    }
    if seen.is_some_and(|seen| seen != draft.incident.escalation_mark()) {
        return Err(Refused::AlreadyEscalated);
    }
    let text = said(draft, "escalated by", actor, reason);
    draft.line_by(actor, LineKind::Escalation, Some("escalated"), text);
    draft.incident.status = IncidentStatus::Triggered;
    draft.incident.passed_on_at = Some(draft.now);
    draft.cancel_wake(&Wake::AcknowledgementExpires);
    telling::escalate_now(draft, "escalated by a person", facts);
    draft.visible();
    Ok(())
}

/// What somebody did, with their words where they gave some: then it is said below every card as well.
pub(super) fn said(draft: &mut Draft, what: &str, actor: &Actor, reason: Option<String>) -> String {
    match reason {
        None => format!("{what} {}", actor.name),
        Some(why) => {
            let text = format!("{what} {}: {why}", actor.name);
            draft.reply_everywhere(&text);
            text
        }
    }
}

/// Somebody says that it is over.
pub(super) fn resolve(
    draft: &mut Draft,
    actor: Actor,
    episode: Option<u32>,
    reason: Option<String>,
    facts: &Facts<'_>,
) -> Result<(), Refused> {
    need(&actor, Role::Responder)?;
    if !draft.incident.is_open() {
        return Err(Refused::AlreadyResolved);
    }
    // A form may stand open for an hour; whoever sends it off speaks of what it showed.
    if episode.is_some_and(|episode| episode != draft.incident.episode) {
        return Err(Refused::BeganAgain);
    }
    let text = said(draft, "resolved by", &actor, reason);
    alerts::close(draft, Some(actor), text, facts);
    alerts::look_again_later(draft);
    Ok(())
}

/// Somebody did one thing of a list; with the last one, the action that waited for it goes on.
pub(super) fn item_done(
    draft: &mut Draft,
    task: usize,
    item: Option<usize>,
    actor: &Actor,
    facts: &Facts<'_>,
) -> Result<(), Refused> {
    need(actor, Role::Responder)?;
    let now = draft.now;
    let stored = draft.incident.tasks.get_mut(task).ok_or(Refused::NoSuchTask)?;
    let was_done = stored.is_done() && !stored.items.is_empty();
    if item.is_some_and(|index| index >= stored.items.len()) {
        return Err(Refused::NoSuchTask);
    }
    for (index, entry) in stored.items.iter_mut().enumerate() {
        if item.is_none_or(|wanted| wanted == index) && entry.done_at.is_none() {
            entry.done_at = Some(now);
            entry.done_by = Some(actor.name.clone());
        }
    }
    let (title, done, action) = (stored.title.clone(), stored.is_done(), stored.action.clone());
    let what = item.map_or_else(|| "everything".to_owned(), |index| format!("item {}", index + 1));
    draft.line_by(actor, LineKind::Task, Some("task_item_done"), format!("{title}: {what} is done"));
    draft.visible();
    let Some(action) = action.filter(|_| done && !was_done) else { return Ok(()) };
    draft.cancel_wake(&Wake::TaskDue(action.clone()));
    let running =
        draft.incident.action(&action).filter(|action| action.status == ActionStatus::Running).cloned();
    let Some(running) = running else { return Ok(()) };
    draft.line(
        LineKind::Outcome,
        Some("task_done"),
        format!("{}: {} says that it is done", running.remedy, actor.name),
    );
    let verify = facts.rule.remedy(&running.remedy).and_then(|remedy| remedy.verify.as_ref());
    match verify.filter(|_| draft.incident.is_open()) {
        Some(spec) => verifying::begin(draft, &action, spec),
        None => {
            acting::end(draft, &action, ActionStatus::Succeeded, Reason::TaskDone(actor.name.clone()));
            if draft.incident.is_open() {
                draft.incident.phase = Phase::Watching;
                alerts::close_if_over(draft, facts);
            }
        }
    }
    Ok(())
}
