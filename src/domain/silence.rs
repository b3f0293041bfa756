//! Silences: what people keep quiet in Alertmanager through us, and what Alertmanager keeps quiet by itself. Alerts that
//! are silenced or inhibited there still fire, and nobody is told of them.

use crate::people::Actor;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How far ahead a silence without an end is set: should we be gone, Alertmanager tells again within that time.
pub const SILENCE_LEASE: SignedDuration = SignedDuration::from_hours(1);

/// How often a silence is looked at: one that was set for a lease is extended, and one that somebody lifted is found.
pub const SILENCE_LOOK_EVERY: SignedDuration = SignedDuration::from_mins(30);

/// How many alerts of an incident are silenced one by one. More want a broader silence, which only a person can judge.
pub const SILENCED_ALERTS_MAX: u32 = 100;

/// How many of an incident's firing alerts Alertmanager keeps quiet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Suppressed {
    /// By a silence.
    #[serde(default)]
    pub silenced: u32,
    /// By another alert.
    #[serde(default)]
    pub inhibited: u32,
}

impl Suppressed {
    /// None where nothing is kept quiet.
    pub fn some(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}

impl std::fmt::Display for Suppressed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.silenced, self.inhibited) {
            (0, 0) => f.write_str("nothing"),
            (silenced, 0) => write!(f, "{silenced} silenced"),
            (0, inhibited) => write!(f, "{inhibited} inhibited"),
            (silenced, inhibited) => write!(f, "{silenced} silenced, {inhibited} inhibited"),
        }
    }
}

/// What a person silenced in an incident. It is for the alerts that fired then, each with all of its labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Number of the silence within the incident.
    pub serial: u32,
    /// Who wants it.
    pub actor: Actor,
    /// Since when. Alerts that began later are not silenced.
    pub at: Timestamp,
    /// In their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Until when; none means until the incident is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Until when Alertmanager has it; none while it has not taken it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Timestamp>,
    /// Whether the escalation waits for its end.
    #[serde(default)]
    pub holds: bool,
    /// Whether people were told that Alertmanager does not take it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_late: bool,
}

impl Silence {
    /// The mark that our silences in Alertmanager carry: the same for every attempt at setting this one.
    pub fn key(&self, incident: &crate::incident::IncidentId) -> String {
        key(incident, self.serial)
    }

    /// When Alertmanager tells again of its alerts, whatever becomes of us: its own end, or the end of the lease that an
    /// attempt whose answer was lost may have got.
    pub fn ends_there_at(&self, now: Timestamp) -> Timestamp {
        let leased = now.checked_add(SILENCE_LEASE).unwrap_or(Timestamp::MAX);
        let end = self.until.unwrap_or(leased);
        self.held_until.map_or(end, |held| held.max(end))
    }

    /// When it ends, for people.
    pub fn end_text(&self) -> String {
        self.until.map_or_else(|| "until it is resolved".to_owned(), |until| format!("until {until}"))
    }
}

/// A silence that nobody wants any more, and that Alertmanager may still have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceEnding {
    /// Number of the silence within the incident.
    pub serial: u32,
    /// When it ends there by itself; until then its end is tried.
    pub until: Timestamp,
    /// Whether people were told that it does not end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_late: bool,
}

/// The mark of a silence of ours.
pub fn key(incident: &crate::incident::IncidentId, serial: u32) -> String {
    format!("{incident}-s{serial}")
}

/// What is wished of Alertmanager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SilenceWish {
    /// The silence stands: it is set where it is not there, and extended where it would end too soon.
    Stand,
    /// The silence ends now.
    End,
}

/// How a wish fared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SilenceOutcome {
    /// Alertmanager has it.
    Stands {
        /// Until then.
        until: Timestamp,
        /// For how many alerts.
        alerts: u32,
    },
    /// Somebody lifted it in Alertmanager before its time.
    Lifted,
    /// None of the alerts that it was for fires any more, and others do.
    NothingLeft,
    /// It was ended as wished.
    Ended,
    /// It could not be ended before its time, which is over now.
    RanOut,
    /// It is not done yet, for a while already. It goes on being tried.
    Late {
        /// Why, without secrets.
        reason: String,
    },
    /// It could not be done, and is not tried any more.
    Failed {
        /// Why, without secrets.
        reason: String,
    },
}
