//! One alert as Alertmanager tells it, and what a new telling of it means.
//!
//! Identity is the fingerprint alone: group keys change with routing edits, and start times differ between
//! Prometheus replicas. [`observe`] is the only place that compares a telling with what we remember.

pub mod data;

use crate::Labels;
use crate::fingerprint::Fingerprint;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How long after a resolve an older firing of the same alert still counts as a late delivery.
///
/// Two Alertmanagers of a cluster send up to 15 s apart per peer position, and a cut-off delivery is sent again
/// at once, so two minutes cover what really happens. Longer would be dangerous: after a Prometheus outage
/// Alertmanager resolves an alert that then comes back with its old start time, and that one must page.
pub const LATE_FIRING_WINDOW: SignedDuration = SignedDuration::from_secs(120);

/// Whether an alert fires or has stopped firing. Alertmanager's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertStatus {
    /// The condition holds.
    Firing,
    /// The condition no longer holds.
    Resolved,
}

impl AlertStatus {
    /// The word used on the wire, in the store and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// One alert out of a webhook, already lenient about what was missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Identity: hash of the label set.
    pub fingerprint: Fingerprint,
    /// Firing or resolved, for this alert (the status of its group says nothing about it).
    pub status: AlertStatus,
    /// Identifying labels.
    pub labels: Labels,
    /// Describing annotations.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub annotations: Labels,
    /// When it began, as the sender says; the time of receipt where the sender says nothing usable.
    pub starts_at: Timestamp,
    /// When it ended. None while it fires (the wire says `0001-01-01T00:00:00Z`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// Link to the expression that raised it. Shown to people, never fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator_url: Option<String>,
}

impl Alert {
    /// The `alertname` label, or an empty string for an alert without one.
    pub fn name(&self) -> &str {
        self.labels.get("alertname").map_or("", String::as_str)
    }

    /// What people call it: its name, or words for an alert without one.
    pub fn title(&self) -> &str {
        match self.name() {
            "" => "an alert without a name",
            name => name,
        }
    }
}

/// What we remember of an alert within one incident, or as a tombstone without one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertRecord {
    /// Last known status.
    pub status: AlertStatus,
    /// Start of the last known episode.
    pub starts_at: Timestamp,
    /// End of the last known episode, where it ended.
    pub ends_at: Option<Timestamp>,
    /// When we last changed this record.
    pub updated_at: Timestamp,
}

/// What a telling of an alert means against what we remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observation {
    /// It fires and we did not know it, or it fires again after it had ended.
    Started,
    /// It fires and we knew that.
    Repeated,
    /// It fired and has now ended.
    Ended,
    /// It ended and we knew that, or never knew it: remembered as a tombstone.
    AlreadyEnded,
    /// It fires, but an end that we already know is younger: a delivery that arrived late.
    LateFiring,
}

/// Compares one telling of an alert with what we remember of it.
pub fn observe(previous: Option<&AlertRecord>, alert: &Alert, now: Timestamp) -> Observation {
    use AlertStatus::{Firing, Resolved};
    let Some(known) = previous else {
        return match alert.status {
            Firing => Observation::Started,
            Resolved => Observation::AlreadyEnded,
        };
    };
    match (known.status, alert.status) {
        (Firing, Firing) => Observation::Repeated,
        // An end older than the episode that we know belongs to an earlier one: a late resolve.
        (Firing, Resolved) if ends_before_known_start(known, alert, now) => Observation::AlreadyEnded,
        (Firing, Resolved) => Observation::Ended,
        (Resolved, Resolved) => Observation::AlreadyEnded,
        (Resolved, Firing) => {
            let ended_at = known.ends_at.unwrap_or(known.updated_at);
            // In both directions: after a clock was set back, what was told before it lies in the future.
            let told_recently = now.duration_since(known.updated_at).abs() < LATE_FIRING_WINDOW;
            if alert.starts_at <= ended_at && told_recently {
                Observation::LateFiring
            } else {
                Observation::Started
            }
        }
    }
}

/// A start in the future was written before a clock was set back, and says nothing about what came before it.
fn ends_before_known_start(known: &AlertRecord, alert: &Alert, now: Timestamp) -> bool {
    known.starts_at <= now
        && alert
            .ends_at
            .is_some_and(|ended_at| ended_at < known.starts_at && alert.starts_at < known.starts_at)
}

/// Whether an end tells of a later episode than the end that is known: its firing may still be under way.
fn ended_later(alert: &Alert, known: &AlertRecord, now: Timestamp) -> bool {
    known.status == AlertStatus::Resolved
        && alert.status == AlertStatus::Resolved
        && alert.ends_at.unwrap_or(now) > known.ends_at.unwrap_or(known.updated_at)
}

/// The record to remember after an observation; `None` leaves the old one as it is.
pub fn remember(
    previous: Option<&AlertRecord>,
    alert: &Alert,
    observation: Observation,
    now: Timestamp,
) -> Option<AlertRecord> {
    match observation {
        Observation::Started => Some(AlertRecord {
            status: AlertStatus::Firing,
            starts_at: alert.starts_at,
            ends_at: None,
            updated_at: now,
        }),
        Observation::Ended => Some(AlertRecord {
            status: AlertStatus::Resolved,
            starts_at: alert.starts_at,
            ends_at: Some(alert.ends_at.unwrap_or(now)),
            updated_at: now,
        }),
        Observation::AlreadyEnded if previous.is_none_or(|known| ended_later(alert, known, now)) => {
            Some(AlertRecord {
                status: AlertStatus::Resolved,
                starts_at: alert.starts_at,
                ends_at: Some(alert.ends_at.unwrap_or(now)),
                updated_at: now,
            })
        }
        Observation::Repeated | Observation::AlreadyEnded | Observation::LateFiring => None,
    }
}

#[cfg(test)]
mod tests;
