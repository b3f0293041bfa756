//! What is old goes, and the store says whether it works.

use super::Subject;
use crate::build::*;
use jiff::SignedDuration;
use smokejumper::domain::apply::Document;
use smokejumper::domain::effect::EffectKind;
use smokejumper::domain::fingerprint::Fingerprint;
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

pub async fn a_ping_is_answered(store: Subject) {
    store.ping().await.expect("it answers");
}
