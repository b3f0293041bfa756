//! What people see.

use super::{Subject, open_incident};
use crate::build::*;
use smokejumper::domain::fingerprint::Fingerprint;
use smokejumper::domain::incident::IncidentStatus;
use smokejumper::domain::severity::Severity;
use smokejumper::engine::ports::{Commit, IncidentQuery};
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
