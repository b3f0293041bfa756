//! Actions: what a remedy does to the world, how far it may go alone, and the states it passes through.

use crate::approval::Approvals;
use crate::decision::Reason;
use crate::diagnosis::ConditionOutcome;
use crate::guardrail::GuardrailVerdict;
use crate::verification::Verification;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How much say people have before an action runs. Orders from least to most.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum Tier {
    /// Observes or tells; touches nothing.
    T0,
    /// Runs alone.
    T1,
    /// Runs after one approval.
    T2,
    /// Runs after two approvals by different people, or is done by people.
    T3,
}

impl Tier {
    /// The name as people and files write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::T0 => "T0",
            Self::T1 => "T1",
            Self::T2 => "T2",
            Self::T3 => "T3",
        }
    }

    /// How many different people must approve.
    pub fn approvals_needed(self) -> usize {
        match self {
            Self::T0 | Self::T1 => 0,
            Self::T2 => 1,
            Self::T3 => 2,
        }
    }
}

impl std::fmt::Display for Tier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether carrying out the same plan a second time is harmless.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repeatability {
    /// Twice is the same as once: run again after an unclear end.
    #[default]
    Idempotent,
    /// Twice may do harm, and nothing in the world shows whether it happened: after an unclear end people look first.
    AtMostOnce,
}

/// An action with all its values fixed, so that approving and carrying it out concern the same thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionPlan {
    /// Kind in the catalog.
    pub kind: String,
    /// Parameters, rendered.
    pub params: Value,
    /// What it acts on, for limits per target and for people.
    pub target: String,
    /// Namespace it acts in, for limits and pauses per namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// One line for people: what will be done.
    pub summary: String,
    /// Whether it may be carried out twice.
    pub repeatability: Repeatability,
    /// What a survey based it on: the object by its uid, the state that it was found in, and what would be set, without
    /// anything that changes by itself. Equal for two surveys of an unchanged world.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Value>,
    /// A change for a limited time: it is undone this long after it was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<SignedDuration>,
}

/// Digest of a plan, in hex. An approval counts for exactly one digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanDigest(pub String);

impl ActionPlan {
    /// Whether the world shows what became of an attempt: the plan names the object, and the attempt leaves its mark there.
    pub fn leaves_a_mark(&self) -> bool {
        self.basis.is_some() && self.repeatability == Repeatability::Idempotent
    }

    /// Digest over every value of the plan.
    pub fn digest(&self) -> PlanDigest {
        PlanDigest(crate::timeline::digest_of(self))
    }
}

/// Identity of an action within all incidents: `<incident>-a<n>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActionId(pub String);

impl std::fmt::Display for ActionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where an action stands. The words are part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionStatus {
    /// Planned; not yet judged.
    Proposed,
    /// A guardrail forbids it for now.
    Blocked,
    /// People are asked.
    AwaitingApproval,
    /// Allowed; about to run.
    Approved,
    /// A person said no.
    Rejected,
    /// Nobody answered in time.
    Expired,
    /// The attempt on the world is under way, or people carry out the task.
    Running,
    /// Carried out; watching whether it helped.
    Verifying,
    /// Carried out, and it helped where that was checked.
    Succeeded,
    /// It could not be carried out, or it did not help.
    Failed,
    /// Nobody knows whether it was carried out; people must look.
    OutcomeUnknown,
    /// It did not help and its inverse was applied.
    RolledBack,
    /// Dry run: it would have run.
    Simulated,
    /// It became pointless before it started.
    Cancelled,
}

impl ActionStatus {
    /// The word used in the API, the store and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Blocked => "blocked",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Running => "running",
            Self::Verifying => "verifying",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::RolledBack => "rolled_back",
            Self::Simulated => "simulated",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more will happen to it.
    pub fn is_final(self) -> bool {
        !matches!(
            self,
            Self::Proposed | Self::AwaitingApproval | Self::Approved | Self::Running | Self::Verifying
        )
    }

    /// Whether it was allowed but has not touched the world: it may still be called off.
    pub fn is_waiting(self) -> bool {
        matches!(self, Self::Proposed | Self::AwaitingApproval | Self::Approved)
    }

    /// Whether it touched the world, or may have.
    pub fn has_started(self) -> bool {
        matches!(
            self,
            Self::Running
                | Self::Verifying
                | Self::Succeeded
                | Self::Failed
                | Self::OutcomeUnknown
                | Self::RolledBack
        )
    }
}

/// Which of its two plans an attempt carries out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The remedy itself.
    Apply,
    /// Its inverse.
    Rollback,
}

impl Step {
    /// The word used in timelines and idempotency keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Rollback => "rollback",
        }
    }
}

/// One remedy of one incident on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Identity.
    pub id: ActionId,
    /// Remedy of the rule; for actions after the end, `on-resolve-<n>`.
    pub remedy: String,
    /// Where it stands.
    pub status: ActionStatus,
    /// Tier at which it runs.
    pub tier: Tier,
    /// What to do.
    pub plan: ActionPlan,
    /// Digest of the plan that people approve.
    pub digest: PlanDigest,
    /// How to undo it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inverse: Option<ActionPlan>,
    /// Which plan the current attempt carries out.
    pub step: Step,
    /// Why it stands where it stands.
    pub reason: Reason,
    /// The condition as it was judged.
    pub condition: ConditionOutcome,
    /// What each guardrail said at the last judgement.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "crate::guardrail::stored")]
    pub guardrails: Vec<GuardrailVerdict>,
    /// Who has decided so far.
    #[serde(default)]
    pub approvals: Approvals,
    /// State of the verification, once carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// When it was planned.
    pub planned_at: Timestamp,
    /// When the world was last looked at for it; where nobody needs to look, when it was last judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surveyed_at: Option<Timestamp>,
    /// What people should know about the plan: why its tier was raised, who owns the object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The action whose temporary change this one undoes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<ActionId>,
    /// Until when its change stands, for one that is in force for a limited time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temporary_until: Option<Timestamp>,
    /// What it touches beside its target, once it was started for a limited time: what sets it back is held to that as well,
    /// long after the limits have forgotten the start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<String>,
    /// How many attempts at its present plan met something that passes, and are tried again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub put_off: u32,
    /// Why the end of an earlier attempt at its present plan is not known, while that is looked into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unclear: Option<String>,
    /// When its first attempt touched the world.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// What the last attempt answered, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// How one attempt on the world ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionOutcome {
    /// It was carried out.
    Applied {
        /// What the world answered, for people.
        detail: String,
        /// The inverse that was recorded while acting.
        inverse: Option<ActionPlan>,
        /// What else should now happen, for actions that ask the engine rather than the world.
        requests: Vec<Request>,
    },
    /// There was nothing to carry out: somebody else has brought it about, and nothing was written.
    AlreadySo {
        /// What is so, for people.
        detail: String,
    },
    /// People have been asked to carry it out; it ends when they say so.
    HandedToPeople {
        /// The task they were given.
        task: Task,
    },
    /// It was certainly not carried out.
    NotApplied {
        /// Why.
        reason: String,
    },
    /// It was certainly not carried out, for a reason that passes by itself: the same attempt may succeed later.
    NotNow {
        /// Why.
        reason: String,
        /// How long the world asks to wait before the next attempt.
        wait: Option<SignedDuration>,
    },
    /// It was carried out, and failed: what it did up to then stands.
    Failed {
        /// Why, and what it said.
        reason: String,
    },
    /// Nobody knows.
    Unknown {
        /// What is known about why.
        reason: String,
    },
}

/// Something an action asks of the engine instead of the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Tell a destination something.
    Notify {
        /// Whom.
        destination: crate::notification::Destination,
        /// What.
        text: String,
    },
    /// Go to the escalation policy now, whatever the time.
    Escalate,
    /// Set a list of things for people to do.
    StartTask {
        /// The list.
        task: Task,
    },
    /// Keep a document with the incident.
    KeepDocument {
        /// Title.
        title: String,
        /// Markdown.
        body: String,
    },
}

/// A list of things for people to do, with an owner and a time limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Title.
    pub title: String,
    /// Who should do it, as the rule says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// What to do, in order.
    pub items: Vec<TaskItem>,
    /// When it should be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// The action that waits for it, for `human.task`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionId>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskItem {
    /// What.
    pub text: String,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_by: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Timestamp>,
}

impl Task {
    /// Whether every item is done. A task without items is done by being started.
    pub fn is_done(&self) -> bool {
        self.items.iter().all(|item| item.done_at.is_some())
    }
}
