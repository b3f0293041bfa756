//! Incidents and what belongs to them: versions, keys, alerts, and all or nothing.

use super::{Subject, by_id, is_conflict, open_incident};
use crate::build::*;
use smokejumper::domain::apply::Document;
use smokejumper::domain::diagnosis::Finding;
use smokejumper::domain::fingerprint::Fingerprint;
use smokejumper::domain::incident::IncidentStatus;
use smokejumper::domain::rule::RuleHash;
use smokejumper::domain::timeline::verify_chain;
use smokejumper::engine::ports::{Commit, Finish, Loaded, StoreError, Wanted};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub async fn an_incident_reads_back_equal_with_everything(store: Subject) {
    let mut write = mk_incident("i1", "key");
    let second = mk_line(&mut write.incident, "it goes on");
    write.lines.push(second);
    write.findings = vec![mk_finding("errors", "many"), mk_finding("activity", "calm")];
    write.documents = vec![Document { title: "Record".to_owned(), body: "# What happened".to_owned() }];
    let commit =
        Commit { alerts: vec![mk_firing(2, "i1"), mk_firing(1, "i1")], ..committing(vec![write.clone()]) };
    store.commit(commit).await.expect("stored");

    assert_eq!(by_id(&store, "i1").await.incidents, [write.incident.clone()]);
    let view = store.incident(&id("i1")).await.expect("readable").expect("there");
    assert_eq!(view.incident, write.incident);
    assert_eq!(view.timeline, write.lines);
    verify_chain(&view.timeline).expect("the chain holds");
    assert_eq!(view.documents, write.documents);
    let names: Vec<_> = view.findings.iter().map(|finding| finding.name.as_str()).collect();
    assert_eq!(names, ["errors", "activity"], "in the order of the rule");
    let alerts: Vec<_> = view.alerts.iter().map(|(_, alert)| alert.fingerprint.as_u64()).collect();
    assert_eq!(alerts, [1, 2], "oldest first");
    assert_eq!(view.alerts[0].0, mk_firing(1, "i1").record);
    assert_eq!(view.alerts[0].1, mk_alert(1));
    assert_eq!(store.incident(&id("i2")).await.expect("readable"), None);
}

pub async fn an_incident_is_found_by_its_name_in_pagerduty(store: Subject) {
    let mut write = mk_incident("i1", "one");
    write.incident.bridge = Some("P1".to_owned());
    let plain = mk_incident("i2", "two");
    store.commit(committing(vec![write.clone(), plain.clone()])).await.expect("stored");
    let named = async |name: &str| {
        let wanted = Wanted { bridges: vec![name.to_owned()], ..Wanted::default() };
        store.load(wanted).await.expect("it loads").incidents
    };
    assert_eq!(named("P1").await, [write.incident.clone()]);
    assert!(named("P2").await.is_empty());
    let mut changed = mk_change(&plain.incident, "told");
    changed.incident.bridge = Some("P2".to_owned());
    store.commit(committing(vec![changed.clone()])).await.expect("stored");
    assert_eq!(named("P2").await, [changed.incident]);
}

pub async fn a_change_needs_the_version_that_was_loaded(store: Subject) {
    let first = open_incident(&store, "i1", "key").await;
    let change = mk_change(&first.incident, "first");
    store.commit(committing(vec![change.clone()])).await.expect("nobody was faster");
    assert!(is_conflict(store.commit(committing(vec![mk_change(&first.incident, "late")])).await));
    assert!(is_conflict(store.commit(committing(vec![mk_incident("i1", "other")])).await), "it is not new");
    let view = store.incident(&id("i1")).await.expect("readable").expect("there");
    assert_eq!(view.incident, change.incident);
    assert_eq!(view.timeline.len(), 2);
}

pub async fn a_version_may_rise_by_more_than_one(store: Subject) {
    let first = open_incident(&store, "i1", "key").await;
    let mut change = mk_change(&first.incident, "several events");
    change.incident.version = 9;
    store.commit(committing(vec![change])).await.expect("stored");
    assert_eq!(by_id(&store, "i1").await.incidents[0].version, 9);
}

pub async fn an_incident_that_is_gone_does_not_come_back(store: Subject) {
    let never_stored = mk_incident("i1", "key");
    assert!(is_conflict(store.commit(committing(vec![mk_change(&never_stored.incident, "late")])).await));
    assert!(by_id(&store, "i1").await.incidents.is_empty());
}

pub async fn of_writers_that_race_exactly_one_wins(store: Subject) {
    let first = open_incident(&store, "i1", "key").await;
    let writers = (0..8).map(|number| {
        let store = Arc::clone(&store);
        let change = mk_change(&first.incident, &format!("writer {number}"));
        tokio::spawn(async move { store.commit(committing(vec![change])).await })
    });
    let mut won = 0;
    for writer in writers.collect::<Vec<_>>() {
        match writer.await.expect("no panic") {
            Ok(()) => won += 1,
            Err(error) => assert!(matches!(error, StoreError::Conflict), "{error}"),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(store.incident(&id("i1")).await.expect("readable").expect("there").timeline.len(), 2);
}

pub async fn writers_of_the_same_incidents_in_any_order_never_hang(store: Subject) {
    let names: Vec<String> = (0..20).map(|number| format!("i{number:02}")).collect();
    let opened: Vec<_> = names.iter().map(|name| mk_incident(name, name)).collect();
    store.commit(committing(opened.clone())).await.expect("stored");
    let writers = (0..6).map(|writer| {
        let store = Arc::clone(&store);
        let mut changes: Vec<_> = opened.iter().map(|write| mk_change(&write.incident, "change")).collect();
        changes.rotate_left(writer * 3);
        tokio::spawn(async move { store.commit(committing(changes)).await })
    });
    let mut won = 0;
    for writer in writers.collect::<Vec<_>>() {
        won += usize::from(writer.await.expect("no panic").is_ok());
    }
    assert_eq!(won, 1);
}

pub async fn a_key_has_one_open_incident(store: Subject) {
    let first = open_incident(&store, "i1", "key").await;
    assert!(is_conflict(store.commit(committing(vec![mk_incident("i2", "key")])).await));
    store.commit(committing(vec![mk_resolved(&first.incident, 10)])).await.expect("over");
    open_incident(&store, "i2", "key").await;
    let reopened = mk_change(&mk_resolved(&first.incident, 10).incident, "again");
    let mut reopened = reopened;
    reopened.incident.status = IncidentStatus::Triggered;
    reopened.incident.resolved = None;
    assert!(is_conflict(store.commit(committing(vec![reopened])).await), "i2 is open under this key");
}

pub async fn a_key_finds_the_open_incident_or_the_one_that_ended_last(store: Subject) {
    for (name, ended) in [("i1", 10), ("i2", 30), ("i3", 20)] {
        let write = open_incident(&store, name, "ended").await;
        store.commit(committing(vec![mk_resolved(&write.incident, ended)])).await.expect("over");
    }
    let old = open_incident(&store, "i4", "open").await;
    store.commit(committing(vec![mk_resolved(&old.incident, 10)])).await.expect("over");
    open_incident(&store, "i5", "open").await;
    let wanted =
        Wanted { keys: vec![key("ended"), key("open"), key("never"), key("open")], ..Wanted::default() };
    let loaded = store.load(wanted).await.expect("it loads");
    let names: BTreeSet<_> = loaded.incidents.iter().map(|incident| incident.id.0.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["i2", "i5"]));
    assert_eq!(loaded.incidents.len(), 2, "each once");
}

pub async fn fingerprints_bring_their_alerts_and_live_incidents(store: Subject) {
    let over = open_incident(&store, "i1", "a").await;
    open_incident(&store, "i2", "b").await;
    let commit = Commit {
        alerts: vec![
            mk_ended(1, Some("i1")),
            mk_firing(1, "i2"),
            mk_firing(2, "i1"),
            mk_ended(3, None),
            mk_firing(u64::MAX, "i2"),
        ],
        ..committing(vec![mk_resolved(&over.incident, 10)])
    };
    store.commit(commit).await.expect("stored");
    let load = |numbers: &[u64]| {
        let fingerprints = numbers.iter().copied().map(Fingerprint::from).collect();
        store.load(Wanted { fingerprints, ..Wanted::default() })
    };
    let names = |loaded: &Loaded| -> Vec<String> {
        loaded.incidents.iter().map(|incident| incident.id.0.clone()).collect()
    };
    let loaded = load(&[1]).await.expect("it loads");
    assert_eq!(names(&loaded), ["i2"], "i1 is over and so is the alert in it");
    assert!(loaded.alerts.iter().any(|alert| alert.incident == Some(id("i2"))));

    let loaded = load(&[2]).await.expect("it loads");
    assert_eq!(names(&loaded), ["i1"], "over, and the alert still fires there");

    let loaded = load(&[3]).await.expect("it loads");
    assert_eq!(names(&loaded), [""; 0]);
    assert_eq!(loaded.alerts.len(), 1);
    assert_eq!(loaded.alerts[0].incident, None);
    assert_eq!(loaded.alerts[0].record, mk_ended(3, None).record);

    let loaded = load(&[u64::MAX]).await.expect("it loads");
    assert_eq!(loaded.alerts[0].fingerprint, Fingerprint::from(u64::MAX));
    assert!(load(&[77]).await.expect("it loads").alerts.is_empty());
}

pub async fn an_ended_record_comes_with_the_incident_that_was_asked_for(store: Subject) {
    for (name, millis) in [("i1", 10), ("i2", 20), ("i3", 30)] {
        let write = open_incident(&store, name, name).await;
        let resolved = mk_resolved(&write.incident, millis);
        let commit = Commit { alerts: vec![mk_ended(1, Some(name))], ..committing(vec![resolved]) };
        store.commit(commit).await.expect("stored");
    }
    let wanted =
        Wanted { keys: vec![key("i1")], fingerprints: vec![Fingerprint::from(1)], ..Wanted::default() };
    let loaded = store.load(wanted).await.expect("it loads");
    let places: BTreeSet<_> = loaded.alerts.iter().filter_map(|alert| alert.incident.clone()).collect();
    assert_eq!(places, BTreeSet::from([id("i1"), id("i3")]), "the asked one and the newest");
    assert_eq!(loaded.incidents.len(), 1);
}

pub async fn an_alert_is_written_over(store: Subject) {
    open_incident(&store, "i1", "key").await;
    let write = |alerts| Commit { alerts, ..committing(vec![]) };
    store
        .commit(write(vec![mk_firing(1, "i1"), mk_ended(1, Some("i1"))]))
        .await
        .expect("the last word counts");
    let view = store.incident(&id("i1")).await.expect("readable").expect("there");
    assert_eq!(view.alerts.len(), 1);
    assert_eq!(view.alerts[0].0, mk_ended(1, None).record);
    store.commit(write(vec![mk_firing(1, "i1")])).await.expect("it fires again");
    let view = store.incident(&id("i1")).await.expect("readable").expect("there");
    assert_eq!(view.alerts[0].0, mk_firing(1, "").record);
}

pub async fn findings_of_the_same_name_are_replaced(store: Subject) {
    let mut first = mk_incident("i1", "key");
    first.findings =
        vec![mk_finding("errors", "old"), mk_finding("other", "kept"), mk_finding("errors", "new")];
    store.commit(committing(vec![first.clone()])).await.expect("stored");
    let texts = |findings: Vec<Finding>| -> Vec<String> {
        findings.into_iter().map(|finding| finding.text).collect()
    };
    assert_eq!(texts(store.findings(&id("i1")).await.expect("readable")), ["kept", "new"]);
    let mut change = mk_change(&first.incident, "again");
    change.findings = vec![mk_finding("errors", "newest")];
    store.commit(committing(vec![change])).await.expect("stored");
    assert_eq!(texts(store.findings(&id("i1")).await.expect("readable")), ["newest", "kept"]);
    assert!(store.findings(&id("i2")).await.expect("readable").is_empty());
}

pub async fn a_part_that_fails_leaves_nothing_behind(store: Subject) {
    let first = open_incident(&store, "i1", "key").await;
    store.append(vec![mk_delivery(1)]).await.expect("stored");
    let mut change = mk_change(&first.incident, "change");
    change.findings = vec![mk_finding("errors", "many")];
    let whole = Commit {
        alerts: vec![mk_firing(1, "i1")],
        effects: vec![mk_notice("i1", 1, 0)],
        consumed: vec![mk_delivery(1).id],
        texts: vec![(RuleHash("h".to_owned()), serde_json::json!({}))],
        starts: vec![mk_start(1)],
        ..committing(vec![change, mk_incident("i2", "other")])
    };
    let lost_lease = Finish { id: effect_id("i1", 99), attempt: 1 };
    let broken: Vec<Commit> = vec![
        Commit { finished: vec![lost_lease.clone()], ..whole.clone() },
        Commit { held: vec![lost_lease], ..whole.clone() },
        Commit { consumed: vec![mk_delivery(1).id, mk_delivery(2).id], ..whole.clone() },
        Commit { ledger_version: Some(7), ..whole.clone() },
        committing(vec![mk_incident("i3", "third"), mk_incident("i4", "key")]),
    ];
    for commit in broken {
        assert!(is_conflict(store.commit(commit).await));
        assert_eq!(by_id(&store, "i1").await.incidents, std::slice::from_ref(&first.incident));
        for absent in ["i2", "i3", "i4"] {
            assert!(by_id(&store, absent).await.incidents.is_empty());
        }
        assert_eq!(store.incident(&id("i1")).await.expect("readable").expect("there").timeline.len(), 1);
        assert!(store.findings(&id("i1")).await.expect("readable").is_empty());
        assert_eq!(store.inbox_depth().await.expect("countable"), 1);
        assert!(store.effect_depth().await.expect("countable").is_empty());
        assert_eq!(store.text(&RuleHash("h".to_owned())).await.expect("readable"), None);
        let ledger = store.ledger(at(0)).await.expect("readable");
        assert_eq!((ledger.version, ledger.starts.len()), (0, 0));
    }
    store.commit(whole).await.expect("the whole is good");
}

pub async fn a_commit_of_nothing_is_done(store: Subject) {
    store.commit(Commit::default()).await.expect("nothing to do");
}

pub async fn a_thousand_rows_of_each_kind_are_one_commit(store: Subject) {
    let incidents: Vec<_> = (0..1_000)
        .map(|number| {
            let mut write = mk_incident(&format!("i{number:04}"), &format!("k{number}"));
            let line = mk_line(&mut write.incident, "second");
            write.lines.push(line);
            write
        })
        .collect();
    let alerts = (0..1_000_u64).map(|number| mk_firing(number, &format!("i{number:04}"))).collect();
    let effects = (0..1_000_u64).map(|number| mk_notice(&format!("i{number:04}"), 1, 0)).collect();
    store.append((0..1_000).map(mk_delivery).collect()).await.expect("stored");
    let consumed = (0..1_000).map(|number| mk_delivery(number).id).collect();
    let commit = Commit { alerts, effects, consumed, ..committing(incidents.clone()) };
    store.commit(commit).await.expect("stored");

    let wanted = Wanted {
        ids: vec![id("i0000")],
        keys: (0..1_000).map(|number| key(&format!("k{number}"))).collect(),
        fingerprints: (0..1_000).map(Fingerprint::from).collect(),
        ..Wanted::default()
    };
    let loaded = store.load(wanted).await.expect("it loads");
    assert_eq!((loaded.incidents.len(), loaded.alerts.len()), (1_000, 1_000));
    let leased = store.claim(mk_claim(0, 1_000)).await.expect("claimable");
    assert_eq!(leased.len(), 1_000);
    let mut done = finishing(leased.iter().map(finish).collect());
    done.incidents = incidents.iter().map(|write| mk_change(&write.incident, "told")).collect();
    store.commit(done).await.expect("finished");
    assert!(store.effect_depth().await.expect("countable").is_empty());
    assert_eq!(store.inbox_depth().await.expect("countable"), 0);
}

pub async fn a_commit_that_is_abandoned_is_there_as_a_whole_or_not_at_all(store: Subject) {
    let names: Vec<String> = (0..60).map(|polls| format!("i{polls:02}")).collect();
    for (polls, name) in (0_u64..).zip(&names) {
        let commit = Commit {
            alerts: vec![mk_firing(polls, name)],
            effects: vec![mk_notice(name, 1, 0)],
            ..committing(vec![mk_incident(name, name)])
        };
        let mut abandoned = store.commit(commit);
        for _ in 0..polls / 2 {
            if futures::poll!(&mut abandoned).is_ready() {
                break;
            }
            tokio::time::sleep(Duration::from_micros(50 * (polls % 8))).await;
        }
        drop(abandoned);
        store.append(vec![mk_delivery(polls)]).await.expect("the next writer is not disturbed");
    }
    // A server may still be busy with the last word of somebody who left.
    let began = Instant::now();
    loop {
        let mut there = 0;
        for name in &names {
            if let Some(view) = store.incident(&id(name)).await.expect("readable") {
                assert_eq!((view.timeline.len(), view.alerts.len()), (1, 1), "{name} is there in part");
                there += 1;
            }
        }
        if store.effect_depth().await.expect("countable").values().sum::<u64>() == there {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "an effect without its incident, or the reverse");
    }
    assert_eq!(store.inbox_depth().await.expect("countable"), 60);
}
