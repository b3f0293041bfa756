//! People say that it is over while alerts still fire.

use crate::desk::{Desk, Script, mk_alert, mk_held};
use jiff::SignedDuration;
use smokejumper::domain::alert::{Alert, AlertStatus};
use smokejumper::domain::fingerprint::Fingerprint;
use smokejumper::domain::incident::IncidentStatus;
use smokejumper::domain::people::{Actor, Role, Via};
use std::time::Duration;

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

fn una() -> Actor {
    Actor { name: "una".to_owned(), via: Via::Api, role: Role::Responder }
}

/// An incident whose alert fires, and that una has just resolved.
async fn mk_resolved() -> (Desk, Alert) {
    let desk = Desk::new().await;
    let alert = mk_alert("api", desk.now());
    desk.post(std::slice::from_ref(&alert)).await;
    resolve(&desk).await;
    (desk, alert)
}

async fn resolve(desk: &Desk) {
    let id = desk.incident().await.id;
    desk.commands.resolve(id, una(), None).await.expect("resolved");
    desk.settle().await;
    desk.told();
}

fn ended(alert: &Alert, desk: &Desk) -> Alert {
    Alert { status: AlertStatus::Resolved, ends_at: Some(desk.now()), ..alert.clone() }
}

#[tokio::test]
async fn what_still_fires_an_hour_after_a_persons_word_is_opened_again_and_people_are_called() {
    let (desk, _) = mk_resolved().await;
    desk.pass(HOUR - MINUTE).await;
    assert_eq!(desk.incident().await.status, IncidentStatus::Resolved);
    assert!(desk.told().is_empty(), "their word holds");
    desk.pass(2 * MINUTE).await;
    let incident = desk.incident().await;
    assert_eq!((incident.status, incident.episode), (IncidentStatus::Triggered, 1));
    let why = desk.line("reopened").await.expect("a line");
    assert!(why.contains("HighErrorRate fires still, though una resolved it at"), "{why}");
    let told = desk.told();
    assert!(told.iter().any(|told| told.starts_with("slack:#incidents Not acknowledged yet")), "{told:?}");
    // The whole path begins again, and it is looked once.
    desk.pass(15 * MINUTE).await;
    assert!(desk.told().iter().any(|told| told.starts_with("slack:#leads")));
    desk.pass(3 * HOUR).await;
    assert_eq!(desk.incident().await.episode, 1);
}

#[tokio::test]
async fn what_ended_within_the_hour_stays_resolved() {
    let (desk, alert) = mk_resolved().await;
    desk.pass(20 * MINUTE).await;
    desk.post(&[ended(&alert, &desk)]).await;
    assert_eq!(desk.incident().await.wakes, [], "nothing is left to look at");
    desk.pass(2 * HOUR).await;
    assert_eq!(desk.incident().await.status, IncidentStatus::Resolved);
}

#[tokio::test]
async fn what_alertmanager_does_not_hold_any_more_stays_resolved() {
    let (desk, alert) = mk_resolved().await;
    let other = mk_held(&mk_alert("web", desk.now()));
    desk.peer("one", vec![other.clone()]);
    desk.pass(2 * HOUR).await;
    assert_eq!(desk.incident().await.status, IncidentStatus::Resolved);
    // One that holds it, one that does not answer, and one that holds nothing at all say nothing of the kind.
    let down = Script { is_down: true, ..Script::default() };
    let new = Script { up_for: Duration::from_secs(1), ..Script::default() };
    let holding = Script { alerts: vec![mk_held(&alert), other.clone()], ..Script::default() };
    for script in [down, new, holding] {
        let (desk, _) = mk_resolved().await;
        let is_new = script.alerts.is_empty() && !script.is_down;
        desk.script("one", script);
        if !is_new {
            desk.peer("two", vec![other.clone()]);
        }
        desk.pass(HOUR + MINUTE).await;
        assert_eq!(desk.incident().await.status, IncidentStatus::Triggered);
    }
}

#[tokio::test]
async fn what_alertmanager_keeps_quiet_waits_until_it_does_not() {
    let (desk, alert) = mk_resolved().await;
    let mut held = mk_held(&alert);
    held.is_silenced = true;
    desk.peer("one", vec![held.clone()]);
    desk.pass(5 * HOUR).await;
    assert_eq!(desk.incident().await.status, IncidentStatus::Resolved);
    held.is_silenced = false;
    desk.peer("one", vec![held]);
    desk.pass(31 * MINUTE).await;
    assert_eq!(desk.incident().await.status, IncidentStatus::Triggered);
}

#[tokio::test]
async fn a_silence_of_ours_that_outlives_the_incident_is_waited_for_unless_it_is_lifted() {
    for lifted_after in [None, Some(2 * HOUR)] {
        let desk = Desk::new().await;
        desk.post(&[mk_alert("api", desk.now())]).await;
        let id = desk.incident().await.id;
        desk.commands.silence(id.clone(), una(), Some(4 * HOUR), None).await.expect("silenced");
        desk.settle().await;
        resolve(&desk).await;
        desk.pass(lifted_after.unwrap_or(4 * HOUR - MINUTE)).await;
        assert_eq!(desk.incident().await.status, IncidentStatus::Resolved);
        if lifted_after.is_some() {
            desk.commands.unsilence(id, una(), None).await.expect("lifted");
        }
        desk.pass(2 * MINUTE).await;
        assert_eq!(desk.incident().await.status, IncidentStatus::Triggered);
    }
}

#[tokio::test]
async fn where_the_trouble_has_a_new_incident_what_fires_still_joins_it() {
    let (desk, _) = mk_resolved().await;
    desk.pass(50 * MINUTE).await;
    let mut later = mk_alert("api", desk.now());
    later.labels.insert("pod".to_owned(), "api-2".to_owned());
    later.fingerprint = Fingerprint::of_labels(&later.labels);
    desk.post(&[later]).await;
    desk.pass(HOUR).await;
    let mut all: Vec<_> = desk.incidents().await;
    all.sort_by_key(|incident| incident.started_at);
    let seen: Vec<_> = all.iter().map(|incident| (incident.status, incident.alerts.firing)).collect();
    assert_eq!(seen, [(IncidentStatus::Resolved, 0), (IncidentStatus::Triggered, 2)]);
}
