//! Webhooks, and rules that answer them.

use serde_json::json;

/// Where the levels of a policy are told.
pub struct Policy<'a> {
    /// Its name, and the name of its rule's alert.
    pub name: &'a str,
    /// Severity of the incidents.
    pub severity: &'a str,
    /// Channel of the first level.
    pub channel: &'a str,
    /// When the second level is told.
    pub second_after: &'a str,
}

impl Policy<'_> {
    /// A policy of two levels and the rule that leads to it.
    pub fn yaml(&self) -> String {
        let Policy { name, severity, channel, second_after } = self;
        format!(
            r##"---
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: {{ name: {name} }}
spec:
  levels:
    - {{ name: first, after: 0s, destinations: [{{ slack: {{ channel: "{channel}" }} }}] }}
    - {{ name: second, after: {second_after}, destinations: [{{ slack: {{ channel: "{channel}" }} }}] }}
  fallback: [{{ slack: {{ channel: "{channel}" }} }}]
---
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: {{ name: {name} }}
spec: {{ matchers: ['alertname="{name}"'], severity: {severity}, groupBy: [service], escalation: {name} }}
"##
        )
    }
}

/// A webhook with one alert of this name about this service.
pub fn webhook(alertname: &str, service: &str) -> String {
    let labels = json!({ "alertname": alertname, "service": service, "namespace": "shop" });
    let alert = json!({
        "status": "firing", "labels": labels, "annotations": { "summary": format!("{service} fails") },
        "startsAt": jiff::Timestamp::now().to_string(), "endsAt": "0001-01-01T00:00:00Z",
    });
    json!({ "version": "4", "status": "firing", "alerts": [alert] }).to_string()
}

/// The name of a service by number; no name is part of another.
pub fn service(number: usize) -> String {
    format!("svc{number:06}")
}
