//! What people did where the incident is shown as well. Automation is nobody: our own word that comes back is no news.

use super::draft::Draft;
use super::people::{acknowledge, resolve};
use super::{Facts, telling};
use crate::bridge::{BridgeMark, BridgeNews, BridgeWhat, NEWS_AGE_MAX};
use crate::incident::IncidentStatus;
use crate::people::{Actor, Via};
use crate::timeline::LineKind;
use jiff::Timestamp;

/// Takes in news. Whatever does not fit the state any more is left out: nobody waits for an answer.
pub(super) fn heard(draft: &mut Draft, news: BridgeNews, facts: &Facts<'_>) {
    let is_old = draft.now.duration_since(news.at) > NEWS_AGE_MAX;
    let is_repeated = draft.incident.bridge_heard.as_ref().is_some_and(|mark| !mark.precedes(&news));
    let is_of_another = news.episode.is_some_and(|episode| episode != draft.incident.episode);
    if is_old || is_repeated || is_of_another || !draft.incident.is_open() {
        return;
    }
    if news.episode.is_some() {
        draft.incident.bridge = Some(news.thing);
    }
    let happened_at = news.at;
    draft.incident.bridge_heard = Some(BridgeMark { at: news.at, id: news.id });
    draft.changed = true;
    match (news.what, news.actor) {
        // Who took it before somebody passed it on has it no more: that word came late.
        (BridgeWhat::Acknowledged, Some(actor))
            if draft.incident.passed_on_at.is_some_and(|passed_on| happened_at < passed_on) =>
        {
            note(draft, Some(actor), "taken in PagerDuty before it was passed on here".to_owned());
        }
        (BridgeWhat::Acknowledged, Some(actor)) => drop(acknowledge(draft, actor, None, facts)),
        (BridgeWhat::Resolved, Some(actor)) => drop(resolve(draft, actor, None, None, facts)),
        (BridgeWhat::Unacknowledged, actor) if is_about_now(draft, happened_at) => {
            released(draft, actor, facts)
        }
        (BridgeWhat::PassedOn(text), actor) => {
            let is_about_now = is_about_now(draft, happened_at);
            note(draft, actor, text);
            if is_about_now && draft.incident.status == IncidentStatus::Acknowledged {
                wait_again(draft, facts);
            }
        }
        (BridgeWhat::Prioritised { priority, text }, actor) => {
            draft.incident.bridge_priority = priority;
            note(draft, actor, text);
        }
        (BridgeWhat::Noted(text), actor) => note(draft, actor, text),
        (BridgeWhat::Acknowledged, None) | (BridgeWhat::Opened | BridgeWhat::Unacknowledged, _) => {}
        (BridgeWhat::Resolved, None) => {
            note(draft, None, "PagerDuty ended it by itself, and its alerts fire on".to_owned());
        }
    }
}

/// Whether nobody has taken it elsewhere since. Who took it there is older news: those come in order, and the clocks of
/// both sides are not compared without need.
fn is_about_now(draft: &Draft, happened_at: Timestamp) -> bool {
    let taken = draft.incident.acknowledged.as_ref();
    taken.is_none_or(|taken| taken.actor.via == Via::PagerDuty || taken.at <= happened_at)
}

/// Nobody has it any more: the last level that was told hears again, and those above it follow.
fn released(draft: &mut Draft, actor: Option<Actor>, facts: &Facts<'_>) {
    if draft.incident.status != IncidentStatus::Acknowledged {
        return;
    }
    let text = match &actor {
        Some(actor) => format!("given back by {}", actor.name),
        None => "its acknowledgement has run out".to_owned(),
    };
    draft.line_by(&actor.unwrap_or_else(Actor::machine), LineKind::Escalation, Some("unacknowledged"), text);
    wait_again(draft, facts);
}

fn wait_again(draft: &mut Draft, facts: &Facts<'_>) {
    draft.incident.status = IncidentStatus::Triggered;
    draft.incident.acknowledged = None;
    telling::escalate_again(draft, facts);
    draft.visible();
}

fn note(draft: &mut Draft, actor: Option<Actor>, text: String) {
    draft.line_by(&actor.unwrap_or_else(Actor::machine), LineKind::Notification, Some("bridge"), text);
    draft.visible();
}
