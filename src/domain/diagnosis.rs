//! Evidence: what a diagnostic found, or that nobody knows.

use crate::chart::Chart;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Whether a diagnostic could answer. "Unknown" is an answer for people and never counts as healthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingStatus {
    /// It answered.
    Known,
    /// It could not answer, for this reason.
    Unknown(String),
}

/// What one diagnostic found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Name in the rule.
    pub name: String,
    /// Kind of the diagnostic.
    pub kind: String,
    /// Whether it could answer.
    pub status: FindingStatus,
    /// Typed fields for conditions. Empty where unknown.
    #[serde(default)]
    pub fields: Map<String, Value>,
    /// A short text or table for people. Redacted and bounded; may quote data from outside.
    #[serde(default)]
    pub text: String,
    /// How it went, for a picture. Boxed: most findings have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart: Option<Box<Chart>>,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// Longest text of a finding that is kept.
pub const FINDING_TEXT_BYTES_MAX: usize = 8_000;

impl Finding {
    /// A finding without an answer.
    pub fn unknown(
        name: &str,
        kind: &str,
        reason: impl Into<String>,
        taken_at: Timestamp,
        duration_ms: u64,
    ) -> Self {
        Self {
            name: name.to_owned(),
            kind: kind.to_owned(),
            status: FindingStatus::Unknown(crate::timeline::cut(reason.into(), FINDING_TEXT_BYTES_MAX)),
            fields: Map::new(),
            text: String::new(),
            chart: None,
            taken_at,
            duration_ms,
        }
    }

    /// Whether its text has more than one line, such as a log or a table.
    pub fn has_several_lines(&self) -> bool {
        self.text.trim().lines().nth(1).is_some()
    }

    /// Whether it could answer.
    pub fn is_known(&self) -> bool {
        self.status == FindingStatus::Known
    }
}

/// Why evidence is gathered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiagnosisPurpose {
    /// To decide what to do.
    Decide,
    /// To see whether this action, which people approved, may still start.
    Recheck(crate::action::ActionId),
    /// To see whether this action helped.
    Verify(crate::action::ActionId),
}

/// How a condition over findings came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConditionOutcome {
    /// There is none, or it holds.
    Holds,
    /// It does not hold.
    Fails,
    /// It could not be judged, for this reason: missing evidence or a type that does not fit.
    Unknown(String),
}
