//! Moments that a chart marks: when the alert began, and when something was done about it.

use crate::domain::action::ActionStatus;
use crate::domain::alert::{Alert, AlertRecord};
use crate::domain::incident::Incident;
use jiff::Timestamp;

/// Most actions that are marked, the newest ones: more labels find no room.
const ACTIONS_MAX: usize = 7;

/// A moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// When.
    pub at: Timestamp,
    /// What kind of moment.
    pub kind: MarkKind,
    /// What happened. May quote a rule.
    pub label: String,
}

/// What happened at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkKind {
    /// The alert began.
    Alert,
    /// Something was done.
    Action,
}

/// What is marked on the charts of an incident: the start of its first alert, and its actions that touched the world.
pub fn marks(incident: &Incident, alerts: &[(AlertRecord, Alert)]) -> Vec<Mark> {
    let began = alerts.iter().map(|(record, _)| record.starts_at).min().unwrap_or(incident.started_at);
    let mut marks = vec![Mark { at: began, kind: MarkKind::Alert, label: "alert".to_owned() }];
    let acted = incident.actions.iter().filter(|action| action.status.has_started());
    let mut acted: Vec<Mark> = acted
        .filter_map(|action| {
            let undone = if action.status == ActionStatus::RolledBack { " (undone)" } else { "" };
            let label = format!("{}{undone}", action.remedy);
            Some(Mark { at: action.started_at?, kind: MarkKind::Action, label })
        })
        .collect();
    acted.sort_by_key(|mark| mark.at);
    marks.extend(acted.split_off(acted.len().saturating_sub(ACTIONS_MAX)));
    marks
}
