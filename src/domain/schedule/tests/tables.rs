//! Alertmanager's own test tables.

use std::marker::PhantomData;

use jiff::Timestamp;
use serde_json::Value;

use super::mk_interval;
use crate::schedule::range::{Field, Range};
use crate::schedule::{TimeInterval, TimeRange};
use crate::vectors::{load, rows, text};

const FILE: &str = "alertmanager_time_intervals.json";

/// RFC 822 with a numeric zone.
fn instant(written: &Value) -> Timestamp {
    let written = written.as_str().expect("a time");
    Timestamp::strptime("%d %b %y %H:%M %z", written).unwrap_or_else(|error| panic!("{written}: {error}"))
}

fn ranges<F: Field>(interval: &Value, key: &str) -> Vec<Range<F>> {
    let bound = |pair: &Value, at: usize| -> i16 {
        pair[at].as_i64().and_then(|number| number.try_into().ok()).expect("a small number")
    };
    let pairs = interval.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    pairs
        .iter()
        .map(|pair| Range { begin: bound(pair, 0), end: bound(pair, 1), field: PhantomData })
        .collect()
}

fn minute(range: &Value, key: &str) -> u16 {
    range[key].as_u64().and_then(|number| number.try_into().ok()).expect("a minute of the day")
}

/// Builds an interval from numbers, past the checks of the text form, as Alertmanager's test does.
fn interval(row: &Value) -> TimeInterval {
    let times = row.get("times").and_then(Value::as_array).cloned().unwrap_or_default();
    TimeInterval {
        times: times
            .iter()
            .map(|range| {
                TimeRange::new(minute(range, "start_minute"), minute(range, "end_minute")).expect("a range")
            })
            .collect(),
        weekdays: ranges(row, "weekdays"),
        days_of_month: ranges(row, "days_of_month"),
        months: ranges(row, "months"),
        years: ranges(row, "years"),
        location: row.get("location").map(|name| name.as_str().expect("a name").parse().expect("a zone")),
    }
}

fn check(interval: &TimeInterval, row: &Value, inside: &str, outside: &str) -> usize {
    for (key, expected) in [(inside, true), (outside, false)] {
        for written in rows(row, key) {
            assert_eq!(interval.contains(instant(written)), expected, "{written} of {row}");
        }
    }
    rows(row, inside).len() + rows(row, outside).len()
}

#[test]
fn instants_agree_with_alertmanager() {
    let Some(tables) = load(FILE) else { return };
    let cases = rows(&tables, "contains_time");
    assert_eq!(cases.len(), 8);
    let checked: usize =
        cases.iter().map(|row| check(&interval(&row["interval"]), row, "valid", "invalid")).sum();
    assert_eq!(checked, 40);
}

#[test]
fn time_ranges_agree_with_alertmanager() {
    let Some(tables) = load(FILE) else { return };
    let cases = rows(&tables, "time_range_parse");
    assert_eq!(cases.len(), 8);
    for row in cases {
        let read = serde_saphyr::from_str::<TimeRange>(text(row, "yaml"));
        match (read, row["expect_error"].as_bool().expect("a flag")) {
            (Ok(range), false) => {
                assert_eq!(
                    (range.start, range.end),
                    (minute(row, "start_minute"), minute(row, "end_minute")),
                    "{row}"
                );
            }
            (Err(_), true) => {}
            (read, _) => panic!("{row} is {read:?}"),
        }
    }
}

#[test]
fn yaml_agrees_with_alertmanager() {
    let Some(tables) = load(FILE) else { return };
    let cases = rows(&tables, "yaml");
    assert_eq!(cases.len(), 21);
    for row in cases {
        let read = serde_saphyr::from_str::<Vec<TimeInterval>>(text(row, "yaml"));
        match (read, row["expect_error"].as_bool().expect("a flag")) {
            (Ok(intervals), false) => {
                let [interval] = intervals.as_slice() else { panic!("{row}") };
                check(interval, row, "contains", "excludes");
            }
            (Err(_), true) => {}
            (read, _) => panic!("{row} is {read:?}"),
        }
    }
}

#[test]
fn complete_intervals_agree_with_alertmanager() {
    let Some(tables) = load(FILE) else { return };
    let cases = rows(&tables, "complete");
    assert_eq!(cases.len(), 2);
    for row in cases {
        let checked = check(&mk_interval(text(row, "yaml")), row, "contains", "excludes");
        assert!(checked > 0, "{row}");
    }
}
