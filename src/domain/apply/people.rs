//! What people say: I have it, it is over, this item is done.

use super::draft::Draft;
use super::{Facts, Refused, acting, alerts, verifying};
use crate::action::ActionStatus;
use crate::decision::Reason;
use crate::effect::Wake;
use crate::incident::{Acknowledgement, IncidentStatus, Phase};
use crate::notification::Notice;
use crate::people::{Actor, Role};
use crate::timeline::LineKind;

fn need(actor: &Actor, needed: Role) -> Result<(), Refused> {
    if actor.role >= needed {
        return Ok(());
    }
    Err(Refused::NotAllowed { who: actor.name.clone(), role: actor.role.as_str(), needed: needed.as_str() })
}

/// Somebody has taken the incident: nothing escalates after this.
pub(super) fn acknowledge(draft: &mut Draft, actor: Actor, reason: Option<String>) -> Result<(), Refused> {
    need(&actor, Role::Responder)?;
    match (draft.incident.status, &draft.incident.acknowledged) {
        (IncidentStatus::Resolved, _) => return Err(Refused::AlreadyResolved),
        (IncidentStatus::Acknowledged, Some(by)) => {
            return Err(Refused::AlreadyAcknowledged(by.actor.name.clone()));
        }
        _ => {}
    }
    draft.incident.status = IncidentStatus::Acknowledged;
    let text = match reason {
        None => format!("acknowledged by {}", actor.name),
        Some(why) => format!("acknowledged by {}: {why}", actor.name),
    };
    draft.line_by(&actor, LineKind::Acknowledged, Some("acknowledged"), text);
    draft.incident.acknowledged = Some(Acknowledgement { actor, at: draft.now });
    draft.cancel_wake(&Wake::Escalate);
    if let Some(escalation) = &mut draft.incident.escalation {
        escalation.next = None;
    }
    for destination in draft.pagerduty_destinations() {
        let episode = draft.incident.episode;
        draft.notify(&destination, Notice::Acknowledge { episode });
    }
    draft.visible();
    Ok(())
}

/// Somebody says that it is over.
pub(super) fn resolve(
    draft: &mut Draft,
    actor: Actor,
    reason: Option<String>,
    facts: &Facts<'_>,
) -> Result<(), Refused> {
    need(&actor, Role::Responder)?;
    if !draft.incident.is_open() {
        return Err(Refused::AlreadyResolved);
    }
    let text = match reason {
        None => format!("resolved by {}", actor.name),
        Some(why) => format!("resolved by {}: {why}", actor.name),
    };
    alerts::close(draft, Some(actor), text, facts);
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
