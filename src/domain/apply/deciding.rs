//! Decisions: the machine's over the ladder, and people's about one plan.

use super::draft::Draft;
use super::{ACTIONS_MAX, Facts, REDECISIONS_MAX, Refused};
use super::{acting, alerts, people};
use crate::action::{Action, ActionId, ActionStatus, Step};
use crate::alert::AlertStatus;
use crate::approval::{self, ApprovalRefused, ApprovalState, Approvals, Ballot, Verdict};
use crate::counted::counted;
use crate::decision::{self, Candidate, Decision, Reason};
use crate::diagnosis::DiagnosisPurpose;
use crate::effect::{Effect, Wake};
use crate::guardrail;
use crate::incident::Phase;
use crate::survey::{self, SurveyStanding};
use crate::timeline::LineKind;
use crate::verification::after;
use jiff::{SignedDuration, Timestamp};

/// Shortest wait before a blocked remedy is judged again.
const REDECIDE_WAIT_MIN: SignedDuration = SignedDuration::from_secs(10);

/// Looks that follow one another closely before they grow apart: about as long as a rollout may take by default.
const POLLS_CLOSE: u32 = 4;
const POLL_WAIT_MIN: SignedDuration = SignedDuration::from_mins(2);
const POLL_WAIT_MAX: SignedDuration = SignedDuration::from_hours(1);

/// Walks the ladder with the facts at hand.
pub(super) fn decide(draft: &mut Draft, facts: &Facts<'_>) {
    if !draft.incident.is_open() || draft.incident.alerts.status() == AlertStatus::Resolved {
        return;
    }
    if draft.incident.current_action().is_some() || draft.incident.taken_over.is_some() {
        return;
    }
    let decisions = decision::decide(facts.candidates, facts.rule.mode);
    let taken = decisions.iter().position(|decision| decision.decision != Decision::Skip);
    for decision in decisions.iter().filter(|decision| decision.reason != Reason::EarlierRemedyTaken) {
        let text = format!("{}: {}; {}", decision.remedy, decision.decision.as_str(), decision.reason);
        draft.line(LineKind::Decision, Some(decision.reason.word()), text);
    }
    let chosen = taken.and_then(|index| Some((facts.candidates.get(index)?, decisions.get(index)?.clone())));
    if let Some((candidate, _)) = chosen.as_ref().filter(|(candidate, _)| !candidate.guardrails.is_empty()) {
        let text = format!("{}: {}", candidate.remedy, guardrail::told(&candidate.guardrails));
        draft.line(LineKind::Decision, Some("guardrails"), text);
    }
    draft.decisions = decisions;
    match chosen {
        None => hand_over(
            draft,
            if facts.candidates.is_empty() { "the rule has no remedies" } else { "no remedy applies" },
        ),
        Some((candidate, decision)) => take(draft, candidate, decision.decision, decision.reason, facts),
    }
    draft.visible();
}

fn take(draft: &mut Draft, candidate: &Candidate, decision: Decision, reason: Reason, facts: &Facts<'_>) {
    let Ok(plan) = candidate.plan.clone() else {
        // A remedy without a plan can only be blocked; there is nothing that an action could carry.
        hand_over(draft, &reason.to_string());
        return;
    };
    if draft.incident.actions.len() >= ACTIONS_MAX {
        hand_over(draft, "this incident holds as many actions as it may");
        return;
    }
    let status = match decision {
        Decision::Run => ActionStatus::Approved,
        Decision::Ask => ActionStatus::AwaitingApproval,
        Decision::Simulate => ActionStatus::Simulated,
        Decision::Block | Decision::Skip => ActionStatus::Blocked,
    };
    let id = next_action_id(draft);
    let digest = plan.digest();
    draft.incident.actions.push(Action {
        id: id.clone(),
        remedy: candidate.remedy.clone(),
        status,
        tier: candidate.tier,
        digest,
        plan,
        inverse: candidate.inverse.clone(),
        step: Step::Apply,
        reason: reason.clone(),
        condition: candidate.condition.clone(),
        guardrails: candidate.guardrails.clone(),
        approvals: Approvals::default(),
        verification: None,
        planned_at: draft.now,
        surveyed_at: candidate.surveyed_at(),
        notes: candidate.notes().to_vec(),
        restores: None,
        temporary_until: None,
        beside: Vec::new(),
        put_off: 0,
        unclear: None,
        started_at: None,
        ended_at: status.is_final().then_some(draft.now),
        outcome: None,
    });
    match decision {
        Decision::Run => acting::start(draft, &id, facts),
        Decision::Ask => ask(draft, &id, candidate, facts),
        Decision::Simulate => simulated(draft, &reason, facts),
        Decision::Block | Decision::Skip => {
            decide_later(draft, passes_at(candidate));
            hand_over(draft, &reason.to_string());
        }
    }
}

/// It is recorded, and that is all. Where only people would have been told, the ladder goes on behind it, as it would.
fn simulated(draft: &mut Draft, reason: &Reason, facts: &Facts<'_>) {
    match reason {
        Reason::Shadow(would) if would.mends_nothing() => acting::go_on_behind_telling(draft, facts),
        reason => hand_over(draft, &reason.to_string()),
    }
}

/// Identity of the next action. Actions are never removed, so their number never repeats.
pub(super) fn next_action_id(draft: &Draft) -> ActionId {
    ActionId(format!("{}-a{}", draft.incident.id, draft.incident.actions.len() + 1))
}

fn ask(draft: &mut Draft, id: &ActionId, candidate: &Candidate, facts: &Facts<'_>) {
    let wait = facts
        .rule
        .remedy(&candidate.remedy)
        .map_or_else(crate::rule::default_approval_expiry, |remedy| remedy.approval_expires);
    let expires_at = after(draft.now, wait);
    if let Some(action) = draft.action_mut(id) {
        action.approvals.expires_at = Some(expires_at);
    }
    draft.incident.phase = Phase::AwaitingApproval;
    draft.wake_at(expires_at, Wake::ApprovalExpires(id.clone()));
    let needed = candidate.tier.approvals_needed();
    let summary = candidate.plan.as_ref().map_or("", |plan| plan.summary.as_str());
    let wanted = counted(needed, "approval");
    let text = format!("{wanted} wanted until {expires_at}: {summary}");
    draft.line(LineKind::Approval, Some("asked"), text);
}

/// When all that blocks would let pass, or somebody can look again, and whether that is only a time to look.
fn passes_at(candidate: &Candidate) -> Option<(Timestamp, bool)> {
    let denied = guardrail::passes_at(&candidate.guardrails);
    match &candidate.survey {
        SurveyStanding::NotNow { until, .. } => {
            let until = denied.map_or(*until, |(at, _)| at.max(*until));
            Some((until, true))
        }
        _ => denied,
    }
}

/// Looks again when the guardrails that block would let pass, a bounded number of times. The trail says when.
pub(super) fn decide_later(draft: &mut Draft, passes_at: Option<(Timestamp, bool)>) {
    let Some((until, is_polled)) = passes_at else { return };
    let looks = draft.incident.redecisions;
    if looks >= REDECISIONS_MAX {
        let text = format!("it was judged again {}, and is not any more", counted(looks as usize, "time"));
        draft.line(LineKind::Decision, Some("judged_enough"), text);
        return;
    }
    draft.incident.redecisions += 1;
    let wait = if is_polled { wait_after(looks) } else { REDECIDE_WAIT_MIN };
    let due_at = until.max(after(draft.now, wait));
    draft.line(LineKind::Decision, Some("judged_later"), format!("it is judged again at {due_at}"));
    draft.wake_at(due_at, Wake::Decide);
}

/// The least wait before the next look at what nobody knows the end of: most of it passes within minutes, and what does
/// not is not worth a look every two minutes.
fn wait_after(looks: u32) -> SignedDuration {
    match looks.saturating_sub(POLLS_CLOSE) {
        // Whoever says when to look again is believed at first.
        0 => REDECIDE_WAIT_MIN,
        doublings => (POLL_WAIT_MIN * 2_i32.pow(doublings.min(10))).min(POLL_WAIT_MAX),
    }
}

/// Automation stops here; the escalation goes on until a person takes over.
pub(super) fn hand_over(draft: &mut Draft, why: &str) {
    draft.incident.phase = Phase::HandedOver;
    draft.line(LineKind::HandedOver, Some("handed_over"), format!("people go on: {why}"));
    draft.visible();
}

/// Takes in one person's decision about one plan.
pub(super) fn ballot(
    draft: &mut Draft,
    id: &ActionId,
    ballot: &Ballot,
    facts: &Facts<'_>,
) -> Result<(), Refused> {
    let now = draft.now;
    let action = draft.action_mut(id).ok_or(Refused::NoSuchAction)?;
    if action.status != ActionStatus::AwaitingApproval {
        return Err(not_asked(action).into());
    }
    let digest = action.digest.clone();
    let state = approval::decide(&mut action.approvals, action.tier, &digest, ballot, now)?;
    let remedy = action.remedy.clone();
    let what = format!("{remedy}: {} by", ballot.verdict.past());
    let text = people::said(draft, &what, &ballot.actor, ballot.reason.clone());
    draft.line_by(&ballot.actor, LineKind::Approval, Some(ballot.verdict.past()), text);
    match state {
        ApprovalState::Needs(_) => {}
        ApprovalState::Refused => rejected(draft, id, ballot),
        ApprovalState::Granted => granted(draft, id, ballot, facts),
    }
    draft.visible();
    Ok(())
}

fn not_asked(action: &Action) -> ApprovalRefused {
    match action.approvals.records.last() {
        Some(record) => {
            ApprovalRefused::AlreadyDecided { verdict: record.verdict.past(), who: record.actor.name.clone() }
        }
        None => match (action.status, action.approvals.expires_at) {
            (ActionStatus::Expired, Some(at)) => ApprovalRefused::Expired(at),
            (status, _) => ApprovalRefused::NotAsked(status.as_str()),
        },
    }
}

fn rejected(draft: &mut Draft, id: &ActionId, ballot: &Ballot) {
    let reason = Reason::Rejected(ballot.actor.name.clone(), ballot.reason.clone());
    draft.cancel_wake(&Wake::ApprovalExpires(id.clone()));
    acting::end(draft, id, ActionStatus::Rejected, reason.clone());
    hand_over(draft, &reason.to_string());
}

/// Enough people approved. The world may have moved on since they were asked: a condition is judged over fresh
/// evidence first.
fn granted(draft: &mut Draft, id: &ActionId, ballot: &Ballot, facts: &Facts<'_>) {
    debug_assert_eq!(ballot.verdict, Verdict::Approve);
    draft.cancel_wake(&Wake::ApprovalExpires(id.clone()));
    let by = approvers(draft, id);
    let Some(action) = draft.action_mut(id) else { return };
    action.status = ActionStatus::Approved;
    action.reason = Reason::Approved(by);
    let is_conditional = facts.rule.remedy(&action.remedy).is_some_and(|remedy| remedy.when.is_some());
    let is_surveyed = action.plan.basis.is_some();
    if is_surveyed || (is_conditional && !facts.rule.diagnostics.is_empty()) {
        draft.incident.phase = Phase::Diagnosing;
        draft.incident.diagnosis_round = draft.incident.diagnosis_round.saturating_add(1);
        let round = draft.incident.diagnosis_round;
        draft.emit(Effect::Diagnose { purpose: DiagnosisPurpose::Recheck(id.clone()), round }, None);
        return;
    }
    start_approved(draft, id, facts);
}

/// Fresh evidence about an approved action is at hand.
pub(super) fn rechecked(draft: &mut Draft, id: &ActionId, facts: &Facts<'_>) {
    let waits = draft.incident.action(id).is_some_and(|action| action.status == ActionStatus::Approved);
    if waits {
        start_approved(draft, id, facts);
    }
}

/// Condition and guardrails are judged again, and what still may start does.
fn start_approved(draft: &mut Draft, id: &ActionId, facts: &Facts<'_>) {
    match draft.incident.action(id).and_then(|action| refusal_at_the_click(action, facts)) {
        None => {
            let fresh = draft.incident.action(id).and_then(|action| candidate_of(action, facts));
            let (surveyed_at, guardrails) = match fresh {
                Some(fresh) => (fresh.surveyed_at(), fresh.guardrails.clone()),
                None => (None, Vec::new()),
            };
            if let Some(action) = draft.action_mut(id) {
                action.surveyed_at = surveyed_at;
                action.guardrails = guardrails;
            }
            acting::start(draft, id, facts);
        }
        Some((status, reason)) => {
            let text = format!("approved, but not started: {reason}");
            draft.line(LineKind::Decision, Some(reason.word()), text);
            acting::end(draft, id, status, reason.clone());
            if matches!(reason, Reason::Stale(_)) && decide_anew(draft, facts) {
                return;
            }
            // What cannot be for now people are asked for anew.
            let fresh = draft.incident.action(id).and_then(|action| candidate_of(action, facts));
            if status == ActionStatus::Blocked {
                decide_later(draft, fresh.and_then(passes_at));
            }
            hand_over(draft, &reason.to_string());
        }
    }
}

/// The world has moved on from a plan: evidence is gathered and the ladder decided anew, so that people are asked about
/// the world as it is. False where that was done often enough.
pub(super) fn decide_anew(draft: &mut Draft, facts: &Facts<'_>) -> bool {
    if draft.incident.redecisions >= REDECISIONS_MAX {
        return false;
    }
    draft.incident.redecisions += 1;
    alerts::begin_diagnosis(draft, facts);
    true
}

fn approvers(draft: &Draft, id: &ActionId) -> String {
    let names: Vec<&str> = draft
        .incident
        .action(id)
        .map(|action| action.approvals.records.iter().map(|record| record.actor.name.as_str()).collect())
        .unwrap_or_default();
    names.join(" and ")
}

pub(super) fn candidate_of<'f>(action: &Action, facts: &Facts<'f>) -> Option<&'f Candidate> {
    facts.candidates.iter().find(|candidate| candidate.remedy == action.remedy)
}

fn refusal_at_the_click(action: &Action, facts: &Facts<'_>) -> Option<(ActionStatus, Reason)> {
    let Some(candidate) = candidate_of(action, facts) else {
        let why = "the remedy could not be judged again".to_owned();
        return Some((ActionStatus::Blocked, Reason::PlanInvalid(why)));
    };
    if candidate.tier > action.tier {
        let why = format!("it is {} by now, and was asked for as {}", candidate.tier, action.tier);
        return Some((ActionStatus::Cancelled, Reason::Stale(why)));
    }
    match &candidate.plan {
        Ok(plan) if plan.digest() == action.digest || survey::agree(&action.plan, plan) => {}
        // The look failed or said no; what it said comes out below.
        Ok(_) if action.plan.basis.is_some() && candidate.surveyed_at().is_none() => {}
        Ok(plan) => {
            let why = match plan.summary == action.plan.summary {
                true => "its values have changed since it was asked for".to_owned(),
                false => format!("since it was asked for, it has become: {}", plan.summary),
            };
            return Some((ActionStatus::Cancelled, Reason::Stale(why)));
        }
        Err(why) => return Some((ActionStatus::Cancelled, Reason::PlanInvalid(why.clone()))),
    }
    // The ladder is not walked again: this one remedy is judged for itself, as if it had not been tried.
    let fresh = Candidate { tried: false, ..candidate.clone() };
    match decision::judge(&fresh, facts.rule.mode) {
        (Decision::Ask | Decision::Run, _) => None,
        (Decision::Skip, reason) => Some((ActionStatus::Cancelled, reason)),
        (Decision::Simulate, reason) => Some((ActionStatus::Simulated, reason)),
        (Decision::Block, reason) => Some((ActionStatus::Blocked, reason)),
    }
}

/// Nobody answered in time.
pub(super) fn approval_expired(draft: &mut Draft, id: &ActionId) {
    let waits =
        draft.incident.action(id).is_some_and(|action| action.status == ActionStatus::AwaitingApproval);
    if !waits {
        return;
    }
    draft.line(LineKind::Approval, Some("expired"), "nobody answered in time");
    acting::end(draft, id, ActionStatus::Expired, Reason::ApprovalExpired);
    hand_over(draft, &Reason::ApprovalExpired.to_string());
}
