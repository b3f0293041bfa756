//! A PagerDuty account on loopback: the Events API v2, and the incidents that come of it.
//!
//! | enforced | from |
//! |---|---|
//! | 202 with a dedup key; 400 with a list of errors; 429; the fields and lengths of [`events`] | developer documentation, "Events API v2 Overview", "Send an Alert Event" |
//! | 512 KB an event | "Events API v2 Overview"; the status 413 is not published |
//! | about 120 events a minute and routing key over a sliding minute | "Events API Rate Limits" |
//! | same dedup key under another routing key, or nothing open: accepted with 202 and dropped | "Alert De-Duplication" |
//! | a trigger after a resolve opens another incident | "Event Action Behavior" |
//! | change events are noted, and page nobody | "Send a Change Event" |
//!
//! Not there: the REST API and webhooks. A routing key is a credential: it is never recorded, only the service it
//! belongs to. The stand-in must never speak to the real PagerDuty.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

pub mod events;
mod incidents;

pub use events::Action;
pub use incidents::{Effect, Incident, LogLine, Status};

use super::faults::{Fault, FaultOrder, FaultPlan, Outcome};
use super::record::{DEFAULT_CAPACITY, Record};
use super::seed::random_hex;
use super::server::{Port, Server, StartError};
use events::{MAX_EVENT_BYTES, ValidEvent, checked_alert, checked_change};
use incidents::Incidents;

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
    /// Whether the published rate limit holds.
    pub rate_limited: bool,
    /// How many events are remembered.
    pub record_capacity: usize,
}

impl Default for PagerDutyOptions {
    fn default() -> Self {
        let services = vec![Service::new("pss-nano"), Service::new("platform")];
        Self { port: 0, services, rate_limited: true, record_capacity: DEFAULT_CAPACITY }
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
    incidents: Mutex<Incidents>,
    rate: Mutex<Option<HashMap<String, VecDeque<Instant>>>>,
    faults: FaultPlan,
    events: Record<Event>,
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
            incidents: Mutex::default(),
            rate: Mutex::new(options.rate_limited.then(HashMap::new)),
            faults: FaultPlan::default(),
            events: Record::new(options.record_capacity),
        });
        let router = Router::new()
            .route(ENQUEUE, post(enqueue))
            .route(CHANGE_ENQUEUE, post(enqueue_change))
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .with_state(Arc::clone(&shared))
            .merge(ground_truth("", &shared));
        Ok(Self { server: port.serve(router), shared })
    }

    /// `http://127.0.0.1:PORT`: what stands where `https://events.pagerduty.com` does.
    #[must_use]
    pub fn events_url(&self) -> String {
        self.server.base_url()
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

    /// The misbehaviour to come; the methods are [`ENQUEUE`] and [`CHANGE_ENQUEUE`].
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

    /// Switches the rate limit on or off, and forgets what was counted.
    pub fn set_rate_limited(&self, limited: bool) {
        *lock(&self.shared.rate) = limited.then(HashMap::new);
    }
}

async fn enqueue(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    shared.receive(ENQUEUE, &body).await
}

async fn enqueue_change(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    shared.receive(CHANGE_ENQUEUE, &body).await
}

/// An event on its way, with what is known of it so far.
struct Arrival {
    answer: (StatusCode, Value),
    event: Event,
}

impl Shared {
    async fn receive(&self, path: &'static str, body: &[u8]) -> Response {
        let Some(fault) = self.faults.take(path) else { return self.answer(path, body, None) };
        if !fault.takes_effect && fault.outcome != Outcome::Honest {
            let mut lost = Event::of(path, body);
            (lost.effect, lost.fault) = (Effect::Lost, Some(fault.clone()));
            self.events.push(lost);
        }
        let told = fault.clone();
        let vendor_error =
            |name: &str| refusal(StatusCode::BAD_REQUEST, vec![name.to_owned()]).into_response();
        fault.play(|| self.answer(path, body, Some(told)), vendor_error).await
    }

    fn answer(&self, path: &'static str, body: &[u8], fault: Option<Fault>) -> Response {
        let mut arrival = self.carry_out(path, body);
        arrival.event.fault = fault;
        self.events.push(arrival.event);
        (arrival.answer.0, Json(arrival.answer.1)).into_response()
    }

    fn carry_out(&self, path: &'static str, body: &[u8]) -> Arrival {
        let mut event = Event::of(path, body);
        if body.len() > MAX_EVENT_BYTES {
            event.body = Value::Null;
            let errors = vec![format!("the event has {} bytes (maximum is {MAX_EVENT_BYTES})", body.len())];
            return event.refused(StatusCode::PAYLOAD_TOO_LARGE, errors);
        }
        let parsed: Value = match serde_json::from_slice(body) {
            Ok(parsed) => parsed,
            Err(error) => {
                return event.refused(StatusCode::BAD_REQUEST, vec![format!("not valid JSON: {error}")]);
            }
        };
        let checked = if path == ENQUEUE { checked_alert(&parsed) } else { checked_change(&parsed) };
        let valid = match checked {
            Ok(valid) => valid,
            Err(errors) => return event.refused(StatusCode::BAD_REQUEST, errors),
        };
        event.action = valid.action;
        event.dedup_key.clone_from(&valid.dedup_key);
        event.summary.clone_from(&valid.summary);
        let Some(service) = self.services.iter().find(|service| service.routing_key == valid.routing_key)
        else {
            return event.refused(StatusCode::BAD_REQUEST, vec!["Invalid routing key".to_owned()]);
        };
        event.service = Some(service.name.clone());
        if !self.take_rate(&service.name) {
            event.effect = Effect::Limited;
            let message = "Requests for this service are arriving too quickly.  Please retry later.";
            let answer = json!({"status": "throttle exceeded", "message": message});
            return Arrival { answer: (StatusCode::TOO_MANY_REQUESTS, answer), event };
        }
        self.accept(path, &service.name, &valid, event)
    }

    fn accept(&self, path: &'static str, service: &str, valid: &ValidEvent, mut event: Event) -> Arrival {
        let now = Timestamp::now();
        if path == CHANGE_ENQUEUE {
            self.incidents().note_change(service, valid.summary.as_deref().unwrap_or_default(), now);
            event.effect = Effect::ChangeNoted;
            let answer = json!({"status": "success", "message": "Change event processed"});
            return Arrival { answer: (StatusCode::ACCEPTED, answer), event };
        }
        let dedup_key = valid.dedup_key.clone().unwrap_or_else(|| random_hex(16));
        event.effect = self.incidents().apply(service, &dedup_key, valid, now);
        event.dedup_key = Some(dedup_key.clone());
        let answer = json!({"status": "success", "message": "Event processed", "dedup_key": dedup_key});
        Arrival { answer: (StatusCode::ACCEPTED, answer), event }
    }

    fn take_rate(&self, service: &str) -> bool {
        let mut rate = lock(&self.rate);
        let Some(windows) = rate.as_mut() else { return true };
        let (window, now) = (windows.entry(service.to_owned()).or_default(), Instant::now());
        while window.front().is_some_and(|&oldest| now - oldest >= RATE_WINDOW) {
            window.pop_front();
        }
        let free = window.len() < MAX_EVENTS_PER_WINDOW;
        if free {
            window.push_back(now);
        }
        free
    }

    fn incidents(&self) -> MutexGuard<'_, Incidents> {
        lock(&self.incidents)
    }
}

impl Event {
    fn of(path: &'static str, body: &[u8]) -> Self {
        let mut body: Value = serde_json::from_slice(body).unwrap_or_default();
        if let Some(fields) = body.as_object_mut() {
            fields.remove("routing_key");
        }
        let (service, action, dedup_key, summary) = (None, None, None, None);
        Self {
            path,
            service,
            action,
            dedup_key,
            summary,
            effect: Effect::Refused,
            errors: Vec::new(),
            body,
            fault: None,
        }
    }

    fn refused(mut self, status: StatusCode, errors: Vec<String>) -> Arrival {
        self.errors.clone_from(&errors);
        let Json(answer) = refusal(status, errors).1;
        Arrival { answer: (status, answer), event: self }
    }
}

fn refusal(status: StatusCode, errors: Vec<String>) -> (StatusCode, Json<Value>) {
    let message = "Event object is invalid";
    (status, Json(json!({"status": "invalid event", "message": message, "errors": errors})))
}

/// `GET PREFIX/_sandbox/…`: incidents and events, and faults to order.
fn ground_truth(prefix: &str, shared: &Arc<Shared>) -> Router {
    Router::new()
        .route(&format!("{prefix}/_sandbox/incidents"), get(told_incidents))
        .route(&format!("{prefix}/_sandbox/events"), get(told_events))
        .route(&format!("{prefix}/_sandbox/faults"), post(ordered_faults))
        .with_state(Arc::clone(shared))
}

async fn told_incidents(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({"incidents": shared.incidents().list()}))
}

#[derive(Deserialize)]
struct AfterQuery {
    #[serde(default)]
    after: u64,
}

async fn told_events(State(shared): State<Arc<Shared>>, Query(query): Query<AfterQuery>) -> Json<Value> {
    Json(json!({"forgotten": shared.events.forgotten(), "events": shared.events.after(query.after)}))
}

async fn ordered_faults(State(shared): State<Arc<Shared>>, Json(order): Json<FaultOrder>) -> StatusCode {
    shared.faults.obey(order);
    StatusCode::NO_CONTENT
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "pagerduty/tests.rs"]
mod tests;
