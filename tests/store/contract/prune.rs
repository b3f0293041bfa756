//! What is old goes, and the store says whether it works.

use super::Subject;
use crate::build::*;
use jiff::SignedDuration;
use smokejumper::domain::apply::Document;
use smokejumper::domain::effect::EffectKind;
use smokejumper::domain::escalation::EscalationState;
use smokejumper::domain::fingerprint::Fingerprint;
use smokejumper::domain::rule::RuleHash;
use smokejumper::engine::ports::{Commit, DeadLetter, Wanted};
use std::collections::BTreeSet;

pub async fn prune_deletes_what_ended_long_ago_with_all_that_belongs_to_it(store: Subject) {
    for number in 0..300 {
        let name = format!("i{number:03}");
        let mut opened = mk_incident(&name, &name);
        opened.findings = vec![mk_finding("errors", "many")];
        opened.documents = vec![Document { title: "Record".to_owned(), body: "text".to_owned() }];
        let ended = if number < 290 { 100 } else { 200 };
        let commit = Commit {
            alerts: vec![mk_ended(number, Some(&name))],
            effects: vec![mk_notice(&name, 1, 5_000), mk_wake(&name, 12, 5_000)],
            ..committing(vec![opened.clone()])
        };
        store.commit(commit).await.expect("stored");
        if number != 295 {
            store.commit(committing(vec![mk_resolved(&opened.incident, ended)])).await.expect("over");
        }
    }
    let mut late_tombstone = mk_ended(9_001, None);
    late_tombstone.record.starts_at = at(150);
    let alerts = vec![mk_ended(9_000, None), late_tombstone];
    let mut long_ago = mk_start(10);
    long_ago.at = at(150).checked_sub(SignedDuration::from_hours(367 * 24)).expect("in range");
    let starts = vec![long_ago, mk_start(10), mk_start(150)];
    store.append(vec![mk_delivery(1)]).await.expect("stored");
    let dead = vec![DeadLetter { delivery: mk_delivery(1).id, error: "bad".to_owned() }];
    store.commit(Commit { alerts, starts, dead, ..committing(vec![]) }).await.expect("stored");

    assert_eq!(store.prune(at(150)).await.expect("pruned"), 290);
    assert_eq!(store.prune(at(150)).await.expect("pruned"), 0);
    assert_eq!(store.incident(&id("i000")).await.expect("readable"), None);
    assert!(store.findings(&id("i000")).await.expect("readable").is_empty());
    let view = store.incident(&id("i299")).await.expect("readable").expect("kept");
    assert_eq!(
        (view.alerts.len(), view.findings.len(), view.documents.len(), view.timeline.len()),
        (1, 1, 1, 2)
    );
    assert!(store.incident(&id("i295")).await.expect("readable").is_some(), "open ones stay");
    let depth = store.effect_depth().await.expect("countable");
    assert_eq!((depth[&EffectKind::Notify], depth[&EffectKind::Wake]), (10, 10));
    let fingerprints = [0, 299, 9_000, 9_001].map(Fingerprint::from).to_vec();
    let alerts = store.load(Wanted { fingerprints, ..Wanted::default() }).await.expect("it loads").alerts;
    let left: BTreeSet<u64> = alerts.iter().map(|alert| alert.fingerprint.as_u64()).collect();
    assert_eq!(left, BTreeSet::from([299, 9_001]));
    // Cooldowns go by starts, and may be longer than incidents are kept.
    let since = jiff::Timestamp::MIN;
    assert_eq!(store.ledger(since).await.expect("readable").starts, [mk_start(10), mk_start(150)]);
}

/// So many days after the beginning.
fn day(day: i64) -> jiff::Timestamp {
    at(day * 24 * 60 * 60 * 1_000)
}

pub async fn texts_go_when_no_incident_refers_to_them_and_nobody_took_them_lately(store: Subject) {
    let hash = |name: &str| RuleHash(name.to_owned());
    let text = |name: &str| (hash(name), serde_json::json!({ "name": name }));
    let mut long = mk_incident("long", "long");
    long.incident.rule_hash = hash("rule-of-long");
    long.incident.escalation = Some(EscalationState {
        policy: "night".to_owned(),
        hash: hash("policy-of-long"),
        objectives: None,
        started_at: day(0),
        next: None,
        reached: None,
        deferred_until: None,
        used_up: false,
    });
    let all = ["rule-of-long", "policy-of-long", "unused", "taken-again"];
    let texts = all.map(text).to_vec();
    store.commit(Commit { texts, ..committing(vec![long.clone()]) }).await.expect("stored");
    let texts = ["taken-again", "young"].map(text).to_vec();
    store.commit(Commit { at: Some(day(10)), texts, ..Commit::default() }).await.expect("stored");
    let left = async || {
        let mut left = Vec::new();
        for name in all.iter().chain(&["young"]) {
            if store.text(&hash(name)).await.expect("readable").is_some() {
                left.push(*name);
            }
        }
        left
    };
    store.prune(day(1)).await.expect("pruned");
    assert_eq!(left().await.len(), 5, "texts outlive incidents by two days");
    store.prune(day(5)).await.expect("pruned");
    assert_eq!(left().await, ["rule-of-long", "policy-of-long", "taken-again", "young"]);
    let over = mk_resolved(&long.incident, 6 * 24 * 60 * 60 * 1_000);
    store.commit(Commit { at: Some(day(6)), ..committing(vec![over]) }).await.expect("over");
    store.prune(day(9)).await.expect("pruned");
    assert_eq!(left().await, ["taken-again", "young"], "their incident has gone");
    store.prune(day(13)).await.expect("pruned");
    assert_eq!(left().await, [""; 0]);
}

pub async fn a_ping_is_answered(store: Subject) {
    store.ping().await.expect("it answers");
}
