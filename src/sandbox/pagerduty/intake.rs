//! What happens to an event between its arrival and its answer: faults, checks, the rate, and its effect.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::events::{MAX_EVENT_BYTES, ValidEvent, checked_alert, checked_change};
use super::webhooks::{self, Agent};
use super::{CHANGE_ENQUEUE, ENQUEUE, Effect, Event, MAX_EVENTS_PER_WINDOW, RATE_WINDOW, Shared, lock};
use crate::sandbox::faults::{Fault, Outcome};
use crate::sandbox::seed::random_hex;

pub(super) async fn enqueue(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    shared.receive(ENQUEUE, &body).await
}

pub(super) async fn enqueue_change(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
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
        self.tell_of(event.effect, service, &dedup_key, now);
        event.dedup_key = Some(dedup_key.clone());
        let answer = json!({"status": "success", "message": "Event processed", "dedup_key": dedup_key});
        Arrival { answer: (StatusCode::ACCEPTED, answer), event }
    }

    /// Tells whoever has subscribed what an event of the Events API has changed.
    fn tell_of(&self, effect: Effect, service: &str, dedup_key: &str, now: Timestamp) {
        let (event_type, agent) = match effect {
            Effect::Opened => ("incident.triggered", Agent::Nobody),
            Effect::Acknowledged => ("incident.acknowledged", Agent::Integration),
            Effect::Resolved => ("incident.resolved", Agent::Integration),
            _ => return,
        };
        let incident = self.incidents().newest(service, dedup_key).cloned();
        if let Some(incident) = incident {
            self.tell(webhooks::event(event_type, &agent, &incident, now));
        }
    }

    pub(super) fn take_rate(&self, service: &str) -> bool {
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
