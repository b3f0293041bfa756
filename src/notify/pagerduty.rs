//! PagerDuty: opens, acknowledges and resolves one alert an incident and service, and reports what was changed.
//!
//! The dedup key is fixed when a notice is wished, so that one that waited out an outage still speaks of the episode
//! that it was meant for. All events of an incident go out under the routing key of one service: PagerDuty drops an
//! acknowledgement under another key without a word. What an event says is written in [`event`].

pub mod event;
pub mod news;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::clients::answer::SendError;
use crate::clients::http::{HttpClient, HttpError};
use crate::clients::pagerduty::PagerDutyClient;
use crate::domain::incident::Incident;
use crate::domain::notification::Notice;
use crate::engine::ports::{Delivered, IncidentView};
use crate::secret::{Keyring, Secret};
use event::Writer;

/// What the notifier needs to know.
#[derive(Debug, Clone)]
pub struct PagerDutyOptions {
    /// Base address of the Events API.
    pub events_url: String,
    /// Routing key of each service by the name that rules use; a changed key is used from the next event on.
    pub services: BTreeMap<String, Secret>,
    /// Where people reach our pages from outside.
    pub external_url: Option<String>,
}

/// Tells PagerDuty services.
#[derive(Debug)]
pub struct PagerDutyNotifier {
    client: PagerDutyClient,
    services: BTreeMap<String, Secret>,
    external_url: Option<String>,
    keyring: Keyring,
}

impl PagerDutyNotifier {
    /// A notifier for these services. Texts are redacted with what `keyring` knows.
    ///
    /// # Errors
    /// Where the API's address is not an http or https URL.
    pub fn new(options: PagerDutyOptions, http: HttpClient, keyring: Keyring) -> Result<Self, HttpError> {
        let client = PagerDutyClient::new(http, &options.events_url)?;
        Ok(Self { client, services: options.services, external_url: options.external_url, keyring })
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
            Notice::Change { summary, details } => {
                self.client.change(&routing_key, &writer.change(summary, details)).await
            }
            // These are Slack's.
            Notice::Card
            | Notice::Reply { .. }
            | Notice::Call { .. }
            | Notice::Evidence
            | Notice::Whisper { .. } => {
                return Delivered::Yes { message: None };
            }
        };
        match outcome {
            Ok(_) => Delivered::Yes { message: None },
            // A change event pages nobody and has no key: after an unclear end it is not sent again.
            Err(SendError::Ambiguous { reason }) => Delivered::Never { reason },
            Err(error) => super::after(error),
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

/// Whether an episode has ended, so that nobody needs to hear of it any more.
fn is_over(incident: &Incident, episode: u32) -> bool {
    episode < incident.episode || !incident.is_open()
}
