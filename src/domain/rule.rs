//! Response rules: which alerts they answer, with what evidence, and with which remedies.
//!
//! These are the checked values that the loader produces and that an incident keeps a copy of. Texts marked as
//! [`Template`] or [`Condition`] are carried as written; only `rules/` renders and evaluates them.

use crate::action::Tier;
use crate::matcher::Matchers;
use crate::severity::Severity;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A text with `{{ … }}` over labels, annotations, the incident and findings.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Template(pub String);

/// Whether a text still holds placeholders, so that its rendered form cannot be judged yet.
pub fn is_template(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark))
}

/// A CEL expression over labels, annotations, findings and the incident that yields true or false.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Condition(pub String);

/// Digest of a rule's canonical JSON, in hex. Names the exact text that an incident was opened under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleHash(pub String);

/// One response rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResponseRule {
    /// Unique name.
    pub name: String,
    /// Runbook procedures that it implements, such as `P67`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub procedures: Vec<String>,
    /// Link to the human document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runbook: Option<Template>,
    /// One line that says what is wrong. Default: the alert's `summary` annotation, then its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Template>,
    /// Higher is tried first; equal ones in file order.
    #[serde(default)]
    pub priority: i32,
    /// Whether later rules are tried as well after this one matched.
    #[serde(default, rename = "continue")]
    pub continues: bool,
    /// All must match. An empty list matches every alert.
    #[serde(default)]
    pub matchers: Matchers,
    /// How bad: fixed, or rendered from labels.
    pub severity: SeveritySpec,
    /// What the incident is about, for rules with a Kubernetes target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetSpec>,
    /// Labels whose values tell one incident from the other, for rules without a target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group_by: Vec<String>,
    /// Name of the escalation policy; none means: selected by severity and labels, then the default policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation: Option<String>,
    /// Evidence to gather.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<DiagnosticSpec>,
    /// The ladder: tried in order, each verified before the next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remedies: Vec<RemedySpec>,
    /// Actions without effect on the world (T0) to take once the incident is resolved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_resolve: Vec<ActionSpec>,
    /// Observe only: decisions are made and recorded, no action starts.
    #[serde(default)]
    pub dry_run: bool,
    /// Whether it acts, or only decides beside those who do.
    #[serde(default, skip_serializing_if = "RuleMode::is_live")]
    pub mode: RuleMode,
    /// How long after its end a new alert reopens the incident instead of opening another.
    #[serde(default = "default_reopen_within")]
    pub reopen_within: SignedDuration,
}

/// What becomes of the decisions of a rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleMode {
    /// They are carried out, as guardrails and people allow.
    #[default]
    Live,
    /// They are recorded: nothing is carried out, nobody is asked, and live rules do as they would without it.
    Shadow,
}

impl RuleMode {
    /// The word used in rules, the API and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Shadow => "shadow",
        }
    }

    /// Whether its decisions are only recorded.
    pub fn is_shadow(self) -> bool {
        self == Self::Shadow
    }

    /// Whether its decisions are carried out.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands it in like this")]
    pub fn is_live(&self) -> bool {
        *self == Self::Live
    }
}

/// Thirty minutes: most flapping happens within, and it stays one story for the on-call engineer.
pub fn default_reopen_within() -> SignedDuration {
    SignedDuration::from_mins(30)
}

/// A severity, fixed or rendered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SeveritySpec {
    /// Always this one.
    Fixed(Severity),
    /// Rendered over labels and read like a severity word; unreadable results count as `P1`, with a timeline line,
    /// because an alert of unknown severity must not be lost at the bottom.
    Template(Template),
}

/// A Kubernetes object that an incident is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetSpec {
    /// Kind, such as `Deployment`.
    pub kind: String,
    /// Namespace, rendered over labels.
    pub namespace: Template,
    /// Name, rendered over labels.
    pub name: Template,
}

/// One diagnostic of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosticSpec {
    /// Name under which conditions and templates read the finding.
    pub name: String,
    /// Kind in the catalog.
    pub kind: String,
    /// Its parameters, unrendered.
    pub params: Value,
}

/// An action of a rule, before rendering.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionSpec {
    /// Kind in the catalog.
    pub kind: String,
    /// Its parameters, unrendered.
    pub params: Value,
}

/// One rung of the ladder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RemedySpec {
    /// Name, unique within the rule.
    pub name: String,
    /// Only when this holds; absent means always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Condition>,
    /// Tier at which it runs: the action's floor, or higher where the rule says so.
    pub tier: Tier,
    /// What to do.
    pub action: ActionSpec,
    /// How to tell that it helped. Absent: done when carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<VerifySpec>,
    /// The inverse, for actions that do not record one themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<ActionSpec>,
    /// How long an approval may be outstanding.
    #[serde(default = "default_approval_expiry")]
    pub approval_expires: SignedDuration,
    /// Least time between two runs of this remedy on the same target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<SignedDuration>,
}

/// Fifteen minutes: long enough to be reached, short enough that the evidence still describes the world.
pub fn default_approval_expiry() -> SignedDuration {
    SignedDuration::from_mins(15)
}

/// How to tell whether a remedy helped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifySpec {
    /// Wait before the first look.
    pub settle: SignedDuration,
    /// How long the checks must hold without a break.
    pub hold: SignedDuration,
    /// Give up after this much time since the action ended.
    pub within: SignedDuration,
    /// All must hold over fresh findings.
    pub checks: Vec<Condition>,
    /// What to do when they did not.
    pub on_fail: OnFail,
}

/// What follows a failed verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnFail {
    /// Apply the inverse once, then go on with the next remedy.
    Rollback,
    /// Leave it and go on with the next remedy.
    Next,
    /// Leave it and hand over to people.
    Escalate,
}

impl ResponseRule {
    /// Whether an alert that it matches is taken from the rules after it. One in shadow takes nothing from anybody.
    pub fn ends_the_search(&self) -> bool {
        !self.continues && self.mode.is_live()
    }

    /// The remedy called `name`.
    pub fn remedy(&self, name: &str) -> Option<&RemedySpec> {
        self.remedies.iter().find(|remedy| remedy.name == name)
    }

    /// The longest time that one of its remedies waits between two runs; none where all keep to the settings.
    pub fn longest_cooldown(&self) -> Option<SignedDuration> {
        self.remedies.iter().filter_map(|remedy| remedy.cooldown).max()
    }

    /// Digest of the canonical JSON. Two rules with the same text have the same digest.
    pub fn hash(&self) -> RuleHash {
        RuleHash(crate::timeline::digest_of(self))
    }
}
