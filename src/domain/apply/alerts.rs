//! Alerts join, repeat and end; the incident opens, reopens and closes with them.

use super::draft::Draft;
use super::{Facts, acting, silencing, telling};
use crate::action::ActionStatus;
use crate::alert::{Alert, AlertStatus, Observation};
use crate::diagnosis::DiagnosisPurpose;
use crate::effect::{Effect, Wake};
use crate::incident::{IncidentStatus, Phase, Resolution};
use crate::notification::Notice;
use crate::people::Actor;
use crate::silence::Suppressed;
use crate::timeline::LineKind;
use jiff::{SignedDuration, Timestamp};

/// How long repeats of an alert that still fires are ignored after a person said that the incident is over.
///
/// Alertmanager repeats a firing alert with every change of its group, within minutes; that must not undo the
/// person's word at once. An hour later a still firing alert is news again: forgetting it would lose a page. Alertmanager
/// itself repeats it after four hours by default, so we look then.
pub(super) const PERSON_RESOLVE_HOLD: SignedDuration = SignedDuration::from_hours(1);

/// How many single alerts get a line of their own; later ones are counted on the card.
const ALERT_LINES_MAX: u32 = 20;

/// What is to be known of a telling beside what it means.
#[derive(Debug, Clone, Copy)]
pub(super) struct Telling {
    /// Whether the alert is counted in this incident already.
    pub(super) counted: bool,
    /// Whether we found out by asking Alertmanager.
    pub(super) found: bool,
}

pub(super) fn seen(
    draft: &mut Draft,
    alert: &Alert,
    observation: Observation,
    telling: Telling,
    facts: &Facts<'_>,
) {
    match observation {
        Observation::Started => started(draft, alert, telling, facts),
        Observation::Repeated => repeated(draft, alert, facts),
        Observation::Ended => ended(draft, alert, telling.found, facts),
        // A tombstone keeps a late firing from opening what is over; there is nothing to count.
        Observation::AlreadyEnded | Observation::LateFiring => {}
    }
}

fn started(draft: &mut Draft, alert: &Alert, telling: Telling, facts: &Facts<'_>) {
    let counts = &mut draft.incident.alerts;
    counts.firing = counts.firing.saturating_add(1);
    if telling.counted {
        counts.resolved = counts.resolved.saturating_sub(1);
    }
    draft.changed = true;
    if draft.incident.is_new() && draft.incident.timeline.seq == 0 {
        open(draft, alert, facts);
    } else if !draft.incident.is_open() {
        let why = format!("{} fires", alert.title());
        reopen(draft, alert, &why, facts.told_by.map(str::to_owned), facts);
    } else {
        tell_at_last(draft, alert, facts);
        let total = draft.incident.alerts.total();
        if total <= ALERT_LINES_MAX {
            draft.line(
                LineKind::Alert,
                Some("alert_joined"),
                format!("{} fires as well ({})", alert.title(), alert.fingerprint),
            );
        }
        draft.visible();
    }
    if telling.found {
        let text = format!(
            "Alertmanager never told of {} ({}): we found it there by asking",
            alert.title(),
            alert.fingerprint
        );
        draft.line(LineKind::Alert, Some("alert_found"), text);
    }
}

/// Alertmanager keeps alerts quiet, or tells of them again. Nothing follows from it: who silenced them decided about
/// Alertmanager's notifications, and not about what is done here.
pub(super) fn suppressed(draft: &mut Draft, suppressed: Suppressed) {
    let suppressed = suppressed.some();
    if suppressed == draft.incident.suppressed || !draft.incident.is_open() {
        return;
    }
    draft.incident.suppressed = suppressed;
    let text = match suppressed {
        Some(quiet) => {
            format!("Alertmanager keeps alerts quiet: {quiet} of {} that fire", draft.incident.alerts.firing)
        }
        None => "Alertmanager does not keep these alerts quiet any more".to_owned(),
    };
    draft.line(LineKind::Alert, Some("suppressed"), text);
    draft.visible();
}

fn repeated(draft: &mut Draft, alert: &Alert, facts: &Facts<'_>) {
    let Some(resolution) = &draft.incident.resolved else { return };
    if draft.now.duration_since(resolution.at) >= PERSON_RESOLVE_HOLD {
        let who = resolution.actor.as_ref().map_or("somebody", |actor| actor.name.as_str());
        let why = format!("{} fires still, though {who} resolved it at {}", alert.title(), resolution.at);
        // Whoever told of it before has it still, and tells of it again.
        let told_by = draft.incident.told_by.clone();
        reopen(draft, alert, &why, told_by, facts);
    }
}

/// A person said that it is over while alerts fire: once their word has held long enough, and a silence of ours is over,
/// it is looked whether these fire still.
pub(super) fn look_again_later(draft: &mut Draft) {
    let by_a_person = draft.incident.resolved.as_ref().filter(|resolution| resolution.actor.is_some());
    let Some(resolution) = by_a_person.filter(|_| draft.incident.alerts.firing > 0) else { return };
    let held = resolution.at.checked_add(PERSON_RESOLVE_HOLD).unwrap_or(Timestamp::MAX);
    let silenced = draft.incident.silence.as_ref().and_then(|silence| silence.until);
    let due_at = silenced.map_or(held, |until| until.max(held)).max(draft.now);
    draft.wake_at(due_at, Wake::StillFiring);
}

/// It is time for that look. What it finds comes back as a repeat of the alerts, as if Alertmanager had told of them.
pub(super) fn look_again(draft: &mut Draft) {
    let by_a_person = draft.incident.resolved.as_ref().is_some_and(|resolution| resolution.actor.is_some());
    if by_a_person && draft.incident.alerts.firing > 0 {
        draft.emit(Effect::LookAgain, None);
    }
}

fn ended(draft: &mut Draft, alert: &Alert, found: bool, facts: &Facts<'_>) {
    let counts = &mut draft.incident.alerts;
    counts.firing = counts.firing.saturating_sub(1);
    counts.resolved = counts.resolved.saturating_add(1);
    draft.changed = true;
    if !draft.incident.is_open() {
        if draft.incident.alerts.firing == 0 {
            draft.cancel_wake(&Wake::StillFiring);
        }
        return;
    }
    let (title, fingerprint) = (alert.title(), alert.fingerprint);
    if found {
        let text = format!(
            "{title} ended ({fingerprint}): Alertmanager does not hold it any more, and never said so"
        );
        draft.line(LineKind::Alert, Some("alert_gone"), text);
    } else if draft.incident.alerts.total() <= ALERT_LINES_MAX {
        draft.line(LineKind::Alert, Some("alert_ended"), format!("{title} ended ({fingerprint})"));
    }
    draft.visible();
    close_if_over(draft, facts);
}

fn open(draft: &mut Draft, alert: &Alert, facts: &Facts<'_>) {
    let word = if alert.name().is_empty() { "" } else { "alert " };
    let text = format!(
        "{} opened by {word}{} under rule {}",
        draft.incident.severity,
        alert.title(),
        draft.incident.rule
    );
    draft.line(LineKind::Opened, Some("opened"), text);
    for note in facts.notes {
        draft.line(LineKind::Opened, Some("noted"), note.clone());
    }
    if draft.incident.mode.is_shadow() {
        let text = "the rule is in shadow: what it would do is recorded, nothing is carried out, and nobody is asked";
        draft.line(LineKind::Opened, Some("in_shadow"), text);
    }
    tell_once(draft, facts.told_by.map(str::to_owned), facts);
    begin_diagnosis(draft, facts);
    draft.visible();
}

/// Tells people, unless a live rule does so for the same alert.
fn tell_once(draft: &mut Draft, told_by: Option<String>, facts: &Facts<'_>) {
    draft.incident.told_by = told_by.filter(|_| draft.incident.mode.is_shadow());
    let Some(rule) = draft.incident.told_by.clone() else {
        return telling::begin_escalation(draft, facts);
    };
    let text = format!("rule {rule} has this alert as well, and tells people: nobody is told of it twice");
    draft.line(LineKind::Escalation, Some("told_by_another"), text);
}

/// An alert joins of which no live rule tells people: from now on this incident does. Nothing is lost in a shadow.
fn tell_at_last(draft: &mut Draft, alert: &Alert, facts: &Facts<'_>) {
    if draft.incident.told_by.is_none() || facts.told_by.is_some() {
        return;
    }
    draft.incident.told_by = None;
    let text = format!("no live rule has {}: people are told of it from here", alert.title());
    draft.line(LineKind::Escalation, Some("told_from_here"), text);
    if draft.incident.status == IncidentStatus::Triggered {
        telling::begin_escalation(draft, facts);
    }
}

fn reopen(draft: &mut Draft, alert: &Alert, why: &str, told_by: Option<String>, facts: &Facts<'_>) {
    draft.cancel_wake(&Wake::StillFiring);
    draft.incident.status = IncidentStatus::Triggered;
    draft.incident.resolved = None;
    draft.incident.acknowledged = None;
    draft.incident.taken_over = None;
    draft.incident.take_data_state(alert);
    let now = draft.now;
    draft.incident.note_reopened(now);
    silencing::incident_opened_again(draft);
    draft.incident.redecisions = 0;
    // Whether a destination can be reached is found out anew, and so is who stands in for it.
    for state in &mut draft.incident.destinations {
        state.failure = None;
        state.replaced = false;
    }
    draft.line(LineKind::Reopened, Some("reopened"), format!("opened again: {why}"));
    tell_once(draft, told_by, facts);
    begin_diagnosis(draft, facts);
    draft.visible();
}

/// Starts a new round of evidence; with nothing to gather, the decision is next.
pub(super) fn begin_diagnosis(draft: &mut Draft, facts: &Facts<'_>) {
    draft.incident.phase = Phase::Diagnosing;
    draft.incident.diagnosis_round = draft.incident.diagnosis_round.saturating_add(1);
    if facts.rule.diagnostics.is_empty() && !facts.looks_first {
        draft.incident.phase = Phase::Deciding;
        draft.wants_decision = true;
        return;
    }
    let round = draft.incident.diagnosis_round;
    draft.emit(Effect::Diagnose { purpose: DiagnosisPurpose::Decide, round }, None);
}

/// Closes the incident when all its alerts ended and nothing is under way.
pub(super) fn close_if_over(draft: &mut Draft, facts: &Facts<'_>) {
    if !draft.incident.is_open() || draft.incident.alerts.status() == AlertStatus::Firing {
        return;
    }
    // What people were asked to do holds nothing up: they see that it is over, and may do it nevertheless.
    let under_way = draft.incident.current_action().is_some_and(|action| match action.status {
        ActionStatus::Running => !acting::is_with_people(draft, &action.id),
        status => status == ActionStatus::Verifying,
    });
    if !under_way {
        close(draft, None, "all alerts ended".to_owned(), facts);
    }
}

/// Ends the incident: what waits is called off, everybody is told, and the last observing actions start.
pub(super) fn close(draft: &mut Draft, by: Option<Actor>, why: String, facts: &Facts<'_>) {
    acting::call_off(draft);
    draft.cancel_all_wakes();
    silencing::incident_over(draft);
    draft.incident.status = IncidentStatus::Resolved;
    draft.incident.phase = Phase::Closed;
    draft.incident.resolved = Some(Resolution { actor: by.clone(), at: draft.now });
    draft.incident.suppressed = None;
    if let Some(escalation) = &mut draft.incident.escalation {
        escalation.next = None;
        escalation.deferred_until = None;
    }
    let reason = if by.is_some() { "resolved_by_person" } else { "alerts_ended" };
    draft.line_by(&by.unwrap_or_else(Actor::machine), LineKind::Resolved, Some(reason), why);
    for destination in draft.told_destinations() {
        let episode = draft.incident.episode;
        draft.notify(&destination, Notice::Resolve { episode });
    }
    draft.visible();
    acting::start_on_resolve(draft, facts);
}
