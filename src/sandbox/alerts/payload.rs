//! The webhook body, version 4, as Alertmanager 0.33 writes it, and its parts: fingerprint, group key, common labels.
//!
//! From Alertmanager's `template.Data` and `notify/webhook`, and from recorded requests. The fingerprint is computed
//! here once more, apart from the product's own code, so that each checks the other.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::Timestamp;
use serde_json::{Value, json};

/// What a firing alert has for an end.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Labels or annotations.
pub type LabelSet = BTreeMap<String, String>;

/// An alert as a rule of Prometheus raises it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alert {
    /// The labels, `alertname` among them: the alert's identity.
    pub labels: LabelSet,
    /// The annotations.
    pub annotations: LabelSet,
    /// The link to the expression.
    pub generator_url: String,
}

impl Alert {
    /// An alert of that name with further labels and a summary.
    #[must_use]
    pub fn new(name: &str, labels: &[(&str, &str)], summary: &str) -> Self {
        let pair = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let mut labels: LabelSet = labels.iter().map(pair).collect();
        labels.insert("alertname".to_owned(), name.to_owned());
        let annotations = LabelSet::from([("summary".to_owned(), summary.to_owned())]);
        Self { labels, annotations, generator_url: String::new() }
    }

    /// The fingerprint of the labels as 16 hexadecimal digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.labels)
    }
}

/// FNV-1a over names and values in order of the names, each ended by the byte 255.
#[must_use]
pub fn fingerprint(labels: &LabelSet) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    for (name, value) in labels {
        for part in [name, value] {
            part.bytes().for_each(&mut add);
            add(0xff);
        }
    }
    format!("{hash:016x}")
}

/// Why Alertmanager sends a notification; since 0.32 the payload says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Reason {
    /// The group was never told before.
    #[serde(rename = "first notification")]
    First,
    /// Alerts fire that were not told before.
    #[serde(rename = "new alerts added")]
    NewAlerts,
    /// Some alerts ended that were told as firing.
    #[serde(rename = "some alerts resolved")]
    SomeResolved,
    /// No alert fires any more.
    #[serde(rename = "all alerts resolved")]
    AllResolved,
    /// Nothing changed for a whole repeat interval.
    #[serde(rename = "repeat interval elapsed")]
    Repeat,
}

/// An alert with its times; without an end it is firing.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Timed {
    pub alert: Alert,
    pub starts_at: Timestamp,
    pub ends_at: Option<Timestamp>,
}

/// What a notification says beside its alerts.
pub(super) struct Envelope<'a> {
    pub receiver: &'a str,
    pub external_url: &'a str,
    pub group_labels: &'a LabelSet,
    pub reason: Reason,
    pub max_alerts: usize,
}

/// The whole body. Status and common labels are computed after truncation, as Alertmanager does.
pub(super) fn body(envelope: &Envelope<'_>, alerts: &[Timed]) -> Value {
    let kept = if envelope.max_alerts == 0 { alerts.len() } else { alerts.len().min(envelope.max_alerts) };
    let (shown, truncated) = alerts.split_at(kept);
    let firing = shown.iter().any(|alert| alert.ends_at.is_none());
    json!({
        "receiver": envelope.receiver,
        "status": if firing { "firing" } else { "resolved" },
        "alerts": shown.iter().map(alert_json).collect::<Vec<_>>(),
        "notification_reason": envelope.reason,
        "groupLabels": envelope.group_labels,
        "commonLabels": common(shown.iter().map(|alert| &alert.alert.labels)),
        "commonAnnotations": common(shown.iter().map(|alert| &alert.alert.annotations)),
        "externalURL": envelope.external_url,
        "version": "4",
        "groupKey": group_key(envelope.group_labels),
        "truncatedAlerts": truncated.len(),
    })
}

fn alert_json(timed: &Timed) -> Value {
    let Timed { alert, starts_at, ends_at } = timed;
    json!({
        "status": if ends_at.is_some() { "resolved" } else { "firing" },
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": starts_at.to_string(),
        "endsAt": ends_at.map_or_else(|| NEVER.to_owned(), |end| end.to_string()),
        "generatorURL": alert.generator_url,
        "fingerprint": alert.fingerprint(),
    })
}

/// `{}:{alertname="X", service="y"}`: the route, then the group's labels.
pub(super) fn group_key(group_labels: &LabelSet) -> String {
    let mut labels = String::new();
    for (name, value) in group_labels {
        let comma = if labels.is_empty() { "" } else { ", " };
        write!(labels, "{comma}{name}={value:?}").expect("writing to a String cannot fail");
    }
    format!("{{}}:{{{labels}}}")
}

fn common<'a>(mut sets: impl Iterator<Item = &'a LabelSet>) -> LabelSet {
    let mut common = sets.next().cloned().unwrap_or_default();
    for set in sets {
        common.retain(|name, value| set.get(name) == Some(value));
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::test_support::vectors;

    fn mk_timed(name: &str, instance: &str, ended: bool) -> Timed {
        let starts_at = Timestamp::from_second(1_800_000_000).expect("in range");
        let alert = Alert::new(name, &[("instance", instance), ("job", "api")], "it is bad");
        Timed { alert, starts_at, ends_at: ended.then_some(starts_at) }
    }

    fn mk_body(alerts: &[Timed], max_alerts: usize) -> Value {
        let group_labels = LabelSet::from([("job".to_owned(), "api".to_owned())]);
        let envelope = Envelope {
            receiver: "smokejumper",
            external_url: "http://am",
            group_labels: &group_labels,
            reason: Reason::SomeResolved,
            max_alerts,
        };
        body(&envelope, alerts)
    }

    #[test]
    fn one_firing_alert_keeps_the_group_firing() {
        let body = mk_body(&[mk_timed("A", "1", true), mk_timed("A", "2", false)], 0);
        assert_eq!((&body["status"], &body["version"]), (&json!("firing"), &json!("4")));
        assert_eq!(body["alerts"][0]["status"], "resolved");
        assert_eq!(body["alerts"][1]["endsAt"], NEVER);
        assert_eq!(body["alerts"][1]["startsAt"], "2027-01-15T08:00:00Z");
        assert_eq!(body["commonLabels"], json!({"alertname": "A", "job": "api"}));
        assert_eq!(body["groupKey"], r#"{}:{job="api"}"#);
        assert_eq!(body["notification_reason"], "some alerts resolved");
    }

    #[test]
    fn truncation_can_hide_a_firing_alert() {
        let body = mk_body(&[mk_timed("A", "1", true), mk_timed("A", "2", false)], 1);
        assert_eq!((&body["status"], &body["truncatedAlerts"]), (&json!("resolved"), &json!(1)));
    }

    #[test]
    fn fingerprints_are_alertmanagers() {
        let labels = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect::<LabelSet>()
        };
        // From a recorded request of Alertmanager 0.33.1.
        let recorded = labels(&[
            ("alertname", "DiskSpace"),
            ("cluster", "eu1"),
            ("instance", "n1"),
            ("severity", "critical"),
        ]);
        assert_eq!(fingerprint(&recorded), "52a25a3d89f32468");
        let Some(table) = vectors("alertmanager_fingerprints.json") else { return };
        let cases = table["cases"].as_array().expect("a list of cases");
        assert!(!cases.is_empty());
        for case in cases {
            let set: LabelSet = serde_json::from_value(case["labels"].clone()).expect("labels");
            assert_eq!(json!(fingerprint(&set)), case["hex"], "{case}");
        }
    }
}
