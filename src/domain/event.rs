//! Events: what happened to an incident. A closed set; [`crate::apply::apply`] has an arm for each.

use crate::action::{ActionId, ActionOutcome, Step};
use crate::alert::{Alert, Observation};
use crate::approval::Ballot;
use crate::bridge::BridgeNews;
use crate::diagnosis::{DiagnosisPurpose, Finding};
use crate::effect::{EffectId, Wake};
use crate::notification::{Destination, MessageRef, Notice};
use crate::people::Actor;
use crate::severity::Severity;
use crate::silence::{SilenceOutcome, Suppressed};
use crate::survey::Survey;
use crate::vitals::Vitals;
use jiff::SignedDuration;
use std::sync::Arc;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// An alert of this incident was told to us.
    AlertSeen {
        /// The alert. Shared: an incident and the store look at the same one.
        alert: Arc<Alert>,
        /// What the telling means against what we remember.
        observation: Observation,
        /// Whether it is counted in this incident already.
        counted: bool,
        /// Whether nobody told us, and we found out by asking Alertmanager.
        found: bool,
    },
    /// An alert of this incident is worse than the incident was so far.
    Worsened {
        /// How bad it is by this alert.
        severity: Severity,
        /// What people call the alert.
        title: String,
    },
    /// What Alertmanager keeps quiet of this incident's alerts has changed.
    SuppressedThere {
        /// By now.
        suppressed: Suppressed,
    },
    /// A round of diagnostics ended.
    DiagnosisDone {
        /// What it was for.
        purpose: DiagnosisPurpose,
        /// Number of the round.
        round: u32,
        /// What was found.
        findings: Vec<Finding>,
        /// What the remedies that may be next would do to their targets. They reach the decision as facts.
        surveys: Vec<Survey>,
        /// Whether monitoring works, where somebody looked.
        vitals: Option<Vitals>,
    },
    /// The facts for a decision are at hand.
    Decide,
    /// A person decided about an action.
    Ballot {
        /// Which action.
        action: ActionId,
        /// What they sent.
        ballot: Ballot,
    },
    /// A worker is about to carry out a plan.
    ActionStarting {
        /// Which action.
        action: ActionId,
        /// Which plan.
        step: Step,
        /// Number of the attempt, from 1.
        attempt: u32,
    },
    /// Nobody knows how an attempt ended, and it is looked into before people are called.
    ActionUnclear {
        /// Which action.
        action: ActionId,
        /// Which plan.
        step: Step,
        /// What is known about why.
        reason: String,
    },
    /// An attempt ended.
    ActionEnded {
        /// Which action.
        action: ActionId,
        /// Which plan.
        step: Step,
        /// How.
        outcome: ActionOutcome,
    },
    /// A look found that somebody has set back what an action changed for a limited time.
    FoundSetBack {
        /// Which action.
        action: ActionId,
        /// What is so, for people.
        detail: String,
    },
    /// A wake came due.
    Woken {
        /// Which effect: an older one of the same kind is ignored.
        effect: EffectId,
        /// Why.
        wake: Wake,
    },
    /// A person has taken the incident.
    Acknowledge {
        /// Who.
        actor: Actor,
        /// In their words.
        reason: Option<String>,
    },
    /// A person goes on by hand: automation stops for this incident.
    TakeOver {
        /// Who.
        actor: Actor,
        /// In their words.
        reason: Option<String>,
    },
    /// A person wants the next level to hear now.
    Escalate {
        /// Who.
        actor: Actor,
        /// The mark of the escalation as they saw it; none counts whatever it is by now.
        seen: Option<String>,
        /// In their words.
        reason: Option<String>,
    },
    /// A person says that it is over.
    Resolve {
        /// Who.
        actor: Actor,
        /// The episode that they saw; none ends whichever it is by now.
        episode: Option<u32>,
        /// In their words.
        reason: Option<String>,
    },
    /// News from where the incident is shown as well.
    Heard(BridgeNews),
    /// The audit did not find the next step of the escalation where it must be.
    StepMissing,
    /// A person silences the alerts that fire.
    Silence {
        /// Who.
        actor: Actor,
        /// For how long; none means until the incident is over.
        lasts: Option<SignedDuration>,
        /// In their words.
        reason: Option<String>,
    },
    /// A person lifts the silence.
    Unsilence {
        /// Who.
        actor: Actor,
        /// In their words.
        reason: Option<String>,
    },
    /// What was wished of Alertmanager is done, or will not be.
    SilenceDone {
        /// Which silence of the incident.
        serial: u32,
        /// How it fared.
        outcome: SilenceOutcome,
    },
    /// Somebody's press on a button did not count. Nothing changes; they are told why.
    PressRefused {
        /// Slack's id of the channel of the message.
        channel: String,
        /// Slack's id of the person.
        user: String,
        /// Why, for people.
        why: String,
    },
    /// A person ticked off an item of a task.
    TaskItemDone {
        /// Index of the task within the incident.
        task: usize,
        /// Index of the item; none means all.
        item: Option<usize>,
        /// Who.
        actor: Actor,
    },
    /// A notice reached its destination.
    NoticeSent {
        /// Whom.
        destination: Destination,
        /// What.
        notice: Notice,
        /// Where our message is now, for destinations that keep one.
        message: Option<MessageRef>,
        /// The visible version that a card showed.
        shown_version: u64,
    },
    /// A notice cannot be delivered, or takes too long.
    NoticeFailed {
        /// Whom.
        destination: Destination,
        /// What.
        notice: Notice,
        /// Why, without secrets.
        error: String,
        /// Whether delivery was given up. If not, it goes on being tried while another destination hears.
        given_up: bool,
    },
}

impl Event {
    /// The kind, for logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AlertSeen { .. } => "alert_seen",
            Self::Worsened { .. } => "worsened",
            Self::SuppressedThere { .. } => "suppressed_there",
            Self::DiagnosisDone { .. } => "diagnosis_done",
            Self::Decide => "decide",
            Self::Ballot { .. } => "ballot",
            Self::ActionStarting { .. } => "action_starting",
            Self::ActionUnclear { .. } => "action_unclear",
            Self::ActionEnded { .. } => "action_ended",
            Self::FoundSetBack { .. } => "found_set_back",
            Self::Woken { .. } => "woken",
            Self::Acknowledge { .. } => "acknowledge",
            Self::TakeOver { .. } => "take_over",
            Self::Escalate { .. } => "escalate",
            Self::Resolve { .. } => "resolve",
            Self::Heard(_) => "heard",
            Self::StepMissing => "step_missing",
            Self::Silence { .. } => "silence",
            Self::Unsilence { .. } => "unsilence",
            Self::SilenceDone { .. } => "silence_done",
            Self::PressRefused { .. } => "press_refused",
            Self::TaskItemDone { .. } => "task_item_done",
            Self::NoticeSent { .. } => "notice_sent",
            Self::NoticeFailed { .. } => "notice_failed",
        }
    }
}
