//! The search for the next change: known hard days, and the same answer as walking minute by minute.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::{BUSINESS, at, mk_interval, mk_schedule};
use crate::schedule::{HORIZON_DAYS, Holiday, Schedule, ScheduleSpec, TimeInterval};

#[test]
fn changes_follow_one_another_over_a_weekend_and_a_shift_of_the_clock() {
    let schedule = mk_schedule(BUSINESS);
    let mut instant = at("2026-03-27T10:00:00Z");
    let mut changes = Vec::new();
    for _ in 0..4 {
        instant = schedule.next_change(instant).expect("a change");
        changes.push(instant.to_string());
    }
    assert_eq!(
        changes,
        ["2026-03-27T16:00:00Z", "2026-03-30T07:00:00Z", "2026-03-30T15:00:00Z", "2026-03-31T07:00:00Z"]
    );
    // From the Thursday before Good Friday to the Monday after.
    assert_eq!(schedule.next_change(at("2026-04-02T15:00:00Z")), Some(at("2026-04-06T07:00:00Z")));
}

#[test]
fn the_next_active_instant_is_now_or_the_next_beginning() {
    let schedule = mk_schedule(BUSINESS);
    let working = at("2026-03-30T09:12:13Z");
    assert_eq!(schedule.next_active(working), Some(working));
    assert_eq!(schedule.next_active(at("2026-03-28T09:12:13Z")), Some(at("2026-03-30T07:00:00Z")));
}

#[test]
fn a_change_is_after_the_instant_that_is_asked_about() {
    let interval = mk_interval("times: [{ start_time: '09:00', end_time: '10:00' }]");
    assert_eq!(interval.next_change(at("2026-01-01T09:00:00Z")), Some(at("2026-01-01T10:00:00Z")));
    assert_eq!(interval.next_change(at("2026-01-01T10:00:00Z")), Some(at("2026-01-02T09:00:00Z")));
    assert_eq!(interval.next_change(at("2026-01-01T08:59:59.999999999Z")), Some(at("2026-01-01T09:00:00Z")));
}

/// Each line: an interval, an instant, and what follows it.
#[test]
fn hard_days_are_met_exactly() {
    for (yaml, from, expected) in [
        // The hour between 02:00 and 03:00 does not exist: the range is skipped that day.
        (
            "{ times: [{ start_time: '02:10', end_time: '02:50' }], location: Europe/Berlin }",
            "2026-03-29T00:00:00Z",
            "2026-03-30T00:10:00Z",
        ),
        // A range that begins in the missing hour begins when the clock jumps past it.
        (
            "{ times: [{ start_time: '02:30', end_time: '04:00' }], location: Europe/Berlin }",
            "2026-03-29T00:00:00Z",
            "2026-03-29T01:00:00Z",
        ),
        // The hour exists twice: the range ends, and begins again.
        (
            "{ times: [{ start_time: '02:10', end_time: '02:50' }], location: Europe/Berlin }",
            "2026-10-25T00:20:00Z",
            "2026-10-25T00:50:00Z",
        ),
        (
            "{ times: [{ start_time: '02:10', end_time: '02:50' }], location: Europe/Berlin }",
            "2026-10-25T00:50:00Z",
            "2026-10-25T01:10:00Z",
        ),
        // The clock is set back into the range, whose minutes before the jump were already over.
        (
            "{ times: [{ start_time: '01:00', end_time: '02:30' }], location: Europe/Berlin }",
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:00:00Z",
        ),
        // Lord Howe moves by half an hour: 02:00 becomes 02:30, and 02:00 becomes 01:30.
        (
            "{ times: [{ start_time: '02:10', end_time: '03:00' }], location: Australia/Lord_Howe }",
            "2026-10-03T12:00:00Z",
            "2026-10-03T15:30:00Z",
        ),
        (
            "{ times: [{ start_time: '01:40', end_time: '01:50' }], location: Australia/Lord_Howe }",
            "2026-04-04T14:50:00Z",
            "2026-04-04T15:10:00Z",
        ),
        // Midnight does not exist in Santiago's spring, and Apia lost a whole Friday.
        (
            "{ weekdays: [sunday], location: America/Santiago }",
            "2026-09-06T03:00:00Z",
            "2026-09-06T04:00:00Z",
        ),
        ("{ weekdays: [friday], location: Pacific/Apia }", "2011-12-29T12:00:00Z", "2012-01-05T10:00:00Z"),
        // At one past midnight St. John's went back to the day before.
        (
            "{ weekdays: [sunday], location: America/St_Johns }",
            "2010-11-07T02:00:00Z",
            "2010-11-07T02:30:00Z",
        ),
        (
            "{ weekdays: [sunday], location: America/St_Johns }",
            "2010-11-07T02:30:00Z",
            "2010-11-07T02:31:00Z",
        ),
        (
            "{ weekdays: [sunday], location: America/St_Johns }",
            "2010-11-07T02:31:00Z",
            "2010-11-07T03:30:00Z",
        ),
        // The last of February, in a leap year and not.
        ("{ days_of_month: [-1], months: [2] }", "2028-02-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("{ days_of_month: [29], months: [2] }", "2027-02-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("{ days_of_month: [-1], months: [2] }", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"),
        ("{ years: [2027] }", "2026-06-01T00:00:00Z", "2027-01-01T00:00:00Z"),
    ] {
        let interval = mk_interval(yaml);
        assert_eq!(interval.next_change(at(from)), Some(at(expected)), "{yaml} after {from}");
    }
}

#[test]
fn what_never_changes_or_is_too_far_away_is_none() {
    for yaml in
        ["{}", "{ days_of_month: [30], months: [february] }", "{ years: ['2040'] }", "{ years: ['2000'] }"]
    {
        assert_eq!(mk_interval(yaml).next_change(at("2026-01-01T00:00:00Z")), None, "{yaml}");
    }
    let yearly = mk_interval(
        "{ days_of_month: [1], months: [january], times: [{ start_time: '00:00', end_time: '00:01' }] }",
    );
    let start = at("2026-01-01T00:01:00Z");
    assert_eq!(yearly.next_change(start), Some(at("2027-01-01T00:00:00Z")));
    let horizon = SignedDuration::from_hours(24 * i64::from(HORIZON_DAYS));
    let leap = mk_interval("{ days_of_month: [29], months: [february] }");
    let leap_day = at("2028-02-29T00:00:00Z");
    assert_eq!(leap.next_change(leap_day - horizon), Some(leap_day));
    assert_eq!(leap.next_change(leap_day - horizon - SignedDuration::from_secs(1)), None);
}

#[test]
fn the_ends_of_time_are_no_trouble() {
    let interval = mk_interval(
        "{ weekdays: [monday], times: [{ start_time: '01:00', end_time: '24:00' }], location: Europe/Berlin }",
    );
    for instant in [Timestamp::MIN, Timestamp::MAX, Timestamp::MAX - SignedDuration::from_hours(30)] {
        let _ = interval.next_change(instant);
        let _ = interval.contains(instant);
    }
}

/// Zones with jumps of an hour, of half an hour, at midnight, of a day, and with none.
const ZONES: [&str; 9] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "Pacific/Apia",
];

/// Days just before the clocks are changed somewhere, and ordinary ones.
const DAYS: [&str; 10] = [
    "2026-03-28",
    "2026-10-24",
    "2026-03-07",
    "2026-11-01",
    "2026-10-03",
    "2026-04-04",
    "2026-09-05",
    "2011-12-29",
    "2028-02-28",
    "2026-12-31",
];

fn any_interval() -> impl Strategy<Value = TimeInterval> {
    let times = prop::collection::vec((0..95_u16, 1..96_u16), 0..3);
    let weekdays = prop::option::of((0..7_usize, 0..7_usize));
    let days = prop::option::of(prop::sample::select(vec!["1:15", "-2:-1", "28:31", "1", "2:-2"]));
    let months = prop::option::of(prop::sample::select(vec!["march", "3:4", "october:december", "1"]));
    (times, weekdays, days, months, prop::option::of(prop::sample::select(ZONES.to_vec()))).prop_map(
        |(times, weekdays, days, months, zone)| {
            let names = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
            let mut yaml = serde_json::Map::new();
            let times: Vec<_> = times
                .into_iter()
                .map(|(start, end)| (start.min(end), start.max(end) + u16::from(start == end)))
                .map(|(start, end)| {
                    let print = |quarter: u16| format!("{:02}:{:02}", quarter / 4, quarter % 4 * 15);
                    serde_json::json!({ "start_time": print(start), "end_time": print(end) })
                })
                .collect();
            if !times.is_empty() {
                yaml.insert("times".to_owned(), times.into());
            }
            if let Some((one, other)) = weekdays {
                let range = format!("{}:{}", names[one.min(other)], names[one.max(other)]);
                yaml.insert("weekdays".to_owned(), vec![range].into());
            }
            for (key, range) in [("days_of_month", days), ("months", months)] {
                if let Some(range) = range {
                    yaml.insert(key.to_owned(), vec![range].into());
                }
            }
            if let Some(zone) = zone {
                yaml.insert("location".to_owned(), zone.into());
            }
            serde_json::from_value(yaml.into()).expect("an interval")
        },
    )
}

fn any_schedule() -> impl Strategy<Value = Schedule> {
    let holidays = prop::collection::vec(
        prop_oneof![
            prop::sample::select(DAYS.to_vec()).prop_map(|day| Holiday::Date(day.parse().expect("a date"))),
            any_interval().prop_map(Holiday::Interval),
        ],
        0..2,
    );
    (prop::collection::vec(any_interval(), 1..3), holidays, prop::sample::select(ZONES.to_vec())).prop_map(
        |(time_intervals, holidays, zone)| Schedule {
            on_call: None,
            name: "any".to_owned(),
            spec: ScheduleSpec { time_intervals, holidays, location: zone.parse().expect("a zone") },
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn the_search_agrees_with_walking_minute_by_minute(
        schedule in any_schedule(),
        day in prop::sample::select(DAYS.to_vec()),
        offset_seconds in 0..86_400_i64,
    ) {
        let start = at(&format!("{day}T00:00:00Z")) + SignedDuration::from_secs(offset_seconds);
        let before = schedule.is_active(start);
        let first_minute = start.as_second().div_euclid(60) * 60 + 60;
        let walked = (0..3 * 24 * 60)
            .map(|minute| Timestamp::from_second(first_minute + minute * 60).expect("in range"))
            .find(|instant| schedule.is_active(*instant) != before);
        let end = Timestamp::from_second(first_minute + 3 * 24 * 3600).expect("in range");
        let found = schedule.next_change(start);
        match walked {
            Some(instant) => prop_assert_eq!(found, Some(instant)),
            None => prop_assert!(found.is_none_or(|instant| instant >= end), "{:?}", found),
        }
    }
}
