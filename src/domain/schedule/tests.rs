//! Schedules against their own cases; Alertmanager's tables stand in `tables`, the search for changes in `changes`.

mod changes;
mod on_call;
mod tables;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn mk_interval(yaml: &str) -> TimeInterval {
    serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"))
}

fn mk_schedule(yaml: &str) -> Schedule {
    let spec = serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"));
    Schedule { name: "business".to_owned(), spec, on_call: None }
}

fn interval_error(yaml: &str) -> String {
    serde_saphyr::from_str::<TimeInterval>(yaml).expect_err(yaml).to_string()
}

fn schedule_error(yaml: &str) -> String {
    serde_saphyr::from_str::<ScheduleSpec>(yaml).expect_err(yaml).to_string()
}

const BUSINESS: &str = "
timeIntervals:
  - weekdays: ['monday:friday']
    times: [{ start_time: '09:00', end_time: '17:00' }]
    location: Europe/Berlin
holidays:
  - 2026-04-03
  - { months: [december], days_of_month: ['25:26'] }
location: Europe/Berlin
";

#[test]
fn a_schedule_is_active_within_its_intervals_but_not_on_holidays() {
    let schedule = mk_schedule(BUSINESS);
    for (instant, active) in [
        ("2026-03-30T06:59:59Z", false),
        ("2026-03-30T07:00:00Z", true),
        ("2026-03-30T14:59:59Z", true),
        ("2026-03-30T15:00:00Z", false),
        // Winter time until the last Sunday of March.
        ("2026-03-27T07:59:59Z", false),
        ("2026-03-27T08:00:00Z", true),
        // A Saturday, a single holiday, and one that comes back every year.
        ("2026-03-28T10:00:00Z", false),
        ("2026-04-03T10:00:00Z", false),
        ("2025-12-25T10:00:00Z", false),
        ("2028-12-25T10:00:00Z", false),
        ("2026-12-24T10:00:00Z", true),
    ] {
        assert_eq!(schedule.is_active(at(instant)), active, "{instant}");
    }
}

#[test]
fn intervals_without_a_location_follow_the_schedules() {
    let yaml = "{ timeIntervals: [{ times: [{ start_time: '00:00', end_time: '01:00' }] }], location: Asia/Kolkata }";
    let schedule = mk_schedule(yaml);
    assert!(schedule.is_active(at("2026-01-01T18:30:00Z")));
    assert!(!schedule.is_active(at("2026-01-01T00:30:00Z")));
    let utc = mk_interval("times: [{ start_time: '00:00', end_time: '01:00' }]");
    assert!(utc.contains(at("2026-01-01T00:30:00Z")));
}

#[test]
fn fields_are_anded_and_their_ranges_ored() {
    let interval = mk_interval("{ weekdays: [saturday, sunday], months: ['june:july', 12] }");
    assert!(interval.contains(at("2026-06-06T12:00:00Z")));
    assert!(interval.contains(at("2026-12-06T12:00:00Z")));
    assert!(!interval.contains(at("2026-06-05T12:00:00Z")));
    assert!(!interval.contains(at("2026-08-01T12:00:00Z")));
}

#[test]
fn days_from_the_end_follow_the_length_of_the_month() {
    let last = mk_interval("days_of_month: [-1]");
    for day in ["2026-02-28", "2028-02-29", "2026-04-30", "2026-12-31"] {
        assert!(last.contains(at(&format!("{day}T12:00:00Z"))), "{day}");
    }
    assert!(!last.contains(at("2028-02-28T12:00:00Z")));
    let late = mk_interval("days_of_month: ['29:31']");
    assert!(!late.contains(at("2026-02-28T12:00:00Z")));
    assert!(late.contains(at("2028-02-29T12:00:00Z")));
    let middle = mk_interval("days_of_month: ['20:-5']");
    assert!(middle.contains(at("2026-02-24T12:00:00Z")) && !middle.contains(at("2026-02-25T12:00:00Z")));
    assert!(middle.contains(at("2026-03-27T12:00:00Z")) && !middle.contains(at("2026-03-28T12:00:00Z")));
    assert!(mk_interval("days_of_month: ['28:-1']").contains(at("2026-02-28T12:00:00Z")));
}

#[test]
fn the_end_of_the_day_is_24_00() {
    let interval = mk_interval("times: [{ start_time: '23:00', end_time: '24:00' }]");
    assert!(interval.contains(at("2026-01-01T23:59:59Z")));
    assert!(!interval.contains(at("2026-01-02T00:00:00Z")));
}

#[test]
fn yaml_without_quotes_reads_as_alertmanager_reads_it() {
    let bare = mk_interval(
        "{ days_of_month: [1, -1], months: [may, 7], years: [2026, 2028], times: [{ start_time: 09:00, end_time: 17:00 }] }",
    );
    let quoted = mk_interval(
        "{ days_of_month: ['1', '-1'], months: ['May', 'JULY'], years: ['2026', '2028:2028'], times: [{ start_time: '09:00', end_time: '17:00' }] }",
    );
    assert_eq!(bare, quoted);
    assert_eq!(
        mk_interval("days_of_month:\n  - 1:5\ntimes:\nlocation:\n"),
        mk_interval("days_of_month: ['1:5']")
    );
    assert_eq!(mk_interval("{}"), TimeInterval::default());
}

#[test]
fn what_is_written_reads_back_the_same() {
    let yaml = "{ weekdays: ['Monday:friday'], times: [{ start_time: '09:05', end_time: '24:00' }], days_of_month: ['-3:-1', '4'], \
                months: [5, 'june:july'], years: ['2026:2030'], location: europe/berlin }";
    let interval = mk_interval(yaml);
    let json = serde_json::to_value(&interval).expect("serializes");
    assert_eq!(
        json,
        serde_json::json!({
            "weekdays": ["monday:friday"],
            "times": [{ "start_time": "09:05", "end_time": "24:00" }],
            "days_of_month": ["-3:-1", "4"],
            "months": ["may", "june:july"],
            "years": ["2026:2030"],
            "location": "Europe/Berlin",
        })
    );
    assert_eq!(serde_json::from_value::<TimeInterval>(json).expect("reads back"), interval);
    let schedule = mk_schedule(BUSINESS);
    let json = serde_json::to_string(&schedule).expect("serializes");
    assert_eq!(serde_json::from_str::<Schedule>(&json).expect("reads back"), schedule);
    let yaml = serde_saphyr::to_string(&schedule.spec).expect("serializes");
    assert_eq!(mk_schedule(&yaml), schedule);
}

#[test]
fn mistakes_are_named_with_their_place_and_the_way_out() {
    for (yaml, parts) in [
        ("times: [{ start_time: '9:00', end_time: '17:00' }]", ["`9:00` is not a time of day", "two digits"]),
        (
            "times: [{ start_time: '22:00', end_time: '06:00' }]",
            ["22:00 to 06:00", "over midnight write two"],
        ),
        ("times: [{ start_time: '22:00' }]", ["missing field", "end_time"]),
        ("times: [{ start_time: '22:00', end_time: '23:00', x: 1 }]", ["unknown field", "x"]),
        ("weekdays: ['saturday:sunday']", ["`saturday:sunday` ends before it starts", "as two"]),
        ("weekdays: [mon]", ["`mon` is not a valid weekday", "whole English names"]),
        ("weekdays: [1]", ["`1` is not a valid weekday", "line 1"]),
        ("weekdays: ['a:b:c']", ["`a:b:c` is not a weekday or a range", "`monday:friday`"]),
        ("weekdays: []", ["the list is empty", "leave the key out"]),
        ("weekdays: monday", ["sequence", "line 1"]),
        ("months: [13]", ["`13` is not a valid month", "1 to 12"]),
        ("days_of_month: ['0']", ["`0` is not a valid day of the month", "-31"]),
        ("days_of_month: ['29:-1']", ["`29:-1` ends before it starts", "in the shortest month"]),
        ("years: ['20x6']", ["`20x6` is not a valid year", "0 to 9999"]),
        ("months: [[1]]", ["a month or a range such as 'january:march'", "line 1"]),
        ("location: Europe/Atlantis", ["`Europe/Atlantis` is not a time zone", "IANA"]),
        ("location: Local", ["depends on the machine", "`Europe/Berlin`"]),
        ("weekday: [monday]", ["unknown field", "weekdays"]),
    ] {
        let error = interval_error(yaml);
        for part in parts {
            assert!(error.contains(part), "{yaml}: {error}");
        }
    }
}

#[test]
fn mistakes_in_schedules_are_named_too() {
    for (yaml, parts) in [
        ("timeIntervals: []", ["never active", "`[{}]`"]),
        ("holidays: []", ["missing field", "timeIntervals"]),
        ("timeIntervals: [{}]\nholidays: ['25.12.2026']", ["`25.12.2026` is not a date", "2026-12-25"]),
        ("timeIntervals: [{}]\nholidays: ['2026-12-25T10:00']", ["is not a date", "line 2"]),
        ("timeIntervals: [{}]\nholidays: [2026-02-30]", ["`2026-02-30` is not a date", "line 2"]),
        (
            "timeIntervals: [{}]\nholidays:\n  - months: [dezember]",
            ["`dezember` is not a valid month", "line 3"],
        ),
        ("timeIntervals: [{}]\nholidays: [7]", ["a date such as '2026-12-25', or a time interval", "line 2"]),
        ("time_intervals: [{}]", ["unknown field", "timeIntervals"]),
    ] {
        let error = schedule_error(yaml);
        for part in parts {
            assert!(error.contains(part), "{yaml}: {error}");
        }
    }
}

#[test]
fn the_schema_follows_what_is_read() {
    let schema = schemars::schema_for!(ScheduleSpec).to_value();
    assert_eq!(schema["required"], serde_json::json!(["timeIntervals"]));
    let interval = &schema["$defs"]["TimeInterval"];
    assert_eq!(interval["additionalProperties"], false);
    assert_eq!(interval["properties"]["weekdays"]["items"]["$ref"], "#/$defs/WeekdayRange");
    assert_eq!(schema["$defs"]["TimeRange"]["required"], serde_json::json!(["start_time", "end_time"]));
    assert_eq!(schema["$defs"]["DayOfMonthRange"]["type"], serde_json::json!(["string", "integer"]));
    assert_eq!(schema["$defs"]["Holiday"]["anyOf"][0]["format"], "date");
}
