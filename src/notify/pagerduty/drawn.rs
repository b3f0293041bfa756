//! What a notice comes to in PagerDuty, as people read it and without sending it.

use super::event::Writer;
use super::is_over;
use crate::domain::notification::Notice;
use crate::domain::redact::Redactor;
use crate::engine::ports::IncidentView;
use serde_json::Value;

/// The words of a notice; an error where it would call people for what is over, none where it leads to no event.
pub(in crate::notify) fn drawn(
    notice: &Notice,
    view: &IncidentView,
    external_url: Option<&str>,
    redactor: &Redactor,
) -> Result<Option<String>, &'static str> {
    let writer = Writer::new(view, external_url, redactor);
    let table = |details: Option<Value>| details.map_or_else(String::new, |details| format!("{details:#}"));
    Ok(match notice {
        Notice::Trigger { episode, .. } if is_over(&view.incident, *episode) => {
            return Err("the incident is over: an event now would open a new one");
        }
        Notice::Trigger { note, episode } => {
            let event = writer.trigger(note, *episode);
            Some(format!("{}\n{}", event.summary, table(event.custom_details)))
        }
        Notice::Acknowledge { .. } => Some("acknowledged".to_owned()),
        Notice::Resolve { .. } => Some("resolved".to_owned()),
        Notice::Change { summary, details } => {
            let event = writer.change(summary, details);
            Some(format!("{}\n{}", event.summary, table(event.custom_details)))
        }
        Notice::Card
        | Notice::Reply { .. }
        | Notice::Call { .. }
        | Notice::Evidence
        | Notice::Charts
        | Notice::Confirm { .. }
        | Notice::Whisper { .. } => None,
    })
}
