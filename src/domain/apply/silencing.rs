//! People silence an incident's alerts in Alertmanager: the silence begins, is kept, is lifted, and ends.
//!
//! A silence that a person sets here is their acknowledgement with an end: nothing escalates while it stands, and when it
//! is over and the alert still fires, the escalation begins anew (`docs/decisions/0018-silences.md`).

use super::draft::Draft;
use super::people::{begin_to_count, hold_escalation, need, said};
use super::{Facts, Refused, alerts, telling, waiting};
use crate::effect::{Effect, Wake};
use crate::incident::IncidentStatus;
use crate::people::{Actor, Role};
use crate::silence::{
    SILENCE_LOOK_EVERY, SILENCED_ALERTS_MAX, Silence, SilenceEnding, SilenceOutcome, SilenceWish,
};
use crate::timeline::LineKind;
use jiff::{SignedDuration, Timestamp};

/// Two ends within this time are the same: of two people who press at once, the second changes nothing.
const SAME_END: SignedDuration = SignedDuration::from_secs(60);

pub(super) fn silence(
    draft: &mut Draft,
    actor: Actor,
    lasts: Option<SignedDuration>,
    reason: Option<String>,
    facts: &Facts<'_>,
) -> Result<(), Refused> {
    need(&actor, Role::Responder)?;
    if !draft.incident.is_open() {
        return Err(Refused::AlreadyResolved);
    }
    let longest = facts.silence_max.ok_or(Refused::NoAlertmanager)?;
    if lasts.is_some_and(|lasts| lasts > longest) {
        return Err(Refused::TooLong(longest));
    }
    match draft.incident.alerts.firing {
        0 => return Err(Refused::NothingFires),
        1..=SILENCED_ALERTS_MAX => {}
        count => return Err(Refused::TooManyAlerts(count)),
    }
    let until = lasts.map(|lasts| draft.now.checked_add(lasts).unwrap_or(Timestamp::MAX));
    let standing = draft.incident.silence.take();
    if let Some(standing) = &standing
        && is_the_same(standing, until)
    {
        let refused = Refused::AlreadySilenced(standing.actor.name.clone(), standing.end_text());
        draft.incident.silence = Some(standing.clone());
        return Err(refused);
    }
    let is_new = draft.incident.status == IncidentStatus::Triggered;
    let would_expire = draft.incident.acknowledged.as_ref().is_some_and(|ack| ack.expires_at.is_some());
    let serial = standing.as_ref().map_or_else(|| next_serial(draft), |standing| standing.serial);
    let silence = Silence {
        serial,
        actor: actor.clone(),
        at: draft.now,
        reason: reason.clone(),
        until,
        held_until: standing.as_ref().and_then(|standing| standing.held_until),
        holds: is_new || would_expire || standing.is_some_and(|standing| standing.holds),
        is_late: false,
    };
    let text = format!("{}, {}", said(draft, "silenced by", &actor, reason), silence.end_text());
    draft.line_by(&actor, LineKind::Acknowledged, Some("silenced"), text);
    if is_new {
        hold_escalation(draft, actor, facts);
    }
    // The silence has an end of its own, at which somebody is called.
    draft.cancel_wake(&Wake::AcknowledgementExpires);
    if let Some(acknowledged) = &mut draft.incident.acknowledged {
        acknowledged.expires_at = None;
    }
    draft.incident.silence = Some(silence);
    stand(draft, serial);
    look_later(draft);
    draft.visible();
    Ok(())
}

/// Whether somebody who wishes this end changes nothing by it.
fn is_the_same(standing: &Silence, until: Option<Timestamp>) -> bool {
    match (standing.until, until) {
        (None, None) => true,
        (Some(standing), Some(until)) => until.duration_since(standing) <= SAME_END,
        _ => false,
    }
}

pub(super) fn unsilence(
    draft: &mut Draft,
    actor: &Actor,
    reason: Option<String>,
    facts: &Facts<'_>,
) -> Result<(), Refused> {
    need(actor, Role::Responder)?;
    let Some(silence) = draft.incident.silence.take() else { return Err(Refused::NotSilenced) };
    draft.cancel_wake(&Wake::Silence);
    let text = said(draft, "the silence is lifted by", actor, reason);
    draft.line_by(actor, LineKind::Acknowledged, Some("unsilenced"), text);
    end(draft, &silence);
    keep_acknowledged(draft, &silence, facts);
    alerts::look_again_later(draft);
    draft.visible();
    Ok(())
}

/// It is time to look at the silence: it is over, or it has to be kept.
pub(super) fn due(draft: &mut Draft, facts: &Facts<'_>) {
    let Some(silence) = draft.incident.silence.clone() else { return };
    if silence.until.is_some_and(|until| until <= draft.now) {
        draft.line(LineKind::Notification, Some("silence_over"), "the silence is over");
        gone(draft, &silence, facts);
        return;
    }
    stand(draft, silence.serial);
    look_later(draft);
}

/// How a wish fared. What is said of an earlier silence is only noted.
pub(super) fn done(draft: &mut Draft, serial: u32, outcome: SilenceOutcome, facts: &Facts<'_>) {
    let current = draft.incident.silence.clone().filter(|silence| silence.serial == serial);
    match (outcome, current) {
        (SilenceOutcome::Stands { until, alerts }, Some(mut silence)) => {
            if silence.held_until.is_none() {
                let text = format!("Alertmanager keeps {alerts} of its alerts quiet until {until}");
                draft.line(LineKind::Notification, Some("silence_set"), text);
                draft.visible();
            }
            if std::mem::take(&mut silence.is_late) {
                draft.reply_everywhere(&format!("Alertmanager has taken the silence now, until {until}"));
            }
            draft.changed = true;
            silence.held_until = Some(until);
            draft.incident.silence = Some(silence);
        }
        (outcome @ (SilenceOutcome::Lifted | SilenceOutcome::NothingLeft), Some(silence)) => {
            let (word, text) = match outcome {
                SilenceOutcome::Lifted => {
                    ("silence_lifted", "the silence was lifted in Alertmanager before its time")
                }
                _ => ("silence_over", "what was silenced has ended, and other alerts fire"),
            };
            draft.line(LineKind::Notification, Some(word), text);
            // Where one of several was lifted, the others go as well.
            end(draft, &silence);
            gone(draft, &silence, facts);
        }
        (SilenceOutcome::Failed { reason }, Some(silence)) => {
            draft.incident.silence = None;
            draft.cancel_wake(&Wake::Silence);
            // An attempt without an answer may have set a part of it.
            end(draft, &silence);
            let text = format!("it could not be silenced: {reason}");
            draft.line(LineKind::Notification, Some("silence_failed"), text.clone());
            draft.reply_everywhere(&text);
            keep_acknowledged(draft, &silence, facts);
            // Whoever resolved it meanwhile was to be looked at when the silence ends, which never began.
            alerts::look_again_later(draft);
            draft.visible();
        }
        (SilenceOutcome::Late { reason }, Some(mut silence)) => {
            if !std::mem::replace(&mut silence.is_late, true) {
                let text = format!(
                    "Alertmanager has not taken the silence yet, which goes on being tried: {reason}"
                );
                draft.line(LineKind::Notification, Some("silence_late"), text.clone());
                draft.reply_everywhere(&text);
                draft.incident.silence = Some(silence);
                draft.visible();
            }
        }
        (SilenceOutcome::Late { reason }, None) => end_is_late(draft, serial, &reason, facts),
        (SilenceOutcome::Ended, _) => ended(draft, serial, "its silence in Alertmanager is ended"),
        (SilenceOutcome::RanOut, _) => {
            ended(
                draft,
                serial,
                "its silence in Alertmanager could not be ended before its time, which is over now",
            );
        }
        // Nobody wants it any more, and its end is wished already.
        (SilenceOutcome::Failed { .. }, None) if is_ending(draft, serial) => {}
        (SilenceOutcome::Failed { reason }, None) => {
            let text = format!("its silence in Alertmanager could not be ended: {reason}");
            ended(draft, serial, &text);
            telling::page(draft, &text, facts);
        }
        (SilenceOutcome::Stands { .. } | SilenceOutcome::Lifted | SilenceOutcome::NothingLeft, None) => {}
    }
}

/// A silence that nobody wants is still there: nobody hears of what fires under it, so people are told.
fn end_is_late(draft: &mut Draft, serial: u32, reason: &str, facts: &Facts<'_>) {
    let mut endings = draft.incident.silences_ending.iter_mut();
    let Some(ending) = endings.find(|ending| ending.serial == serial && !ending.is_late) else { return };
    ending.is_late = true;
    let text = format!(
        "its silence in Alertmanager does not end, and keeps its alerts quiet there until {}; its end goes on being \
         tried: {reason}",
        ending.until
    );
    draft.line(LineKind::Notification, Some("silence_late"), text.clone());
    telling::page(draft, &text, facts);
    draft.visible();
}

fn is_ending(draft: &Draft, serial: u32) -> bool {
    draft.incident.silences_ending.iter().any(|ending| ending.serial == serial)
}

/// Alertmanager does not have it any more, or is not asked any more. Whoever heard that it does not end hears this as well.
fn ended(draft: &mut Draft, serial: u32, text: &str) {
    let endings = &mut draft.incident.silences_ending;
    let was_late = endings.iter().any(|ending| ending.serial == serial && ending.is_late);
    endings.retain(|ending| ending.serial != serial);
    draft.line(LineKind::Notification, Some("silence_ended"), text);
    if was_late {
        draft.reply_everywhere(text);
        draft.visible();
    }
}

/// Without the silence the acknowledgement counts as any other, from now on.
fn keep_acknowledged(draft: &mut Draft, silence: &Silence, facts: &Facts<'_>) {
    let waits = draft.incident.is_open() && draft.incident.status == IncidentStatus::Acknowledged;
    if let Some(acknowledged) = draft.incident.acknowledged.clone().filter(|_| silence.holds && waits) {
        begin_to_count(draft, acknowledged.actor, facts);
    }
}

/// The silence does not stand any more. Where the escalation waited for it and the alerts still fire, somebody is called.
fn gone(draft: &mut Draft, silence: &Silence, facts: &Facts<'_>) {
    draft.incident.silence = None;
    draft.cancel_wake(&Wake::Silence);
    let waits = draft.incident.is_open() && draft.incident.status == IncidentStatus::Acknowledged;
    if silence.holds && waits && draft.incident.alerts.firing > 0 {
        waiting::begin_again(draft, facts);
    }
    alerts::look_again_later(draft);
    draft.visible();
}

/// The incident is over: what was silenced until then is told again from now on. A silence with a time of its own stays.
pub(super) fn incident_over(draft: &mut Draft) {
    match draft.incident.silence.take() {
        Some(silence) if silence.until.is_none() => end(draft, &silence),
        silence => {
            draft.incident.silence = silence;
            // Until its end the card lets people lift it.
            if let Some(until) = draft.incident.silence.as_ref().and_then(|silence| silence.until) {
                draft.wake_at(until, Wake::Silence);
            }
        }
    }
}

/// The incident is opened again: a silence that stood is no word about what happens now.
pub(super) fn incident_opened_again(draft: &mut Draft) {
    let now = draft.now;
    let silence = draft.incident.silence.take();
    draft.incident.silence = silence.filter(|silence| silence.until.is_none_or(|until| until > now));
    if let Some(silence) = &mut draft.incident.silence {
        silence.holds = false;
        look_later(draft);
    }
}

fn next_serial(draft: &mut Draft) -> u32 {
    draft.incident.silences = draft.incident.silences.saturating_add(1);
    draft.incident.silences
}

fn stand(draft: &mut Draft, serial: u32) {
    wish(draft, serial, SilenceWish::Stand);
}

/// Its end is wished, and remembered until Alertmanager does not have it any more.
fn end(draft: &mut Draft, silence: &Silence) {
    let (serial, until) = (silence.serial, silence.ends_there_at(draft.now));
    draft.incident.silences_ending.retain(|ending| ending.serial != serial);
    draft.incident.silences_ending.push(SilenceEnding { serial, until, is_late: false });
    wish(draft, serial, SilenceWish::End);
}

/// Wishes for one silence are carried out in order; one that does not end holds up no later one.
fn wish(draft: &mut Draft, serial: u32, wish: SilenceWish) {
    let lane = format!("{}|silence {serial}", draft.incident.id);
    draft.emit(Effect::Silence { serial, wish }, Some(lane));
}

/// The next look at a silence that stands.
pub(super) fn look_later(draft: &mut Draft) {
    let Some(silence) = &draft.incident.silence else { return };
    let next = draft.now.checked_add(SILENCE_LOOK_EVERY).unwrap_or(Timestamp::MAX);
    let next = silence.until.map_or(next, |until| until.min(next));
    draft.wake_at(next, Wake::Silence);
}
