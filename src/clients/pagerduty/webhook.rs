//! PagerDuty's webhooks, version 3: what people did there.
//!
//! PagerDuty signs the raw body with HMAC-SHA256 and sends `v1=HEX`, several with commas where a subscription has several
//! secrets; any match counts. There is no timestamp, so a request that somebody recorded stays good for ever: the identity
//! of the event and its time are for the caller to look at (PagerDuty developer documentation, "Webhooks v3": overview and
//! signatures).

use jiff::Timestamp;
use serde::Deserialize;
use thiserror::Error;

use crate::clients::signing::{Keys, decode_tag};

/// The header of the signatures.
pub const SIGNATURE_HEADER: &str = "X-PagerDuty-Signature";

/// Signatures of one request that are looked at; PagerDuty sends one for each secret of a subscription.
const SIGNATURES_MAX: usize = 16;

/// Characters of a name or a title that are kept.
const WORDS_CHARS_MAX: usize = 200;

/// Characters of a note that are kept.
const NOTE_CHARS_MAX: usize = 1_000;

/// What the identity of an automatic agent's kind does not end with.
const USER_REFERENCE: &str = "user_reference";

/// The status of an incident that nobody has.
const TRIGGERED: &str = "triggered";

/// Whether one of the signatures is of this body by one of the keys.
pub fn is_signed(keys: &Keys, raw_body: &[u8], signatures: &str) -> bool {
    let tags = signatures.split(',').take(SIGNATURES_MAX);
    let tags = tags.filter_map(|one| decode_tag(one.trim().strip_prefix("v1=")?));
    // All of them are tried, so that the time taken does not tell which one matched.
    tags.map(|tag| keys.match_tag(raw_body, &tag)).fold(false, |a, b| a | b)
}

/// What happened there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// Somebody has it.
    Acknowledged,
    /// Nobody has it any more: by a person, or since an acknowledgement has run out.
    Unacknowledged,
    /// It goes to the next level there.
    Escalated,
    /// It goes to somebody else.
    Reassigned,
    /// It is over there.
    Resolved,
    /// Somebody has changed its priority.
    PriorityUpdated,
    /// It was opened, or a person opened it again.
    Opened,
    /// Somebody has written a note.
    Annotated,
}

impl Happening {
    fn of(event_type: &str) -> Option<Self> {
        Some(match event_type {
            "incident.acknowledged" => Self::Acknowledged,
            "incident.unacknowledged" => Self::Unacknowledged,
            "incident.escalated" => Self::Escalated,
            "incident.reassigned" | "incident.delegated" => Self::Reassigned,
            "incident.resolved" => Self::Resolved,
            "incident.priority_updated" => Self::PriorityUpdated,
            "incident.triggered" | "incident.reopened" => Self::Opened,
            "incident.annotated" => Self::Annotated,
            _ => return None,
        })
    }
}

/// A person there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// PagerDuty's identity of the person, such as `PLH1HKV`.
    pub id: String,
    /// Their name there, which they choose themselves.
    pub name: String,
}

/// Something that happened to an incident there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Identity of the event: the same in every repetition.
    pub id: String,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// What.
    pub happening: Happening,
    /// Who did it. `None` for automation, ours included.
    pub agent: Option<Agent>,
    /// PagerDuty's identity of the incident, such as `PGR0VU2`.
    pub incident: String,
    /// The dedup key under which the incident was opened. A note does not name it.
    pub dedup_key: Option<String>,
    /// Whether it waits there for somebody to take it, after what happened.
    pub waits: bool,
    /// Who has it now, by name.
    pub assignees: Vec<String>,
    /// Its priority, by name.
    pub priority: Option<String>,
    /// What a note says.
    pub content: Option<String>,
}

/// Why a body is no webhook of PagerDuty's.
#[derive(Debug, Error)]
#[error("the body is no webhook of PagerDuty's: {0}")]
pub struct WebhookError(#[from] serde_json::Error);

#[derive(Deserialize)]
struct Envelope {
    event: Event,
}

#[derive(Deserialize)]
struct Event {
    id: String,
    event_type: String,
    occurred_at: Timestamp,
    #[serde(default)]
    agent: Option<Reference>,
    #[serde(default)]
    data: Data,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(default)]
    id: String,
    #[serde(default)]
    summary: Option<String>,
    #[serde(default, rename = "type")]
    kind: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    id: String,
    incident: Option<Reference>,
    incident_key: Option<String>,
    status: String,
    assignees: Vec<Reference>,
    priority: Option<Reference>,
    content: Option<String>,
}

/// Reads a body. `None` for what says nothing of an incident that was opened under a dedup key, such as a test of the
/// subscription (`pagey.ping`), a service that changed, or an incident that people opened there.
///
/// # Errors
/// Where it is no JSON object of that shape; the body is not repeated.
pub fn parse(body: &[u8]) -> Result<Option<Webhook>, WebhookError> {
    let Envelope { event } = serde_json::from_slice(body)?;
    let Some(happening) = Happening::of(&event.event_type) else { return Ok(None) };
    let data = event.data;
    let dedup_key = data.incident_key.filter(|key| !key.is_empty());
    // A note is a thing of its own, which names its incident.
    let incident = data.incident.map_or(data.id, |incident| incident.id);
    let is_of_a_note = happening == Happening::Annotated && !incident.is_empty();
    if dedup_key.is_none() && !is_of_a_note {
        return Ok(None);
    }
    let agent = event.agent.filter(|agent| agent.kind == USER_REFERENCE && !agent.id.is_empty());
    Ok(Some(Webhook {
        id: event.id,
        occurred_at: event.occurred_at,
        happening,
        agent: agent.map(|agent| Agent { name: name_of(&agent), id: agent.id }),
        incident,
        dedup_key,
        waits: data.status == TRIGGERED,
        assignees: data.assignees.iter().map(name_of).collect(),
        priority: data.priority.as_ref().map(name_of),
        content: data.content.map(|content| content.chars().take(NOTE_CHARS_MAX).collect()),
    }))
}

fn name_of(reference: &Reference) -> String {
    let name = reference.summary.as_deref().filter(|name| !name.trim().is_empty()).unwrap_or(&reference.id);
    name.chars().take(WORDS_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use serde_json::{Value, json};

    use super::*;
    use crate::clients::signing::sign_hex;
    use crate::clients::stand_in::vector;

    fn mk_event(event_type: &str, agent: &Value) -> Value {
        json!({ "event": {
            "id": "01B", "event_type": event_type, "resource_type": "incident",
            "occurred_at": "2026-11-22T06:00:00.000Z", "agent": agent, "client": null,
            "data": { "id": "P1", "type": "incident", "incident_key": "smokejumper/i1/0", "status": "acknowledged",
                "assignees": [{ "id": "PU2", "summary": "Ben", "type": "user_reference" }], "priority": null },
        } })
    }

    fn read(event: &Value) -> Option<Webhook> {
        parse(event.to_string().as_bytes()).expect("readable")
    }

    #[test]
    fn the_documented_signature_is_taken_and_no_other() {
        let Some(table) = vector("pagerduty_webhook_v3_signature.json") else { return };
        let text = |key: &str| table[key].as_str().expect("a text").to_owned();
        let keys = |secret: &str| Keys::any_of(&[SecretString::from(secret)]).expect("a secret");
        let (secret, body) = (text("secret"), text("body"));
        let good = format!("v1={}", sign_hex(&SecretString::from(secret.as_str()), body.as_bytes()));
        assert!(is_signed(&keys(&secret), body.as_bytes(), &good));
        let other = format!("v1={}", sign_hex(&SecretString::from("other"), body.as_bytes()));
        assert!(is_signed(&keys(&secret), body.as_bytes(), &format!("{other}, {good}")), "any of them");
        assert!(!is_signed(&keys(&secret), body.as_bytes(), &other));
        assert!(!is_signed(&keys(&secret), b"another body", &good));
        for odd in ["", "v1=", "v2=ab", &good[3..], &good.to_uppercase()] {
            assert!(!is_signed(&keys(&secret), body.as_bytes(), odd), "{odd}");
        }
    }

    #[test]
    fn the_documented_bodies_are_read() {
        let Some(table) = vector("pagerduty_webhook_v3_bodies.json") else { return };
        let events = table["events"].as_array().expect("events");
        let read: Vec<_> = events.iter().map(read).collect();
        assert_eq!(read.len(), events.len());
        let first = read[0].as_ref().expect("a priority");
        assert_eq!((first.happening, first.priority.as_deref()), (Happening::PriorityUpdated, Some("P1")));
        assert_eq!(first.agent.as_ref().map(|agent| agent.name.as_str()), Some("Tenex Engineer"));
        assert_eq!(read[1], None, "a service");
    }

    #[test]
    fn automation_is_nobody_and_other_events_say_nothing() {
        let una = json!({ "id": "PU1", "summary": "Una", "type": "user_reference" });
        let acknowledged = read(&mk_event("incident.acknowledged", &una)).expect("news");
        assert_eq!(acknowledged.agent, Some(Agent { id: "PU1".to_owned(), name: "Una".to_owned() }));
        assert_eq!(
            (acknowledged.dedup_key.as_deref(), acknowledged.incident.as_str(), acknowledged.assignees),
            (Some("smokejumper/i1/0"), "P1", vec!["Ben".to_owned()])
        );
        for agent in [Value::Null, json!({ "id": "PS1", "summary": "api", "type": "service_reference" })] {
            assert_eq!(read(&mk_event("incident.acknowledged", &agent)).expect("news").agent, None);
        }
        assert_eq!(read(&mk_event("pagey.ping", &una)), None);
        let mut by_hand = mk_event("incident.resolved", &una);
        by_hand["event"]["data"]["incident_key"] = Value::Null;
        assert_eq!(read(&by_hand), None);
        for odd in ["", "[]", "{}", r#"{"event":{}}"#] {
            parse(odd.as_bytes()).expect_err(odd);
        }
    }
}
