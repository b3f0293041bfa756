//! What is gone from Alertmanager, and what was never told.

use crate::desk::{Desk, Script, mk_alert, mk_held};
use jiff::SignedDuration;
use smokejumper::domain::alert::{Alert, AlertStatus};
use smokejumper::domain::fingerprint::Fingerprint;
use smokejumper::domain::incident::IncidentStatus;
use smokejumper::domain::silence::Suppressed;
use smokejumper::engine::ports::HeldAlert;
use std::time::Duration;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const DAY: Duration = Duration::from_secs(86_400);

/// A desk where an alert fires, was told, and was seen in `a` and `b`.
async fn mk_confirmed() -> (Desk, Alert, HeldAlert) {
    let mut desk = Desk::new().await;
    let alert = mk_alert("api", desk.now());
    // Something always fires, such as a Watchdog, so that no Alertmanager is ever empty.
    let other = mk_held(&mk_alert("other", desk.now()));
    for peer in ["a", "b"] {
        desk.peer(peer, vec![mk_held(&alert), other.clone()]);
    }
    desk.post(std::slice::from_ref(&alert)).await;
    desk.round().await;
    (desk, alert, other)
}

async fn rounds(desk: &mut Desk, count: usize) {
    for _ in 0..count {
        desk.pass(MINUTE).await;
        desk.round().await;
    }
}

async fn is_open(desk: &Desk) -> bool {
    desk.incident().await.status != IncidentStatus::Resolved
}

#[tokio::test]
async fn an_alert_that_is_gone_twice_in_a_row_has_ended_and_the_timeline_says_how_we_know() {
    let (mut desk, _, other) = mk_confirmed().await;
    rounds(&mut desk, 5).await;
    assert!(is_open(&desk).await, "it fires there");
    for peer in ["a", "b"] {
        desk.peer(peer, vec![other.clone()]);
    }
    rounds(&mut desk, 1).await;
    assert!(is_open(&desk).await, "once is not enough");
    rounds(&mut desk, 1).await;
    assert!(!is_open(&desk).await);
    let line = desk.line("alert_gone").await.expect("a line");
    assert!(line.contains("Alertmanager does not hold it any more, and never said so"), "{line}");
    // What goes on is no news.
    rounds(&mut desk, 2).await;
    assert_eq!(desk.incident().await.episode, 0);
}

#[tokio::test]
async fn an_alert_that_one_peer_still_holds_or_that_comes_back_in_between_goes_on() {
    let (mut desk, alert, other) = mk_confirmed().await;
    desk.peer("a", vec![other.clone()]);
    rounds(&mut desk, 4).await;
    assert!(is_open(&desk).await, "b holds it");
    desk.peer("b", vec![other.clone()]);
    rounds(&mut desk, 1).await;
    desk.peer("b", vec![mk_held(&alert), other.clone()]);
    rounds(&mut desk, 1).await;
    desk.peer("b", vec![other.clone()]);
    rounds(&mut desk, 1).await;
    assert!(is_open(&desk).await, "the two rounds were not in a row");
    rounds(&mut desk, 1).await;
    assert!(!is_open(&desk).await);
}

#[tokio::test]
async fn whoever_does_not_answer_has_just_started_or_holds_nothing_says_nothing() {
    let (mut desk, _, other) = mk_confirmed().await;
    let down = Script { is_down: true, ..Script::default() };
    desk.script("a", down.clone());
    desk.script("b", down.clone());
    rounds(&mut desk, 4).await;
    assert!(is_open(&desk).await, "nobody answers");
    // A restart: nothing there at first, and then what Prometheus sends again, one after the other.
    let young = |seconds, alerts| Script { is_down: false, up_for: Duration::from_secs(seconds), alerts };
    desk.script("a", young(60, vec![]));
    rounds(&mut desk, 1).await;
    desk.script("a", young(120, vec![other.clone()]));
    rounds(&mut desk, 3).await;
    assert!(is_open(&desk).await, "it has just started");
    // Prometheus does not reach it, or reaches another one.
    desk.script("a", Script { up_for: DAY, ..Script::default() });
    rounds(&mut desk, 5).await;
    assert!(is_open(&desk).await, "it holds nothing, and did so for a short time only");
    rounds(&mut desk, 3).await;
    assert!(!is_open(&desk).await, "for long enough nothing fires at all");
}

#[tokio::test]
async fn one_peer_that_knows_is_enough_while_the_other_is_away() {
    let (mut desk, _, other) = mk_confirmed().await;
    desk.script("a", Script { is_down: true, ..Script::default() });
    desk.peer("b", vec![other]);
    rounds(&mut desk, 2).await;
    assert!(!is_open(&desk).await);
}

#[tokio::test]
async fn what_alertmanager_never_held_comes_from_elsewhere_and_is_left_alone() {
    let mut desk = Desk::new().await;
    desk.peer("a", vec![mk_held(&mk_alert("other", desk.now()))]);
    desk.post(&[mk_alert("api", desk.now())]).await;
    rounds(&mut desk, 5).await;
    assert!(is_open(&desk).await);
}

#[tokio::test]
async fn what_was_seen_there_is_known_after_a_restart_of_ours() {
    let (mut desk, _, other) = mk_confirmed().await;
    desk.restart();
    for peer in ["a", "b"] {
        desk.peer(peer, vec![other.clone()]);
    }
    rounds(&mut desk, 1).await;
    desk.restart();
    rounds(&mut desk, 1).await;
    assert!(is_open(&desk).await, "rounds of before do not count");
    rounds(&mut desk, 1).await;
    assert!(!is_open(&desk).await);
}

#[tokio::test]
async fn what_alertmanager_keeps_quiet_is_shown_and_changes_nothing_else() {
    let (mut desk, alert, other) = mk_confirmed().await;
    let quiet = HeldAlert { is_silenced: true, ..mk_held(&alert) };
    desk.peer("a", vec![quiet.clone(), other.clone()]);
    rounds(&mut desk, 1).await;
    let incident = desk.incident().await;
    assert_eq!(incident.suppressed, Some(Suppressed { silenced: 1, inhibited: 0 }));
    assert_eq!(incident.status, IncidentStatus::Triggered);
    assert!(incident.next_escalation_at().is_some(), "somebody else's silence stops no escalation");
    let line = desk.line("suppressed").await.expect("a line");
    assert_eq!(line, "Alertmanager keeps alerts quiet: 1 silenced of 1 that fire");
    let version = incident.version;
    rounds(&mut desk, 2).await;
    assert_eq!(desk.incident().await.version, version, "no news is not written");

    // Nobody is told of its end while the silence is in force: it is found.
    desk.restart();
    for peer in ["a", "b"] {
        desk.peer(peer, vec![other.clone()]);
    }
    rounds(&mut desk, 1).await;
    assert_eq!(desk.incident().await.suppressed, None);
    rounds(&mut desk, 1).await;
    assert!(!is_open(&desk).await);
}

#[tokio::test]
async fn alerts_that_were_never_told_are_counted_and_taken_in_where_that_is_wanted() {
    let mut desk = Desk::new().await;
    let alert = mk_alert("api", desk.now());
    let elsewhere =
        HeldAlert { receivers: vec!["team".to_owned()], ..mk_held(&mk_alert("team", desk.now())) };
    desk.peer("a", vec![mk_held(&alert), elsewhere]);
    rounds(&mut desk, 9).await;
    assert_eq!(desk.round().await.missed, 0, "Alertmanager waits for its group first");
    rounds(&mut desk, 1).await;
    let round = desk.round().await;
    assert_eq!((round.missed, round.taken_in), (1, 0));
    assert!(!desk.has_incident().await);

    desk.take_in_missed();
    assert_eq!(desk.round().await.taken_in, 1);
    assert_eq!(desk.incident().await.alerts.firing, 1);
    let line = desk.line("alert_found").await.expect("a line");
    assert!(line.contains("never told of HighErrorRate"), "{line}");
    assert_eq!(desk.round().await.missed, 0, "it is known now");
}

#[tokio::test]
async fn what_we_ended_ourselves_and_fires_again_unseen_is_taken_in_all_the_same() {
    ended_and_fires_again(|_| {}).await;
    // Also where nobody has said which receiver is ours: it was told to us before.
    ended_and_fires_again(Desk::without_receiver).await;
}

async fn ended_and_fires_again(prepare: fn(&mut Desk)) {
    let (mut desk, alert, other) = mk_confirmed().await;
    prepare(&mut desk);
    for peer in ["a", "b"] {
        desk.peer(peer, vec![other.clone()]);
    }
    rounds(&mut desk, 2).await;
    assert!(!is_open(&desk).await);
    // Its group has not changed for Alertmanager, which repeats after hours only.
    let again = Alert { status: AlertStatus::Firing, starts_at: desk.now() + MINUTE, ..alert };
    desk.peer("a", vec![mk_held(&again), other]);
    rounds(&mut desk, 13).await;
    assert!(is_open(&desk).await);
}

#[tokio::test]
async fn what_always_fires_is_not_missed() {
    let mut desk = Desk::new().await;
    desk.take_in_missed();
    let mut watchdog = mk_alert("prometheus", desk.now());
    watchdog.labels.insert("alertname".to_owned(), "Watchdog".to_owned());
    watchdog.fingerprint = Fingerprint::of_labels(&watchdog.labels);
    desk.peer("a", vec![mk_held(&watchdog)]);
    rounds(&mut desk, 13).await;
    let round = desk.round().await;
    assert_eq!((round.missed, round.taken_in), (0, 0), "its beats are told, and open nothing");
}
