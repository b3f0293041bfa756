//! What waits comes to its end because the incident is over, or because a person goes on by hand.

use super::{end, is_with_people};
use crate::action::{Action, ActionId, ActionStatus, Step};
use crate::apply::draft::Draft;
use crate::decision::Reason;
use crate::effect::Wake;
use crate::timeline::LineKind;

/// The incident ended: brings every action to its end that does not come to it by itself. Only an attempt on the
/// world that is under way goes on, since its answer is still to be recorded.
pub(in crate::apply) fn call_off(draft: &mut Draft) {
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

/// A person goes on by hand: what waits is called off. An attempt under way comes to its end, and whether a remedy helped
/// is still looked at.
pub(in crate::apply) fn stand_back(draft: &mut Draft, who: &str) {
    let waits = |action: &&Action| action.restores.is_none() && action.status.is_waiting();
    let waiting: Vec<(ActionId, Step)> =
        draft.incident.actions.iter().filter(waits).map(|action| (action.id.clone(), action.step)).collect();
    for (id, step) in waiting {
        draft.cancel_wake(&Wake::ApprovalExpires(id.clone()));
        let reason = Reason::TakenOver(who.to_owned());
        match step {
            Step::Apply => end(draft, &id, ActionStatus::Cancelled, reason),
            // It was carried out, and stays.
            Step::Rollback => {
                end(draft, &id, ActionStatus::Failed, Reason::RollbackFailed(reason.to_string()));
            }
        }
    }
}
