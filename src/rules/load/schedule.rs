//! One `Schedule`: when people can be reached, and who is on call; and the `Calendar`s that it names.

use super::report::Report;
use super::rule::object_name;
use super::{Content, Parsed, Surroundings, uses};
use crate::domain::schedule::{
    Contact, Gap, Holiday, OnCall, Override, Rotation, Schedule, ScheduleSpec, TURN_MIN, TimeInterval, Zone,
    instant_of,
};
use crate::rules::raw;
use crate::yaml::nearest;
use jiff::civil::{Date, DateTime, Weekday};
use jiff::{SignedDuration, Timestamp, ToSpan};
use std::collections::BTreeMap;

/// Days of a week.
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Takes the calendars out of all documents.
pub(super) fn take_calendars(
    parsed: &mut [Parsed<'_>],
    reports: &mut [Report<'_>],
) -> BTreeMap<String, Vec<Holiday>> {
    let mut all = BTreeMap::new();
    for (document, report) in parsed.iter_mut().zip(reports) {
        if let Some(Content::Calendar(raw)) =
            document.content.take_if(|content| matches!(content, Content::Calendar(_)))
            && let Some(name) = document.name.clone()
        {
            object_name(&name, report);
            if raw.days.is_empty() {
                report.warn("/spec/days", "this calendar has no days", None);
            }
            all.insert(name, raw.days);
        }
    }
    all
}

pub(super) fn convert(
    name: String,
    raw: raw::Schedule,
    surroundings: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Schedule {
    object_name(&name, report);
    let says_who = raw.says_who();
    let mut time_intervals = raw.time_intervals;
    if time_intervals.is_empty() {
        // What cannot be read may be what says it.
        if !says_who && !report.is_partial() {
            let help = "add `timeIntervals`, with `[{}]` for always, or `rotations`".to_owned();
            report.error("/spec", "this schedule says neither when nor who", Some(help));
        }
        time_intervals.push(TimeInterval::default());
    }
    let mut holidays = raw.holidays;
    for (index, calendar) in raw.calendars.iter().enumerate() {
        uses::calendar(calendar, surroundings, &format!("/spec/calendars/{index}"), report);
        holidays.extend(surroundings.calendars.get(calendar).into_iter().flatten().cloned());
    }
    let location = raw.location;
    let rotations = rotations(raw.rotations, &location, surroundings, report);
    let overrides = overrides(raw.overrides, &location, surroundings, report);
    let on_call = says_who.then(|| OnCall {
        people: people(&rotations, &overrides, surroundings),
        rotations,
        overrides,
    });
    let schedule = Schedule { name, spec: ScheduleSpec { time_intervals, holidays, location }, on_call };
    if report.problems.is_empty() {
        warn_of_gaps(&schedule, report);
    }
    schedule
}

fn rotations(
    raw: Vec<raw::Rotation>,
    location: &Zone,
    surroundings: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Vec<Rotation> {
    let mut rotations: Vec<Rotation> = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let at = format!("/spec/rotations/{index}");
        if rotations.iter().any(|rotation| rotation.name == raw.name) {
            let message = format!("there is another rotation `{}`", raw.name);
            report.error(&format!("{at}/name"), message, Some("give each its own name".to_owned()));
        }
        if raw.people.is_empty() {
            let help = "name at least one person, as under `people` in the settings".to_owned();
            report.error(&format!("{at}/people"), "nobody takes turns in this rotation", Some(help));
        }
        for (place, name) in raw.people.iter().enumerate() {
            person(name, surroundings, &format!("{at}/people/{place}"), report);
        }
        let turn = raw.every.signed();
        if turn < TURN_MIN || turn.as_secs() % 60 != 0 {
            let message = format!("a turn has whole minutes, and at least {TURN_MIN:#}");
            report.error(
                &format!("{at}/every"),
                message,
                Some("write `daily`, `weekly`, or such as `12h`".to_owned()),
            );
        }
        if let Some(weekday) = raw.weekday {
            check_weekday(weekday, raw.start, turn, &at, report);
        }
        let minute =
            i8::try_from(raw.handover.minute() / 60).ok().zip(i8::try_from(raw.handover.minute() % 60).ok());
        let start = match minute {
            Some((hour, minute)) if hour < 24 => raw.start.at(hour, minute, 0, 0),
            _ => {
                let help = "write `00:00` for midnight".to_owned();
                report.error(&format!("{at}/handover"), "no hand-over is at `24:00`", Some(help));
                raw.start.at(0, 0, 0, 0)
            }
        };
        rotations.push(Rotation {
            name: raw.name,
            people: raw.people,
            start,
            turn: turn.max(TURN_MIN),
            time_intervals: raw.time_intervals,
            location: raw.location.unwrap_or_else(|| location.clone()),
        });
    }
    rotations
}

/// A hand-over on a weekday is what `start` must be as well: else it would be unclear whose the days before it are.
fn check_weekday(wanted: raw::Weekday, start: Date, turn: SignedDuration, at: &str, report: &mut Report<'_>) {
    if turn.as_secs() % WEEK.as_secs() != 0 {
        let help = "leave `weekday` out, or write `every: weekly`".to_owned();
        let message = "the hand-over can only stay on one weekday if turns are whole weeks";
        report.error(&format!("{at}/weekday"), message, Some(help));
    } else if start.weekday() != wanted.get() {
        let back = i64::from(start.weekday().since(wanted.get()));
        let before = start.saturating_sub(back.days());
        let message = format!(
            "{start} is a {}, and the hand-over is on {}s",
            name_of(start.weekday()),
            name_of(wanted.get())
        );
        let help = format!("write {before} or {}", before.saturating_add(7.days()));
        report.error(&format!("{at}/start"), message, Some(help));
    }
}

fn name_of(weekday: Weekday) -> &'static str {
    match weekday {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}

fn overrides(
    raw: Vec<raw::Override>,
    location: &Zone,
    surroundings: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Vec<Override> {
    let mut overrides: Vec<Override> = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let at = format!("/spec/overrides/{index}");
        person(&raw.person, surroundings, &format!("{at}/person"), report);
        let (from, until) = (instant(raw.from, location), instant(raw.until, location));
        if until <= from {
            let help = "`until` is the first moment that is not covered any more".to_owned();
            report.error(&format!("{at}/until"), "this override ends before it starts", Some(help));
        } else if let Some(other) = overrides.iter().find(|other| other.from < until && from < other.until) {
            let message = format!("this overlaps with the override of {}, and wins", other.person);
            report.warn(&at, message, Some("let one end where the other begins".to_owned()));
        }
        overrides.push(Override { person: raw.person, from, until });
    }
    overrides
}

fn instant(moment: raw::Moment, location: &Zone) -> Timestamp {
    let local: DateTime = match moment {
        raw::Moment::Instant(instant) => return instant,
        raw::Moment::Local(local) => local,
    };
    instant_of(local, location)
}

/// A person whom the settings do not know could never be told.
fn person(name: &str, surroundings: &Surroundings<'_>, pointer: &str, report: &mut Report<'_>) {
    let Some(people) = &surroundings.known.people else { return };
    match people.get(name) {
        None => {
            let help = match nearest(name, people.keys().map(String::as_str)) {
                Some(close) => format!("did you mean `{close}`?"),
                None => "add this person under `people` in the settings".to_owned(),
            };
            report.error(pointer, format!("there is no person `{name}` in the settings"), Some(help));
        }
        Some(Contact { slack: None, email: None }) => {
            let help =
                "add `slack` to this person under `people` in the settings, or `email` where mail is set up";
            let message = format!("`{name}` cannot be told: there is neither a Slack id nor a mail address");
            report.warn(pointer, message, Some(help.to_owned()));
        }
        Some(_) => {}
    }
}

fn people(
    rotations: &[Rotation],
    overrides: &[Override],
    surroundings: &Surroundings<'_>,
) -> BTreeMap<String, Contact> {
    let Some(known) = &surroundings.known.people else { return BTreeMap::new() };
    let named = rotations.iter().flat_map(|rotation| &rotation.people);
    let named = named.chain(overrides.iter().map(|entry| &entry.person));
    named
        .filter_map(|name| known.get_key_value(name))
        .map(|(name, contact)| (name.clone(), contact.clone()))
        .collect()
}

fn warn_of_gaps(schedule: &Schedule, report: &mut Report<'_>) {
    let gaps = schedule.gaps();
    let Some(Gap { from, until }) = gaps.first() else { return };
    let zone = schedule.spec.location.time_zone();
    let shown = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%A %F %H:%M %Z").to_string();
    let until = until.map_or_else(|| "on".to_owned(), |until| format!("until {}", shown(until)));
    let others = match gaps.len() - 1 {
        0 => String::new(),
        others => format!(", and {others} more times within the year that follows"),
    };
    let message = format!("nobody is on call from {} {until}{others}", shown(*from));
    let help = "let a rotation without `timeIntervals` lie below the others, or close the gap".to_owned();
    report.warn("/spec/rotations", message, Some(help));
}
