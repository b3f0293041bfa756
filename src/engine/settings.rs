//! What the operator decides about the engine, already checked.

use super::watchdogs::Watchdog;
use crate::domain::guardrail::{Alone, BlastRadius, Limits, Scope};
use crate::domain::notification::Destination;
use crate::domain::schedule::Schedule;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// What the operator decides about the engine.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Decide and record, but start no action. The default of a new installation.
    pub dry_run: bool,
    /// How many actions may start.
    pub limits: Limits,
    /// Where actions may touch something.
    pub scope: Scope,
    /// What one action may take away.
    pub radius: BlastRadius,
    /// What must hold for the machine to act alone.
    pub alone: Alone,
    /// When the service started; none in a rehearsal.
    pub booted_at: Option<Timestamp>,
    /// Windows in which no action starts, by name.
    pub freezes: BTreeMap<String, Schedule>,
    /// Who is told where neither rule nor policy says.
    pub default_destinations: Vec<Destination>,
    /// Who is told of alerts that no rule matches.
    pub unmatched_destinations: Vec<Destination>,
    /// Who is told when a destination fails and the policy's own fallback has failed as well.
    pub fallback_destinations: Vec<Destination>,
    /// How long people may silence alerts in Alertmanager; none where there is no Alertmanager to do it in.
    pub silence_max: Option<SignedDuration>,
    /// Alerts that always fire, and never open an incident.
    pub watchdogs: Vec<Watchdog>,
    /// How long ended incidents are kept.
    pub retention: SignedDuration,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            dry_run: true,
            limits: Limits::default(),
            scope: Scope::default(),
            radius: BlastRadius::default(),
            alone: Alone::default(),
            booted_at: None,
            freezes: BTreeMap::new(),
            default_destinations: Vec::new(),
            unmatched_destinations: Vec::new(),
            fallback_destinations: Vec::new(),
            silence_max: None,
            watchdogs: Vec::new(),
            retention: SignedDuration::from_hours(90 * 24),
        }
    }
}

impl EngineSettings {
    /// The freeze window that is open now, with its end where one is near.
    pub fn open_freeze(&self, now: Timestamp) -> Option<(String, Option<Timestamp>)> {
        self.freezes
            .iter()
            .find(|(_, window)| window.is_active(now))
            .map(|(name, window)| (name.clone(), window.next_change(now)))
    }
}
