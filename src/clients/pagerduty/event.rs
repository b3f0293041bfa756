//! Bodies of the Events API v2 and the limits that PagerDuty sets on them.
//!
//! A body that is too long is cut rather than refused, because a shortened page is worth more than none: the
//! summary to 1,024 characters, other short fields likewise, and `custom_details` are left out with a note
//! when the whole would exceed 512,000 bytes. A dedup key is never cut, since two keys with the same beginning
//! would become one incident: a longer one is replaced by its hash.

use std::borrow::Cow;

use jiff::Timestamp;
use ring::digest;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Value, json};

use crate::clients::answer::{SendError, cut_chars};

/// Characters of a summary.
pub const SUMMARY_CHARS_MAX: usize = 1024;

/// Characters of source, component, group and class. PagerDuty states no limit; names are never longer.
pub const FIELD_CHARS_MAX: usize = 1024;

/// Characters of a dedup key.
pub const DEDUP_KEY_CHARS_MAX: usize = 255;

/// Bytes of a whole event: PagerDuty says 512 KB, and Alertmanager keeps to this number as well.
pub const EVENT_BYTES_MAX: usize = 512_000;

/// How bad it is, in PagerDuty's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The service is down or about to be.
    Critical,
    /// The service is impaired.
    Error,
    /// It will become a problem.
    Warning,
    /// Nothing is wrong.
    Info,
}

/// What an event asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Open, or add to the open one.
    Trigger,
    /// Somebody has it.
    Acknowledge,
    /// It is over.
    Resolve,
}

/// An event that pages.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// The incident's stable key; not empty, or a repetition would open a second incident.
    pub dedup_key: String,
    /// One line that says what is wrong.
    pub summary: String,
    /// What it is wrong with: a host, a service.
    pub source: String,
    /// How bad it is.
    pub severity: Severity,
    /// Since when.
    pub timestamp: Option<Timestamp>,
    /// The part of the source that is affected.
    pub component: Option<String>,
    /// What the source belongs to.
    pub group: Option<String>,
    /// The kind of problem.
    pub class: Option<String>,
    /// Anything else; shown as a table.
    pub custom_details: Option<Value>,
    /// Pictures; PagerDuty shows those with an `https` source, the others are left out.
    pub images: Vec<Image>,
    /// Links.
    pub links: Vec<Link>,
    /// The name of the sending program.
    pub client: Option<String>,
    /// Where the sending program shows the incident.
    pub client_url: Option<String>,
}

/// Something that was changed, for the timeline of the service.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// One line that says what was changed.
    pub summary: String,
    /// What was changed.
    pub source: String,
    /// When.
    pub timestamp: Option<Timestamp>,
    /// Anything else.
    pub custom_details: Option<Value>,
    /// Links.
    pub links: Vec<Link>,
}

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Image {
    /// Where the picture is; `https` only.
    pub src: String,
    /// Where a click on it leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub href: Option<String>,
    /// What it shows, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alt: Option<String>,
}

/// A link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// Where it leads.
    pub href: String,
    /// What it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// The body as it goes over the wire; also of change events, which have no action and no dedup key.
#[derive(Serialize)]
struct Body<'a> {
    routing_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_action: Option<Action>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dedup_key: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Payload<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<&'a Image>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<&'a Link>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_url: Option<&'a str>,
}

#[derive(Serialize)]
struct Payload<'a> {
    summary: String,
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<Severity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_details: Option<Cow<'a, Value>>,
}

impl Trigger {
    pub(super) fn body(&self, routing_key: &SecretString) -> Result<Vec<u8>, SendError> {
        let short = |text: &Option<String>| text.as_deref().map(|text| cut_chars(text, FIELD_CHARS_MAX));
        let payload = Payload {
            summary: cut_chars(&self.summary, SUMMARY_CHARS_MAX),
            source: cut_chars(&self.source, FIELD_CHARS_MAX),
            severity: Some(self.severity),
            timestamp: self.timestamp,
            component: short(&self.component),
            group: short(&self.group),
            class: short(&self.class),
            custom_details: self.custom_details.as_ref().map(Cow::Borrowed),
        };
        bounded(Body {
            routing_key: routing_key.expose_secret(),
            event_action: Some(Action::Trigger),
            dedup_key: Some(dedup_key(&self.dedup_key)?),
            payload: Some(payload),
            images: self.images.iter().filter(|image| image.src.starts_with("https://")).collect(),
            links: self.links.iter().collect(),
            client: self.client.as_deref(),
            client_url: self.client_url.as_deref(),
        })
    }
}

impl Change {
    pub(super) fn body(&self, routing_key: &SecretString) -> Result<Vec<u8>, SendError> {
        let payload = Payload {
            summary: cut_chars(&self.summary, SUMMARY_CHARS_MAX),
            source: cut_chars(&self.source, FIELD_CHARS_MAX),
            severity: None,
            timestamp: self.timestamp,
            component: None,
            group: None,
            class: None,
            custom_details: self.custom_details.as_ref().map(Cow::Borrowed),
        };
        bounded(Body { payload: Some(payload), links: self.links.iter().collect(), ..Body::new(routing_key) })
    }
}

impl<'a> Body<'a> {
    fn new(routing_key: &'a SecretString) -> Self {
        Self {
            routing_key: routing_key.expose_secret(),
            event_action: None,
            dedup_key: None,
            payload: None,
            images: Vec::new(),
            links: Vec::new(),
            client: None,
            client_url: None,
        }
    }
}

/// The body of an acknowledgement or a resolve.
pub(super) fn follow_up_body(
    routing_key: &SecretString,
    action: Action,
    key: &str,
) -> Result<Vec<u8>, SendError> {
    let dedup_key = Some(dedup_key(key)?);
    bounded(Body { event_action: Some(action), dedup_key, ..Body::new(routing_key) })
}

/// The key as PagerDuty takes it: itself, or its SHA-256 where it is too long.
fn dedup_key(key: &str) -> Result<Cow<'_, str>, SendError> {
    if key.is_empty() {
        return Err(SendError::permanent("no_dedup_key", "an event without a dedup key cannot be repeated"));
    }
    if key.chars().nth(DEDUP_KEY_CHARS_MAX).is_none() {
        return Ok(Cow::Borrowed(key));
    }
    Ok(Cow::Owned(hex::encode(digest::digest(&digest::SHA256, key.as_bytes()))))
}

/// Writes the body and, where it is too large, writes it again with less.
fn bounded(mut body: Body<'_>) -> Result<Vec<u8>, SendError> {
    let mut bytes = written(&body)?;
    if bytes.len() > EVENT_BYTES_MAX {
        let note = format!("left out: the event had {} bytes, {EVENT_BYTES_MAX} are allowed", bytes.len());
        if let Some(payload) = &mut body.payload {
            payload.custom_details = Some(Cow::Owned(json!({ "note": note })));
        }
        bytes = written(&body)?;
    }
    if bytes.len() > EVENT_BYTES_MAX {
        body.images.clear();
        body.links.clear();
        bytes = written(&body)?;
    }
    if bytes.len() > EVENT_BYTES_MAX {
        return Err(SendError::permanent("too_large", format!("{} bytes without any details", bytes.len())));
    }
    Ok(bytes)
}

fn written(body: &Body<'_>) -> Result<Vec<u8>, SendError> {
    serde_json::to_vec(body).map_err(|error| SendError::permanent("not_writable", error.to_string()))
}

#[cfg(test)]
mod tests;
