//! Starts, pauses and texts: what the limits are judged over.

use super::{Subject, is_conflict};
use crate::build::*;
use smokejumper::domain::action::ActionId;
use smokejumper::domain::correlate::{CorrelationKey, Target};
use smokejumper::domain::guardrail::{Pause, Start, StartEnd, StartResult};
use smokejumper::domain::incident::{IncidentId, IncidentStatus, Resolution};
use smokejumper::domain::rule::RuleHash;
use smokejumper::domain::temporary::{TemporaryChange, TemporaryFix};
use smokejumper::engine::ports::{Commit, IncidentQuery, Neighbour, Neighbours, PauseChange};
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

pub async fn a_start_is_under_way_until_its_end_is_written(store: Subject) {
    let action = ActionId("i1-a1".to_owned());
    let start = Start { action: Some(action.clone()), ..mk_start(10) };
    let version = store.ledger(at(0)).await.expect("readable").version;
    let started = Commit { starts: vec![start.clone()], ledger_version: Some(version), ..committing(vec![]) };
    store.commit(started).await.expect("nobody was faster");
    let late = store.ledger(at(500)).await.expect("readable");
    assert_eq!(
        late.starts,
        std::slice::from_ref(&start),
        "what is under way counts however long ago it started"
    );
    let end = StartEnd { at: at(20), result: StartResult::Bad };
    let unknown = ActionId("i9-a1".to_owned());
    let ended = Commit { ends: vec![(action.clone(), end), (unknown, end)], ..committing(vec![]) };
    store.commit(ended).await.expect("an end of what was never counted is no conflict");
    assert!(store.ledger(at(500)).await.expect("readable").starts.is_empty());
    let after = store.ledger(at(0)).await.expect("readable");
    assert_eq!(after.starts, [Start { end: Some(end), ..start }]);
    assert!(after.version > late.version, "what was judged before the end is judged again");
    let again = StartEnd { at: at(30), result: StartResult::Good };
    store.commit(Commit { ends: vec![(action, again)], ..committing(vec![]) }).await.expect("no conflict");
    assert_eq!(store.ledger(at(0)).await.expect("readable").starts[0].end, Some(end), "the first end stands");
}

pub async fn only_what_used_nothing_up_starts_a_second_time_as_the_same_action(store: Subject) {
    let action = ActionId("i1-a2".to_owned());
    let start = |number| Start { action: Some(action.clone()), ..mk_start(number) };
    let begin = |number| Commit { starts: vec![start(number)], ..committing(vec![]) };
    let end = |result| StartEnd { at: at(20), result };
    let finish = |result| Commit { ends: vec![(action.clone(), end(result))], ..committing(vec![]) };
    store.commit(begin(10)).await.expect("stored");
    store.commit(begin(11)).await.expect_err("it is under way");
    store.commit(finish(StartResult::NotStarted)).await.expect("stored");
    store.commit(begin(10)).await.expect("it is tried again");
    assert_eq!(store.ledger(at(0)).await.expect("readable").starts, [start(10)], "once, and under way");
    store.commit(finish(StartResult::Good)).await.expect("stored");
    store.commit(begin(10)).await.expect_err("it was carried out");
    let done = Start { end: Some(end(StartResult::Good)), ..start(10) };
    assert_eq!(store.ledger(at(0)).await.expect("readable").starts, [done]);
}

pub async fn temporary_fixes_stand_until_they_are_undone(store: Subject) {
    let fix = |number: i64, until: i64| TemporaryFix {
        action: ActionId(format!("i{number}-a1")),
        incident: IncidentId(format!("i{number}")),
        rule: "errors".to_owned(),
        remedy: "limit".to_owned(),
        target: "Deployment/shop/cart".to_owned(),
        summary: "odd \0 text".to_owned(),
        restores: "set it back".to_owned(),
        since: at(1),
        until: at(until),
    };
    let begin =
        |fix: TemporaryFix| Commit { temporary: vec![TemporaryChange::Begun(fix)], ..committing(vec![]) };
    store.commit(begin(fix(1, 30))).await.expect("stored");
    store.commit(begin(fix(2, 20))).await.expect("stored");
    assert_eq!(store.temporary_fixes().await.expect("readable"), [fix(2, 20), fix(1, 30)]);
    store.commit(begin(fix(2, 40))).await.expect("stored again");
    assert_eq!(store.temporary_fixes().await.expect("readable"), [fix(1, 30), fix(2, 40)]);
    let ended = TemporaryChange::Ended(ActionId("i1-a1".to_owned()));
    let twice = Commit { temporary: vec![ended.clone(), ended], ..committing(vec![]) };
    store.commit(twice).await.expect("undone");
    assert_eq!(store.temporary_fixes().await.expect("readable"), [fix(2, 40)]);
}

pub async fn open_incidents_are_found(store: Subject) {
    let incident = |id: &str, rule: &str, minute: i64| {
        let mut write = mk_incident(id, &format!("key-{id}"));
        write.incident.rule = rule.to_owned();
        write.incident.started_at = at(minute);
        write
    };
    let mut over = incident("i4", "errors", 14);
    over.incident.status = IncidentStatus::Resolved;
    over.incident.resolved = Some(Resolution { actor: None, at: at(15) });
    let mut taken = incident("i5", "errors", 16);
    taken.incident.status = IncidentStatus::Acknowledged;
    let all = vec![
        incident("i1", "errors", 1),
        incident("i2", "errors", 11),
        incident("i3", "disk", 12),
        over,
        taken,
    ];
    store.commit(committing(all)).await.expect("stored");
    let found = store.neighbours(at(10)).await.expect("readable");
    let known = |id: &str, rule: &str, minute: i64| Neighbour {
        id: IncidentId(id.to_owned()),
        rule: rule.to_owned(),
        key: CorrelationKey(format!("key-{id}")),
        started_at: at(minute),
    };
    let all = [
        known("i1", "errors", 1),
        known("i2", "errors", 11),
        known("i3", "disk", 12),
        known("i5", "errors", 16),
    ];
    assert_eq!(found, Neighbours { incidents: all.to_vec(), known_from: None, is_storm: false });
}

pub async fn of_too_many_open_incidents_the_newest_are_found_and_the_keys_of_a_rule(store: Subject) {
    let of_rule = |number: i64, rule: &str| {
        let target = Target {
            kind: "Deployment".to_owned(),
            namespace: "shop".to_owned(),
            name: format!("api-{number}"),
        };
        let mut write = mk_incident(&format!("i{number:03}"), "");
        write.incident.rule = rule.to_owned();
        write.incident.key = CorrelationKey::for_target(rule, &target);
        write.incident.started_at = at(number);
        write
    };
    let long = "x".repeat(250);
    let mut all: Vec<_> = (0..3).map(|number| of_rule(number, "errors")).collect();
    all.extend([of_rule(3, "errors-more"), of_rule(4, &long), of_rule(5, &long)]);
    all.extend((6..262).map(|number| of_rule(number, "slow")));
    store.commit(committing(all)).await.expect("stored");
    let found = store.neighbours(at(100)).await.expect("readable");
    assert_eq!((found.incidents.len(), found.is_storm), (256, false));
    assert_eq!(found.known_from, Some(IncidentId("i006".to_owned())));
    assert!(store.neighbours(at(6)).await.expect("readable").is_storm);
    let keys = async |rule: &str, limit| {
        let mut keys = store.keys_of_rule(rule, limit).await.expect("readable");
        keys.sort_unstable();
        keys.len()
    };
    assert_eq!((keys("errors", 10).await, keys("errors", 2).await, keys("none", 10).await), (3, 2, 0));
    assert_eq!(keys(&long, 10).await, 2, "a name that is too long for a key");
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
