//! What makes an event valid: the field rules of the Events API v2, as a pure function.
//!
//! Rules and lengths: PagerDuty's developer documentation, "Send an Alert Event" and "Send a Change Event". Wording
//! of the messages: answers quoted in public bug reports where there are any. Stricter than is published: optional
//! fields must have their documented type.

use jiff::Timestamp;
use serde_json::{Map, Value};

/// An event may have so many bytes. The documentation says 512 KB; Alertmanager's client reads that as decimal.
pub const MAX_EVENT_BYTES: usize = 512_000;
/// Characters of `payload.summary`.
pub const MAX_SUMMARY_CHARS: usize = 1_024;
/// Characters of `dedup_key`.
pub const MAX_DEDUP_KEY_CHARS: usize = 255;
/// Characters of `routing_key`, neither more nor less.
pub const ROUTING_KEY_CHARS: usize = 32;
/// The severities of an alert event.
pub const SEVERITIES: [&str; 4] = ["critical", "error", "warning", "info"];

/// What an alert event asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Opens an alert, or adds to the open one.
    Trigger,
    /// Marks the open alert's incident as being worked on.
    Acknowledge,
    /// Closes the open alert's incident.
    Resolve,
}

/// A valid event.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ValidEvent {
    pub routing_key: String,
    pub action: Option<Action>,
    pub dedup_key: Option<String>,
    pub summary: Option<String>,
    pub severity: Option<String>,
}

/// Checks an alert event.
pub(super) fn checked_alert(event: &Value) -> Result<ValidEvent, Vec<String>> {
    let mut check = Check::new(event);
    let routing_key = check.routing_key();
    let action = match check.text(check.fields, "event_action") {
        Some("trigger") => Some(Action::Trigger),
        Some("acknowledge") => Some(Action::Acknowledge),
        Some("resolve") => Some(Action::Resolve),
        _ => {
            check.fault("'event_action' must be one of trigger, acknowledge, resolve");
            None
        }
    };
    let dedup_key = check.optional(check.fields, "dedup_key");
    if dedup_key.as_ref().is_some_and(|key| key.chars().count() > MAX_DEDUP_KEY_CHARS) {
        check.fault(format!("'dedup_key' is too long (maximum is {MAX_DEDUP_KEY_CHARS} characters)"));
    }
    if dedup_key.is_none() && matches!(action, Some(Action::Acknowledge | Action::Resolve)) {
        check.fault("'dedup_key' is missing or blank");
    }
    let (mut summary, mut severity) = (None, None);
    if action == Some(Action::Trigger) {
        (summary, severity) = check.alert_payload();
        check.attachments("images", "src", true);
        check.attachments("links", "href", false);
    }
    check.done(ValidEvent { routing_key, action, dedup_key, summary, severity })
}

/// Checks a change event.
pub(super) fn checked_change(event: &Value) -> Result<ValidEvent, Vec<String>> {
    let mut check = Check::new(event);
    let routing_key = check.routing_key();
    let payload = check.payload();
    let summary = check.summary(payload);
    check.optional(payload, "source");
    check.common(payload);
    check.attachments("links", "href", false);
    check.done(ValidEvent { routing_key, action: None, dedup_key: None, summary, severity: None })
}

struct Check<'a> {
    fields: Option<&'a Map<String, Value>>,
    faults: Vec<String>,
}

impl<'a> Check<'a> {
    fn new(event: &'a Value) -> Self {
        let fields = event.as_object();
        let faults =
            if fields.is_some() { Vec::new() } else { vec!["the event is not a JSON object".to_owned()] };
        Self { fields, faults }
    }

    fn done(self, event: ValidEvent) -> Result<ValidEvent, Vec<String>> {
        if self.faults.is_empty() { Ok(event) } else { Err(self.faults) }
    }

    fn fault(&mut self, what: impl Into<String>) {
        self.faults.push(what.into());
    }

    fn text(&self, fields: Option<&'a Map<String, Value>>, name: &str) -> Option<&'a str> {
        fields?.get(name)?.as_str().filter(|text| !text.trim().is_empty())
    }

    /// A text that may be missing, but not of another type.
    fn optional(&mut self, fields: Option<&'a Map<String, Value>>, name: &str) -> Option<String> {
        match fields?.get(name) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => {
                self.fault(format!("'{name}' must be a string"));
                None
            }
        }
    }

    fn routing_key(&mut self) -> String {
        let Some(key) = self.text(self.fields, "routing_key") else {
            self.fault("'routing_key' is missing or blank");
            return String::new();
        };
        if key.chars().count() != ROUTING_KEY_CHARS {
            self.fault(format!(
                "Length of 'routing_key' is incorrect (should be {ROUTING_KEY_CHARS} characters)"
            ));
        }
        if !key.chars().all(|char| char.is_ascii_alphanumeric()) {
            self.fault("'routing_key' cannot contain non-alphanumeric characters.");
        }
        key.to_owned()
    }

    fn payload(&mut self) -> Option<&'a Map<String, Value>> {
        let payload = self.fields.and_then(|fields| fields.get("payload")).and_then(Value::as_object);
        if payload.is_none() {
            self.fault("'payload' is missing or blank");
        }
        payload
    }

    fn summary(&mut self, payload: Option<&'a Map<String, Value>>) -> Option<String> {
        let summary = self.text(payload, "summary");
        match summary {
            None => self.fault("'payload.summary' is missing or blank"),
            Some(text) if text.chars().count() > MAX_SUMMARY_CHARS => {
                self.fault(format!(
                    "'payload.summary' is too long (maximum is {MAX_SUMMARY_CHARS} characters)"
                ));
            }
            Some(_) => {}
        }
        summary.map(str::to_owned)
    }

    fn alert_payload(&mut self) -> (Option<String>, Option<String>) {
        let payload = self.payload();
        let summary = self.summary(payload);
        if self.text(payload, "source").is_none() {
            self.fault("'payload.source' is missing or blank");
        }
        let severity = self.text(payload, "severity");
        if !severity.is_some_and(|severity| SEVERITIES.contains(&severity)) {
            self.fault(format!("'payload.severity' must be one of {}", SEVERITIES.join(", ")));
        }
        for name in ["component", "group", "class"] {
            self.optional(payload, name);
        }
        self.common(payload);
        (summary, severity.map(str::to_owned))
    }

    fn common(&mut self, payload: Option<&'a Map<String, Value>>) {
        if let Some(text) = self.optional(payload, "timestamp")
            && text.parse::<Timestamp>().is_err()
        {
            self.fault("'payload.timestamp' is not an ISO 8601 time with an offset");
        }
        let details = payload.and_then(|payload| payload.get("custom_details"));
        if details.is_some_and(|details| !details.is_object() && !details.is_null()) {
            self.fault("'payload.custom_details' must be an object");
        }
    }

    fn attachments(&mut self, name: &str, required: &str, https: bool) {
        let Some(list) = self.fields.and_then(|fields| fields.get(name)) else { return };
        let Some(items) = list.as_array() else { return self.fault(format!("'{name}' must be an array")) };
        for item in items {
            let url = item.get(required).and_then(Value::as_str).unwrap_or_default();
            if url.is_empty() {
                self.fault(format!("'{name}.{required}' is missing or blank"));
            } else if https && !url.starts_with("https://") {
                self.fault(format!("'{name}.{required}' must be served via HTTPS"));
            }
        }
    }
}
