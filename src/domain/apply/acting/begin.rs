//! The last look before an attempt on the world, and the line that precedes it.

use super::{counted_start, end, ended, plan_of};
use crate::action::{Action, ActionId, ActionOutcome, ActionPlan, ActionStatus, Repeatability, Step, Tier};
use crate::apply::draft::{Draft, StartAs};
use crate::apply::{Facts, alerts, deciding, restoring};
use crate::catalog::Performer;
use crate::decision::{Reason, Would};
use crate::guardrail::{self, Guardrail};
use crate::survey::SURVEY_AGE_MAX;
use crate::timeline::LineKind;
use jiff::SignedDuration;

/// A worker is about to carry out a plan: the last look, and the line that precedes every touch of the world.
pub(in crate::apply) fn starting(
    draft: &mut Draft,
    id: &ActionId,
    step: Step,
    attempt: u32,
    facts: &Facts<'_>,
) {
    let Some(action) = draft.incident.action(id).cloned() else { return };
    if action.step != step || !matches!(action.status, ActionStatus::Approved | ActionStatus::Running) {
        return;
    }
    let Some(plan) = plan_of(&action, step) else { return };
    let refusal = in_shadow(&action, facts)
        .or_else(|| if action.tier > Tier::T0 { must_not_start(draft, &action, step, facts) } else { None });
    let was_begun = action.status == ActionStatus::Running && attempt > 1;
    let interrupted = was_begun && action.outcome.is_none();
    let is_looked_into = interrupted || (was_begun && action.unclear.is_some());
    // What can be looked up is looked up first; what cannot is never repeated blindly.
    let can_look = plan.leaves_a_mark();
    if is_looked_into {
        if !can_look && (plan.repeatability == Repeatability::AtMostOnce || refusal.is_some()) {
            let why = match (interrupted, &refusal) {
                (true, _) => "the attempt was interrupted before its answer was recorded".to_owned(),
                (false, Some(refusal)) => format!("it may not be tried once more: {refusal}"),
                (false, None) => "it may not be tried once more".to_owned(),
            };
            ended(draft, id, step, ActionOutcome::Unknown { reason: why }, facts);
            return;
        }
        if interrupted {
            // Every intent has its outcome, if only that nobody knows it.
            let text =
                format!("{} ({}): no answer was recorded; {}", action.remedy, step.as_str(), then(plan));
            draft.line(LineKind::Outcome, Some("outcome_unknown"), text);
        }
        if can_look && refusal.is_some() {
            draft.may_start = Some(StartAs::LookOnly);
            draft.visible();
            return;
        }
    }
    if let Some(reason) = refusal {
        refuse_start(draft, &action, step, reason, facts);
        return;
    }
    let text = format!("{} ({}, attempt {attempt}): {}", action.remedy, step.as_str(), plan.summary);
    draft.line(LineKind::Intent, Some(step.as_str()), text);
    let look_first = is_looked_into && can_look;
    if action.restores.is_some() && action.status == ActionStatus::Approved {
        // It holds its target like any action, for as long as it runs.
        draft.start = Some(counted_start(draft, &action, action.beside.clone(), facts));
    }
    let now = draft.now;
    if let Some(action) = draft.action_mut(id) {
        action.status = ActionStatus::Running;
        action.started_at.get_or_insert(now);
        action.outcome = None;
    }
    draft.may_start = Some(if look_first { StartAs::LookFirst } else { StartAs::Act });
    draft.visible();
}

/// How an attempt of unclear end is looked into.
pub(super) fn then(plan: &ActionPlan) -> &'static str {
    if plan.leaves_a_mark() { "its target is looked at" } else { "twice is harmless" }
}

fn refuse_start(draft: &mut Draft, action: &Action, step: Step, reason: Reason, facts: &Facts<'_>) {
    let text = format!("{} ({}): not started: {reason}", action.remedy, step.as_str());
    draft.line(LineKind::Decision, Some(reason.word()), text);
    if let Some(of) = &action.restores {
        end(draft, &action.id, ActionStatus::Blocked, reason);
        restoring::later(draft, of, SignedDuration::ZERO);
        draft.visible();
        return;
    }
    let (status, ended_by) = match (step, &reason) {
        (Step::Rollback, why) => (ActionStatus::Failed, Reason::RollbackFailed(why.to_string())),
        (Step::Apply, Reason::IncidentResolved | Reason::TakenOver(_) | Reason::Stale(_)) => {
            (ActionStatus::Cancelled, reason.clone())
        }
        (Step::Apply, Reason::Guardrail(Guardrail::DryRun, _)) => {
            (ActionStatus::Simulated, Reason::DryRun(action.tier))
        }
        (Step::Apply, Reason::Shadow(_)) => (ActionStatus::Simulated, reason.clone()),
        (Step::Apply, _) => (ActionStatus::Blocked, reason.clone()),
    };
    end(draft, &action.id, status, ended_by);
    if draft.incident.is_open() {
        if !(matches!(reason, Reason::Stale(_)) && deciding::decide_anew(draft, facts)) {
            if (step, status) == (Step::Apply, ActionStatus::Blocked) {
                deciding::decide_later(draft, guardrail::passes_at(facts.last_moment));
            }
            deciding::hand_over(draft, &reason.to_string());
        }
        alerts::close_if_over(draft, facts);
    }
    draft.visible();
}

/// A rule in shadow never comes as far as this. Should it, by a defect, nothing of it reaches the world, not even what only
/// tells.
fn in_shadow(action: &Action, facts: &Facts<'_>) -> Option<Reason> {
    facts.rule.mode.is_shadow().then(|| Reason::Shadow(Would::of(action.tier, Performer::Machine)))
}

fn must_not_start(draft: &Draft, action: &Action, step: Step, facts: &Facts<'_>) -> Option<Reason> {
    if action.restores.is_some() {
        return last_denial(facts);
    }
    if !draft.incident.is_open() || draft.incident.alerts.firing == 0 {
        return Some(Reason::IncidentResolved);
    }
    if let Some(by) = &draft.incident.taken_over {
        return Some(Reason::TakenOver(by.actor.name.clone()));
    }
    // An attempt that was made already is looked up or repeated by its own rules.
    let is_new = action.plan.basis.is_some() || action.started_at.is_none();
    if let (Step::Apply, Some(at)) = (step, action.surveyed_at.filter(|_| is_new))
        && draft.now.duration_since(at).abs() > SURVEY_AGE_MAX
    {
        let what =
            if action.plan.basis.is_some() { "its target was last looked at" } else { "it was last judged" };
        return Some(Reason::Stale(format!("{what} {at}")));
    }
    // What people carry out is not guarded: to be asked is what they need most while the machine may not act.
    if action.guardrails.is_empty() {
        return None;
    }
    if let (Step::Apply, Tier::T1, Some(ack)) = (step, action.tier, &draft.incident.acknowledged) {
        let why = format!("{} has the incident by now", ack.actor.name);
        return Some(Reason::Guardrail(Guardrail::Acknowledged, why));
    }
    last_denial(facts)
}

fn last_denial(facts: &Facts<'_>) -> Option<Reason> {
    guardrail::first_denial(facts.last_moment)
        .map(|verdict| Reason::Guardrail(verdict.guardrail, verdict.reason.to_string()))
}
