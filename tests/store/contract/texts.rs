//! Text from outside is kept as it was, whatever it holds.

use super::{Subject, open_incident};
use crate::build::*;
use smokejumper::domain::apply::Document;
use smokejumper::domain::guardrail::Pause;
use smokejumper::engine::ports::{Commit, PauseChange, Wanted};
use std::sync::Arc;

pub async fn hostile_text_reads_back_as_it_was(store: Subject) {
    let nasty = [
        "\0",
        "a\0b\u{1a}c\u{1a}0",
        "'; DROP TABLE incident; --",
        "\u{fffd}\u{202e}🔥",
        "\"\\\n\r\t",
        "%_\\",
    ];
    for (number, text) in nasty.iter().enumerate() {
        let name = format!("i{number}");
        let mut write = mk_incident(&name, &format!("key {text}"));
        write.incident.rule = (*text).to_owned();
        write.incident.summary = (*text).to_owned();
        write.incident.labels.insert((*text).to_owned(), (*text).to_owned());
        write.findings = vec![mk_finding(text, text)];
        write.documents = vec![Document { title: (*text).to_owned(), body: (*text).to_owned() }];
        let line = mk_line(&mut write.incident, text);
        write.lines.push(line);
        let mut effect = mk_notice(&name, 1, 0);
        effect.lane = Some(format!("{name}|{text}"));
        let mut alert = mk_firing(number as u64, &name);
        Arc::make_mut(&mut alert.alert).labels.insert("hostile".to_owned(), (*text).to_owned());
        let mut start = mk_start(1);
        start.target = (*text).to_owned();
        start.namespace = Some((*text).to_owned());
        let commit = Commit {
            alerts: vec![alert.clone()],
            effects: vec![effect.clone()],
            starts: vec![start.clone()],
            ..committing(vec![write.clone()])
        };
        store.commit(commit).await.expect("stored");
        let view = store.incident(&id(&name)).await.expect("readable").expect("there");
        assert_eq!(view.incident, write.incident);
        assert_eq!(view.findings, write.findings);
        assert_eq!(view.documents, write.documents);
        assert_eq!(view.timeline, write.lines);
        assert_eq!(view.alerts[0].1, *alert.alert);
        let wanted = Wanted { keys: vec![key(&format!("key {text}"))], ..Wanted::default() };
        assert_eq!(store.load(wanted).await.expect("it loads").incidents, [write.incident]);
        let leased = store.claim(mk_claim(0, 10)).await.expect("claimable");
        assert_eq!(leased[0].effect, effect.effect);
        assert!(store.ledger(at(0)).await.expect("readable").starts.contains(&start));
        let pause = Pause {
            namespace: Some((*text).to_owned()),
            by: (*text).to_owned(),
            reason: (*text).to_owned(),
            since: at(1),
        };
        store.set_pause(PauseChange::Set(pause.clone())).await.expect("set");
        assert!(store.pauses().await.expect("readable").contains(&pause));
    }
    // Keys that differ in NUL alone stay two keys.
    open_incident(&store, "x1", "a\0").await;
    open_incident(&store, "x2", "a\u{1a}0").await;
    open_incident(&store, "x3", "a").await;
}

pub async fn labels_of_64_kilobytes_are_kept(store: Subject) {
    let long = "ä".repeat(32 * 1_024);
    let mut write = mk_incident("i1", "key");
    write.incident.labels.insert("long".to_owned(), long.clone());
    let mut alert = mk_firing(1, "i1");
    Arc::make_mut(&mut alert.alert).labels.insert("long".to_owned(), long);
    let commit = Commit { alerts: vec![alert.clone()], ..committing(vec![write.clone()]) };
    store.commit(commit).await.expect("stored");
    let view = store.incident(&id("i1")).await.expect("readable").expect("there");
    assert_eq!(view.incident, write.incident);
    assert_eq!(view.alerts[0].1, *alert.alert);
}
