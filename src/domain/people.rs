//! Who did something: a person, a token or the machine itself.

use serde::{Deserialize, Serialize};

/// Role of a caller, least first. A role may do all that the roles before it may.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads everything, changes nothing.
    Viewer,
    /// Acknowledges and resolves incidents, ticks off tasks.
    Responder,
    /// Also approves and rejects actions.
    Approver,
    /// Also pauses, resumes and reloads.
    Admin,
}

impl Role {
    /// The word used in settings, tokens and the audit trail.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Responder => "responder",
            Self::Approver => "approver",
            Self::Admin => "admin",
        }
    }
}

/// The way by which a person's word reached us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// A button in Slack.
    Slack,
    /// PagerDuty, where the incident is shown as well.
    PagerDuty,
    /// The HTTP API, and so the command line.
    Api,
    /// The machine itself, by a rule or a timer.
    Machine,
}

impl Via {
    /// The word used in the audit trail.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::PagerDuty => "pagerduty",
            Self::Api => "api",
            Self::Machine => "machine",
        }
    }
}

/// Somebody who acted, as the audit trail names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Stable identity: the name in `people`, of the API token, or `smokejumper`.
    pub name: String,
    /// How their word came in.
    pub via: Via,
    /// What they may do.
    pub role: Role,
}

/// Before the identity of members whom the settings do not name.
pub const MEMBER_PREFIX: &str = "slack:";

impl Actor {
    /// Whether no more is known of them than that Slack has such a member.
    pub fn is_bare_member(&self) -> bool {
        self.name.starts_with(MEMBER_PREFIX)
    }

    /// The machine itself.
    pub fn machine() -> Self {
        Self { name: "smokejumper".to_owned(), via: Via::Machine, role: Role::Admin }
    }
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.via {
            Via::Machine => f.write_str(&self.name),
            via => write!(f, "{} ({})", self.name, via.as_str()),
        }
    }
}
