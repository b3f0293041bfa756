//! Collects what one event brings about: state, lines of the trail, effects, cancelled wakes, findings.

use crate::action::{Action, ActionId};
use crate::decision::RemedyDecision;
use crate::diagnosis::Finding;
use crate::effect::{Effect, EffectId, NewEffect, Wake};
use crate::escalation::Skipped;
use crate::guardrail::{Start, StartEnd};
use crate::incident::Incident;
use crate::notification::{Destination, DestinationState, Notice};
use crate::people::Actor;
use crate::temporary::TemporaryChange;
use crate::timeline::{LineKind, TimelineLine};
use jiff::Timestamp;

/// A document that stays with an incident, such as its post-incident record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Title.
    pub title: String,
    /// Markdown.
    pub body: String,
}

/// Whom the escalation told in one transition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The level, or what stood in for one.
    pub name: String,
    /// Whom.
    pub destinations: Vec<Destination>,
    /// Who is on call there.
    pub on_call: Vec<String>,
    /// Levels that were skipped, as they are off hours or nobody is on call.
    pub skipped: Vec<Skipped>,
}

/// How a worker goes on that was about to carry out a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAs {
    /// Carries it out.
    Act,
    /// Looks first what became of an earlier attempt, and carries the plan out where that certainly did nothing.
    LookFirst,
    /// Looks what became of an earlier attempt, and leaves it at that: it may not be carried out any more.
    LookOnly,
}

/// What one event brought about. To be written in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// The new state.
    pub incident: Incident,
    /// New lines of the trail.
    pub lines: Vec<TimelineLine>,
    /// New wishes.
    pub effects: Vec<NewEffect>,
    /// Wakes that are no longer wanted.
    pub cancelled: Vec<EffectId>,
    /// Findings to keep.
    pub findings: Vec<Finding>,
    /// Documents to keep.
    pub documents: Vec<Document>,
    /// An action was allowed to start: to be counted by the limits.
    pub start: Option<Start>,
    /// Counted actions that came to their end.
    pub ends: Vec<(ActionId, StartEnd)>,
    /// Temporary changes that began or were undone.
    pub temporary: Vec<TemporaryChange>,
    /// What was decided about each remedy, for metrics.
    pub decisions: Vec<RemedyDecision>,
    /// Whom the escalation told, in order.
    pub told: Vec<Told>,
    /// The facts for [`crate::event::Event::Decide`] are wanted next, in the same transaction.
    pub wants_decision: bool,
    /// For [`crate::event::Event::ActionStarting`]: how the worker goes on; none means that it must not.
    pub may_start: Option<StartAs>,
    /// Whether there is anything to write.
    pub changed: bool,
}

/// A transition in the making.
pub(super) struct Draft {
    pub(super) incident: Incident,
    pub(super) now: Timestamp,
    lines: Vec<TimelineLine>,
    effects: Vec<NewEffect>,
    cancelled: Vec<EffectId>,
    pub(super) findings: Vec<Finding>,
    pub(super) documents: Vec<Document>,
    pub(super) start: Option<Start>,
    pub(super) ends: Vec<(ActionId, StartEnd)>,
    pub(super) temporary: Vec<TemporaryChange>,
    pub(super) decisions: Vec<RemedyDecision>,
    pub(super) told: Vec<Told>,
    pub(super) wants_decision: bool,
    pub(super) may_start: Option<StartAs>,
    pub(super) changed: bool,
    card_stale: bool,
}

impl Draft {
    pub(super) fn new(incident: Incident, now: Timestamp) -> Self {
        Self {
            incident,
            now,
            lines: Vec::new(),
            effects: Vec::new(),
            cancelled: Vec::new(),
            findings: Vec::new(),
            documents: Vec::new(),
            start: None,
            ends: Vec::new(),
            temporary: Vec::new(),
            decisions: Vec::new(),
            told: Vec::new(),
            wants_decision: false,
            may_start: None,
            changed: false,
            card_stale: false,
        }
    }

    /// Writes a line of the trail in the machine's name.
    pub(super) fn line(&mut self, kind: LineKind, reason: Option<&str>, text: impl Into<String>) {
        self.line_by(&Actor::machine(), kind, reason, text);
    }

    /// Writes a line of the trail in somebody's name.
    pub(super) fn line_by(
        &mut self,
        actor: &Actor,
        kind: LineKind,
        reason: Option<&str>,
        text: impl Into<String>,
    ) {
        self.changed = true;
        self.lines.push(self.incident.timeline.append(self.now, kind, actor, reason, text));
    }

    /// Wishes an effect that is due now.
    pub(super) fn emit(&mut self, effect: Effect, lane: Option<String>) -> EffectId {
        self.emit_at(self.now, effect, lane, None)
    }

    /// Wishes an effect that is due then.
    pub(super) fn emit_at(
        &mut self,
        due_at: Timestamp,
        effect: Effect,
        lane: Option<String>,
        queue: Option<String>,
    ) -> EffectId {
        self.changed = true;
        self.incident.effect_seq += 1;
        let id = EffectId(format!("{}-e{}", self.incident.id, self.incident.effect_seq));
        let urgent = self.incident.severity.is_urgent();
        self.effects.push(NewEffect { id: id.clone(), due_at, lane, queue, urgent, effect });
        id
    }

    /// Wishes to be woken then; an earlier wish of the same kind is cancelled.
    pub(super) fn wake_at(&mut self, due_at: Timestamp, wake: Wake) {
        self.cancel_wake(&wake);
        let id = self.emit_at(due_at, Effect::Wake(wake.clone()), None, None);
        self.incident.wakes.push((wake, id));
    }

    /// Cancels an outstanding wake.
    pub(super) fn cancel_wake(&mut self, wake: &Wake) {
        self.changed = true;
        let cancelled = &mut self.cancelled;
        let effects = &mut self.effects;
        self.incident.wakes.retain(|(kind, id)| {
            if kind != wake {
                return true;
            }
            // A wake that was wished in this very transition was never written.
            let before = effects.len();
            effects.retain(|effect| &effect.id != id);
            if effects.len() == before {
                cancelled.push(id.clone());
            }
            false
        });
    }

    /// Cancels all outstanding wakes but those that set back what was changed for a limited time.
    pub(super) fn cancel_all_wakes(&mut self) {
        let wakes = self.incident.wakes.iter().map(|(wake, _)| wake.clone());
        for wake in wakes.filter(|wake| !matches!(wake, Wake::Restore(_))).collect::<Vec<_>>() {
            self.cancel_wake(&wake);
        }
    }

    /// Takes note that a wake came due. False when it is stale.
    pub(super) fn take_wake(&mut self, effect: &EffectId) -> bool {
        let before = self.incident.wakes.len();
        self.incident.wakes.retain(|(_, id)| id != effect);
        self.changed = true;
        self.incident.wakes.len() < before
    }

    /// Tells a destination. Messages of one incident to one destination keep their order.
    pub(super) fn notify(&mut self, destination: &Destination, notice: Notice) {
        if self.incident.destination(destination).is_none() {
            let episode = self.incident.episode;
            self.incident.destinations.push(DestinationState::new(destination.clone(), episode));
        }
        if notice == Notice::Card {
            let Some(state) = self.incident.destinations.iter_mut().find(|s| &s.destination == destination)
            else {
                return;
            };
            if std::mem::replace(&mut state.card_waits, true) {
                return;
            }
        }
        let known = self.incident.destination(destination).is_some_and(|state| state.message.is_some());
        // A call for people must not wait behind an edit that a channel refuses: only by failing itself does it find
        // another way.
        let lane = match &notice {
            Notice::Reply { page: true, .. } | Notice::Call { .. } if known => {
                format!("{}|{destination}|page", self.incident.id)
            }
            Notice::Whisper { user, .. } => format!("{}|{destination}|{user}", self.incident.id),
            _ => format!("{}|{destination}", self.incident.id),
        };
        // What keeps a message up to date must not wait behind a flood of new ones.
        let queue = match &notice {
            // Nor may a crowd that presses in vain make anybody else wait.
            Notice::Whisper { .. } => "whispers".to_owned(),
            _ if known => format!("{destination} known"),
            _ => destination.to_string(),
        };
        let effect = Effect::Notify { destination: destination.clone(), notice };
        self.emit_at(self.now, effect, Some(lane), Some(queue));
    }

    /// Wishes a look then whether a page stands where it was sent. It belongs to no lane: what comes after the page must
    /// not wait for it.
    pub(super) fn confirm_at(&mut self, due_at: Timestamp, destination: &Destination, episode: u32) {
        let effect = Effect::Notify { destination: destination.clone(), notice: Notice::Confirm { episode } };
        self.emit_at(due_at, effect, None, Some(format!("{destination} known")));
    }

    /// Says that people would see something new: the visible version rises and every card is brought up to date.
    pub(super) fn visible(&mut self) {
        self.changed = true;
        self.card_stale = true;
    }

    /// A line below every card.
    pub(super) fn reply_everywhere(&mut self, text: &str) {
        for destination in self.slack_destinations() {
            self.notify(&destination, Notice::Reply { text: text.to_owned(), page: false });
        }
    }

    pub(super) fn slack_destinations(&self) -> Vec<Destination> {
        self.destinations_where(|destination| matches!(destination, Destination::Slack { .. }))
    }

    /// Those that are told of each thing that happens, as they keep no card.
    pub(super) fn told_destinations(&self) -> Vec<Destination> {
        self.destinations_where(|destination| !destination.keeps_a_card())
    }

    pub(super) fn pagerduty_destinations(&self) -> Vec<Destination> {
        self.destinations_where(|destination| matches!(destination, Destination::PagerDuty { .. }))
    }

    fn destinations_where(&self, fits: impl Fn(&Destination) -> bool) -> Vec<Destination> {
        self.incident
            .destinations
            .iter()
            .filter(|state| fits(&state.destination))
            .map(|state| state.destination.clone())
            .collect()
    }

    /// The action called `id`, to be changed.
    pub(super) fn action_mut(&mut self, id: &ActionId) -> Option<&mut Action> {
        self.incident.actions.iter_mut().find(|action| &action.id == id)
    }

    pub(super) fn finish(mut self) -> Transition {
        if self.card_stale {
            self.incident.visible_version += 1;
            for destination in self.slack_destinations() {
                self.notify(&destination, Notice::Card);
            }
        }
        if self.changed {
            self.incident.version += 1;
            self.incident.updated_at = self.now;
        }
        Transition {
            incident: self.incident,
            lines: self.lines,
            effects: self.effects,
            cancelled: self.cancelled,
            findings: self.findings,
            documents: self.documents,
            start: self.start,
            ends: self.ends,
            temporary: self.temporary,
            decisions: self.decisions,
            told: self.told,
            wants_decision: self.wants_decision,
            may_start: self.may_start,
            changed: self.changed,
        }
    }
}
