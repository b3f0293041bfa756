//! Webhooks, version 3, to whoever has subscribed: one after the other, signed, repeated, and given up.
//!
//! From the developer documentation, "Webhooks v3": an answer within 2xx and five seconds is a delivery; 429, 5xx and no
//! answer are repeated; any other status drops the event, and three dropped in a row switch the subscription off.

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use ring::hmac;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use super::incidents::Incident;
use crate::sandbox::record::Record;
use crate::sandbox::seed::random_hex;

/// An answer takes so long at most.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Events dropped in a row that switch a subscription off.
pub const DROPS_MAX: u32 = 3;
/// How often one event is sent; the real service goes on for 48 hours.
const ATTEMPTS_MAX: u32 = 40;
/// The first wait before a repetition, doubled up to [`RETRY_MAX`]. The real service waits for minutes.
const RETRY_FIRST: Duration = Duration::from_millis(50);
/// The longest wait before a repetition.
const RETRY_MAX: Duration = Duration::from_secs(2);

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Agent {
    /// The service itself, such as an acknowledgement that ran out.
    Nobody,
    /// An event of the Events API.
    Integration,
    /// A person.
    Person {
        /// Identity of the person.
        id: String,
        /// Name of the person.
        name: String,
    },
}

/// How a delivery of one event went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivered {
    /// Taken.
    Taken,
    /// 429, 5xx or no answer in time: it comes again.
    Again,
    /// Another status: given up.
    Dropped,
    /// Not sent, since the subscription is switched off.
    SwitchedOff,
}

/// One attempt to deliver an event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WebhookAttempt {
    /// What the event is about, such as `incident.acknowledged`.
    pub event_type: String,
    /// Identity of the event: the same in every attempt.
    pub event_id: String,
    /// The answer, where there was one.
    pub status: Option<u16>,
    /// What follows from it.
    pub delivered: Delivered,
}

/// Events on their way to one subscription. Dropping it ends the deliveries.
#[derive(Debug)]
pub(super) struct Subscription {
    events: UnboundedSender<Value>,
}

impl Subscription {
    /// Subscribes an address.
    pub(super) fn new(
        url: String,
        secret: String,
        client: reqwest::Client,
        attempts: Record<WebhookAttempt>,
    ) -> Self {
        let (events, waiting) = mpsc::unbounded_channel();
        tokio::spawn(Postman { url, secret, client, attempts }.run(waiting));
        Self { events }
    }

    /// Queues an event.
    pub(super) fn send(&self, event: Value) {
        // Fails only while the runtime shuts down.
        let _ = self.events.send(event);
    }
}

/// An event about an incident as it stands.
pub(super) fn event(event_type: &str, agent: &Agent, incident: &Incident, now: Timestamp) -> Value {
    let assignees: Vec<Value> =
        incident.assignees.iter().map(|(id, name)| reference("user", id, name)).collect();
    let priority = incident.priority.as_deref().map(|name| reference("priority", "PRIORITY", name));
    let data = json!({
        "id": incident.id, "type": "incident", "number": incident.number, "status": incident.status,
        "incident_key": incident.dedup_key, "created_at": incident.opened_at, "title": incident.title,
        "service": reference("service", "PSERVICE", &incident.service), "assignees": assignees,
        "priority": priority, "urgency": "high",
    });
    envelope(event_type, agent, data, now)
}

/// An event about a note. It names the incident as PagerDuty does, and not its key.
pub(super) fn note(agent: &Agent, incident: &Incident, text: &str, now: Timestamp) -> Value {
    let data = json!({
        "id": format!("PN{}", random_hex(4).to_uppercase()), "type": "incident_note", "content": text, "trimmed": false,
        "incident": reference("incident", &incident.id, &incident.title),
    });
    envelope("incident.annotated", agent, data, now)
}

fn envelope(event_type: &str, agent: &Agent, data: Value, now: Timestamp) -> Value {
    let agent = match agent {
        Agent::Nobody => Value::Null,
        Agent::Integration => reference("inbound_integration", "PINTEGRATION", "Events API V2"),
        Agent::Person { id, name } => reference("user", id, name),
    };
    json!({ "event": {
        "id": format!("01{}", random_hex(12).to_uppercase()), "event_type": event_type, "resource_type": "incident",
        "occurred_at": now, "agent": agent, "client": null, "data": data,
    } })
}

fn reference(kind: &str, id: &str, summary: &str) -> Value {
    json!({ "id": id, "summary": summary, "type": format!("{kind}_reference") })
}

/// The header value that goes with a body.
pub(super) fn signature(secret: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("v1={}", hex::encode(hmac::sign(&key, body)))
}

struct Postman {
    url: String,
    secret: String,
    client: reqwest::Client,
    attempts: Record<WebhookAttempt>,
}

impl Postman {
    async fn run(self, mut waiting: UnboundedReceiver<Value>) {
        let mut dropped = 0;
        while let Some(event) = waiting.recv().await {
            if dropped >= DROPS_MAX {
                self.note(&event, None, Delivered::SwitchedOff);
                continue;
            }
            match self.deliver(&event).await {
                Delivered::Taken => dropped = 0,
                _ => dropped += 1,
            }
        }
    }

    /// Sends an event until it is taken or given up.
    async fn deliver(&self, event: &Value) -> Delivered {
        let mut wait = RETRY_FIRST;
        for _ in 0..ATTEMPTS_MAX {
            let (status, delivered) = self.attempt(event).await;
            self.note(event, status, delivered);
            if delivered != Delivered::Again {
                return delivered;
            }
            tokio::time::sleep(wait).await;
            wait = RETRY_MAX.min(wait * 2);
        }
        Delivered::Dropped
    }

    async fn attempt(&self, event: &Value) -> (Option<u16>, Delivered) {
        let body = event.to_string();
        let request = self
            .client
            .post(&self.url)
            .header("content-type", "application/json")
            .header("user-agent", "PagerDuty-Webhook/V3.0")
            .header("x-webhook-id", event["event"]["id"].as_str().unwrap_or_default())
            .header("x-pagerduty-signature", signature(&self.secret, body.as_bytes()))
            .body(body);
        let Ok(answer) = request.send().await else { return (None, Delivered::Again) };
        let status = answer.status();
        let delivered = if status.is_success() {
            Delivered::Taken
        } else if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            Delivered::Again
        } else {
            Delivered::Dropped
        };
        (Some(status.as_u16()), delivered)
    }

    fn note(&self, event: &Value, status: Option<u16>, delivered: Delivered) {
        let text = |key: &str| event["event"][key].as_str().unwrap_or_default().to_owned();
        let (event_type, event_id) = (text("event_type"), text("id"));
        self.attempts.push(WebhookAttempt { event_type, event_id, status, delivered });
    }
}
