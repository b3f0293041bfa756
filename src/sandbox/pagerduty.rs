//! A PagerDuty account on loopback: the Events API v2, the incidents that come of it, and some of the REST API.
//!
//! | enforced | from |
//! |---|---|
//! | 202 with a dedup key; 400 with a list of errors; 429; the fields and lengths of [`events`] | developer documentation, "Events API v2 Overview", "Send an Alert Event" |
//! | 512 KB an event | "Events API v2 Overview"; the status 413 is not published |
//! | about 120 events a minute and routing key over a sliding minute | "Events API Rate Limits" |
//! | same dedup key under another routing key, or nothing open: accepted with 202 and dropped | "Alert De-Duplication" |
//! | a trigger after a resolve opens another incident | "Event Action Behavior" |
//! | change events are noted, and page nobody | "Send a Change Event" |
//! | webhooks are signed, in order, repeated on 429 and 5xx, dropped on other statuses; three drops switch them off | "Webhooks v3" |
//!
//! | notes on an incident, in the name of a user | see `rest` |
//!
//! Of the REST API there is no more than the product asks. A routing key is a credential: it is never recorded, only the service it
//! belongs to. The stand-in must never speak to the real PagerDuty.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

pub mod events;
mod incidents;
mod intake;
mod responders;
pub mod rest;
mod routes;
pub mod webhooks;

pub use events::Action;
pub use incidents::{Effect, Incident, LogLine, Status};
pub use responders::{Deed, DeedError};

use super::faults::{Fault, FaultPlan};
use super::record::{DEFAULT_CAPACITY, Record};
use super::seed::random_hex;
use super::server::{Port, Server, StartError, loopback_client};
use events::MAX_EVENT_BYTES;
use incidents::Incidents;
use webhooks::{Subscription, WebhookAttempt};

/// Events of one routing key within [`RATE_WINDOW`].
pub const MAX_EVENTS_PER_WINDOW: usize = 120;
/// The window that events are counted over, looking back from now.
pub const RATE_WINDOW: Duration = Duration::from_secs(60);
/// The HTTP server reads so much; more than any event may have, so that the stand-in itself can refuse.
const MAX_BODY_BYTES: usize = 4 * MAX_EVENT_BYTES;

/// The path of alert events, and their name in the fault plan.
pub const ENQUEUE: &str = "/v2/enqueue";
/// The path of change events, and their name in the fault plan.
pub const CHANGE_ENQUEUE: &str = "/v2/change/enqueue";

/// A service with its integration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The service's name.
    pub name: String,
    /// The integration key: 32 characters, a credential.
    pub routing_key: String,
}

impl Service {
    /// A service with a fresh routing key.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), routing_key: random_hex(events::ROUTING_KEY_CHARS / 2) }
    }
}

/// What the simulated account is like.
#[derive(Clone, Debug)]
pub struct PagerDutyOptions {
    /// The port on 127.0.0.1; 0 for a free one.
    pub port: u16,
    /// The services.
    pub services: Vec<Service>,
    /// What webhooks are signed with, a secret.
    pub webhook_secret: String,
    /// The key of the REST API, a secret.
    pub api_token: String,
    /// Mail addresses of the users.
    pub users: Vec<String>,
    /// Whether the published rate limit holds.
    pub rate_limited: bool,
    /// How many events are remembered.
    pub record_capacity: usize,
}

impl Default for PagerDutyOptions {
    fn default() -> Self {
        let services = vec![Service::new("pss-nano"), Service::new("platform")];
        Self {
            port: 0,
            services,
            webhook_secret: random_hex(32),
            api_token: random_hex(10),
            users: ["smokejumper", "una", "ravi"].map(|name| format!("{name}@example.com")).to_vec(),
            rate_limited: true,
            record_capacity: DEFAULT_CAPACITY,
        }
    }
}

/// One event as it came, with what it did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// `/v2/enqueue` or `/v2/change/enqueue`.
    pub path: &'static str,
    /// The service of the routing key, where there is one.
    pub service: Option<String>,
    /// What it asked for; nothing for a change event.
    pub action: Option<Action>,
    /// The dedup key that it had or was given.
    pub dedup_key: Option<String>,
    /// The summary.
    pub summary: Option<String>,
    /// What it did.
    pub effect: Effect,
    /// Why it was refused.
    pub errors: Vec<String>,
    /// The event as sent, without the routing key; null where it was not JSON.
    pub body: Value,
    /// The misbehaviour that it met.
    pub fault: Option<Fault>,
}

/// The simulated account. Dropping it stops the server.
#[derive(Debug)]
pub struct PagerDutySandbox {
    shared: Arc<Shared>,
    server: Server,
}

#[derive(Debug)]
struct Shared {
    services: Vec<Service>,
    webhook_secret: String,
    api_token: String,
    users: Vec<String>,
    incidents: Mutex<Incidents>,
    rate: Mutex<Option<HashMap<String, VecDeque<Instant>>>>,
    faults: FaultPlan,
    events: Record<Event>,
    subscription: Mutex<Option<Subscription>>,
    client: reqwest::Client,
    attempts: Record<WebhookAttempt>,
}

impl PagerDutySandbox {
    /// Starts the account.
    ///
    /// # Errors
    /// [`StartError`] where the port is taken.
    pub async fn start(options: PagerDutyOptions) -> Result<Self, StartError> {
        let port = Port::bind(options.port).await?;
        let shared = Arc::new(Shared {
            services: options.services,
            webhook_secret: options.webhook_secret,
            api_token: options.api_token,
            users: options.users,
            incidents: Mutex::default(),
            rate: Mutex::new(options.rate_limited.then(HashMap::new)),
            faults: FaultPlan::default(),
            events: Record::new(options.record_capacity),
            subscription: Mutex::default(),
            client: loopback_client(webhooks::ANSWER_WITHIN)?,
            attempts: Record::new(options.record_capacity),
        });
        let router = Router::new()
            .route(ENQUEUE, post(intake::enqueue))
            .route(CHANGE_ENQUEUE, post(intake::enqueue_change))
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .with_state(Arc::clone(&shared))
            .merge(rest::routes(Arc::clone(&shared)))
            .merge(routes::page_and_ground_truth("", &shared));
        Ok(Self { server: port.serve(router), shared })
    }

    /// `http://127.0.0.1:PORT`: what stands where `https://events.pagerduty.com` and `https://api.pagerduty.com` do.
    #[must_use]
    pub fn events_url(&self) -> String {
        self.server.base_url()
    }

    /// The page and the ground truth under another prefix, such as `/pagerduty`, for the overview of the world.
    pub(super) fn page_under(&self, prefix: &str) -> Router {
        routes::page_and_ground_truth(prefix, &self.shared)
    }

    /// The server, for outages.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The services with their routing keys: the settings of the product under test come from here.
    #[must_use]
    pub fn services(&self) -> &[Service] {
        &self.shared.services
    }

    /// The misbehaviour to come; the methods are [`ENQUEUE`], [`CHANGE_ENQUEUE`] and [`rest::NOTES`].
    #[must_use]
    pub fn faults(&self) -> &FaultPlan {
        &self.shared.faults
    }

    /// Every event that came, refused ones included.
    #[must_use]
    pub fn events(&self) -> &Record<Event> {
        &self.shared.events
    }

    /// Every incident, oldest first.
    #[must_use]
    pub fn incidents(&self) -> Vec<Incident> {
        self.shared.incidents().list().to_vec()
    }

    /// The newest incident with this dedup key.
    #[must_use]
    pub fn incident(&self, dedup_key: &str) -> Option<Incident> {
        self.incidents().into_iter().rev().find(|incident| incident.dedup_key == dedup_key)
    }

    /// Subscribes an address such as `http://127.0.0.1:9119/webhooks/pagerduty` to everything; it replaces the subscription
    /// of before.
    pub fn subscribe(&self, url: impl Into<String>) {
        let attempts = self.shared.attempts.clone();
        let secret = self.shared.webhook_secret.clone();
        let subscription = Subscription::new(url.into(), secret, self.shared.client.clone(), attempts);
        *lock(&self.shared.subscription) = Some(subscription);
    }

    /// The key of the REST API: the settings of the product under test come from here.
    #[must_use]
    pub fn api_token(&self) -> &str {
        &self.shared.api_token
    }

    /// What webhooks are signed with: the settings of the product under test come from here.
    #[must_use]
    pub fn webhook_secret(&self) -> &str {
        &self.shared.webhook_secret
    }

    /// Every attempt to deliver a webhook.
    #[must_use]
    pub fn webhooks(&self) -> &Record<WebhookAttempt> {
        &self.shared.attempts
    }

    /// Lets somebody do something with an incident, as on its page.
    ///
    /// # Errors
    /// [`DeedError`] where there is no such incident, or where it is over.
    pub fn act(&self, number: u64, by: &str, deed: &Deed) -> Result<Incident, DeedError> {
        self.shared.act(number, &person(by), deed)
    }

    /// Switches the rate limit on or off, and forgets what was counted.
    pub fn set_rate_limited(&self, limited: bool) {
        *lock(&self.shared.rate) = limited.then(HashMap::new);
    }
}

/// Identity and name of a person: `una` is `PUNA`.
fn person(name: &str) -> (String, String) {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    (format!("P{}", letters.collect::<String>().to_uppercase()), name.to_owned())
}

impl Shared {
    /// Tells whoever has subscribed.
    fn tell(&self, event: Value) {
        if let Some(subscription) = lock(&self.subscription).as_ref() {
            subscription.send(event);
        }
    }

    fn incidents(&self) -> MutexGuard<'_, Incidents> {
        lock(&self.incidents)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "pagerduty/tests.rs"]
mod tests;

#[cfg(test)]
#[path = "pagerduty/webhook_tests.rs"]
mod webhook_tests;
