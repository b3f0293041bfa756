//! Actions start, end, and ask for more.
//!
//! A start is written before the world is touched ([`starting`]), an end after ([`ended`]). An attempt that
//! nobody knows the end of is never repeated unless its plan says that twice is harmless.

mod begin;
mod calling_off;

pub(super) use begin::starting;
pub(super) use calling_off::{call_off, stand_back};

use super::draft::{Document, Draft};
use super::{Facts, alerts, deciding, restoring, telling, verifying};
use crate::Labels;
use crate::action::{Action, ActionId, ActionOutcome, ActionPlan, ActionStatus, Request, Step, Task, Tier};
use crate::approval::Approvals;
use crate::catalog::Performer;
use crate::counted::counted;
use crate::decision::{self, Candidate, Decision, Reason};
use crate::effect::{Effect, Wake};
use crate::guardrail::{Start, StartEnd, StartResult};
use crate::incident::Phase;
use crate::notification::Notice;
use crate::rule::OnFail;
use crate::temporary::{PUT_OFF_MAX, PUT_OFF_WAIT_MAX, ROLLBACK_RETRY};
use crate::timeline::LineKind;
use crate::verification::after;
use jiff::SignedDuration;

/// Lane of all attempts of one incident: one action in flight.
fn lane(draft: &Draft) -> String {
    format!("{}|act", draft.incident.id)
}

/// Lets an approved action start: it counts against the limits from here.
pub(super) fn start(draft: &mut Draft, id: &ActionId, facts: &Facts<'_>) {
    let Some(action) = draft.incident.action(id) else { return };
    let guarded = !action.guardrails.is_empty();
    let others = deciding::candidate_of(action, facts).map(Candidate::other_objects).unwrap_or_default();
    let beside = if action.plan.ttl.is_some() { others.clone() } else { Vec::new() };
    let start = counted_start(draft, action, others, facts);
    if let Some(action) = draft.action_mut(id) {
        action.beside = beside;
    }
    if guarded {
        draft.start = Some(start);
        let now = draft.now;
        if let Some(action) = draft.action_mut(id) {
            action.surveyed_at.get_or_insert(now);
        }
    }
    draft.incident.phase = Phase::Acting;
    wish_apply(draft, id);
}

/// A start as the store counts it.
fn counted_start(draft: &Draft, action: &Action, others: Vec<String>, facts: &Facts<'_>) -> Start {
    Start {
        remedy: format!("{}/{}", facts.rule.name, action.remedy),
        target: action.plan.target.clone(),
        others,
        namespace: action.plan.namespace.clone(),
        at: draft.now,
        action: Some(action.id.clone()),
        end: None,
    }
}

/// Wishes an attempt at an action's own plan.
pub(super) fn wish_apply(draft: &mut Draft, id: &ActionId) {
    let lane = lane(draft);
    draft.emit(Effect::Act { action: id.clone(), step: Step::Apply }, Some(lane));
}

/// The plan that an attempt carries out.
fn plan_of(action: &Action, step: Step) -> Option<&ActionPlan> {
    match step {
        Step::Apply => Some(&action.plan),
        Step::Rollback => action.inverse.as_ref(),
    }
}

/// Nobody knows how an attempt ended, which is looked into: what is known by now is kept, since the next look may see less.
pub(super) fn unclear(draft: &mut Draft, id: &ActionId, step: Step, reason: String) {
    let Some(action) = draft.incident.action(id).cloned() else { return };
    if action.status != ActionStatus::Running || action.step != step {
        return;
    }
    let Some(plan) = plan_of(&action, step) else { return };
    let known = Reason::OutcomeUnknown(reason.clone());
    let text = format!("{} ({}): {known}; {}", action.remedy, step.as_str(), begin::then(plan));
    draft.line(LineKind::Outcome, Some(known.word()), text);
    if let Some(stored) = draft.action_mut(id) {
        stored.outcome = Some(reason.clone());
        stored.unclear.get_or_insert(reason);
    }
    draft.visible();
}

/// An attempt ended.
pub(super) fn ended(draft: &mut Draft, id: &ActionId, step: Step, outcome: ActionOutcome, facts: &Facts<'_>) {
    let Some(action) = draft.incident.action(id).cloned() else { return };
    if action.status != ActionStatus::Running || action.step != step {
        return;
    }
    if let Some(stored) = draft.action_mut(id) {
        stored.unclear = None;
    }
    match outcome {
        ActionOutcome::Applied { detail, inverse, requests } => {
            applied(draft, &action, step, detail, inverse, requests, facts);
        }
        ActionOutcome::AlreadySo { detail } => already_so(draft, &action, step, detail, facts),
        ActionOutcome::HandedToPeople { task } => handed_to_people(draft, &action, task),
        ActionOutcome::NotApplied { reason } => not_applied(draft, &action, step, reason, facts),
        ActionOutcome::NotNow { reason, wait } => {
            if !put_off(draft, &action, step, &reason, wait) {
                not_applied(draft, &action, step, reason, facts);
            }
        }
        ActionOutcome::Failed { reason } => failed(draft, &action, step, reason, facts),
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
                Reason::VerificationFailed(why) | Reason::Failed(why) => why.clone(),
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
    if draft.incident.taken_over.is_some() {
        draft.incident.phase = Phase::HandedOver;
        return;
    }
    match (action.tier, draft.incident.phase) {
        // The incident was opened again meanwhile: the decision waits for the evidence.
        (_, Phase::Diagnosing) => {}
        (Tier::T0, _) => go_on_behind_telling(draft, facts),
        _ => draft.incident.phase = Phase::Watching,
    }
}

/// Telling people mends nothing: the ladder goes on, where a survey is needed with a fresh one.
pub(super) fn go_on_behind_telling(draft: &mut Draft, facts: &Facts<'_>) {
    if facts.looks_first {
        return alerts::begin_diagnosis(draft, facts);
    }
    draft.incident.phase = Phase::Deciding;
    draft.wants_decision = true;
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
    if leads_back(action, step) {
        return did_not_lead_back(draft, action, reason.clone(), Reason::NotApplied(reason), facts);
    }
    end(draft, &action.id, ActionStatus::Failed, Reason::NotApplied(reason));
    next_remedy(draft, facts);
}

/// It was carried out and failed, such as a job whose pods all ended badly. It may have done a part of it, so the rule
/// says how to go on, as after a remedy that did not help.
fn failed(draft: &mut Draft, action: &Action, step: Step, why: String, facts: &Facts<'_>) {
    let reason = Reason::Failed(why.clone());
    let text = format!("{} ({}): {reason}", action.remedy, step.as_str());
    draft.line(LineKind::Outcome, Some(reason.word()), text);
    if let Some(stored) = draft.action_mut(&action.id) {
        stored.outcome = Some(why.clone());
    }
    if action.tier > Tier::T0 {
        tell_change(draft, action, step, &format!("it failed: {why}"));
    }
    if leads_back(action, step) {
        return did_not_lead_back(draft, action, format!("it was tried, and failed: {why}"), reason, facts);
    }
    let spec = facts.rule.remedy(&action.remedy).and_then(|remedy| remedy.verify.as_ref());
    verifying::did_not_help(draft, &action.id, reason, spec.map_or(OnFail::Next, |spec| spec.on_fail), facts);
}

/// Whether an attempt sets something back, or undoes it.
fn leads_back(action: &Action, step: Step) -> bool {
    action.restores.is_some() || step == Step::Rollback
}

/// What was changed stands, and only people can take it back now.
fn did_not_lead_back(draft: &mut Draft, action: &Action, why: String, reason: Reason, facts: &Facts<'_>) {
    if action.restores.is_some() {
        let page = format!("{} was not set back: {why}. Please set it back by hand", action.plan.target);
        end(draft, &action.id, ActionStatus::Failed, reason);
        telling::page(draft, &page, facts);
        return;
    }
    let reason = Reason::RollbackFailed(why);
    end(draft, &action.id, ActionStatus::Failed, reason.clone());
    telling::page(draft, &format!("{}: {reason}", action.remedy), facts);
    if draft.incident.is_open() {
        deciding::hand_over(draft, &reason.to_string());
    }
}

/// What leads back is tried again where it met something that passes, since people are to be called for what needs them.
/// False where it has been tried often enough, and for a remedy: the next decision judges the world anew.
fn put_off(
    draft: &mut Draft,
    action: &Action,
    step: Step,
    reason: &str,
    wait: Option<SignedDuration>,
) -> bool {
    if !leads_back(action, step) || action.put_off >= PUT_OFF_MAX {
        return false;
    }
    let wait = wait.unwrap_or_default().min(PUT_OFF_WAIT_MAX);
    let text = format!("{} ({}): not carried out, tried again: {reason}", action.remedy, step.as_str());
    draft.line(LineKind::Outcome, Some("put_off"), text);
    if let Some(stored) = draft.action_mut(&action.id) {
        stored.put_off += 1;
    }
    if let Some(of) = &action.restores {
        end(draft, &action.id, ActionStatus::Blocked, Reason::NotApplied(reason.to_owned()));
        restoring::later(draft, of, wait);
        return true;
    }
    if let Some(stored) = draft.action_mut(&action.id) {
        stored.status = ActionStatus::Approved;
    }
    let (lane, at) = (lane(draft), after(draft.now, ROLLBACK_RETRY.max(wait)));
    draft.emit_at(at, Effect::Act { action: action.id.clone(), step }, Some(lane), None);
    true
}

fn outcome_unknown(draft: &mut Draft, action: &Action, why: String, facts: &Facts<'_>) {
    let why = match &action.unclear {
        Some(first) if *first != why => format!("{first}; after that: {why}"),
        _ => why,
    };
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
    if !draft.incident.is_open() || draft.incident.alerts.firing == 0 {
        return;
    }
    match &draft.incident.taken_over {
        Some(by) => {
            let why = Reason::TakenOver(by.actor.name.clone()).to_string();
            deciding::hand_over(draft, &why);
        }
        // It is tried once, so that this ends with the ladder.
        None => {
            draft.incident.redecisions = 0;
            alerts::begin_diagnosis(draft, facts);
        }
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
    let was_counted = match action.restores {
        Some(_) => action.status == ActionStatus::Running,
        None => !action.guardrails.is_empty() && !action.status.is_final(),
    };
    let result = if action.restores.is_some() { StartResult::NotStarted } else { result_of(status) };
    action.status = status;
    action.reason = reason;
    action.ended_at = Some(now);
    if was_counted {
        draft.ends.push((id.clone(), StartEnd { at: now, result }));
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
        Request::Escalate => telling::escalate_now(draft, "escalated by the rule", facts),
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
        let (decision, reason) = decision::judge(candidate, facts.rule.mode);
        if decision == Decision::Simulate {
            let text = format!("{}: {}; {reason}", candidate.remedy, decision.as_str());
            draft.line(LineKind::Decision, Some(reason.word()), text);
        }
        if decision != Decision::Run {
            continue;
        }
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
            beside: Vec::new(),
            put_off: 0,
            unclear: None,
            started_at: None,
            ended_at: None,
            outcome: None,
        });
        let lane = lane(draft);
        draft.emit(Effect::Act { action: id, step: Step::Apply }, Some(lane));
    }
}
