//! Who is on call: hand-overs on ordinary and on hard days, layers, overrides, gaps.

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::{at, mk_interval};
use crate::schedule::{
    Gap, OnCall, Override, Rotation, Schedule, ScheduleSpec, TimeInterval, Zone, duties, instant_of,
};

const BERLIN: &str = "Europe/Berlin";
const NEW_YORK: &str = "America/New_York";

fn zone(name: &str) -> Zone {
    name.parse().expect("a zone")
}

fn mk_rotation(people: &[&str], start: &str, turn_hours: i64) -> Rotation {
    Rotation {
        name: people.join("-"),
        people: people.iter().map(|name| (*name).to_owned()).collect(),
        start: start.parse().expect("a local time"),
        turn: SignedDuration::from_hours(turn_hours),
        time_intervals: Vec::new(),
        location: zone(BERLIN),
    }
}

fn mk_schedule(rotations: Vec<Rotation>) -> Schedule {
    let spec = ScheduleSpec {
        time_intervals: vec![TimeInterval::default()],
        holidays: Vec::new(),
        location: zone(BERLIN),
    };
    Schedule { name: "pss-nano".to_owned(), spec, on_call: Some(OnCall { rotations, ..OnCall::default() }) }
}

fn who<'s>(schedule: &'s Schedule, instant: &str) -> &'s str {
    schedule.on_call_at(at(instant)).map_or("nobody", |turn| turn.person)
}

/// A week from Monday to Monday at 09:00.
fn mk_weekly() -> Schedule {
    mk_schedule(vec![mk_rotation(&["una", "ben", "eva"], "2026-03-16T09:00", 7 * 24)])
}

#[test]
fn a_weekly_hand_over_stays_at_its_local_time_over_summer_and_winter() {
    let schedule = mk_weekly();
    for (instant, person) in [
        ("2026-03-16T07:59:59Z", "nobody"),
        ("2026-03-16T08:00:00Z", "una"),
        ("2026-03-23T07:59:59Z", "una"),
        ("2026-03-23T08:00:00Z", "ben"),
        // The clock was set forward on Sunday: 09:00 is an hour earlier in UTC, and ben's week an hour shorter.
        ("2026-03-30T06:59:59Z", "ben"),
        ("2026-03-30T07:00:00Z", "eva"),
        ("2026-04-06T07:00:00Z", "una"),
        // And back again in October.
        ("2026-10-26T07:59:59Z", "ben"),
        ("2026-10-26T08:00:00Z", "eva"),
    ] {
        assert_eq!(who(&schedule, instant), person, "{instant}");
    }
}

#[test]
fn a_leap_day_is_a_turn_like_any_other() {
    let schedule = mk_schedule(vec![mk_rotation(&["una", "ben"], "2028-02-27T09:00", 24)]);
    for (instant, person) in [
        ("2028-02-28T08:00:00Z", "ben"),
        ("2028-02-29T07:59:59Z", "ben"),
        ("2028-02-29T08:00:00Z", "una"),
        ("2028-03-01T08:00:00Z", "ben"),
    ] {
        assert_eq!(who(&schedule, instant), person, "{instant}");
    }
}

#[test]
fn a_hand_over_in_the_hour_that_is_missing_happens_when_the_clock_jumps() {
    let schedule = mk_schedule(vec![mk_rotation(&["una", "ben"], "2026-03-28T02:30", 24)]);
    assert_eq!(who(&schedule, "2026-03-29T00:59:59Z"), "una");
    assert_eq!(who(&schedule, "2026-03-29T01:00:00Z"), "ben");
    assert_eq!(schedule.next_hand_over(at("2026-03-28T12:00:00Z")), Some(at("2026-03-29T01:00:00Z")));
    // On the day after it is at its own time again.
    assert_eq!(schedule.next_hand_over(at("2026-03-29T01:00:00Z")), Some(at("2026-03-30T00:30:00Z")));
}

#[test]
fn a_hand_over_in_the_hour_that_comes_twice_happens_the_first_time_and_once() {
    let schedule = mk_schedule(vec![mk_rotation(&["una", "ben"], "2026-10-24T02:30", 24)]);
    for (instant, person) in [
        ("2026-10-25T00:29:59Z", "una"),
        ("2026-10-25T00:30:00Z", "ben"),
        // 02:10 and 02:40 by the clock for the second time.
        ("2026-10-25T01:10:00Z", "ben"),
        ("2026-10-25T01:40:00Z", "ben"),
        ("2026-10-26T01:29:59Z", "ben"),
        ("2026-10-26T01:30:00Z", "una"),
    ] {
        assert_eq!(who(&schedule, instant), person, "{instant}");
    }
}

#[test]
fn turns_of_any_length_follow_one_another() {
    // Half days, and 36 hours, whose hand-overs come at two times of the day.
    let half_days = mk_schedule(vec![mk_rotation(&["una", "ben"], "2026-01-05T08:00", 12)]);
    assert_eq!(who(&half_days, "2026-01-05T18:59:59Z"), "una");
    assert_eq!(who(&half_days, "2026-01-05T19:00:00Z"), "ben");
    let odd = mk_schedule(vec![mk_rotation(&["una", "ben", "eva"], "2026-01-05T08:00", 36)]);
    let mut instant = at("2026-01-05T07:00:00Z");
    let mut turns = Vec::new();
    for _ in 0..4 {
        turns.push(format!("{} {instant}", who(&odd, &instant.to_string())));
        instant = odd.next_hand_over(instant).expect("a hand-over");
    }
    assert_eq!(
        turns,
        [
            "una 2026-01-05T07:00:00Z",
            "ben 2026-01-06T19:00:00Z",
            "eva 2026-01-08T07:00:00Z",
            "una 2026-01-09T19:00:00Z"
        ]
    );
}

#[test]
fn later_rotations_lie_over_earlier_ones_within_their_hours() {
    let day =
        TimeInterval { location: None, ..mk_interval("times: [{ start_time: '08:00', end_time: '18:00' }]") };
    let over = Rotation { time_intervals: vec![day], ..mk_rotation(&["ida"], "2026-01-06T00:00", 24) };
    let schedule = mk_schedule(vec![mk_rotation(&["una"], "2026-01-05T00:00", 24), over]);
    for (instant, person) in [
        ("2026-01-05T10:00:00Z", "una"),
        ("2026-01-06T06:59:59Z", "una"),
        ("2026-01-06T07:00:00Z", "ida"),
        ("2026-01-06T16:59:59Z", "ida"),
        ("2026-01-06T17:00:00Z", "una"),
    ] {
        assert_eq!(who(&schedule, instant), person, "{instant}");
    }
}

#[test]
fn an_override_wins_over_everything_and_the_last_one_wins_over_the_others() {
    let mut schedule = mk_weekly();
    schedule.spec.time_intervals = vec![mk_interval("weekdays: ['monday:friday']")];
    let entry =
        |person: &str, from, until| Override { person: person.to_owned(), from: at(from), until: at(until) };
    if let Some(on_call) = &mut schedule.on_call {
        on_call.overrides = vec![
            entry("ida", "2026-03-17T12:00:00Z", "2026-03-22T12:00:00Z"),
            entry("tom", "2026-03-18T00:00:00Z", "2026-03-19T00:00:00Z"),
        ];
    }
    for (instant, person) in [
        ("2026-03-17T11:59:59Z", "una"),
        ("2026-03-17T12:00:00Z", "ida"),
        ("2026-03-18T00:00:00Z", "tom"),
        ("2026-03-19T00:00:00Z", "ida"),
        // A Sunday, on which the schedule itself is not active.
        ("2026-03-22T11:59:59Z", "ida"),
        ("2026-03-22T12:00:00Z", "nobody"),
    ] {
        assert_eq!(who(&schedule, instant), person, "{instant}");
    }
    let duty = schedule.duty_at(at("2026-03-17T12:00:00Z"));
    assert_eq!(duty.now.map(|turn| (turn.person, turn.rotation)), Some(("ida", None)));
    assert_eq!(duty.until, Some(at("2026-03-18T00:00:00Z")));
    assert_eq!(duty.next.map(|turn| turn.person), Some("tom"));
}

#[test]
fn one_person_alone_is_never_handed_over() {
    let schedule = mk_schedule(vec![mk_rotation(&["una"], "2026-01-05T09:00", 24)]);
    let duty = schedule.duty_at(at("2026-06-01T00:00:00Z"));
    assert_eq!((duty.now.map(|turn| turn.person), duty.until, duty.next), (Some("una"), None, None));
    assert!(schedule.gaps().is_empty());
}

/// Berlin and New York change their clocks on different weekends, so two halves of the day that fit in winter leave an
/// hour open in March.
#[test]
fn gaps_between_rotations_are_found_where_the_clocks_differ() {
    let half = |name: &str, zone_name: &str, start: &str, end: &str| Rotation {
        time_intervals: vec![mk_interval(&format!(
            "{{ times: [{{ start_time: '{start}', end_time: '{end}' }}], location: {zone_name} }}"
        ))],
        ..mk_rotation(&[name], "2026-01-05T00:00", 24)
    };
    let early = half("una", BERLIN, "08:00", "18:00");
    let late = half("ben", NEW_YORK, "12:00", "24:00");
    let rest = half("eva", NEW_YORK, "00:00", "02:00");
    let gaps = mk_schedule(vec![early.clone(), late.clone(), rest]).gaps();
    // For three weeks of March, eva's 02:00 in New York is 07:00 in Berlin: an hour before una begins.
    let first = Gap { from: at("2026-03-09T06:00:00Z"), until: Some(at("2026-03-09T07:00:00Z")) };
    assert_eq!(gaps.first(), Some(&first));
    assert!(gaps.len() > 20, "{}", gaps.len());
    let below = mk_rotation(&["ida"], "2026-01-05T00:00", 24);
    assert!(mk_schedule(vec![below, early, late]).gaps().is_empty());
}

#[test]
fn times_in_which_nobody_should_be_on_call_are_no_gaps() {
    let mut schedule = mk_weekly();
    schedule.spec.time_intervals = vec![mk_interval("weekdays: ['monday:friday']")];
    assert!(schedule.gaps().is_empty());
    assert_eq!(who(&schedule, "2026-03-22T12:00:00Z"), "nobody");
}

#[test]
fn only_schedules_that_say_who_is_on_call_have_duties() {
    let hours = Schedule { on_call: None, name: "business".to_owned(), ..mk_weekly() };
    let schedules = [mk_weekly(), hours].map(|schedule| (schedule.name.clone(), schedule)).into();
    let duties = duties(&schedules, at("2026-03-17T12:00:00Z"));
    assert_eq!(duties.iter().map(|duty| duty.schedule).collect::<Vec<_>>(), ["pss-nano"]);
}

#[test]
fn what_is_written_reads_back_the_same() {
    let schedule = mk_weekly();
    let json = serde_json::to_string(&schedule).expect("serializes");
    assert_eq!(serde_json::from_str::<Schedule>(&json).expect("reads back"), schedule);
}

/// Who is on call by going through all hand-overs from the first one: slow, and nothing in it can be clever.
fn who_by_counting(rotation: &Rotation, instant: Timestamp) -> Option<&str> {
    let mut local: DateTime = rotation.start;
    let mut found = None;
    for person in rotation.people.iter().cycle() {
        if instant_of(local, &rotation.location) > instant {
            return found;
        }
        found = Some(person.as_str());
        local = local.checked_add(rotation.turn).expect("within the calendar");
    }
    None
}

proptest! {
    #[test]
    fn the_turn_is_the_one_that_counting_finds(
        turn_hours in 1_i64..200,
        people in 1_usize..4,
        hour in 0_i8..24,
        minute in 0_i8..60,
        minutes_later in 0_i64..400 * 24 * 60,
        zone_name in prop::sample::select(vec![BERLIN, NEW_YORK, "Australia/Lord_Howe", "Africa/Cairo", "UTC"]),
    ) {
        let names = ["una", "ben", "eva"];
        let start = format!("2026-02-01T{hour:02}:{minute:02}");
        let mut rotation = mk_rotation(&names[..people], &start, turn_hours);
        rotation.location = zone(zone_name);
        let schedule = mk_schedule(vec![rotation.clone()]);
        let instant = at("2026-02-01T00:00:00Z")
            .checked_add(SignedDuration::from_mins(minutes_later))
            .expect("within the calendar");
        let found = schedule.on_call_at(instant).map(|turn| turn.person);
        prop_assert_eq!(found, who_by_counting(&rotation, instant));
        // The next hand-over is one, and there is none before it.
        if let Some(then) = schedule.next_hand_over(instant) {
            let just_before = then.checked_sub(SignedDuration::from_nanos(1)).expect("within the calendar");
            prop_assert_eq!(schedule.on_call_at(just_before).map(|turn| turn.person), found);
            prop_assert_ne!(schedule.on_call_at(then).map(|turn| turn.person), found);
        }
    }
}
