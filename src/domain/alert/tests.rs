//! What a telling of an alert means.

use super::*;
use proptest::prelude::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).expect("in range")
}

fn mk_alert(status: AlertStatus, starts_at: Timestamp, ends_at: Option<Timestamp>) -> Alert {
    let labels = Labels::from([("alertname".to_owned(), "Up".to_owned())]);
    Alert {
        fingerprint: Fingerprint::of_labels(&labels),
        status,
        labels,
        annotations: Labels::new(),
        starts_at,
        ends_at,
        generator_url: None,
    }
}

fn firing(starts_at: i64) -> Alert {
    mk_alert(AlertStatus::Firing, at(starts_at), None)
}

fn resolved(starts_at: i64, ends_at: i64) -> Alert {
    mk_alert(AlertStatus::Resolved, at(starts_at), Some(at(ends_at)))
}

/// Tells a history in order, one second apart; returns what each telling meant.
fn tell(history: &[Alert], begin: i64) -> (Vec<Observation>, Option<AlertRecord>) {
    let mut known = None;
    let mut meanings = Vec::new();
    for (alert, second) in history.iter().zip(begin..) {
        let observation = observe(known.as_ref(), alert, at(second));
        if let Some(record) = remember(known.as_ref(), alert, observation, at(second)) {
            known = Some(record);
        }
        meanings.push(observation);
    }
    (meanings, known)
}

#[test]
fn an_episode_is_started_repeated_and_ended_once() {
    let history = [firing(0), firing(0), resolved(0, 60), resolved(0, 60)];
    let (meanings, _) = tell(&history, 100);
    use Observation::*;
    assert_eq!(meanings, [Started, Repeated, Ended, AlreadyEnded]);
}

#[test]
fn a_resolve_that_arrives_first_leaves_a_tombstone_against_its_late_firing() {
    let (meanings, known) = tell(&[resolved(0, 60), firing(0)], 61);
    assert_eq!(meanings, [Observation::AlreadyEnded, Observation::LateFiring]);
    assert_eq!(known.map(|record| record.status), Some(AlertStatus::Resolved));
}

#[test]
fn a_new_episode_starts_whatever_the_tombstone_says() {
    let (meanings, _) = tell(&[firing(0), resolved(0, 60), firing(61)], 60);
    assert_eq!(meanings[2], Observation::Started);
}

#[test]
fn an_alert_that_comes_back_with_its_old_start_pages_once_the_window_is_over() {
    let known = AlertRecord {
        status: AlertStatus::Resolved,
        starts_at: at(0),
        ends_at: Some(at(600)),
        updated_at: at(600),
    };
    let window = LATE_FIRING_WINDOW.as_secs();
    assert_eq!(observe(Some(&known), &firing(0), at(600 + window - 1)), Observation::LateFiring);
    assert_eq!(observe(Some(&known), &firing(0), at(600 + window)), Observation::Started);
}

#[test]
fn the_end_of_an_earlier_episode_does_not_end_the_one_that_fires() {
    let (meanings, known) = tell(&[firing(100), resolved(0, 60)], 101);
    assert_eq!(meanings[1], Observation::AlreadyEnded);
    assert_eq!(known.map(|record| record.status), Some(AlertStatus::Firing));
}

#[test]
fn a_clock_that_was_set_back_hides_neither_a_new_firing_nor_an_end() {
    let day = 86_400;
    let ended_tomorrow = AlertRecord {
        status: AlertStatus::Resolved,
        starts_at: at(day - 60),
        ends_at: Some(at(day)),
        updated_at: at(day),
    };
    assert_eq!(observe(Some(&ended_tomorrow), &firing(5), at(10)), Observation::Started);
    let a_moment_ago = AlertRecord { updated_at: at(20), ends_at: Some(at(20)), ..ended_tomorrow };
    assert_eq!(observe(Some(&a_moment_ago), &firing(5), at(10)), Observation::LateFiring);
    let firing_since_tomorrow =
        AlertRecord { status: AlertStatus::Firing, starts_at: at(day), ends_at: None, updated_at: at(day) };
    assert_eq!(observe(Some(&firing_since_tomorrow), &resolved(5, 9), at(10)), Observation::Ended);
}

proptest! {
    /// One episode, told in any order with any duplicates within the window, ends resolved whenever its end was told.
    #[test]
    fn any_order_of_one_episode_ends_in_the_same_state(order in proptest::collection::vec(any::<bool>(), 1..8)) {
        let history: Vec<Alert> =
            order.iter().map(|ended| if *ended { resolved(0, 60) } else { firing(0) }).collect();
        let (_, known) = tell(&history, 61);
        let expected = if order.contains(&true) { AlertStatus::Resolved } else { AlertStatus::Firing };
        prop_assert_eq!(known.map(|record| record.status), Some(expected));
    }
}
