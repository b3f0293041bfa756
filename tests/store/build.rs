//! Builders for what the store keeps.

use jiff::Timestamp;
use smokejumper::domain::Labels;
use smokejumper::domain::alert::{Alert, AlertRecord, AlertStatus};
use smokejumper::domain::correlate::CorrelationKey;
use smokejumper::domain::diagnosis::{Finding, FindingStatus};
use smokejumper::domain::effect::{Effect, EffectId, NewEffect, Wake};
use smokejumper::domain::fingerprint::Fingerprint;
use smokejumper::domain::guardrail::Start;
use smokejumper::domain::incident::{Incident, IncidentId, IncidentStatus, Opening, Phase, Resolution};
use smokejumper::domain::notification::{Destination, Notice};
use smokejumper::domain::people::Actor;
use smokejumper::domain::rule::RuleHash;
use smokejumper::domain::severity::Severity;
use smokejumper::domain::timeline::{LineKind, TimelineLine};
use smokejumper::engine::ports::{
    AlertWrite, Claim, Commit, Delivery, Finish, IncidentWrite, Leased, Source, Wanted,
};
use std::sync::Arc;

/// So many milliseconds after an arbitrary beginning.
pub fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(1_790_000_000_000 + millis).expect("a time")
}

pub fn id(text: &str) -> IncidentId {
    IncidentId(text.to_owned())
}

pub fn key(text: &str) -> CorrelationKey {
    CorrelationKey(text.to_owned())
}

pub fn mk_delivery(number: u64) -> Delivery {
    Delivery {
        id: format!("d{number:08}"),
        source: Source::Alertmanager,
        received_at: at(number.cast_signed()),
        body: format!("{{\"number\":{number}}}").into_bytes().into(),
    }
}

/// A new incident, version 1, with one line in its trail.
pub fn mk_incident(name: &str, correlation: &str) -> IncidentWrite {
    let opening = Opening {
        id: id(name),
        key: key(correlation),
        rule: "high-error-rate".to_owned(),
        rule_hash: RuleHash("abc".to_owned()),
        mode: Default::default(),
        severity: Severity::P1,
        summary: "too many errors".to_owned(),
        runbook: None,
        target: None,
        labels: Labels::from([("alertname".to_owned(), "HighErrorRate".to_owned())]),
        annotations: Labels::new(),
    };
    let mut incident = Incident::open(opening, at(0));
    incident.version = 1;
    let line = mk_line(&mut incident, "opened");
    IncidentWrite { loaded_version: 0, incident, lines: vec![line], findings: vec![], documents: vec![] }
}

pub fn mk_line(incident: &mut Incident, text: &str) -> TimelineLine {
    incident.timeline.append(at(0), LineKind::Opened, &Actor::machine(), Some("opened"), text)
}

/// The next version of an incident, with one more line.
pub fn mk_change(incident: &Incident, text: &str) -> IncidentWrite {
    let mut incident = incident.clone();
    let loaded_version = incident.version;
    incident.version += 1;
    let line = mk_line(&mut incident, text);
    IncidentWrite { loaded_version, incident, lines: vec![line], findings: vec![], documents: vec![] }
}

/// The next version of an incident, over since then.
pub fn mk_resolved(incident: &Incident, millis: i64) -> IncidentWrite {
    let mut write = mk_change(incident, "resolved");
    write.incident.status = IncidentStatus::Resolved;
    write.incident.phase = Phase::Closed;
    write.incident.resolved = Some(Resolution { actor: None, at: at(millis) });
    write
}

pub fn mk_alert(number: u64) -> Alert {
    Alert {
        fingerprint: Fingerprint::from(number),
        status: AlertStatus::Firing,
        labels: Labels::from([("alertname".to_owned(), format!("Alert{number}"))]),
        annotations: Labels::new(),
        starts_at: at(number as i64 % 1_000),
        ends_at: None,
        generator_url: None,
    }
}

pub fn mk_firing(number: u64, incident: &str) -> AlertWrite {
    let alert = mk_alert(number);
    let record = AlertRecord {
        status: AlertStatus::Firing,
        starts_at: alert.starts_at,
        ends_at: None,
        updated_at: at(0),
    };
    AlertWrite { incident: Some(id(incident)), record, alert: Arc::new(alert) }
}

pub fn mk_ended(number: u64, incident: Option<&str>) -> AlertWrite {
    let mut write = mk_firing(number, "");
    write.incident = incident.map(id);
    write.record.status = AlertStatus::Resolved;
    write.record.ends_at = Some(at(5));
    Arc::make_mut(&mut write.alert).status = AlertStatus::Resolved;
    write
}

pub fn effect_id(incident: &str, number: u64) -> EffectId {
    EffectId(format!("{incident}-e{number}"))
}

pub fn mk_wake(incident: &str, number: u64, due: i64) -> NewEffect {
    NewEffect {
        id: effect_id(incident, number),
        due_at: at(due),
        lane: None,
        queue: None,
        urgent: false,
        effect: Effect::Wake(Wake::Escalate),
    }
}

/// A message; those of one incident share a lane.
pub fn mk_notice(incident: &str, number: u64, due: i64) -> NewEffect {
    NewEffect {
        lane: Some(format!("{incident}|slack:#inc")),
        effect: Effect::Notify {
            destination: Destination::Slack { channel: "#inc".to_owned() },
            notice: Notice::Card,
        },
        ..mk_wake(incident, number, due)
    }
}

pub fn mk_finding(name: &str, text: &str) -> Finding {
    Finding {
        name: name.to_owned(),
        kind: "prom.query".to_owned(),
        status: FindingStatus::Known,
        fields: [("last".to_owned(), serde_json::json!(0.5))].into_iter().collect(),
        text: text.to_owned(),
        chart: None,
        taken_at: at(1),
        duration_ms: 12,
    }
}

pub fn mk_start(number: i64) -> Start {
    Start {
        remedy: "rule/remedy".to_owned(),
        target: format!("Deployment/shop/cart-{number}"),
        others: Vec::new(),
        namespace: Some("shop".to_owned()),
        at: at(number),
        action: None,
        end: None,
    }
}

pub fn mk_claim(now: i64, limit: u32) -> Claim {
    use smokejumper::domain::effect::EffectKind;
    Claim {
        kind: EffectKind::Notify,
        owner: "worker".to_owned(),
        now: at(now),
        lease_until: at(now + 60_000),
        limit,
        held: Vec::new(),
    }
}

pub fn finish(leased: &Leased) -> Finish {
    Finish { id: leased.id.clone(), attempt: leased.attempt }
}

pub fn committing(incidents: Vec<IncidentWrite>) -> Commit {
    Commit { at: Some(at(0)), incidents, ..Commit::default() }
}

pub fn wishing(effects: Vec<NewEffect>) -> Commit {
    Commit { at: Some(at(0)), effects, ..Commit::default() }
}

pub fn finishing(finished: Vec<Finish>) -> Commit {
    Commit { at: Some(at(0)), finished, ..Commit::default() }
}

pub fn wanting(incident: &str) -> Wanted {
    Wanted { ids: vec![id(incident)], ..Wanted::default() }
}
