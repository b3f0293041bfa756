//! What events do to incidents: the state behind the Events API, as a value without HTTP.
//!
//! From "Send an Alert Event": an open alert is found by its dedup key **and** routing key; what does not find one is
//! accepted and dropped; a resolved incident is never reopened, a further trigger opens another.

use jiff::Timestamp;
use serde::Serialize;

use super::events::{Action, ValidEvent};
use crate::sandbox::seed::random_hex;

/// Incidents kept; the oldest resolved one goes first.
const MAX_INCIDENTS: usize = 2_000;
/// Log lines kept for an incident; later ones are only counted by the record of events.
const MAX_LOG_LINES: usize = 200;

/// Where an incident stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Someone is being paged.
    Triggered,
    /// Someone works on it; no further pages.
    Acknowledged,
    /// Over, for good.
    Resolved,
}

/// An incident derived from the events.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Incident {
    /// Identity, which events about notes name.
    pub id: String,
    /// Counts from 1.
    pub number: u64,
    /// The service whose routing key opened it.
    pub service: String,
    /// The key that later events find it by.
    pub dedup_key: String,
    /// The summary of the event that opened it.
    pub title: String,
    /// The severity of the event that opened it.
    pub severity: String,
    /// Where it stands.
    pub status: Status,
    /// Who has it: identities and names.
    pub assignees: Vec<(String, String)>,
    /// Its priority, by name.
    pub priority: Option<String>,
    /// When the first trigger came.
    pub opened_at: Timestamp,
    /// When the first acknowledgement came.
    pub acknowledged_at: Option<Timestamp>,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// Notes that were written by the REST API.
    pub notes: Vec<String>,
    /// What happened, oldest first.
    pub log: Vec<LogLine>,
}

/// One line of an incident's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// When.
    pub at: Timestamp,
    /// What, in a sentence.
    pub text: String,
}

/// What an accepted event did. Only this, never the 202, says whether anything happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// A new incident was opened.
    Opened,
    /// A trigger joined the open incident.
    Joined,
    /// The incident is acknowledged now.
    Acknowledged,
    /// It was acknowledged before.
    AcknowledgedBefore,
    /// The incident is resolved now.
    Resolved,
    /// Acknowledge or resolve without an open alert of that dedup key under that routing key: dropped with 202.
    Dropped,
    /// A change event was noted.
    ChangeNoted,
    /// Not valid: 400, or too large.
    Refused,
    /// Too many events: 429.
    Limited,
    /// A scripted fault kept it from having any effect.
    Lost,
}

/// All incidents of the account.
#[derive(Debug, Default)]
pub(super) struct Incidents {
    list: Vec<Incident>,
    opened: u64,
}

impl Incidents {
    /// Every incident still kept, oldest first.
    pub(super) fn list(&self) -> &[Incident] {
        &self.list
    }

    /// The incident with this identity.
    pub(super) fn by_id(&mut self, id: &str) -> Option<&mut Incident> {
        self.list.iter_mut().find(|incident| incident.id == id)
    }

    /// The incident with this number.
    pub(super) fn by_number(&mut self, number: u64) -> Option<&mut Incident> {
        self.list.iter_mut().find(|incident| incident.number == number)
    }

    /// The newest incident of this service with this key.
    pub(super) fn newest(&self, service: &str, dedup_key: &str) -> Option<&Incident> {
        let mut newest_first = self.list.iter().rev();
        newest_first.find(|incident| incident.service == service && incident.dedup_key == dedup_key)
    }

    /// Applies a valid alert event under the dedup key that it has or was given.
    pub(super) fn apply(
        &mut self,
        service: &str,
        dedup_key: &str,
        event: &ValidEvent,
        now: Timestamp,
    ) -> Effect {
        let open = self.list.iter_mut().find(|incident| {
            incident.service == service
                && incident.dedup_key == dedup_key
                && incident.status != Status::Resolved
        });
        match (event.action, open) {
            (Some(Action::Trigger), None) => {
                self.open(service, dedup_key, event, now);
                Effect::Opened
            }
            (Some(Action::Trigger), Some(incident)) => {
                incident
                    .note(now, format!("Triggered again: {}", event.summary.as_deref().unwrap_or_default()));
                Effect::Joined
            }
            (Some(Action::Acknowledge), Some(incident)) if incident.status == Status::Triggered => {
                incident.status = Status::Acknowledged;
                incident.acknowledged_at.get_or_insert(now);
                incident.note(now, "Acknowledged through the API".to_owned());
                Effect::Acknowledged
            }
            (Some(Action::Acknowledge), Some(_)) => Effect::AcknowledgedBefore,
            (Some(Action::Resolve), Some(incident)) => {
                incident.status = Status::Resolved;
                incident.resolved_at = Some(now);
                incident.note(now, "Resolved through the API".to_owned());
                Effect::Resolved
            }
            (Some(Action::Acknowledge | Action::Resolve) | None, _) => Effect::Dropped,
        }
    }

    /// Notes a change event at the open incidents of the service, where responders would see it.
    pub(super) fn note_change(&mut self, service: &str, summary: &str, now: Timestamp) {
        let open = self.list.iter_mut();
        for incident in open.filter(|open| open.service == service && open.status != Status::Resolved) {
            incident.note(now, format!("Change: {summary}"));
        }
    }

    fn open(&mut self, service: &str, dedup_key: &str, event: &ValidEvent, now: Timestamp) {
        if self.list.len() == MAX_INCIDENTS {
            let oldest =
                self.list.iter().position(|incident| incident.status == Status::Resolved).unwrap_or(0);
            self.list.remove(oldest);
        }
        self.opened += 1;
        let mut incident = Incident {
            id: format!("P{}", random_hex(4).to_uppercase()),
            number: self.opened,
            service: service.to_owned(),
            dedup_key: dedup_key.to_owned(),
            title: event.summary.clone().unwrap_or_default(),
            severity: event.severity.clone().unwrap_or_default(),
            status: Status::Triggered,
            assignees: Vec::new(),
            priority: None,
            opened_at: now,
            acknowledged_at: None,
            resolved_at: None,
            notes: Vec::new(),
            log: Vec::new(),
        };
        incident.note(now, "Triggered; the person on call is paged".to_owned());
        self.list.push(incident);
    }
}

impl Incident {
    pub(super) fn note(&mut self, at: Timestamp, text: String) {
        if self.log.len() < MAX_LOG_LINES {
            self.log.push(LogLine { at, text });
        }
    }
}
