//! The buttons that make sense now, with the plan shown once more before a decision counts.

use serde_json::Value;

use crate::domain::action::{Action, ActionStatus};
use crate::domain::incident::{Incident, IncidentStatus};
use crate::engine::ports::{ClickVerb, IncidentView};
use crate::notify::slack::blocks::{self, CONFIRM_UNITS_MAX};
use crate::notify::slack::button::{ButtonValue, draw, with_confirmation};
use crate::notify::slack::markup::Scribe;

/// UTF-16 units of the words of ours in a confirmation.
const OWN_UNITS: usize = 80;

pub(super) fn block(view: &IncidentView, scribe: Scribe<'_>) -> Option<Value> {
    let incident = &view.incident;
    if !incident.is_open() {
        return None;
    }
    let asked = asked(incident);
    let mut buttons: Vec<Value> = asked.map(|action| decision(action, scribe)).unwrap_or_default();
    if incident.status == IncidentStatus::Triggered {
        // One loud button a card: where a decision is wanted, that is the one.
        let style = if asked.is_some() { None } else { Some("primary") };
        let value = ButtonValue { subject: incident.id.0.clone(), digest: None };
        buttons.extend(draw(ClickVerb::Acknowledge, style, &value));
    }
    (!buttons.is_empty()).then(|| blocks::buttons(buttons))
}

/// The action that people are asked about.
pub(super) fn asked(incident: &Incident) -> Option<&Action> {
    incident.current_action().filter(|action| action.status == ActionStatus::AwaitingApproval)
}

fn decision(action: &Action, scribe: Scribe<'_>) -> Vec<Value> {
    let value = ButtonValue { subject: action.id.0.clone(), digest: Some(action.digest.0.clone()) };
    let plan = scribe.prose(&action.plan.summary, CONFIRM_UNITS_MAX - OWN_UNITS);
    let approve = draw(ClickVerb::Approve, Some("primary"), &value).map(|button| {
        let text = format!("*{plan}*\nThis will be carried out.");
        with_confirmation(button, "Approve this plan?", &text, "Approve", "primary")
    });
    let reject = draw(ClickVerb::Reject, Some("danger"), &value).map(|button| {
        let text = format!("*{plan}*\nThis will not be carried out. People go on.");
        with_confirmation(button, "Reject this plan?", &text, "Reject", "danger")
    });
    approve.into_iter().chain(reject).collect()
}
