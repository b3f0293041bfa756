//! Writes the webhook that Alertmanager would send for some alerts: for `send`, the sandbox and tests.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::wire::ZERO_TIME;
use crate::domain::Labels;
use crate::domain::alert::{Alert, AlertStatus};
use crate::domain::fingerprint::Fingerprint;

/// A webhook of version 4. Serialises to the body that Alertmanager posts.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook<'a> {
    receiver: String,
    status: AlertStatus,
    alerts: Vec<Item<'a>>,
    group_labels: Labels,
    common_labels: Labels,
    common_annotations: Labels,
    #[serde(rename = "externalURL")]
    external_url: String,
    version: &'static str,
    group_key: String,
    truncated_alerts: u64,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    status: AlertStatus,
    labels: &'a Labels,
    annotations: &'a Labels,
    starts_at: Timestamp,
    #[serde(serialize_with = "zero_for_none")]
    ends_at: Option<Timestamp>,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
    fingerprint: Fingerprint,
}

impl<'a> Webhook<'a> {
    /// The webhook for these alerts as one group, grouped by `alertname` where they have it in common.
    pub fn new(receiver: &str, alerts: &'a [Alert]) -> Self {
        let common_labels = common(alerts.iter().map(|alert| &alert.labels));
        let mut group_labels = common_labels.clone();
        group_labels.retain(|name, _| name == "alertname");
        let firing = alerts.iter().any(|alert| alert.status == AlertStatus::Firing);
        Self {
            receiver: quoted(receiver),
            status: if firing { AlertStatus::Firing } else { AlertStatus::Resolved },
            alerts: alerts.iter().map(Item::new).collect(),
            group_key: group_key(&group_labels),
            group_labels,
            common_annotations: common(alerts.iter().map(|alert| &alert.annotations)),
            common_labels,
            external_url: "http://localhost:9093".to_owned(),
            version: "4",
            truncated_alerts: 0,
        }
    }

    /// Sets the address of Alertmanager's own page.
    pub fn external_url(mut self, url: &str) -> Self {
        self.external_url = url.to_owned();
        self
    }

    /// Claims that so many alerts of the group were left out.
    pub fn truncated_alerts(mut self, count: u64) -> Self {
        self.truncated_alerts = count;
        self
    }

    /// The body.
    pub fn to_body(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts, numbers and maps with text keys can be written as JSON")
    }
}

impl<'a> Item<'a> {
    fn new(alert: &'a Alert) -> Self {
        Self {
            status: alert.status,
            labels: &alert.labels,
            annotations: &alert.annotations,
            starts_at: alert.starts_at,
            ends_at: alert.ends_at,
            generator_url: alert.generator_url.as_deref().unwrap_or_default(),
            fingerprint: alert.fingerprint,
        }
    }
}

fn zero_for_none<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => time.serialize(serializer),
        None => serializer.serialize_str(ZERO_TIME),
    }
}

/// The pairs that all sets have.
fn common<'a>(mut sets: impl Iterator<Item = &'a Labels>) -> Labels {
    let mut shared: BTreeMap<_, _> = sets.next().cloned().unwrap_or_default();
    for set in sets {
        shared.retain(|name, value| set.get(name) == Some(value));
    }
    shared
}

fn group_key(group_labels: &Labels) -> String {
    let labels: Vec<_> = group_labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{}}:{{{}}}", labels.join(", "))
}

/// Go's `regexp.QuoteMeta`, which Alertmanager applies to the receiver's name.
fn quoted(name: &str) -> String {
    let mut quoted = String::with_capacity(name.len());
    for char in name.chars() {
        if r"\.+*?()|[]{}^$".contains(char) {
            quoted.push('\\');
        }
        quoted.push(char);
    }
    quoted
}
