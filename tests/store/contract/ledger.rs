//! Starts, pauses and texts: what the limits are judged over.

use super::{Subject, is_conflict};
use crate::build::*;
use smokejumper::domain::guardrail::Pause;
use smokejumper::domain::rule::RuleHash;
use smokejumper::engine::ports::{Commit, IncidentQuery, PauseChange};
use std::sync::Arc;

pub async fn starts_are_counted_over_the_version_they_were_judged_by(store: Subject) {
    let before = store.ledger(at(0)).await.expect("readable");
    let start = |number, version| Commit {
        starts: vec![mk_start(number)],
        ledger_version: Some(version),
        ..committing(vec![])
    };
    store.commit(start(10, before.version)).await.expect("nobody was faster");
    assert!(is_conflict(store.commit(start(11, before.version)).await), "judged over an old ledger");
    let after = store.ledger(at(0)).await.expect("readable");
    assert!(after.version > before.version);
    assert_eq!(after.starts, [mk_start(10)]);
    assert!(store.ledger(at(11)).await.expect("readable").starts.is_empty(), "too long ago");
}

pub async fn of_starts_judged_over_one_ledger_exactly_one_is_allowed(store: Subject) {
    let version = store.ledger(at(0)).await.expect("readable").version;
    let starters = (0..8).map(|number| {
        let store = Arc::clone(&store);
        let commit = Commit {
            starts: vec![mk_start(number)],
            ledger_version: Some(version),
            ..committing(vec![mk_incident(&format!("i{number}"), &format!("k{number}"))])
        };
        tokio::spawn(async move { store.commit(commit).await })
    });
    let mut allowed = 0;
    for starter in starters.collect::<Vec<_>>() {
        allowed += usize::from(starter.await.expect("no panic").is_ok());
    }
    assert_eq!(allowed, 1);
    let query = IncidentQuery { limit: 10, ..IncidentQuery::default() };
    assert_eq!(store.incidents(query).await.expect("readable").len(), 1, "the others wrote nothing");
}

pub async fn a_pause_is_set_replaced_and_lifted_and_voids_earlier_judgements(store: Subject) {
    let judged = store.ledger(at(0)).await.expect("readable").version;
    let pause = |namespace: Option<&str>, reason: &str| Pause {
        namespace: namespace.map(str::to_owned),
        by: "una".to_owned(),
        reason: reason.to_owned(),
        since: at(1),
    };
    store.set_pause(PauseChange::Set(pause(None, "upgrade"))).await.expect("set");
    let start = Commit { starts: vec![mk_start(1)], ledger_version: Some(judged), ..committing(vec![]) };
    assert!(is_conflict(store.commit(start).await), "judged before the pause");
    store.set_pause(PauseChange::Set(pause(Some("shop"), "sale"))).await.expect("set");
    store.set_pause(PauseChange::Set(pause(Some("shop"), "longer sale"))).await.expect("replaced");
    let expected = [pause(None, "upgrade"), pause(Some("shop"), "longer sale")];
    assert_eq!(store.pauses().await.expect("readable"), expected);
    assert_eq!(store.ledger(at(0)).await.expect("readable").pauses, expected);
    store.set_pause(PauseChange::Lift { namespace: None }).await.expect("lifted");
    store
        .set_pause(PauseChange::Lift { namespace: Some("none".to_owned()) })
        .await
        .expect("not set, no error");
    assert_eq!(store.pauses().await.expect("readable"), [pause(Some("shop"), "longer sale")]);
}

pub async fn a_text_is_kept_once(store: Subject) {
    let hash = RuleHash("h1".to_owned());
    let text = serde_json::json!({ "name": "rule", "odd": "\0" });
    let commit = Commit {
        texts: vec![(hash.clone(), text.clone()), (hash.clone(), text.clone())],
        ..committing(vec![])
    };
    store.commit(commit.clone()).await.expect("stored");
    store.commit(commit).await.expect("there already");
    assert_eq!(store.text(&hash).await.expect("readable"), Some(text));
    assert_eq!(store.text(&RuleHash("h2".to_owned())).await.expect("readable"), None);
}
