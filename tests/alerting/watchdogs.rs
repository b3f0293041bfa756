//! Watchdogs that are heard, stay away, and come again.

use crate::desk::{Desk, mk_alert};
use jiff::SignedDuration;
use smokejumper::domain::alert::{Alert, AlertStatus};
use smokejumper::domain::fingerprint::Fingerprint;
use smokejumper::domain::incident::IncidentStatus;
use smokejumper::domain::vitals::Sign;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

fn mk_beat(desk: &Desk) -> Alert {
    let mut alert = mk_alert("prometheus", desk.now());
    alert.labels.insert("alertname".to_owned(), "Watchdog".to_owned());
    alert.fingerprint = Fingerprint::of_labels(&alert.labels);
    alert
}

/// So many minutes, with a beat in each where there is one, and looks all the time.
async fn minutes(desk: &mut Desk, count: u32, beats: bool) {
    for _ in 0..count {
        for _ in 0..4 {
            desk.pass(SignedDuration::from_secs(15)).await;
            desk.look().await;
        }
        if beats {
            let beat = mk_beat(desk);
            desk.post(&[beat]).await;
            desk.look().await;
        }
    }
}

#[tokio::test]
async fn a_watchdog_opens_nothing_and_people_are_called_when_it_stays_away_until_it_comes_again() {
    let mut desk = Desk::new().await;
    minutes(&mut desk, 10, true).await;
    assert!(!desk.has_incident().await, "it always fires");
    assert!(desk.is_blind().await.is_none());

    minutes(&mut desk, 4, false).await;
    assert!(!desk.has_incident().await, "not yet");
    minutes(&mut desk, 2, false).await;
    let blind = desk.is_blind().await;
    assert!(
        matches!(&blind, Some(Sign::Blind(text)) if text.contains("the watchdog prod was last heard")),
        "{blind:?}"
    );
    let incident = desk.incident().await;
    assert_eq!((incident.severity.as_str(), incident.status), ("P0", IncidentStatus::Triggered));
    assert!(incident.next_escalation_at().is_some(), "it goes the way of every page");
    assert!(desk.told().iter().any(|told| told.starts_with("slack:#incidents")));
    minutes(&mut desk, 3, false).await;
    desk.incident().await;

    minutes(&mut desk, 1, true).await;
    assert_eq!(desk.incident().await.status, IncidentStatus::Resolved);
    assert!(desk.is_blind().await.is_none());
    // An end is no beat.
    let mut over = mk_beat(&desk);
    over.status = AlertStatus::Resolved;
    minutes(&mut desk, 4, false).await;
    desk.post(&[over]).await;
    minutes(&mut desk, 2, false).await;
    assert!(desk.is_blind().await.is_some());
}

#[tokio::test]
async fn a_fresh_start_listens_first_and_does_nothing_alone_meanwhile() {
    let mut desk = Desk::new().await;
    assert!(desk.is_blind().await.is_some(), "nobody has looked yet");
    desk.look().await;
    assert!(desk.is_blind().await.is_some(), "nobody knows yet whether alerting works");
    minutes(&mut desk, 4, false).await;
    assert!(!desk.has_incident().await);
    minutes(&mut desk, 2, false).await;
    assert_eq!(desk.incident().await.status, IncidentStatus::Triggered);
    // The next start finds it open, and neither opens a second one nor forgets to end it.
    desk.restart();
    minutes(&mut desk, 6, false).await;
    desk.restart();
    assert_eq!(desk.incident().await.status, IncidentStatus::Triggered);
    minutes(&mut desk, 1, true).await;
    assert_eq!(desk.incident().await.status, IncidentStatus::Resolved);
}

#[tokio::test]
async fn a_process_that_stood_still_and_a_clock_that_was_set_give_time_to_be_heard_again() {
    let mut desk = Desk::new().await;
    minutes(&mut desk, 3, true).await;
    for leap in [60, -120] {
        desk.leap(SignedDuration::from_mins(leap));
        desk.look().await;
        assert!(desk.is_blind().await.is_some(), "what was heard is from another time");
        minutes(&mut desk, 3, false).await;
        let none = desk.incidents().await;
        assert!(none.is_empty(), "nobody could be heard meanwhile after {leap} minutes: {none:?}");
        minutes(&mut desk, 1, true).await;
        assert!(desk.is_blind().await.is_none());
    }
    desk.leap(60 * MINUTE);
    minutes(&mut desk, 6, false).await;
    assert!(desk.has_incident().await);
}

#[tokio::test]
async fn a_beat_counts_from_when_it_came_and_not_from_when_it_is_taken_in() {
    let mut desk = Desk::new().await;
    minutes(&mut desk, 1, true).await;
    let came = desk.now();
    desk.leap(60 * MINUTE);
    // It was stored before an outage of ours, and is read after it.
    desk.post_late(&[mk_beat(&desk)], came).await;
    desk.look().await;
    assert!(desk.is_blind().await.is_some(), "it was heard an hour ago");
    desk.post(&[mk_beat(&desk)]).await;
    desk.look().await;
    assert!(desk.is_blind().await.is_none());
}
