//! What was changed for a limited time is set back when its time is over, by an action of its own.
//!
//! It outlives the incident: the wake stays when everything else is called off. Only a pause or a freeze holds it up,
//! and then it is tried again. Fixes that lie on one another are set back in reverse order.

use super::acting;
use super::draft::Draft;
use crate::action::{Action, ActionId, ActionStatus, Step};
use crate::approval::Approvals;
use crate::decision::Reason;
use crate::diagnosis::ConditionOutcome;
use crate::effect::Wake;
use crate::temporary::{RESTORE_RETRY, TemporaryChange, TemporaryFix};
use crate::timeline::LineKind;
use crate::verification::after;
use jiff::{SignedDuration, Timestamp};

/// A plan was carried out: where it is for a limited time, its end is set.
pub(super) fn begin(draft: &mut Draft, id: &ActionId) {
    let (incident, rule, now) = (draft.incident.id.clone(), draft.incident.rule.clone(), draft.now);
    let Some(action) = draft.action_mut(id) else { return };
    let Some(fix) = TemporaryFix::of(action, &incident, &rule, now) else { return };
    action.temporary_until = Some(fix.until);
    let text = format!("{}: for a limited time, until {}", action.remedy, fix.until);
    draft.line(LineKind::Outcome, Some("temporary"), text);
    draft.wake_at(fix.until, Wake::Restore(id.clone()));
    draft.temporary.push(TemporaryChange::Begun(fix));
}

/// It was undone, by whom ever: it stands on no list any more.
pub(super) fn end(draft: &mut Draft, id: &ActionId) {
    let Some(action) = draft.action_mut(id) else { return };
    if action.temporary_until.take().is_some() {
        draft.cancel_wake(&Wake::Restore(id.clone()));
        draft.temporary.push(TemporaryChange::Ended(id.clone()));
        wake_next(draft, id);
    }
}

/// The fixes under it on the same target that are due waited for it: the newest of them is next.
fn wake_next(draft: &mut Draft, id: &ActionId) {
    let now = draft.now;
    let is_due =
        |action: &Action| action.temporary_until.is_some_and(|until| until <= now && action.id != *id);
    let Some(ended) = draft.incident.action(id) else { return };
    let below = draft.incident.actions.iter().filter(|action| is_due(action) && lies_on(ended, action));
    let next = below.max_by_key(|action| action.started_at).map(|action| action.id.clone());
    if let Some(next) = next {
        draft.wake_at(now, Wake::Restore(next));
    }
}

/// Whether a fix was made over another one on the same target, so that it has to go first: only then is what the older
/// one wrote to be found again.
fn lies_on(younger: &Action, older: &Action) -> bool {
    younger.plan.target == older.plan.target && younger.started_at > older.started_at
}

/// Until when a fix is covered by a younger one. One that only people can take away holds nothing up.
fn covered_until(draft: &Draft, fix: &Action) -> Option<Timestamp> {
    let actions = &draft.incident.actions;
    let is_given_up = |id: &ActionId| {
        actions.iter().any(|other| {
            other.restores.as_ref() == Some(id)
                && matches!(other.status, ActionStatus::Failed | ActionStatus::OutcomeUnknown)
        })
    };
    let above = actions.iter().filter(|other| lies_on(other, fix) && !is_given_up(&other.id));
    above.filter_map(|other| other.temporary_until).max()
}

/// Somebody has set it back by hand: nothing is left to do. What is being set back right now ends by itself.
pub(super) fn found_set_back(draft: &mut Draft, id: &ActionId, detail: &str) {
    let is_under_way =
        draft.incident.actions.iter().any(|one| one.restores.as_ref() == Some(id) && !one.status.is_final());
    let Some(action) = draft.incident.action(id).filter(|action| action.temporary_until.is_some()) else {
        return;
    };
    if is_under_way {
        return;
    }
    let reason = Reason::SetBack(detail.to_owned());
    let text = format!("{}: {reason}", action.remedy);
    draft.line(LineKind::Decision, Some(reason.word()), text);
    end(draft, id);
    draft.visible();
}

/// Its time is over.
pub(super) fn due(draft: &mut Draft, id: &ActionId) {
    let Some(action) = draft.incident.action(id).cloned() else { return };
    let (Some(_), Some(inverse)) = (action.temporary_until, action.inverse.clone()) else { return };
    // One action at a time: a look at whether it helped, or another remedy, is under way.
    // What people were asked to do holds nothing up: it may take them days.
    let is_busy = draft.incident.actions.iter().any(|other| match other.status {
        ActionStatus::Running => !acting::is_with_people(draft, &other.id),
        status => status == ActionStatus::Verifying && &other.id == id,
    });
    if is_busy {
        later(draft, id, SignedDuration::ZERO);
        return;
    }
    if let Some(until) = covered_until(draft, &action) {
        // It is woken when the younger one has gone; this is for the case that it never goes.
        draft.wake_at(after(until.max(draft.now), RESTORE_RETRY), Wake::Restore(id.clone()));
        return;
    }
    // The one that was held up goes on: an incident must not grow with every try during a long pause.
    let held_up = draft
        .incident
        .actions
        .iter_mut()
        .find(|other| other.restores.as_ref() == Some(id) && other.status == ActionStatus::Blocked);
    if let Some(restore) = held_up {
        restore.status = ActionStatus::Approved;
        restore.reason = Reason::TimeIsOver;
        restore.ended_at = None;
        let restoring = restore.id.clone();
        acting::wish_apply(draft, &restoring);
        return;
    }
    let restore = Action {
        id: super::deciding::next_action_id(draft),
        remedy: format!("restore-{}", action.remedy),
        status: ActionStatus::Approved,
        tier: action.tier,
        digest: inverse.digest(),
        plan: inverse,
        inverse: None,
        step: Step::Apply,
        reason: Reason::TimeIsOver,
        condition: ConditionOutcome::Holds,
        guardrails: Vec::new(),
        approvals: Approvals::default(),
        verification: None,
        planned_at: draft.now,
        surveyed_at: None,
        notes: Vec::new(),
        restores: Some(id.clone()),
        temporary_until: None,
        beside: action.beside,
        put_off: 0,
        unclear: None,
        started_at: None,
        ended_at: None,
        outcome: None,
    };
    draft.line(LineKind::Decision, Some("time_is_over"), format!("{}: its time is over", action.remedy));
    let restoring = restore.id.clone();
    draft.incident.actions.push(restore);
    acting::wish_apply(draft, &restoring);
}

/// It is held up: tried again, after `wait` at the earliest.
pub(super) fn later(draft: &mut Draft, id: &ActionId, wait: SignedDuration) {
    let at = after(draft.now, RESTORE_RETRY.max(wait));
    draft.wake_at(at, Wake::Restore(id.clone()));
}
