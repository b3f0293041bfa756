//! Since when, how many alerts, who is on it, and who hears next.

use crate::domain::escalation::{DueStep, EscalationState, EscalationStep};
use crate::domain::incident::{Incident, IncidentStatus};
use crate::domain::people::{Actor, Via};
use crate::domain::severity::Severity;
use crate::engine::ports::IncidentView;
use crate::notify::slack::click::unknown_user_id;
use crate::notify::slack::markup::{Scribe, moment, moment_and_distance};

/// UTF-16 units of a person's or policy's name.
const NAME_UNITS_MAX: usize = 80;

/// Two columns of what people ask first.
pub(super) fn fields(view: &IncidentView, scribe: Scribe<'_>) -> Vec<String> {
    let incident = &view.incident;
    let mut fields = vec![format!("*Since*\n{}", since(incident)), format!("*Alerts*\n{}", alerts(incident))];
    if let Some((name, value)) = on_it(incident, scribe) {
        fields.push(format!("*{name}*\n{value}"));
    }
    if let Some(priority) = &incident.bridge_priority {
        fields.push(format!("*Priority in PagerDuty*\n{}", scribe.prose(priority, NAME_UNITS_MAX)));
    }
    if let Some(quiet) = quiet(incident, scribe) {
        fields.push(format!("*Silenced*\n{quiet}"));
    }
    if let Some(next) = next_escalation(incident, scribe) {
        fields.push(format!("*Escalates next*\n{next}"));
    }
    if let Some(promised) = promised(incident) {
        fields.push(format!("*Service back by*\n{promised}"));
    }
    fields
}

/// The same on one line, for messages without blocks.
pub(super) fn line(view: &IncidentView, scribe: Scribe<'_>) -> String {
    let incident = &view.incident;
    let mut parts = vec![format!("Since {}", since(incident)), alerts(incident)];
    if let Some((name, value)) = on_it(incident, scribe) {
        parts.push(format!("{name}: {value}"));
    }
    if let Some(priority) = &incident.bridge_priority {
        parts.push(format!("Priority in PagerDuty: {}", scribe.prose(priority, NAME_UNITS_MAX)));
    }
    if let Some(quiet) = quiet(incident, scribe) {
        parts.push(format!("Silenced: {quiet}"));
    }
    if let Some(next) = next_escalation(incident, scribe) {
        parts.push(format!("Escalates next: {next}"));
    }
    if let Some(promised) = promised(incident) {
        parts.push(format!("Service back by: {promised}"));
    }
    parts.join(" · ")
}

/// The countdown of a P0 to the recovery time objective: what is milder is no outage. Slack shows what is left of it when it shows the message, so the card need
/// not be edited for that.
fn promised(incident: &Incident) -> Option<String> {
    let state = incident.escalation.as_ref().filter(|_| incident.severity == Severity::P0)?;
    let (objectives, back_by) = (state.objectives?, state.back_by()?);
    let rto = format!("{:#}", objectives.rto);
    if let Some(end) = &incident.resolved {
        let kept = if end.at <= back_by { "kept" } else { "missed" };
        return Some(format!("{} ({kept}: RTO {rto})", moment(back_by)));
    }
    let data = state.data_from().map(|from| format!("\nno data lost from before {}", moment(from)));
    Some(format!("{}, RTO {rto}{}", moment_and_distance(back_by), data.unwrap_or_default()))
}

/// Since when and who is on it, for a list of incidents.
pub(super) fn in_short(incident: &Incident, scribe: Scribe<'_>) -> String {
    let on_it = on_it(incident, scribe).map(|(name, value)| format!(" · {name}: {value}"));
    format!("Since {}{}", since(incident), on_it.unwrap_or_default())
}

fn since(incident: &Incident) -> String {
    match incident.episode {
        0 => moment(incident.started_at),
        again => format!("{}, opened again {}", moment(incident.started_at), times(again)),
    }
}

fn times(count: u32) -> String {
    match count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}

fn alerts(incident: &Incident) -> String {
    let counts = incident.alerts;
    match (counts.firing, counts.resolved) {
        (firing, 0) => format!("{firing} firing"),
        (0, 1) => "ended".to_owned(),
        (0, ended) => format!("all {ended} ended"),
        (firing, ended) => format!("{firing} firing, {ended} ended"),
    }
}

fn on_it(incident: &Incident, scribe: Scribe<'_>) -> Option<(&'static str, String)> {
    if let Some(resolution) = &incident.resolved {
        let by = resolution.actor.as_ref().map(|actor| format!(" by {}", person(actor, scribe)));
        return Some(("Resolved", format!("{}{}", moment(resolution.at), by.unwrap_or_default())));
    }
    if let Some(taken) = &incident.taken_over {
        let text = format!("{}, by hand since {}", person(&taken.actor, scribe), moment(taken.at));
        return Some(("On it", text));
    }
    match &incident.acknowledged {
        Some(taken) => {
            let counts = taken.expires_at.filter(|_| incident.status == IncidentStatus::Acknowledged);
            let until = counts.map_or_else(String::new, |until| format!(", until {}", moment(until)));
            Some(("On it", format!("{} since {}{until}", person(&taken.actor, scribe), moment(taken.at))))
        }
        None => Some(("On it", "*nobody yet*".to_owned())),
    }
}

/// What Alertmanager keeps quiet: by a silence that was set here, or by what others decided there.
fn quiet(incident: &Incident, scribe: Scribe<'_>) -> Option<String> {
    if let Some(silence) = &incident.silence {
        let until = silence.until.map_or_else(|| "it is resolved".to_owned(), moment);
        let by = person(&silence.actor, scribe);
        let waits = if silence.held_until.is_none() { " (Alertmanager is being told)" } else { "" };
        return Some(format!("until {until} by {by}{waits}"));
    }
    if let Some(ending) = incident.silences_ending.iter().find(|ending| ending.is_late) {
        return Some(format!("until {}: *its end does not reach Alertmanager*", moment(ending.until)));
    }
    incident.suppressed.map(|quiet| format!("in Alertmanager: {quiet}"))
}

/// A person by name; somebody whom only Slack knows by a mention, which Slack shows as their name.
pub(super) fn person(actor: &Actor, scribe: Scribe<'_>) -> String {
    match unknown_user_id(&actor.name) {
        Some(id) if actor.via == Via::Slack => format!("<@{id}>"),
        _ => format!("*{}*", scribe.prose(&actor.name, NAME_UNITS_MAX)),
    }
}

fn next_escalation(incident: &Incident, scribe: Scribe<'_>) -> Option<String> {
    if incident.status != IncidentStatus::Triggered {
        return None;
    }
    let state = incident.escalation.as_ref()?;
    Some(match state.next {
        Some(next) if state.deferred_until.is_some() => {
            format!("off hours: {}, {}", moment(next.due_at), step(state, next, scribe))
        }
        Some(next) => format!("{}, {}", moment(next.due_at), step(state, next, scribe)),
        None => "no further: everybody was told".to_owned(),
    })
}

fn step(state: &EscalationState, next: DueStep, scribe: Scribe<'_>) -> String {
    let policy = scribe.code(&state.policy, NAME_UNITS_MAX);
    match next.step {
        EscalationStep::Level(index) => format!("level {} of {policy}", index + 1),
        EscalationStep::Reminder(index, _) => format!("level {} of {policy} again", index + 1),
        EscalationStep::Repeat(_) => format!("all levels of {policy} again"),
        EscalationStep::Fallback(_) => format!("fallback of {policy}"),
    }
}
