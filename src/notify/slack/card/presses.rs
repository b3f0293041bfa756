//! The buttons that make sense now, with the plan shown once more before a decision counts.

use serde_json::Value;

use crate::domain::action::{Action, ActionStatus, Tier};
use crate::domain::incident::{Incident, IncidentStatus};
use crate::engine::ports::{ClickVerb, IncidentView};
use crate::notify::slack::blocks::{self, CONFIRM_UNITS_MAX};
use crate::notify::slack::button::{ButtonValue, approve_why, draw, silence_menu, with_confirmation};
use crate::notify::slack::markup::Scribe;

/// UTF-16 units of the words of ours in a confirmation.
const OWN_UNITS: usize = 80;

/// What is asked stands in a row of its own, above what people may want at any time.
pub(super) fn rows(view: &IncidentView, may_silence: bool, scribe: Scribe<'_>) -> Vec<Value> {
    let incident = &view.incident;
    if !incident.is_open() {
        // A silence may outlive its incident: the alert may come back, and nobody would hear of it.
        let lift = incident.silence.as_ref().and_then(|_| lift(incident));
        return lift.map(|button| blocks::buttons(vec![button])).into_iter().collect();
    }
    let asked = asked(incident);
    let mut buttons: Vec<Value> = asked.map(|action| decision(action, scribe)).unwrap_or_default();
    // An acknowledgement that ends can be made anew by whoever has it.
    let ends = incident.acknowledged.as_ref().is_some_and(|taken| taken.expires_at.is_some());
    if incident.status == IncidentStatus::Triggered || ends {
        // One loud button a card: where a decision is wanted, that is the one.
        let is_loud = asked.is_none() && incident.status == IncidentStatus::Triggered;
        let style = is_loud.then_some("primary");
        let value = ButtonValue { subject: incident.id.0.clone(), digest: None };
        buttons.extend(draw(ClickVerb::Acknowledge, style, &value));
    }
    let rows = [buttons, in_hand(incident, may_silence)];
    rows.into_iter().filter(|row| !row.is_empty()).map(blocks::buttons).collect()
}

/// What whoever looks at it may want to do, with what it means.
fn in_hand(incident: &Incident, may_silence: bool) -> Vec<Value> {
    let of = |digest| ButtonValue { subject: incident.id.0.clone(), digest };
    // Those that open a form ask there; the others ask before they count.
    let take_over = draw(ClickVerb::TakeOver, None, &of(None)).filter(|_| incident.taken_over.is_none());
    let escalate = draw(ClickVerb::Escalate, None, &of(Some(incident.escalation_mark()))).map(|button| {
        let text = "The next level is told at once, and somebody has to acknowledge.";
        with_confirmation(button, "Call the next level?", text, "Escalate now", "primary")
    });
    // Which episode it would end: a form may stand open while it ends and begins again.
    let resolve = draw(ClickVerb::Resolve, None, &of(Some(format!("{:x}", incident.episode))));
    let silence = match &incident.silence {
        Some(_) => lift(incident),
        None if may_silence && incident.alerts.firing > 0 => silence_menu(&incident.id.0),
        None => None,
    };
    [take_over, escalate, silence, resolve].into_iter().flatten().collect()
}

/// Lifts the silence that stands.
fn lift(incident: &Incident) -> Option<Value> {
    draw(ClickVerb::Unsilence, None, &ButtonValue { subject: incident.id.0.clone(), digest: None })
}

/// The action that people are asked about.
pub(super) fn asked(incident: &Incident) -> Option<&Action> {
    incident.current_action().filter(|action| action.status == ActionStatus::AwaitingApproval)
}

fn decision(action: &Action, scribe: Scribe<'_>) -> Vec<Value> {
    let value = ButtonValue { subject: action.id.0.clone(), digest: Some(action.digest.0.clone()) };
    let plan = scribe.prose(&action.plan.summary, CONFIRM_UNITS_MAX - OWN_UNITS);
    let approve = match action.tier {
        // What is decided by two people is remembered with why: the form asks, and the plan stands in it.
        Tier::T3 => approve_why(&value),
        _ => draw(ClickVerb::Approve, Some("primary"), &value).map(|button| {
            let text = format!("*{plan}*\nThis will be carried out.");
            with_confirmation(button, "Approve this plan?", &text, "Approve", "primary")
        }),
    };
    let reject = draw(ClickVerb::Reject, Some("danger"), &value);
    approve.into_iter().chain(reject).collect()
}
