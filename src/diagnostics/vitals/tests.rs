//! Signs, from real answers of stand-ins on loopback.

use super::*;

fn values(values: &[f64]) -> Result<Vec<f64>, String> {
    Ok(values.to_vec())
}

#[test]
fn a_share_of_targets_that_are_down_is_widespread_from_three_on() {
    for (down, targets, is_widespread) in
        [(0.0, 10.0, false), (2.0, 3.0, false), (3.0, 10.0, true), (3.0, 11.0, false), (5.0, 5.0, true)]
    {
        let sign = targets_sign(values(&[down]), values(&[targets]), 30);
        assert_eq!(matches!(sign, Sign::Widespread(_)), is_widespread, "{down} of {targets}: {sign:?}");
    }
    let never = targets_sign(values(&[9.0]), values(&[9.0]), 0);
    assert!(matches!(never, Sign::Good(_)), "0 switches it off");
}

#[test]
fn what_does_not_answer_or_answers_with_nothing_is_blind() {
    let why = || Err("connection refused".to_owned());
    for (down, targets) in [(why(), values(&[1.0])), (values(&[0.0]), why()), (values(&[]), values(&[]))] {
        assert!(matches!(targets_sign(down, targets, 30), Sign::Blind(_)));
    }
    assert!(matches!(watchdog_sign(values(&[])), Sign::Blind(_)));
    assert!(matches!(watchdog_sign(why()), Sign::Blind(_)));
    assert!(matches!(watchdog_sign(values(&[1.0])), Sign::Good(_)));
}

#[test]
fn a_prometheus_without_targets_is_blind() {
    for percent in [0, 30] {
        let sign = targets_sign(values(&[0.0]), values(&[0.0]), percent);
        assert_eq!(sign, Sign::Blind("Prometheus scrapes no targets".to_owned()));
    }
}

#[test]
fn a_clock_that_was_set_is_mistrusted_for_two_minutes() {
    let now: Timestamp = "2026-03-02T03:00:00Z".parse().expect("a time");
    let last = LastJump::default();
    assert_eq!(clock_sign(&last, now), None);
    last.note(now);
    assert!(matches!(clock_sign(&last, now + SignedDuration::from_secs(119)), Some(Sign::Blind(_))));
    assert_eq!(clock_sign(&last, now + SignedDuration::from_secs(120)), None);
}
