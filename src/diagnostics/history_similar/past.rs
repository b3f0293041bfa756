//! How earlier incidents ended.

use jiff::{SignedDuration, Timestamp};

use crate::domain::action::{Action, ActionStatus};
use crate::domain::decision::Reason;
use crate::domain::incident::Incident;

/// How one ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// A remedy was carried out, and its verification says that it helped.
    Remedy,
    /// Somebody resolved it.
    Person,
    /// Neither.
    Alone,
}

impl End {
    /// The word of the field.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Remedy => "remedy",
            Self::Person => "person",
            Self::Alone => "alone",
        }
    }
}

/// The one that ended last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Last {
    pub(super) ended_at: Timestamp,
    pub(super) took: SignedDuration,
    pub(super) end: End,
    pub(super) remedy: Option<String>,
    pub(super) person: Option<String>,
}

/// Earlier incidents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Past {
    pub(super) last: Option<Last>,
    /// How each ended.
    pub(super) ends: Vec<End>,
    /// The remedy that helped last.
    pub(super) remedy: Option<String>,
}

impl Past {
    /// Of incidents that are over.
    pub(super) fn of<'a>(incidents: impl Iterator<Item = &'a Incident>) -> Self {
        let mut over: Vec<Last> = incidents.filter_map(last_of).collect();
        over.sort_by_key(|one| std::cmp::Reverse(one.ended_at));
        Self {
            ends: over.iter().map(|one| one.end).collect(),
            remedy: over.iter().find_map(|one| one.remedy.clone()),
            last: over.into_iter().next(),
        }
    }
}

fn last_of(incident: &Incident) -> Option<Last> {
    let resolution = incident.resolved.as_ref()?;
    let helped =
        |action: &&Action| action.status == ActionStatus::Succeeded && action.reason == Reason::Verified;
    let remedy = incident.actions.iter().rev().find(helped).map(|action| action.remedy.clone());
    let person = resolution.actor.as_ref().map(|actor| actor.name.clone());
    let end = match (&remedy, &person) {
        (Some(_), _) => End::Remedy,
        (None, Some(_)) => End::Person,
        (None, None) => End::Alone,
    };
    let began = incident.reopened_at.last().copied().unwrap_or(incident.started_at);
    Some(Last { ended_at: resolution.at, took: resolution.at.duration_since(began), end, remedy, person })
}
