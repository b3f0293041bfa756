//! Surveys: a look at the world before an action, so that what people approve is exactly what is done.
//!
//! A remedy is rendered into a *draft* plan. For kinds of actions that act on objects, a survey then looks at the
//! object: it fixes every value (which revision, how many replicas, which pod by its uid), says how that is undone,
//! what it would take away, and who else is at work there. Guardrails judge over its [`Impact`]; approvals are bound
//! to the digest of its plan. A survey reads, and lets the server rehearse a write (dry run); it changes nothing.
//!
//! A survey grows old. It is taken right before each decision, and again when people have approved: what they
//! approved may start while the *basis* is still the same.

use crate::action::{ActionPlan, PlanDigest, Tier};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How old a survey may be when its plan starts, and a decision that rests on no survey. Evidence from before describes a
/// world that others change as well.
pub const SURVEY_AGE_MAX: SignedDuration = SignedDuration::from_mins(5);

/// One look, for one remedy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// Name of the remedy.
    pub remedy: String,
    /// Digest of the draft that was surveyed; a survey of another draft counts for nothing.
    pub draft: PlanDigest,
    /// When.
    pub at: Timestamp,
    /// What came out.
    pub outcome: SurveyOutcome,
}

/// What a survey came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SurveyOutcome {
    /// This is what would be done.
    Ready(Box<Surveyed>),
    /// There is nothing to do for this remedy, such as no older revision to go back to: the ladder goes on.
    NothingToDo {
        /// Why.
        reason: String,
    },
    /// Nobody could look, for a reason that passes by itself: people are told, and it is decided anew in a while.
    NotNow {
        /// Why.
        reason: String,
        /// How long the world asks to wait before the next look.
        wait: Option<SignedDuration>,
    },
    /// It must not or cannot be done, such as on a paused Deployment or without permission: the ladder stops here and
    /// people are told.
    Refused {
        /// Why.
        reason: String,
    },
}

/// A plan with all its values, and what is known about carrying it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surveyed {
    /// The plan. Its `basis` is set.
    pub plan: ActionPlan,
    /// How to undo it, complete: none where it cannot be undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inverse: Option<ActionPlan>,
    /// The lowest tier at which this very plan may run: a stateful target, a scale to zero or an object that others
    /// own raises it above the floor of its kind.
    pub tier_floor: Tier,
    /// For people: why the tier was raised, who owns the object, what else they should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What it would take away.
    pub impact: Impact,
}

/// What an action would take away, and what goes on at its target. Guardrails judge over it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Impact {
    /// Kind of the object that is changed, such as `Deployment`. Empty where it is no object of a cluster.
    pub kind: String,
    /// How many workloads it touches.
    pub workloads: u32,
    /// How many replicas the workload is meant to have.
    pub replicas: u32,
    /// How many of them are available now.
    pub available: u32,
    /// How many available ones may be missing at one time while it is carried out. A rolling update counts with its
    /// `maxUnavailable`, an eviction with the pods that it takes.
    pub disrupted: u32,
    /// Whether a rollout is under way at the target.
    pub rollout: Rollout,
    /// Whether the action puts an end to that rollout, as an undo does: a hanging rollout must not protect itself.
    pub ends_rollout: bool,
    /// Every object that it touches, as `Kind/namespace/name`, where that is not its target alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<String>,
    /// Objects that it leaves as they are and that change with it all the same, such as the workload of an autoscaler.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub affects: Vec<String>,
}

impl Impact {
    /// A change of an object that takes nothing away and has no replicas of its own.
    pub fn on(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            workloads: 0,
            replicas: 0,
            available: 0,
            disrupted: 0,
            rollout: Rollout::Settled,
            ends_rollout: false,
            objects: Vec::new(),
            affects: Vec::new(),
        }
    }

    /// A change of something that is no object of a cluster, such as a database: guardrails over workloads do not judge it.
    pub fn elsewhere() -> Self {
        Self::on("")
    }

    /// Takes in what it comes to for one more workload. Of several the worst counts: the largest share that is taken from
    /// one, the fewest that are left to one, a rollout that makes progress at any.
    pub fn join(&mut self, other: Self) {
        let left = |one: &Self| (one.disrupted > 0).then(|| one.available.saturating_sub(one.disrupted));
        // One that is missing is always allowed, so that more than one of ten is worse than one of two.
        let share = |one: &Self| {
            (one.disrupted > 1, u64::from(one.disrupted) * 1_000_000 / u64::from(one.replicas.max(1)))
        };
        let fewest = [left(self), left(&other)].into_iter().flatten().min();
        let is_first = self.workloads == 0;
        // Whoever is not going back to what worked has no reason to go without the last one.
        self.ends_rollout = other.ends_rollout && (is_first || self.ends_rollout);
        if is_first || share(&other) > share(self) {
            (self.replicas, self.available, self.disrupted) =
                (other.replicas, other.available, other.disrupted);
        }
        if let Some(fewest) = fewest {
            self.available = fewest + self.disrupted;
        }
        self.workloads += other.workloads;
        self.affects.extend(other.affects);
        match (&self.rollout, &other.rollout) {
            (Rollout::UnderWay { .. }, _)
            | (Rollout::Stuck { .. }, Rollout::Settled | Rollout::Stuck { .. }) => {}
            _ => self.rollout = other.rollout,
        }
    }
}

/// The kind of an object that is written as `Kind/namespace/name`.
fn kind_of(object: &str) -> &str {
    object.split('/').next().unwrap_or_default()
}

/// What is known of how a plan touches a cluster. Guardrails judge over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Touch<'a> {
    /// It touches no object of a cluster.
    #[default]
    Nothing,
    /// It touches these objects, as far as its draft tells, and nobody has looked what that would take away. Never empty.
    Unseen(&'a [String]),
    /// Somebody has looked.
    Seen(&'a Impact),
}

impl<'a> Touch<'a> {
    /// What was seen.
    pub fn impact(self) -> Option<&'a Impact> {
        match self {
            Self::Seen(impact) => Some(impact),
            Self::Nothing | Self::Unseen(_) => None,
        }
    }

    /// The kind of the object.
    pub fn kind(self) -> Option<&'a str> {
        self.kinds().next()
    }

    /// The kinds of all objects that it changes.
    pub fn kinds(self) -> impl Iterator<Item = &'a str> {
        let (own, objects) = match self {
            Self::Nothing => (None, &[][..]),
            Self::Unseen(objects) => (None, objects),
            Self::Seen(impact) => (Some(impact.kind.as_str()), impact.objects.as_slice()),
        };
        own.into_iter().chain(objects.iter().map(|object| kind_of(object)))
    }

    /// Objects beside its target that it changes, or that change with it.
    pub fn objects(self) -> impl Iterator<Item = &'a str> {
        let (objects, affects) = match self {
            Self::Nothing => (&[][..], &[][..]),
            Self::Unseen(objects) => (objects, &[][..]),
            Self::Seen(impact) => (impact.objects.as_slice(), impact.affects.as_slice()),
        };
        objects.iter().chain(affects).map(String::as_str)
    }
}

/// What a rollout at the target is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rollout {
    /// There is none, or it is done.
    Settled,
    /// It makes progress.
    UnderWay {
        /// For people: how far it is, and who began it where that is known.
        status: String,
    },
    /// It hangs or has failed.
    Stuck {
        /// For people: why.
        reason: String,
    },
}

/// Where a candidate stands with its survey.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SurveyStanding {
    /// Its kind needs none.
    #[default]
    NotNeeded,
    /// Its kind needs one, and there is none of this draft.
    Missing,
    /// Its kind needs one, and a rehearsal takes for granted that its target allows the draft as it stands. Nothing that
    /// only stands so is ever carried out: it has no values that an action could set.
    Assumed,
    /// It was surveyed then, and the candidate holds what came out.
    Done {
        /// When.
        at: Timestamp,
        /// What it would take away.
        impact: Impact,
        /// For people.
        notes: Vec<String>,
    },
    /// There is nothing to do for this remedy.
    NothingToDo(String),
    /// Nobody could look, and may look again then.
    NotNow {
        /// Why.
        reason: String,
        /// When.
        until: Timestamp,
    },
    /// It must not or cannot be done.
    Refused(String),
}

impl SurveyStanding {
    /// Whether the look did not come about, or said no.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::NotNow { .. })
    }
}

/// Whether two surveys saw the same: the later plan would do what the earlier one said, to the same object in the same
/// state. Times and versions that change by themselves are no part of a basis.
pub fn agree(earlier: &ActionPlan, later: &ActionPlan) -> bool {
    earlier.kind == later.kind
        && earlier.target == later.target
        && earlier.namespace == later.namespace
        && earlier.basis.is_some()
        && earlier.basis == later.basis
}
