//! Evidence arrives: for a decision, or to see whether a remedy helped.

use super::draft::Draft;
use super::{Facts, acting, alerts, deciding, showing};
use crate::action::{ActionId, ActionStatus};
use crate::counted::counted;
use crate::decision::Reason;
use crate::diagnosis::{DiagnosisPurpose, Finding};
use crate::effect::{Effect, Wake};
use crate::incident::Phase;
use crate::rule::{OnFail, VerifySpec};
use crate::timeline::LineKind;
use crate::verification::{Verification, VerificationStep};

/// A round of diagnostics ended.
pub(super) fn diagnosis_done(
    draft: &mut Draft,
    purpose: DiagnosisPurpose,
    round: u32,
    findings: Vec<Finding>,
    facts: &Facts<'_>,
) {
    // An answer of an earlier round describes a world that is gone.
    if round != draft.incident.diagnosis_round || !draft.incident.is_open() {
        return;
    }
    let text = summary(&findings);
    draft.findings = findings;
    draft.visible();
    match purpose {
        DiagnosisPurpose::Decide => {
            draft.line(LineKind::Diagnosis, Some("diagnosed"), text);
            showing::evidence(draft);
            if draft.incident.phase == Phase::Diagnosing {
                draft.incident.phase = Phase::Deciding;
                draft.wants_decision = true;
            }
        }
        DiagnosisPurpose::Recheck(id) => {
            draft.line(LineKind::Diagnosis, Some("diagnosed"), text);
            deciding::rechecked(draft, &id, facts);
        }
        DiagnosisPurpose::Verify(id) => look(draft, &id, facts),
    }
}

fn summary(findings: &[Finding]) -> String {
    let unknown: Vec<&str> =
        findings.iter().filter(|finding| !finding.is_known()).map(|finding| finding.name.as_str()).collect();
    if unknown.is_empty() {
        counted(findings.len(), "finding")
    } else {
        format!("{}, unknown: {}", counted(findings.len(), "finding"), unknown.join(", "))
    }
}

/// Begins to watch whether an action helped.
pub(super) fn begin(draft: &mut Draft, id: &ActionId, spec: &VerifySpec) {
    let (verification, first_look) = Verification::begin(spec, draft.now);
    if let Some(action) = draft.action_mut(id) {
        action.status = ActionStatus::Verifying;
        action.verification = Some(verification);
    }
    draft.incident.phase = Phase::Verifying;
    draft.wake_at(first_look, Wake::Verify(id.clone()));
}

/// It is time for a look: fresh evidence is wanted.
pub(super) fn wanted(draft: &mut Draft, id: &ActionId, facts: &Facts<'_>) {
    let verifying = draft.incident.action(id).is_some_and(|action| action.status == ActionStatus::Verifying);
    if !verifying {
        return;
    }
    draft.incident.diagnosis_round = draft.incident.diagnosis_round.saturating_add(1);
    let round = draft.incident.diagnosis_round;
    if facts.rule.diagnostics.is_empty() {
        // Checks without evidence were judged over labels alone; the loader warns about such rules.
        look(draft, id, facts);
        return;
    }
    draft.emit(Effect::Diagnose { purpose: DiagnosisPurpose::Verify(id.clone()), round }, None);
}

fn look(draft: &mut Draft, id: &ActionId, facts: &Facts<'_>) {
    let now = draft.now;
    let Some(action) = draft.action_mut(id) else { return };
    if action.status != ActionStatus::Verifying {
        return;
    }
    let remedy = action.remedy.clone();
    let Some(spec) = facts.rule.remedy(&remedy).and_then(|remedy| remedy.verify.as_ref()) else { return };
    let Some(verification) = action.verification.as_mut() else { return };
    let looks = verification.looks + 1;
    match verification.look(spec, facts.checks, now) {
        VerificationStep::LookAgain(at) => draft.wake_at(at, Wake::Verify(id.clone())),
        VerificationStep::Passed => {
            let checks = counted(spec.checks.len(), "check");
            let looks = counted(looks as usize, "look");
            let text = format!("{remedy}: it helped; {checks} held after {looks}");
            draft.line(LineKind::Verification, Some("verified"), text);
            showing::charts(draft);
            acting::end(draft, id, ActionStatus::Succeeded, Reason::Verified);
            draft.incident.phase = Phase::Watching;
            alerts::close_if_over(draft, facts);
        }
        VerificationStep::Failed(why) => {
            let reason = Reason::VerificationFailed(why);
            draft.line(LineKind::Verification, Some(reason.word()), format!("{remedy}: {reason}"));
            showing::charts(draft);
            did_not_help(draft, id, reason, spec.on_fail, facts);
        }
        VerificationStep::Unproven(why) => {
            let reason = Reason::Unproven(why);
            draft.line(LineKind::Verification, Some(reason.word()), format!("{remedy}: {reason}"));
            showing::charts(draft);
            // It may well have helped: it is neither undone nor followed by another, and people look.
            did_not_help(draft, id, reason, OnFail::Escalate, facts);
        }
    }
}

/// A remedy was carried out and did not help: it is undone, or left, or people go on, as its rule says.
pub(super) fn did_not_help(
    draft: &mut Draft,
    id: &ActionId,
    reason: Reason,
    on_fail: OnFail,
    facts: &Facts<'_>,
) {
    // What nobody is alarmed by any more stays as it is.
    let goes_on = draft.incident.is_open() && draft.incident.alerts.firing > 0;
    let has_inverse = draft.incident.action(id).is_some_and(|action| action.inverse.is_some());
    // Whoever goes on by hand decides about what was done, too.
    let on_fail = if draft.incident.taken_over.is_some() { OnFail::Escalate } else { on_fail };
    match on_fail {
        OnFail::Rollback if has_inverse && goes_on => {
            if let Some(action) = draft.action_mut(id) {
                action.reason = reason;
            }
            acting::roll_back(draft, id);
        }
        OnFail::Rollback | OnFail::Escalate => {
            acting::end(draft, id, ActionStatus::Failed, reason.clone());
            if goes_on {
                deciding::hand_over(draft, &reason.to_string());
            }
            alerts::close_if_over(draft, facts);
        }
        OnFail::Next => {
            acting::end(draft, id, ActionStatus::Failed, reason);
            acting::next_remedy(draft, facts);
            alerts::close_if_over(draft, facts);
        }
    }
}
