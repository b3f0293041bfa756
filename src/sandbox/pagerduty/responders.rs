//! What people do on the pages of the account.

use jiff::Timestamp;
use serde::Deserialize;

use super::Shared;
use super::incidents::{Incident, Incidents, Status};
use super::webhooks::{self, Agent};

/// Something that a person does with an incident.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Deed {
    /// Takes it.
    Acknowledge,
    /// Gives it back: nobody has it any more.
    Unacknowledge,
    /// Ends it.
    Resolve,
    /// Gives it to somebody else.
    Reassign {
        /// Name of whoever has it now.
        to: String,
    },
    /// Calls the next level of PagerDuty's own policy.
    Escalate,
    /// Writes a note.
    Note {
        /// What it says.
        text: String,
    },
    /// Sets the priority.
    Prioritise {
        /// Its name, such as `P1`.
        priority: String,
    },
}

/// Why a deed is not possible.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeedError {
    /// No such incident.
    #[error("there is no incident number {0}")]
    NoSuchIncident(u64),
    /// It is over, or nobody has it.
    #[error("the incident is {0:?}: that is not possible any more")]
    NotNow(Status),
}

impl Shared {
    /// Lets a person do something, and tells whoever has subscribed.
    pub(super) fn act(
        &self,
        number: u64,
        person: &(String, String),
        deed: &Deed,
    ) -> Result<Incident, DeedError> {
        let now = Timestamp::now();
        let (incident, told) = self.incidents().act(number, person, deed, now)?;
        let agent = Agent::Person { id: person.0.clone(), name: person.1.clone() };
        self.tell(match deed {
            Deed::Note { text } => webhooks::note(&agent, &incident, text, now),
            _ => webhooks::event(told, &agent, &incident, now),
        });
        Ok(incident)
    }
}

impl Incidents {
    /// Applies a deed; returns the incident after it and the kind of event that tells of it.
    fn act(
        &mut self,
        number: u64,
        person: &(String, String),
        deed: &Deed,
        now: Timestamp,
    ) -> Result<(Incident, &'static str), DeedError> {
        let incident = self.by_number(number).ok_or(DeedError::NoSuchIncident(number))?;
        let name = &person.1;
        let is_possible = match deed {
            Deed::Acknowledge | Deed::Resolve | Deed::Reassign { .. } | Deed::Escalate => {
                incident.status != Status::Resolved
            }
            Deed::Unacknowledge => incident.status == Status::Acknowledged,
            Deed::Note { .. } | Deed::Prioritise { .. } => true,
        };
        if !is_possible {
            return Err(DeedError::NotNow(incident.status));
        }
        let (told, line) = match deed {
            Deed::Acknowledge => {
                incident.status = Status::Acknowledged;
                incident.acknowledged_at.get_or_insert(now);
                incident.assignees = vec![person.clone()];
                ("incident.acknowledged", format!("Acknowledged by {name}"))
            }
            Deed::Unacknowledge => {
                incident.status = Status::Triggered;
                ("incident.unacknowledged", format!("Given back by {name}"))
            }
            Deed::Resolve => {
                incident.status = Status::Resolved;
                incident.resolved_at = Some(now);
                ("incident.resolved", format!("Resolved by {name}"))
            }
            Deed::Reassign { to } => {
                incident.assignees = vec![(format!("PU{}", to.to_uppercase()), to.clone())];
                ("incident.reassigned", format!("Given to {to} by {name}"))
            }
            Deed::Escalate => ("incident.escalated", format!("Escalated by {name}")),
            Deed::Note { text } => ("incident.annotated", format!("{name} wrote: {text}")),
            Deed::Prioritise { priority } => {
                incident.priority = Some(priority.clone());
                ("incident.priority_updated", format!("Priority set to {priority} by {name}"))
            }
        };
        incident.note(now, line);
        Ok((incident.clone(), told))
    }
}
