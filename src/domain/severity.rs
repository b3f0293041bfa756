//! How bad it is: P0 to P3, as the runbooks grade incidents.

use serde::{Deserialize, Serialize};

/// Severity of an incident. Orders from worst (`P0`) to mildest (`P3`).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum Severity {
    /// Service down, data loss or a breach: pages at once.
    P0,
    /// Major function impaired: notifies at once and escalates.
    P1,
    /// Minor function impaired, a workaround exists.
    P2,
    /// Cosmetic, or information.
    P3,
}

/// A text that names no severity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no severity: use P0, P1, P2 or P3, or one of critical, high, warning, info")]
pub struct UnknownSeverity(pub String);

impl Severity {
    /// The name as people and files write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P0 => "P0",
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
        }
    }

    /// PagerDuty's severity word for it (Events API v2: critical, error, warning, info).
    pub fn pagerduty(self) -> &'static str {
        match self {
            Self::P0 => "critical",
            Self::P1 => "error",
            Self::P2 => "warning",
            Self::P3 => "info",
        }
    }

    /// Whether a delay in telling people costs more than a duplicate: P0 and P1.
    pub fn is_urgent(self) -> bool {
        self <= Self::P1
    }
}

impl std::str::FromStr for Severity {
    type Err = UnknownSeverity;

    /// Reads `P0`..`P3` and the words that `severity` labels commonly carry.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().to_ascii_lowercase().as_str() {
            "p0" | "critical" | "page" | "emergency" => Ok(Self::P0),
            "p1" | "high" | "error" | "major" => Ok(Self::P1),
            "p2" | "warning" | "warn" | "medium" | "minor" => Ok(Self::P2),
            "p3" | "info" | "low" | "none" => Ok(Self::P3),
            _ => Err(UnknownSeverity(text.to_owned())),
        }
    }
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
