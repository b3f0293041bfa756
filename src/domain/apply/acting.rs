//! Actions start, end, and ask for more.
//!
//! A start is written before the world is touched ([`starting`]), an end after ([`ended`]). An attempt that
//! nobody knows the end of is never repeated unless its plan says that twice is harmless.

use super::draft::{Document, Draft, StartAs};
use super::{Facts, alerts, deciding, restoring, telling, verifying};
use crate::Labels;
use crate::action::{
    Action, ActionId, ActionOutcome, ActionPlan, ActionStatus, Repeatability, Request, Step, Task, Tier,
};
use crate::approval::Approvals;
use crate::catalog::Performer;
use crate::counted::counted;
use crate::decision::{self, Decision, Reason};
use crate::effect::{Effect, Wake};
use crate::guardrail::{self, Guardrail, Start, StartEnd, StartResult};
use crate::incident::Phase;
use crate::notification::Notice;
use crate::survey::SURVEY_AGE_MAX;
use crate::temporary::{PUT_OFF_MAX, ROLLBACK_RETRY};
use crate::timeline::LineKind;
use crate::verification::after;

/// Lane of all attempts of one incident: one action in flight.
fn lane(draft: &Draft) -> String {
    format!("{}|act", draft.incident.id)
}

/// Lets an approved action start: it counts against the limits from here.
pub(super) fn start(draft: &mut Draft, id: &ActionId, facts: &Facts<'_>) {
    let Some(action) = draft.incident.action(id) else { return };
    let guarded = !action.guardrails.is_empty();
    let start = Start {
        remedy: format!("{}/{}", facts.rule.name, action.remedy),
        target: action.plan.target.clone(),
        namespace: action.plan.namespace.clone(),
        at: draft.now,
        action: Some(id.clone()),
        end: None,
    };
    if guarded {
        draft.start = Some(start);
    }
    draft.incident.phase = Phase::Acting;
    wish_apply(draft, id);
}

/// Wishes an attempt at an action's own plan.
pub(super) fn wish_apply(draft: &mut Draft, id: &ActionId) {
    let lane = lane(draft);
    draft.emit(Effect::Act { action: id.clone(), step: Step::Apply }, Some(lane));
}

/// A worker is about to carry out a plan: the last look, and the line that precedes every touch of the world.
pub(super) fn starting(draft: &mut Draft, id: &ActionId, step: Step, attempt: u32, facts: &Facts<'_>) {
    let Some(action) = draft.incident.action(id).cloned() else { return };
    if action.step != step || !matches!(action.status, ActionStatus::Approved | ActionStatus::Running) {
        return;
    }
    let Some(plan) = plan_of(&action, step) else { return };
    let refusal = if action.tier > Tier::T0 { must_not_start(draft, &action, step, facts) } else { None };
    let interrupted = action.status == ActionStatus::Running && action.outcome.is_none() && attempt > 1;
    if interrupted {
        // What can be looked up is looked up first; what cannot is never repeated blindly.
        let can_look = plan.basis.is_some();
        if !can_look && (plan.repeatability == Repeatability::AtMostOnce || refusal.is_some()) {
            let reason = "the attempt was interrupted before its answer was recorded".to_owned();
            ended(draft, id, step, ActionOutcome::Unknown { reason }, facts);
            return;
        }
        // Every intent has its outcome, if only that nobody knows it.
        let then = if can_look { "its target is looked at" } else { "twice is harmless" };
        let text = format!("{} ({}): no answer was recorded; {then}", action.remedy, step.as_str());
        draft.line(LineKind::Outcome, Some("outcome_unknown"), text);
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
    let look_first = interrupted && plan.basis.is_some();
    let now = draft.now;
    if let Some(action) = draft.action_mut(id) {
        action.status = ActionStatus::Running;
        action.started_at.get_or_insert(now);
        action.outcome = None;
    }
    draft.may_start = Some(if look_first { StartAs::LookFirst } else { StartAs::Act });
    draft.visible();
}

fn refuse_start(draft: &mut Draft, action: &Action, step: Step, reason: Reason, facts: &Facts<'_>) {
    let text = format!("{} ({}): not started: {reason}", action.remedy, step.as_str());
    draft.line(LineKind::Decision, Some(reason.word()), text);
    if let Some(of) = &action.restores {
        end(draft, &action.id, ActionStatus::Blocked, reason);
        restoring::later(draft, of);
        draft.visible();
        return;
    }
    let (status, ended_by) = match (step, &reason) {
        (Step::Rollback, why) => (ActionStatus::Failed, Reason::RollbackFailed(why.to_string())),
        (Step::Apply, Reason::IncidentResolved | Reason::Stale(_)) => {
            (ActionStatus::Cancelled, reason.clone())
        }
        (Step::Apply, _) => (ActionStatus::Blocked, reason.clone()),
    };
    end(draft, &action.id, status, ended_by);
    if draft.incident.is_open() {
        if !(matches!(reason, Reason::Stale(_)) && deciding::decide_anew(draft, facts)) {
            deciding::hand_over(draft, &reason.to_string());
        }
        alerts::close_if_over(draft, facts);
    }
    draft.visible();
}

fn must_not_start(draft: &Draft, action: &Action, step: Step, facts: &Facts<'_>) -> Option<Reason> {
    if action.restores.is_some() {
        return last_denial(facts);
    }
    if !draft.incident.is_open() || draft.incident.alerts.firing == 0 {
        return Some(Reason::IncidentResolved);
    }
    if let (Step::Apply, Some(at)) = (step, action.surveyed_at)
        && draft.now.duration_since(at).abs() > SURVEY_AGE_MAX
    {
        return Some(Reason::Stale(format!("its target was last looked at {at}")));
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

/// The plan that an attempt carries out.
fn plan_of(action: &Action, step: Step) -> Option<&ActionPlan> {
    match step {
        Step::Apply => Some(&action.plan),
        Step::Rollback => action.inverse.as_ref(),
    }
}

/// An attempt ended.
pub(super) fn ended(draft: &mut Draft, id: &ActionId, step: Step, outcome: ActionOutcome, facts: &Facts<'_>) {
    let Some(action) = draft.incident.action(id).cloned() else { return };
    if action.status != ActionStatus::Running || action.step != step {
        return;
    }
    match outcome {
        ActionOutcome::Applied { detail, inverse, requests } => {
            applied(draft, &action, step, detail, inverse, requests, facts);
        }
        ActionOutcome::AlreadySo { detail } => already_so(draft, &action, step, detail, facts),
        ActionOutcome::HandedToPeople { task } => handed_to_people(draft, &action, task),
        ActionOutcome::NotApplied { reason } => not_applied(draft, &action, step, reason, facts),
        ActionOutcome::NotNow { reason } => {
            if !put_off(draft, &action, step, &reason) {
                not_applied(draft, &action, step, reason, facts);
            }
        }
        ActionOutcome::Unknown { reason } => outcome_unknown(draft, &action, reason, facts),
    }
    draft.visible();
    alerts::close_if_over(draft, facts);
}

fn applied(
    draft: &mut Draft,
    action: &Action,
    step: Step,
    detail: String,
    inverse: Option<ActionPlan>,
    requests: Vec<Request>,
    facts: &Facts<'_>,
) {
    let text = format!("{} ({}): {detail}", action.remedy, step.as_str());
    draft.line(LineKind::Outcome, Some("applied"), text);
    if let Some(stored) = draft.action_mut(&action.id) {
        stored.outcome = Some(detail.clone());
        if inverse.is_some() {
            stored.inverse = inverse;
        }
    }
    if action.tier > Tier::T0 {
        tell_change(draft, action, step, &detail);
    }
    for request in requests {
        carry_out(draft, request, facts);
    }
    if let Some(of) = &action.restores {
        end(draft, &action.id, ActionStatus::Succeeded, Reason::TimeIsOver);
        restoring::end(draft, of);
        return;
    }
    match step {
        Step::Rollback => {
            restoring::end(draft, &action.id);
            let why = match &action.reason {
                Reason::VerificationFailed(why) => why.clone(),
                other => other.to_string(),
            };
            end(draft, &action.id, ActionStatus::RolledBack, Reason::RolledBack(why));
            next_remedy(draft, facts);
        }
        Step::Apply => {
            restoring::begin(draft, &action.id);
            after_apply(draft, action, facts);
        }
    }
}

/// Somebody else was faster. A way back has arrived where it leads; a remedy has not been carried out by us.
fn already_so(draft: &mut Draft, action: &Action, step: Step, detail: String, facts: &Facts<'_>) {
    let Some(of) = &action.restores else {
        match step {
            Step::Rollback => applied(draft, action, step, detail, None, Vec::new(), facts),
            Step::Apply => not_applied(draft, action, step, detail, facts),
        }
        return;
    };
    let reason = Reason::SetBack(detail);
    draft.line(LineKind::Outcome, Some(reason.word()), format!("{}: {reason}", action.remedy));
    end(draft, &action.id, ActionStatus::Succeeded, reason);
    restoring::end(draft, of);
}

fn after_apply(draft: &mut Draft, action: &Action, facts: &Facts<'_>) {
    let verify = facts.rule.remedy(&action.remedy).and_then(|remedy| remedy.verify.as_ref());
    if let Some(spec) = verify.filter(|_| draft.incident.is_open()) {
        verifying::begin(draft, &action.id, spec);
        return;
    }
    end(draft, &action.id, ActionStatus::Succeeded, Reason::Applied);
    if !draft.incident.is_open() {
        return;
    }
    match (action.tier, draft.incident.phase) {
        // The incident was opened again meanwhile: the decision waits for the evidence.
        (_, Phase::Diagnosing) => {}
        // Telling people mends nothing: the ladder goes on, where a survey is needed with a fresh one.
        (Tier::T0, _) if facts.looks_first => alerts::begin_diagnosis(draft, facts),
        (Tier::T0, _) => {
            draft.incident.phase = Phase::Deciding;
            draft.wants_decision = true;
        }
        _ => draft.incident.phase = Phase::Watching,
    }
}

fn handed_to_people(draft: &mut Draft, action: &Action, mut task: Task) {
    task.action = Some(action.id.clone());
    let text = format!(
        "{}: {} for {}",
        task.title,
        counted(task.items.len(), "item"),
        task.owner.as_deref().unwrap_or("the on-call engineer")
    );
    draft.line(LineKind::Task, Some("task_started"), text);
    if let Some(stored) = draft.action_mut(&action.id) {
        stored.outcome = Some("people were asked".to_owned());
    }
    if let Some(due_at) = task.due_at {
        draft.wake_at(due_at, Wake::TaskDue(action.id.clone()));
    }
    let reply = telling::task_text(&task);
    draft.incident.tasks.push(task);
    draft.reply_everywhere(&reply);
}

fn not_applied(draft: &mut Draft, action: &Action, step: Step, reason: String, facts: &Facts<'_>) {
    let text = format!("{} ({}): not carried out: {reason}", action.remedy, step.as_str());
    draft.line(LineKind::Outcome, Some("not_applied"), text);
    if action.restores.is_some() {
        let page = format!("{} was not set back: {reason}. Please set it back by hand", action.plan.target);
        end(draft, &action.id, ActionStatus::Failed, Reason::NotApplied(reason));
        telling::page(draft, &page, facts);
        return;
    }
    match step {
        Step::Apply => {
            end(draft, &action.id, ActionStatus::Failed, Reason::NotApplied(reason));
            next_remedy(draft, facts);
        }
        Step::Rollback => {
            let reason = Reason::RollbackFailed(reason);
            end(draft, &action.id, ActionStatus::Failed, reason.clone());
            telling::page(draft, &format!("{}: {reason}", action.remedy), facts);
            if draft.incident.is_open() {
                deciding::hand_over(draft, &reason.to_string());
            }
        }
    }
}

/// What leads back is tried again where it met something that passes, since people are to be called for what needs them.
/// False where it has been tried often enough, and for a remedy: the next decision judges the world anew.
fn put_off(draft: &mut Draft, action: &Action, step: Step, reason: &str) -> bool {
    if (action.restores.is_none() && step == Step::Apply) || action.put_off >= PUT_OFF_MAX {
        return false;
    }
    let text = format!("{} ({}): not carried out, tried again: {reason}", action.remedy, step.as_str());
    draft.line(LineKind::Outcome, Some("put_off"), text);
    if let Some(stored) = draft.action_mut(&action.id) {
        stored.put_off += 1;
    }
    if let Some(of) = &action.restores {
        end(draft, &action.id, ActionStatus::Blocked, Reason::NotApplied(reason.to_owned()));
        restoring::later(draft, of);
        return true;
    }
    if let Some(stored) = draft.action_mut(&action.id) {
        stored.status = ActionStatus::Approved;
    }
    let (lane, at) = (lane(draft), after(draft.now, ROLLBACK_RETRY));
    draft.emit_at(at, Effect::Act { action: action.id.clone(), step }, Some(lane), None);
    true
}

fn outcome_unknown(draft: &mut Draft, action: &Action, why: String, facts: &Facts<'_>) {
    let reason = Reason::OutcomeUnknown(why);
    draft.line(LineKind::Outcome, Some(reason.word()), format!("{}: {reason}", action.remedy));
    end(draft, &action.id, ActionStatus::OutcomeUnknown, reason.clone());
    telling::page(draft, &format!("Look at {}: {reason}", action.plan.target), facts);
    if draft.incident.is_open() && action.restores.is_none() {
        deciding::hand_over(draft, &reason.to_string());
    }
}

/// After a remedy that failed: fresh evidence, then the next one.
pub(super) fn next_remedy(draft: &mut Draft, facts: &Facts<'_>) {
    if draft.incident.is_open() && draft.incident.alerts.firing > 0 {
        alerts::begin_diagnosis(draft, facts);
    }
}

/// Wishes the inverse of an action that did not help.
pub(super) fn roll_back(draft: &mut Draft, id: &ActionId) {
    if let Some(action) = draft.action_mut(id) {
        action.step = Step::Rollback;
        action.status = ActionStatus::Approved;
    }
    draft.incident.phase = Phase::RollingBack;
    let lane = lane(draft);
    draft.emit(Effect::Act { action: id.clone(), step: Step::Rollback }, Some(lane));
}

/// Puts an action to its end.
pub(super) fn end(draft: &mut Draft, id: &ActionId, status: ActionStatus, reason: Reason) {
    let now = draft.now;
    let Some(action) = draft.action_mut(id) else { return };
    let was_counted = !action.guardrails.is_empty() && !action.status.is_final();
    action.status = status;
    action.reason = reason;
    action.ended_at = Some(now);
    if was_counted {
        draft.ends.push((id.clone(), StartEnd { at: now, result: result_of(status) }));
    }
}

/// How the circuit breaker counts an end.
fn result_of(status: ActionStatus) -> StartResult {
    match status {
        ActionStatus::Succeeded => StartResult::Good,
        ActionStatus::Failed | ActionStatus::RolledBack | ActionStatus::OutcomeUnknown => StartResult::Bad,
        _ => StartResult::NotStarted,
    }
}

/// The incident ended: brings every action to its end that does not come to it by itself. Only an attempt on the
/// world that is under way goes on, since its answer is still to be recorded.
pub(super) fn call_off(draft: &mut Draft) {
    let mut ends: Vec<(ActionId, ActionStatus, Reason)> = Vec::new();
    for action in draft.incident.actions.iter().filter(|action| action.restores.is_none()) {
        let (status, reason) = match (action.status, action.step) {
            (status, Step::Apply) if status.is_waiting() => {
                (ActionStatus::Cancelled, Reason::IncidentResolved)
            }
            // It was carried out, and stays.
            (status, Step::Rollback) if status.is_waiting() => {
                let why = Reason::IncidentResolved.to_string();
                (ActionStatus::Failed, Reason::RollbackFailed(why))
            }
            (ActionStatus::Verifying, _) => (ActionStatus::Succeeded, Reason::NotVerified),
            (ActionStatus::Running, _) if is_with_people(draft, &action.id) => {
                (ActionStatus::Cancelled, Reason::IncidentResolved)
            }
            _ => continue,
        };
        ends.push((action.id.clone(), status, reason));
    }
    for (id, status, reason) in ends {
        if status != ActionStatus::Cancelled {
            let text = draft.incident.action(&id).map(|action| format!("{}: {reason}", action.remedy));
            draft.line(LineKind::Verification, Some(reason.word()), text.unwrap_or_default());
        }
        end(draft, &id, status, reason);
    }
}

/// Whether an action was handed to people, who carry it out as a task.
pub(super) fn is_with_people(draft: &Draft, id: &ActionId) -> bool {
    draft.incident.tasks.iter().any(|task| task.action.as_ref() == Some(id))
}

fn tell_change(draft: &mut Draft, action: &Action, step: Step, detail: &str) {
    let summary = match step {
        Step::Apply => action.plan.summary.clone(),
        Step::Rollback => format!("Undone: {}", action.plan.summary),
    };
    let details = Labels::from([
        ("remedy".to_owned(), action.remedy.clone()),
        ("target".to_owned(), action.plan.target.clone()),
        ("outcome".to_owned(), detail.to_owned()),
    ]);
    for destination in draft.pagerduty_destinations() {
        draft.notify(&destination, Notice::Change { summary: summary.clone(), details: details.clone() });
    }
    draft.reply_everywhere(&format!("{summary}: {detail}"));
}

fn carry_out(draft: &mut Draft, request: Request, facts: &Facts<'_>) {
    match request {
        Request::Notify { destination, text } => telling::say(draft, &destination, &text),
        Request::Escalate => telling::escalate_now(draft, facts),
        Request::StartTask { task } => {
            draft.line(LineKind::Task, Some("task_started"), task.title.clone());
            let reply = telling::task_text(&task);
            draft.incident.tasks.push(task);
            draft.reply_everywhere(&reply);
        }
        Request::KeepDocument { title, body } => draft.documents.push(Document { title, body }),
    }
}

/// Starts the observing actions that follow the end of an incident.
pub(super) fn start_on_resolve(draft: &mut Draft, facts: &Facts<'_>) {
    for candidate in facts.on_resolve {
        let Ok(plan) = candidate.plan.clone() else { continue };
        // Only what touches nothing may run after the end.
        if candidate.tier > Tier::T0 || candidate.performer == Performer::People {
            continue;
        }
        let (Decision::Run, reason) = decision::judge(candidate) else { continue };
        let id = deciding::next_action_id(draft);
        let digest = plan.digest();
        draft.incident.actions.push(Action {
            id: id.clone(),
            remedy: candidate.remedy.clone(),
            status: ActionStatus::Approved,
            tier: candidate.tier,
            digest,
            plan,
            inverse: None,
            step: Step::Apply,
            reason,
            condition: candidate.condition.clone(),
            guardrails: Vec::new(),
            approvals: Approvals::default(),
            verification: None,
            planned_at: draft.now,
            surveyed_at: None,
            notes: Vec::new(),
            restores: None,
            temporary_until: None,
            put_off: 0,
            started_at: None,
            ended_at: None,
            outcome: None,
        });
        let lane = lane(draft);
        draft.emit(Effect::Act { action: id, step: Step::Apply }, Some(lane));
    }
}
