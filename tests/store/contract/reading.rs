//! What people see.

use super::{Subject, open_incident};
use crate::build::*;
use smokejumper::domain::correlate::CorrelationKey;
use smokejumper::domain::fingerprint::Fingerprint;
use smokejumper::domain::incident::IncidentStatus;
use smokejumper::domain::severity::Severity;
use smokejumper::engine::ports::{Commit, IncidentQuery, PastKeys, PastQuery};
use std::sync::Arc;

pub async fn pages_of_incidents_run_from_new_to_old_without_gaps(store: Subject) {
    let mut all = Vec::new();
    for number in 0..10 {
        let write = open_incident(&store, &format!("i{number}"), &format!("k{number}")).await;
        all.push(write.incident);
    }
    for number in [2, 5] {
        store.commit(committing(vec![mk_resolved(&all[number], 1)])).await.expect("over");
    }
    let mut taken = mk_change(&all[7], "taken");
    taken.incident.status = IncidentStatus::Acknowledged;
    store.commit(committing(vec![taken])).await.expect("acknowledged");

    let page = |statuses: &[IncidentStatus], limit, after: Option<&str>| {
        let query = IncidentQuery { statuses: statuses.to_vec(), limit, after: after.map(id) };
        let store = Arc::clone(&store);
        async move {
            let incidents = store.incidents(query).await.expect("readable");
            incidents.into_iter().map(|incident| incident.id.0).collect::<Vec<_>>().join(" ")
        }
    };
    assert_eq!(page(&[], 4, None).await, "i9 i8 i7 i6");
    assert_eq!(page(&[], 4, Some("i6")).await, "i5 i4 i3 i2");
    assert_eq!(page(&[], 4, Some("i2")).await, "i1 i0");
    assert_eq!(page(&[], 4, Some("i0")).await, "");
    use IncidentStatus::{Acknowledged, Resolved, Triggered};
    assert_eq!(page(&[Resolved], 4, None).await, "i5 i2");
    assert_eq!(page(&[Triggered, Acknowledged], 4, Some("i9")).await, "i8 i7 i6 i4");
    assert_eq!(page(&[Acknowledged, Resolved], 2, None).await, "i7 i5");
    let counts = store.counts().await.expect("countable");
    assert_eq!(counts.get(&(Severity::P1, Triggered)), Some(&7));
    assert_eq!(counts.get(&(Severity::P1, Acknowledged)), Some(&1));
    assert_eq!(counts.len(), 2, "those that are over do not count");
}

pub async fn a_view_lists_a_bounded_number_of_alerts(store: Subject) {
    open_incident(&store, "i1", "key").await;
    let alerts = (0..600).map(|number| mk_firing(number, "i1")).collect();
    store.commit(Commit { alerts, ..committing(vec![]) }).await.expect("stored");
    let view = store.incident(&id("i1")).await.expect("readable").expect("there");
    assert_eq!(view.alerts.len(), 500);
    assert_eq!(view.alerts[499].1.fingerprint, Fingerprint::from(499));
}

pub async fn the_past_of_a_key_and_of_a_rule_is_told_from_its_end(store: Subject) {
    // One after the other on the same key, as each must be over before the next.
    for (number, key) in ["r|a", "r|a", "r|b", "r|a", "other|a"].into_iter().enumerate() {
        let mut write = mk_incident(&format!("i{number}"), key);
        write.incident.rule = key.split('|').next().expect("a rule").to_owned();
        store.commit(committing(vec![write.clone()])).await.expect("stored");
        let ended = 1_000 * number as i64;
        store.commit(committing(vec![mk_resolved(&write.incident, ended)])).await.expect("over");
    }
    let mut open = mk_incident("i9", "r|a");
    open.incident.rule = "r".to_owned();
    store.commit(committing(vec![open])).await.expect("stored");
    let past = |keys, since: i64, limit| {
        let store = Arc::clone(&store);
        async move {
            let found = store.past(PastQuery { keys, since: at(since), limit }).await.expect("readable");
            found.into_iter().map(|incident| incident.id.0).collect::<Vec<_>>().join(" ")
        }
    };
    let key = |text: &str| PastKeys::One(CorrelationKey(text.to_owned()));
    let rule = |text: &str| PastKeys::OfRule(text.to_owned());
    assert_eq!(past(key("r|a"), 0, 10).await, "i3 i1 i0");
    assert_eq!(past(key("r|a"), 1_000, 10).await, "i3 i1", "no longer ago than that");
    assert_eq!(past(key("r|a"), 0, 2).await, "i3 i1");
    assert_eq!(past(rule("r"), 0, 10).await, "i3 i2 i1 i0");
    assert_eq!(past(rule("r"), 2_000, 10).await, "i3 i2");
    assert_eq!(past(rule("nobody"), 0, 10).await, "");
}

/// Every firing alert of open incidents, page by page, as `incident:alert`, with a star where it was confirmed.
async fn all_firing(store: &Subject) -> Vec<String> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.firing(after.as_ref()).await.expect("readable");
        all.extend(page.alerts.iter().map(|firing| {
            let star = if firing.confirmed { "*" } else { "" };
            format!("{}:{}{star}", firing.incident.0, firing.alert.fingerprint.as_u64())
        }));
        let Some(next) = page.next else { return all };
        assert!(after.is_none_or(|before| before < next), "it goes on");
        after = Some(next);
    }
}

pub async fn firing_alerts_of_open_incidents_come_each_once_with_what_was_confirmed(store: Subject) {
    assert_eq!(all_firing(&store).await, Vec::<String>::new());
    for number in 0..300 {
        let (name, key) = (format!("i{number:03}"), format!("k{number}"));
        let mut write = mk_incident(&name, &key);
        if number % 3 == 1 {
            write.incident.status = IncidentStatus::Acknowledged;
        }
        let alerts = vec![mk_firing(2 * number, &name), mk_ended(2 * number + 1, Some(&name))];
        store.commit(Commit { alerts, ..committing(vec![write]) }).await.expect("stored");
    }
    let over = store.incident(&id("i007")).await.expect("readable").expect("there").incident;
    store.commit(committing(vec![mk_resolved(&over, 1)])).await.expect("over");
    let place = |name: &str, number| (id(name), Fingerprint::from(number));
    store.confirm(vec![place("i000", 0), place("i299", 598), place("gone", 1)], at(1)).await.expect("noted");

    let star = |number| if number == 0 || number == 299 { "*" } else { "" };
    let expected = (0..300_u64).filter(|number| *number != 7);
    let expected: Vec<String> =
        expected.map(|number| format!("i{number:03}:{}{}", 2 * number, star(number))).collect();
    assert_eq!(all_firing(&store).await, expected);
    // What is written over stays confirmed: it is the same alert of the same incident.
    let again = Commit { alerts: vec![mk_firing(0, "i000")], ..committing(vec![]) };
    store.commit(again).await.expect("stored");
    assert_eq!(all_firing(&store).await, expected);
}
