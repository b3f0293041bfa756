//! What the store shows to those who look after it: alerts that fire in open incidents, and what an audit finds.

use crate::domain::alert::Alert;
use crate::domain::effect::EffectId;
use crate::domain::incident::IncidentId;
use crate::domain::scheduled::CheckReport;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// An alert that fires in an open incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firing {
    /// The incident.
    pub incident: IncidentId,
    /// The alert as it was told.
    pub alert: Alert,
    /// Whether Alertmanager was seen to hold it.
    pub confirmed: bool,
}

/// Alerts that fire in some open incidents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FiringPage {
    /// The alerts.
    pub alerts: Vec<Firing>,
    /// The last incident of this page; none when there is no further page.
    pub next: Option<IncidentId>,
}

/// What an audit found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditView {
    /// Open incidents that nobody has, and whose next step is not there. A bounded number of them.
    pub without_step: Vec<IncidentId>,
    /// Urgent incidents that nobody has and of which no destination has heard, and not for lack of time. A bounded number
    /// of them.
    pub untold: Vec<IncidentId>,
    /// Timers that are due for too long.
    pub overdue_wakes: u64,
    /// Deliveries that have been waiting for too long.
    pub overdue_deliveries: u64,
}

impl AuditView {
    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

impl std::fmt::Display for AuditView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { without_step, untold, overdue_wakes, overdue_deliveries } = self;
        let named = |incidents: &[IncidentId]| {
            let first: Vec<&str> = incidents.iter().take(3).map(|incident| incident.0.as_str()).collect();
            if first.is_empty() { String::new() } else { format!(" ({})", first.join(", ")) }
        };
        write!(f, "incidents without a next step: {}{}", without_step.len(), named(without_step))?;
        write!(f, "; urgent incidents of which no destination has heard: {}{}", untold.len(), named(untold))?;
        write!(f, "; overdue timers: {overdue_wakes}; overdue deliveries: {overdue_deliveries}")
    }
}

/// A run of a scheduled check that is planned, or being carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its effect.
    pub id: EffectId,
    /// Which check.
    pub check: String,
    /// When it is due.
    pub due_at: Timestamp,
}

/// How scheduled checks stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChecksView {
    /// Runs that are due by their schedules, without those that somebody asked for.
    pub pending: Vec<Pending>,
    /// The last report of each check, by name.
    pub results: BTreeMap<String, CheckReport>,
}
