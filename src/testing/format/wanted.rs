//! What a test expects at one time. Whatever is not said is not looked at.

use super::short::{FromWord, OneOrMany, Short};
use crate::domain::Labels;
use crate::domain::action::{ActionStatus, Tier};
use crate::domain::decision::Decision;
use crate::domain::guardrail::Guardrail;
use crate::domain::incident::{IncidentStatus, Phase};
use crate::domain::severity::Severity;
use crate::period::Period;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{self, IntoDeserializer};
use std::collections::BTreeMap;

/// What has to be the case at one time, after all that happens then.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Expect {
    /// When, counted from the beginning. Default: at once.
    pub at: Period,
    /// The rule that answers; `none` where no rule does. With several incidents it says which one is meant.
    pub rule: Option<String>,
    /// The target of the incident, as `Kind/namespace/name`. With several incidents it says which one is meant.
    pub target: Option<String>,
    /// Labels of the incident, some of them. With several incidents they say which one is meant.
    pub labels: Labels,
    /// Nothing happened since the expectation before: nobody was called, nothing was opened, decided, asked, done or
    /// closed.
    pub nothing: bool,
    /// How many incidents are open.
    pub incidents: Option<usize>,
    /// Where the incident stands for people.
    pub status: Option<IncidentStatus>,
    /// What the machine is doing about it.
    pub phase: Option<Phase>,
    /// How bad it is.
    pub severity: Option<Severity>,
    /// Its one line, or a part of it.
    pub summary: Option<String>,
    /// Who has it; `nobody` for nobody.
    pub acknowledged_by: Option<String>,
    /// What was decided about remedies the last time that they were judged.
    pub decisions: BTreeMap<String, Short<DecisionWanted>>,
    /// Where remedies stand that were taken, asked for or blocked.
    pub actions: BTreeMap<String, Short<ActionWanted>>,
    /// Parts of the titles and items of tasks for people.
    pub tasks: OneOrMany<String>,
    /// Who was called since the expectation before, exactly: new cards, pages and calls; `[]` for nobody.
    pub told: Option<OneOrMany<String>>,
    /// Messages since the expectation before, some of them.
    pub messages: OneOrMany<MessageWanted>,
    /// Where the escalation stands.
    pub escalation: Option<Short<EscalationWanted>>,
}

/// A word of one of the closed sets.
fn word_of<'de, T: Deserialize<'de>, E: de::Error>(word: &'de str) -> Result<T, E> {
    let deserializer: StrDeserializer<'de, E> = word.into_deserializer();
    T::deserialize(deserializer)
}

/// What was decided about a remedy.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DecisionWanted {
    /// The decision.
    pub decision: Decision,
    /// The reason: its word, such as `condition_fails`, or a part of its sentence.
    #[serde(default)]
    pub reason: Option<String>,
}

impl FromWord for DecisionWanted {
    const MEANING: &'static str = "`run`, `ask`, `simulate`, `block` or `skip`";

    fn from_word<E: de::Error>(word: &str) -> Result<Self, E> {
        Ok(Self { decision: word_of(word)?, reason: None })
    }
}

/// Where an action stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ActionWanted {
    /// Its status.
    pub status: Option<ActionStatus>,
    /// The reason: its word, such as `verified`, or a part of its sentence.
    pub reason: Option<String>,
    /// The tier at which it runs.
    pub tier: Option<Tier>,
    /// Parts of the plan as people read it.
    pub plan: OneOrMany<String>,
    /// What guardrails said, some of them.
    pub guardrails: BTreeMap<Guardrail, Short<VerdictWanted>>,
    /// The guardrail that forbids it.
    pub blocked_by: Option<Guardrail>,
}

impl FromWord for ActionWanted {
    const MEANING: &'static str = "a status, such as `awaiting_approval` or `succeeded`";

    fn from_word<E: de::Error>(word: &str) -> Result<Self, E> {
        Ok(Self { status: Some(word_of(word)?), ..Self::default() })
    }
}

/// What a guardrail said.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum VerdictWanted {
    /// It lets the action pass; a part of its reason.
    Allowed(String),
    /// It forbids the action; a part of its reason.
    Denied(String),
}

impl FromWord for VerdictWanted {
    const MEANING: &'static str = "`allowed` or `denied`";

    fn from_word<E: de::Error>(word: &str) -> Result<Self, E> {
        match word {
            "allowed" => Ok(Self::Allowed(String::new())),
            "denied" => Ok(Self::Denied(String::new())),
            other => Err(E::unknown_variant(other, &["allowed", "denied"])),
        }
    }
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MessageWanted {
    /// To whom, such as `slack:#incidents` or `pagerduty:pss-nano`.
    pub to: String,
    /// Which kind of message.
    #[serde(default)]
    pub kind: Option<Kind>,
    /// Parts of what people read, buttons included.
    #[serde(default)]
    pub text: OneOrMany<String>,
}

/// Which kind of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The incident's one message, posted or brought up to date.
    Card,
    /// A line below it.
    Reply,
    /// A line below it that calls people by name.
    Call,
    /// Evidence below it.
    Evidence,
    /// Pictures below it once more, with what was done marked on them.
    Charts,
    /// An answer that one person sees.
    Whisper,
    /// A page, or a mail or message that something is wrong.
    Trigger,
    /// That somebody has it.
    Acknowledge,
    /// That it is over.
    Resolve,
    /// That something was changed.
    Change,
}

impl Kind {
    /// The word of the notice.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Reply => "reply",
            Self::Call => "call",
            Self::Evidence => "evidence",
            Self::Charts => "charts",
            Self::Whisper => "whisper",
            Self::Trigger => "trigger",
            Self::Acknowledge => "acknowledge",
            Self::Resolve => "resolve",
            Self::Change => "change",
        }
    }
}

/// Where the escalation stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EscalationWanted {
    /// The policy; `none` for none.
    pub policy: Option<String>,
    /// The level that was told last; `fallback` once that was told, `none` before any.
    pub level: Option<String>,
    /// Whom that step told, exactly.
    pub tells: Option<OneOrMany<String>>,
    /// What comes next.
    pub next: Option<Short<NextWanted>>,
}

impl FromWord for EscalationWanted {
    const MEANING: &'static str = "the level that was told last";

    fn from_word<E: de::Error>(word: &str) -> Result<Self, E> {
        Ok(Self { level: Some(word.to_owned()), ..Self::default() })
    }
}

/// What comes next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NextWanted {
    /// The level; `none` where nothing comes.
    pub level: Option<String>,
    /// When, counted from the beginning.
    pub at: Option<Period>,
}

impl FromWord for NextWanted {
    const MEANING: &'static str = "the next level";

    fn from_word<E: de::Error>(word: &str) -> Result<Self, E> {
        Ok(Self { level: Some(word.to_owned()), at: None })
    }
}

impl Expect {
    /// Whether it would hold whatever happens.
    pub fn says_nothing(&self) -> bool {
        *self == Self { at: self.at, ..Self::default() }
    }
}
