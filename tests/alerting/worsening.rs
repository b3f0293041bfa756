//! A warning becomes critical: its incident gets as bad as the worst of its alerts, and is told like that.

use crate::desk::{Desk, mk_alert};
use smokejumper::domain::alert::Alert;
use smokejumper::domain::fingerprint::Fingerprint;
use smokejumper::domain::severity::Severity;

fn mk_full(desk: &Desk, severity: &str) -> Alert {
    let mut alert = mk_alert("db", desk.now());
    alert.labels.insert("alertname".to_owned(), "DiskFull".to_owned());
    alert.labels.insert("severity".to_owned(), severity.to_owned());
    alert.fingerprint = Fingerprint::of_labels(&alert.labels);
    alert
}

#[tokio::test]
async fn a_warning_of_the_night_that_becomes_critical_wakes_people() {
    let desk = Desk::new().await;
    desk.post(&[mk_full(&desk, "warning")]).await;
    let incident = desk.incident().await;
    assert!(incident.deferred_until().is_some(), "{incident:?}");
    assert_eq!(desk.told(), ["slack:#disks card"]);

    desk.post(&[mk_full(&desk, "critical")]).await;
    let incident = desk.incident().await;
    assert_eq!((incident.severity, incident.deferred_until()), (Severity::P0, None));
    let told = desk.told();
    assert!(told.contains(&"slack:#incidents card".to_owned()), "{told:?}");
    // It keeps to the policy of what is urgent, also after it was stored and read again.
    assert_eq!(incident.escalation.as_ref().map(|state| state.policy.as_str()), Some("night"));
    desk.pass(jiff::SignedDuration::from_mins(16)).await;
    let told = desk.told();
    assert!(told.contains(&"slack:#leads card".to_owned()), "{told:?}");
}

#[tokio::test]
async fn an_incident_that_is_opened_again_is_as_bad_as_what_opens_it() {
    let desk = Desk::new().await;
    let mut warning = mk_full(&desk, "warning");
    desk.post(std::slice::from_ref(&warning)).await;
    warning.status = smokejumper::domain::alert::AlertStatus::Resolved;
    warning.ends_at = Some(desk.now());
    desk.post(&[warning]).await;
    desk.told();
    desk.post(&[mk_full(&desk, "critical")]).await;
    let incident = desk.incident().await;
    assert_eq!((incident.severity, incident.deferred_until(), incident.episode), (Severity::P0, None, 1));
    assert!(desk.told().contains(&"slack:#incidents card".to_owned()));
}

#[tokio::test]
async fn what_ends_or_is_milder_leaves_it_as_bad_as_it_was() {
    let desk = Desk::new().await;
    let critical = mk_full(&desk, "critical");
    desk.post(&[critical.clone(), mk_full(&desk, "info")]).await;
    let over = Alert {
        status: smokejumper::domain::alert::AlertStatus::Resolved,
        ends_at: Some(desk.now()),
        ..critical
    };
    desk.post(&[over]).await;
    assert_eq!(desk.incident().await.severity, Severity::P0);
}
