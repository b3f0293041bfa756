//! Effects: wishes that come out of a transition. A timer is an effect that is due later.

use crate::action::{ActionId, Step};
use crate::diagnosis::DiagnosisPurpose;
use crate::notification::{Destination, Notice};
use crate::scheduled::CheckReport;
use crate::silence::SilenceWish;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Identity of an effect: `<incident>-e<n>`, so it sorts and never repeats. Those of scheduled checks belong to no
/// incident: `check:<name>-e<second that it is due>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EffectId(pub String);

impl std::fmt::Display for EffectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is wished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Run all diagnostics of the rule. Reads only: safe to repeat.
    Diagnose {
        /// What for.
        purpose: DiagnosisPurpose,
        /// Number of the round, so that a late answer is told from a current one.
        round: u32,
    },
    /// Carry out a plan of an action.
    Act {
        /// Which action.
        action: ActionId,
        /// Which of its plans.
        step: Step,
    },
    /// Tell somebody.
    Notify {
        /// Whom.
        destination: Destination,
        /// What.
        notice: Notice,
    },
    /// Set, keep or end a silence in Alertmanager.
    Silence {
        /// Which silence of the incident.
        serial: u32,
        /// What is wished.
        wish: SilenceWish,
    },
    /// See whether alerts still fire that fired when a person said that the incident is over.
    LookAgain,
    /// Look at the incident again.
    Wake(Wake),
    /// Run a scheduled check. Reads only: safe to repeat.
    Check {
        /// Name of the check.
        check: String,
        /// Who asked for it; none for one that is due by its schedule.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asked_by: Option<String>,
    },
    /// Tell what a scheduled check found.
    Report {
        /// Where.
        destination: Destination,
        /// What.
        report: Box<CheckReport>,
    },
}

impl Effect {
    /// The kind, for metrics and for choosing who carries it out.
    pub fn kind(&self) -> EffectKind {
        match self {
            Self::Diagnose { .. } | Self::Check { .. } => EffectKind::Diagnose,
            Self::Act { .. } => EffectKind::Act,
            Self::Notify { .. } | Self::Report { .. } => EffectKind::Notify,
            Self::Silence { .. } | Self::LookAgain => EffectKind::Silence,
            Self::Wake(_) => EffectKind::Wake,
        }
    }
}

/// Kind of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectKind {
    /// Reads evidence.
    Diagnose,
    /// Touches the world.
    Act,
    /// Tells somebody.
    Notify,
    /// Asks something of Alertmanager: mostly to be quiet, or not any more.
    Silence,
    /// Time passed.
    Wake,
}

impl EffectKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Diagnose, Self::Act, Self::Notify, Self::Silence, Self::Wake];

    /// The word used in the store and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Diagnose => "diagnose",
            Self::Act => "act",
            Self::Notify => "notify",
            Self::Silence => "silence",
            Self::Wake => "wake",
        }
    }
}

/// Why an incident is looked at again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wake {
    /// The next step of the escalation is due.
    Escalate,
    /// An approval that was asked for expires.
    ApprovalExpires(ActionId),
    /// It is time to look whether an action helped.
    Verify(ActionId),
    /// A guardrail that blocked may now let a remedy pass.
    Decide,
    /// An acknowledgement does not count any more.
    AcknowledgementExpires,
    /// A task for people is due.
    TaskDue(ActionId),
    /// The time of a temporary change is over.
    Restore(ActionId),
    /// A silence is over, or has to be looked at.
    Silence,
    /// A person said that it is over while alerts fired, and their word has held long enough.
    StillFiring,
}

/// An effect to be written with the state that wishes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEffect {
    /// Identity.
    pub id: EffectId,
    /// When it is due.
    pub due_at: Timestamp,
    /// Effects of one lane are carried out in order, one at a time.
    pub lane: Option<String>,
    /// Effects of one queue take turns: each is for a destination that has a pace of its own, and one that must wait
    /// holds up its queue alone.
    pub queue: Option<String>,
    /// Whether it goes before others that are due.
    pub urgent: bool,
    /// What is wished.
    pub effect: Effect,
}
