//! Who hears what, as time passes. Messages that arrive and those that do not are in [`super::arriving`].

use super::draft::{Draft, Told};
use super::{Facts, alerts, deciding, restoring, silencing, verifying, waiting};
use crate::action::Task;
use crate::effect::{EffectId, Wake};
use crate::escalation::{Called, EscalationState, EscalationStep, Reached};
use crate::incident::IncidentStatus;
use crate::notification::{Destination, DestinationState, Notice};
use crate::timeline::LineKind;
use jiff::SignedDuration;

/// How much earlier than its due time a step may come because the clocks of replicas differ.
const CLOCKS_DIFFER_MAX: SignedDuration = SignedDuration::from_secs(5);

/// What the settings' own destinations are called, where no level names them.
const BY_DEFAULT: &str = "default destinations";

/// Starts the path of the policy; without a policy the default destinations hear.
pub(super) fn begin_escalation(draft: &mut Draft, facts: &Facts<'_>) {
    let Some(policy) = facts.policy else {
        tell(draft, facts.default_destinations, BY_DEFAULT, "opened");
        return;
    };
    let first = policy.first(draft.now);
    draft.incident.escalation = Some(EscalationState {
        policy: policy.name.clone(),
        hash: facts.policy_hash.cloned().unwrap_or_else(|| policy.hash()),
        started_at: draft.now,
        objectives: policy.objectives,
        next: Some(first),
        reached: None,
        deferred_until: None,
        used_up: false,
    });
    if first.due_at <= draft.now {
        reach(draft, first.step, facts);
    } else {
        draft.wake_at(first.due_at, Wake::Escalate);
    }
    if draft.incident.deferred_until().is_some() {
        waiting::show_quietly(draft, facts);
        return;
    }
    // Where the policy begins without a channel, the default channels carry the story.
    if draft.slack_destinations().is_empty() {
        tell(draft, facts.default_destinations, BY_DEFAULT, "opened");
    }
}

/// Tells destinations that no level of a policy names.
fn tell(draft: &mut Draft, destinations: &[Destination], name: &str, level: &str) {
    for destination in destinations {
        open_at(draft, destination, level, &[]);
    }
    if !destinations.is_empty() {
        let destinations = destinations.to_vec();
        draft.told.push(Told {
            name: name.to_owned(),
            destinations,
            on_call: Vec::new(),
            skipped: Vec::new(),
        });
    }
}

/// A wake came due.
pub(super) fn woken(draft: &mut Draft, effect: &EffectId, wake: &Wake, facts: &Facts<'_>) {
    if !draft.take_wake(effect) {
        return;
    }
    // What was changed for a limited time is set back whether the incident is over or not.
    if let Wake::Restore(id) = wake {
        restoring::due(draft, id);
        return;
    }
    // So is a silence that outlives it.
    if *wake == Wake::Silence {
        silencing::due(draft, facts);
        return;
    }
    if *wake == Wake::StillFiring {
        alerts::look_again(draft);
        return;
    }
    if !draft.incident.is_open() {
        return;
    }
    match wake {
        Wake::Restore(_) | Wake::Silence | Wake::StillFiring => {}
        Wake::Escalate => escalation_due(draft, facts),
        Wake::AcknowledgementExpires => waiting::acknowledgement_expired(draft, facts),
        Wake::ApprovalExpires(id) => deciding::approval_expired(draft, id),
        Wake::Verify(id) => verifying::wanted(draft, id, facts),
        Wake::Decide => {
            if draft.incident.current_action().is_none() && draft.incident.alerts.firing > 0 {
                alerts::begin_diagnosis(draft, facts);
            }
        }
        Wake::TaskDue(id) => {
            let title = draft
                .incident
                .tasks
                .iter()
                .find(|task| task.action.as_ref() == Some(id) && !task.is_done())
                .map(|task| task.title.clone());
            if let Some(title) = title {
                draft.line(LineKind::Task, Some("task_overdue"), format!("{title}: not done in time"));
                page(draft, &format!("Not done in time: {title}"), facts);
            }
        }
    }
}

fn escalation_due(draft: &mut Draft, facts: &Facts<'_>) {
    // An acknowledgement that won the race ends it here: nothing escalates after one.
    if draft.incident.status != IncidentStatus::Triggered {
        return;
    }
    let next = draft.incident.escalation.as_ref().and_then(|state| state.next);
    if let Some(next) = next {
        follow_clock_back(draft, next.due_at.duration_since(draft.now));
        reach(draft, next.step, facts);
    }
}

/// A step that comes before its time tells that the clock was set back meanwhile. The start is moved as well, so that
/// the later levels keep their distance instead of waiting until the clock is there again.
fn follow_clock_back(draft: &mut Draft, early: SignedDuration) {
    if early > CLOCKS_DIFFER_MAX
        && let Some(state) = &mut draft.incident.escalation
    {
        state.started_at = state.started_at.checked_sub(early).unwrap_or(state.started_at);
        let text = format!("the clock was set back by about {early:#}: the next levels follow the new time");
        draft.line(LineKind::Escalation, Some("clock_set_back"), text);
    }
}

/// Goes to the next step at once, whatever the time.
pub(super) fn escalate_now(draft: &mut Draft, why: &str, facts: &Facts<'_>) {
    if draft.incident.status != IncidentStatus::Triggered {
        return;
    }
    match draft.incident.escalation.as_ref().map(|state| (state.next, state.reached)) {
        Some((Some(next), _)) => {
            draft.cancel_wake(&Wake::Escalate);
            reach_after(draft, higher(next.step), Manner::BY_HAND, facts, |_, _| {});
        }
        // It stood still since somebody has it: the level above the last one that was told is next.
        Some((None, reached)) => {
            let above = reached.map_or(0, |index| index + 1);
            begin_again_at(draft, above, facts);
            reach_after(draft, EscalationStep::Level(above), Manner::BY_HAND, facts, page_those_who_had_it);
        }
        None => tell(draft, facts.fallback_destinations, "fallback", why),
    }
}

/// Nobody has it any more: whoever was told last hears again at once, and the levels above keep their distance.
pub(super) fn escalate_again(draft: &mut Draft, facts: &Facts<'_>) {
    draft.cancel_wake(&Wake::AcknowledgementExpires);
    let Some(reached) = draft.incident.escalation.as_ref().map(|state| state.reached.unwrap_or(0)) else {
        tell(draft, facts.fallback_destinations, "fallback", "nobody has it any more");
        return;
    };
    begin_again_at(draft, reached, facts);
    reach(draft, EscalationStep::Level(reached), facts);
}

/// The step for somebody who wants to go further, and not to remind those who were told.
fn higher(step: EscalationStep) -> EscalationStep {
    match step {
        EscalationStep::Reminder(index, _) => EscalationStep::Level(index + 1),
        other => other,
    }
}

/// Lets a level be due now, so that those above it keep their distance.
pub(super) fn begin_again_at(draft: &mut Draft, index: usize, facts: &Facts<'_>) {
    let since = facts.policy.and_then(|policy| policy.levels.get(index)).map(|level| level.after);
    if let (Some(since), Some(state)) = (since, &mut draft.incident.escalation) {
        state.started_at = draft.now.checked_sub(since).unwrap_or(state.started_at);
    }
}

/// PagerDuty rings nobody for an alert that somebody has there: it is ended, and the next page has a new name.
pub(super) fn page_those_who_had_it(draft: &mut Draft, next: &[Destination]) {
    let known = draft.pagerduty_destinations();
    if !next.iter().any(|destination| known.contains(destination)) {
        return;
    }
    let episode = draft.incident.episode;
    for destination in &known {
        draft.notify(destination, Notice::Resolve { episode });
    }
    draft.incident.begin_episode();
}

/// How a step is carried out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner<'n> {
    /// A person wants it now, whatever the hour.
    pub(super) by_hand: bool,
    /// What people should know besides the name of the level.
    pub(super) note: Option<&'n str>,
}

impl Manner<'_> {
    const IN_TIME: Self = Self { by_hand: false, note: None };
    const BY_HAND: Self = Self { by_hand: true, note: None };
}

fn reach(draft: &mut Draft, step: EscalationStep, facts: &Facts<'_>) {
    reach_after(draft, step, Manner::IN_TIME, facts, |_, _| {});
}

/// Carries out a step, after `before` has seen whom it tells.
pub(super) fn reach_after(
    draft: &mut Draft,
    step: EscalationStep,
    manner: Manner<'_>,
    facts: &Facts<'_>,
    before: impl FnOnce(&mut Draft, &[Destination]),
) {
    let Some(state) = draft.incident.escalation.clone() else { return };
    let deferred = facts.policy.filter(|_| !manner.by_hand);
    let deferred =
        deferred.and_then(|policy| policy.deferred(draft.incident.severity, facts.schedules, draft.now));
    if let Some(until) = deferred {
        waiting::postpone(draft, step, until);
        return;
    }
    let mut reached = match facts.policy {
        Some(policy) => {
            policy.reach(step, state.started_at, draft.incident.severity, facts.schedules, draft.now)
        }
        // The policy's text is lost: telling fails open, to whoever is configured last.
        None => Reached {
            destinations: facts.fallback_destinations.to_vec(),
            name: "fallback, since the policy is gone".to_owned(),
            level: state.reached,
            ..Reached::default()
        },
    };
    if let Some(note) = manner.note {
        reached.name = format!("{} ({note})", reached.name);
    }
    for skipped in &reached.skipped {
        draft.line(LineKind::Escalation, Some(skipped.why.as_str()), format!("skipped: {skipped}"));
    }
    draft.line(LineKind::Escalation, Some(step_word(step)), told_text(&reached));
    for schedule in reached.vacant.iter().filter(|_| !reached.destinations.is_empty()) {
        let text = format!("{schedule}: nobody is on call who can be reached");
        draft.line(LineKind::Escalation, Some("nobody_on_call"), text);
    }
    before(draft, &reached.destinations);
    for destination in &reached.destinations {
        open_at(draft, destination, &reached.name, &reached.called);
    }
    draft.told.push(Told {
        name: reached.name.clone(),
        destinations: reached.destinations.clone(),
        on_call: reached.called.iter().map(|called| called.person.clone()).collect(),
        skipped: reached.skipped.clone(),
    });
    if let Some(state) = &mut draft.incident.escalation {
        state.next = reached.next;
        state.used_up = reached.next.is_none();
        state.deferred_until = None;
        state.reached = reached.level.max(state.reached);
    }
    if let Some(next) = reached.next {
        draft.wake_at(next.due_at, Wake::Escalate);
    }
    draft.visible();
}

/// Who is told, as a line of the trail.
fn told_text(reached: &Reached) -> String {
    let whom: Vec<String> = reached.destinations.iter().map(ToString::to_string).collect();
    let text = format!("{} is told: {}", reached.name, whom.join(", "));
    match on_call_text(&reached.called) {
        None => text,
        Some(people) => format!("{text} ({people})"),
    }
}

/// Who is on call, for people; none where nobody is called by name.
fn on_call_text(called: &[Called]) -> Option<String> {
    let people: Vec<&str> = called.iter().map(|called| called.person.as_str()).collect();
    (!people.is_empty()).then(|| format!("on call: {}", people.join(", ")))
}

fn step_word(step: EscalationStep) -> &'static str {
    match step {
        EscalationStep::Level(_) => "level_reached",
        EscalationStep::Reminder(..) => "level_reminded",
        EscalationStep::Repeat(_) => "repeated",
        EscalationStep::Fallback(_) => "fallback_reached",
    }
}

/// Tells a destination of the incident, or again that it needs people.
pub(super) fn open_at(draft: &mut Draft, destination: &Destination, level: &str, called: &[Called]) {
    let episode = draft.incident.episode;
    if let Some(state) =
        draft.incident.destinations.iter_mut().find(|state| &state.destination == destination)
    {
        state.episode = episode;
    }
    match destination {
        Destination::Slack { .. } => {
            let known = draft.incident.destination(destination).is_some();
            draft.notify(destination, Notice::Card);
            let users: Vec<String> = called.iter().filter_map(|called| called.slack.clone()).collect();
            let text = if known { format!("Not acknowledged yet: {level}") } else { level.to_owned() };
            if !users.is_empty() {
                draft.notify(destination, Notice::Call { text, users });
            } else if known {
                draft.notify(destination, Notice::Reply { text, page: true });
            }
            if !known && draft.incident.diagnosis_round > 0 {
                // Whoever joins later finds below the card what the others found.
                draft.notify(destination, Notice::Evidence);
            }
        }
        Destination::PagerDuty { .. }
        | Destination::Webhook { .. }
        | Destination::Email { .. }
        | Destination::Teams { .. } => {
            let note = match on_call_text(called) {
                None => level.to_owned(),
                Some(people) => format!("{level}, {people}"),
            };
            draft.notify(destination, Notice::Trigger { note, episode });
        }
    }
}

/// Calls people to look now, wherever the incident is shown. PagerDuty opens nothing under the name of an episode that
/// is over there: it is then told in the channels, and where the incident has none, in those of the settings.
pub(super) fn page(draft: &mut Draft, text: &str, facts: &Facts<'_>) {
    let mut channels = draft.slack_destinations();
    if channels.is_empty() && !draft.incident.is_open() {
        for destination in facts.default_destinations.iter().chain(facts.fallback_destinations) {
            if matches!(destination, Destination::Slack { .. }) {
                draft.notify(destination, Notice::Card);
            }
        }
        channels = draft.slack_destinations();
    }
    for destination in channels {
        draft.notify(&destination, Notice::Reply { text: text.to_owned(), page: true });
    }
    if !draft.incident.is_open() {
        return;
    }
    for destination in draft.told_destinations() {
        let episode = draft.incident.episode;
        draft.notify(&destination, Notice::Trigger { note: text.to_owned(), episode });
    }
}

/// Says to one person why their press did not count, where it was a message of ours that they pressed.
pub(super) fn press_refused(draft: &mut Draft, channel: &str, user: String, why: String) {
    let is_there =
        |state: &&DestinationState| state.message.as_ref().is_some_and(|message| message.channel == channel);
    let pressed = draft.incident.destinations.iter().find(is_there).map(|state| state.destination.clone());
    if let Some(destination) = pressed {
        draft.changed = true;
        draft.notify(&destination, Notice::Whisper { user, text: why });
    }
}

/// Says something to one destination.
pub(super) fn say(draft: &mut Draft, destination: &Destination, text: &str) {
    match destination {
        Destination::Slack { .. } => {
            if draft.incident.destination(destination).is_none() {
                draft.notify(destination, Notice::Card);
            }
            draft.notify(destination, Notice::Reply { text: text.to_owned(), page: false });
        }
        Destination::PagerDuty { .. }
        | Destination::Webhook { .. }
        | Destination::Email { .. }
        | Destination::Teams { .. } => {
            let episode = draft.incident.episode;
            draft.notify(destination, Notice::Trigger { note: text.to_owned(), episode });
        }
    }
}

/// A task as a message.
pub(super) fn task_text(task: &Task) -> String {
    let mut text = task.title.clone();
    if let Some(owner) = &task.owner {
        text.push_str(&format!(" (for {owner})"));
    }
    for (number, item) in task.items.iter().enumerate() {
        text.push_str(&format!("\n{}. {}", number + 1, item.text));
    }
    text
}
