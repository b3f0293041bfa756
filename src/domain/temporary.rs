//! Temporary changes: what was changed for a limited time, and is to be set back.
//!
//! A remedy with a `ttl` is undone when its time is over, whether its incident is still open or not. Until then it
//! stands on the list of temporary fixes in force, since a forgotten workaround is the next incident.

use crate::action::{Action, ActionId};
use crate::incident::IncidentId;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How long until another try where a pause, a freeze or another action holds up the restoring.
pub const RESTORE_RETRY: SignedDuration = SignedDuration::from_mins(5);

/// How many attempts to set something back may meet what passes, such as a server that is busy, before people are
/// called; the same for a rollback.
pub const PUT_OFF_MAX: u32 = 6;

/// How long until another attempt at a rollback that met such a thing: what it takes back is doing harm.
pub const ROLLBACK_RETRY: SignedDuration = SignedDuration::from_secs(30);

/// The longest wait that a server may ask for between two such attempts.
pub const PUT_OFF_WAIT_MAX: SignedDuration = SignedDuration::from_mins(10);

/// A change that stands for a limited time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemporaryFix {
    /// The action that made it.
    pub action: ActionId,
    /// Its incident.
    pub incident: IncidentId,
    /// Rule of the incident.
    pub rule: String,
    /// Name of the remedy.
    pub remedy: String,
    /// What was changed.
    pub target: String,
    /// One line: what was done.
    pub summary: String,
    /// One line: how it will be undone.
    pub restores: String,
    /// Since when it stands.
    pub since: Timestamp,
    /// When it is to be undone. In the past where that has failed or is held up.
    pub until: Timestamp,
}

/// A change of the list of temporary fixes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemporaryChange {
    /// It stands from now on.
    Begun(TemporaryFix),
    /// It was undone.
    Ended(ActionId),
}

impl TemporaryFix {
    /// The fix that an action has just made; none where its change is for good or cannot be undone.
    pub fn of(action: &Action, incident: &IncidentId, rule: &str, now: Timestamp) -> Option<Self> {
        let (ttl, inverse) = (action.plan.ttl?, action.inverse.as_ref()?);
        Some(Self {
            action: action.id.clone(),
            incident: incident.clone(),
            rule: rule.to_owned(),
            remedy: action.remedy.clone(),
            target: action.plan.target.clone(),
            summary: action.plan.summary.clone(),
            restores: inverse.summary.clone(),
            since: now,
            until: crate::verification::after(now, ttl),
        })
    }
}
