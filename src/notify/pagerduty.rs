//! PagerDuty: opens, acknowledges and resolves one alert an incident and service, and reports what was changed.
//!
//! The dedup key is fixed when a notice is wished, so that one that waited out an outage still speaks of the episode
//! that it was meant for. All events of an incident go out under the routing key of one service: PagerDuty drops an
//! acknowledgement under another key without a word. What an event says is written in [`event`]. Where the REST API is set
//! up, what was done and who has it stand in a note as well, written after the event and never waited for, and it is looked
//! whether a page that was taken stands there: PagerDuty answers 202 before it does anything with it.

mod drawn;
pub mod event;
pub mod news;

pub(super) use drawn::drawn;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clients::answer::SendError;
use crate::clients::http::{HttpClient, HttpError};
use crate::clients::pagerduty::PagerDutyClient;
use crate::clients::pagerduty::rest::RestClient;
use crate::domain::incident::{Incident, IncidentStatus};
use crate::domain::notification::Notice;
use crate::domain::people::Via;
use crate::engine::ports::{Delivered, IncidentView};
use crate::secret::{Keyring, Secret};
use event::Writer;
use secrecy::SecretString;

/// Time for a note, with looking for its incident: together with the event it stays below what one notice may take.
const NOTED_WITHIN: Duration = Duration::from_secs(3);

/// How long after a page was sent again it is looked for once more.
const LOOK_AGAIN: Duration = Duration::from_secs(20);

/// What the notifier needs to know.
#[derive(Debug, Clone)]
pub struct PagerDutyOptions {
    /// Base address of the Events API.
    pub events_url: String,
    /// Routing key of each service by the name that rules use; a changed key is used from the next event on.
    pub services: BTreeMap<String, Secret>,
    /// The way by which notes are written; without it there are none.
    pub notes: Option<NotesOptions>,
    /// Where people reach our pages from outside.
    pub external_url: Option<String>,
}

/// How notes are written.
#[derive(Debug, Clone)]
pub struct NotesOptions {
    /// Base address of the REST API.
    pub url: String,
    /// API key of the account; a changed key is used from the next note on.
    pub token: Secret,
    /// Mail address of the user in whose name they are written.
    pub from: String,
    /// Whether it is looked as well if pages that were taken stand there.
    pub confirms: bool,
}

/// Tells PagerDuty services.
#[derive(Debug)]
pub struct PagerDutyNotifier {
    client: PagerDutyClient,
    services: BTreeMap<String, Secret>,
    notes: Option<(RestClient, Secret)>,
    confirms: bool,
    external_url: Option<String>,
    keyring: Keyring,
}

impl PagerDutyNotifier {
    /// A notifier for these services. Texts are redacted with what `keyring` knows.
    ///
    /// # Errors
    /// Where the API's address is not an http or https URL.
    pub fn new(options: PagerDutyOptions, http: HttpClient, keyring: Keyring) -> Result<Self, HttpError> {
        let client = PagerDutyClient::new(http.clone(), &options.events_url)?;
        let confirms = options.notes.as_ref().is_some_and(|notes| notes.confirms);
        let notes = options.notes.map(|notes| {
            let client = RestClient::new(http, &notes.url, &notes.from)?;
            Ok::<_, HttpError>((client, notes.token))
        });
        let PagerDutyOptions { services, external_url, .. } = options;
        Ok(Self { client, services, notes: notes.transpose()?, confirms, external_url, keyring })
    }

    /// Delivers one notice to a service.
    pub(super) async fn notify(&self, service: &str, notice: &Notice, view: &IncidentView) -> Delivered {
        let Some(routing_key) = self.services.get(service).map(Secret::current) else {
            return Delivered::Never { reason: self.unknown(service) };
        };
        let redactor = self.keyring.redactor();
        let writer = Writer::new(view, self.external_url.as_deref(), redactor.as_ref());
        let incident = &view.incident;
        let outcome = match notice {
            Notice::Trigger { episode, .. } if is_over(incident, *episode) => {
                // After a resolve the same key would open a new incident that nobody closes.
                let reason = "the incident is over: an event now would open a new one".to_owned();
                return Delivered::Never { reason };
            }
            Notice::Trigger { note, episode } => {
                self.client.trigger(&routing_key, &writer.trigger(note, *episode)).await
            }
            Notice::Acknowledge { episode } => {
                self.client.acknowledge(&routing_key, &incident.dedup_key_of(*episode)).await
            }
            Notice::Resolve { episode } => {
                self.client.resolve(&routing_key, &incident.dedup_key_of(*episode)).await
            }
            Notice::Confirm { episode } => {
                return self.confirm(&routing_key, &writer, incident, *episode).await;
            }
            Notice::Change { summary, details } => {
                self.client.change(&routing_key, &writer.change(summary, details)).await
            }
            // These are Slack's.
            Notice::Card
            | Notice::Reply { .. }
            | Notice::Call { .. }
            | Notice::Evidence
            | Notice::Charts
            | Notice::Whisper { .. } => {
                return Delivered::Yes { message: None };
            }
        };
        match outcome {
            Ok(_) => {
                if let Some(text) = note_of(notice, incident) {
                    self.note(incident, redactor.redact(&text).as_ref()).await;
                }
                Delivered::Yes { message: None }
            }
            // A change event pages nobody and has no key: after an unclear end it is not sent again.
            Err(SendError::Ambiguous { reason }) => Delivered::Never { reason },
            Err(error) => super::after(error, redactor.as_ref()),
        }
    }

    /// Looks whether a page stands there that was taken, and sends it again where it does not; the key keeps it one. Where
    /// nobody can look, the escalation is left to go on by itself.
    async fn confirm(
        &self,
        routing_key: &SecretString,
        writer: &Writer<'_>,
        incident: &Incident,
        episode: u32,
    ) -> Delivered {
        let sent = Delivered::Yes { message: None };
        let Some((client, token)) = self.notes.as_ref().filter(|_| self.confirms) else { return sent };
        if is_over(incident, episode) || incident.status != IncidentStatus::Triggered {
            return sent;
        }
        match client.incident_of(&token.current(), &incident.dedup_key_of(episode)).await {
            Ok(Some(_)) => return sent,
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(incident.id = %incident.id, %error, "whether a page stands in PagerDuty cannot be seen");
                return sent;
            }
        }
        let again = writer.trigger("sent again, as PagerDuty has no incident of it", episode);
        let outcome = match self.client.trigger(routing_key, &again).await {
            Ok(_) => "it is sent again".to_owned(),
            Err(error) => format!("it could not be sent again: {error}"),
        };
        let reason = format!("it was taken, and PagerDuty has no incident of it; {outcome}");
        Delivered::Later { wait: Some(LOOK_AGAIN), reason, failed: true }
    }

    /// Writes a note, once and where that is possible: the queue behind it may hold a page, and never waits for one.
    async fn note(&self, incident: &Incident, text: &str) {
        let Some((client, token)) = &self.notes else { return };
        let token = token.current();
        let written = async {
            let there = match &incident.bridge {
                Some(there) => Some(there.clone()),
                None => client.incident_of(&token, &incident.dedup_key_of(incident.episode)).await?,
            };
            match there {
                Some(there) => client.note(&token, &there, text).await.map(|()| true),
                None => Ok(false),
            }
        };
        match tokio::time::timeout(NOTED_WITHIN, written).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => {
                tracing::info!(incident.id = %incident.id, "PagerDuty knows no such incident: the note is left out");
            }
            Ok(Err(error)) => {
                tracing::warn!(incident.id = %incident.id, %error, "a note in PagerDuty could not be written");
            }
            Err(_) => {
                tracing::warn!(incident.id = %incident.id, "a note in PagerDuty took too long and is left out")
            }
        }
    }

    /// Forgets what is idle; called now and then by whoever keeps house.
    pub fn prune(&self) {
        self.client.prune();
    }

    fn unknown(&self, service: &str) -> String {
        let known: Vec<&str> = self.services.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        format!("pagerduty.services has no {service:?}; it has {known}")
    }
}

/// What a note says; none where the event says all, or where the person did it in PagerDuty.
fn note_of(notice: &Notice, incident: &Incident) -> Option<String> {
    match notice {
        Notice::Change { summary, details } => {
            let outcome = details.get("outcome").map(|outcome| format!(": {outcome}"));
            Some(format!("{summary}{}", outcome.unwrap_or_default()))
        }
        Notice::Acknowledge { .. } => {
            let actor = &incident.acknowledged.as_ref()?.actor;
            (actor.via != Via::PagerDuty).then(|| format!("{} has it ({})", actor.name, actor.via.as_str()))
        }
        _ => None,
    }
}

/// Whether an episode has ended, so that nobody needs to hear of it any more.
fn is_over(incident: &Incident, episode: u32) -> bool {
    episode < incident.episode || !incident.is_open()
}
