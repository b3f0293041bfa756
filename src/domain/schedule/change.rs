//! Finds the next instant at which an answer about local time changes, without walking minute by minute.
//!
//! An answer that looks at calendar fields and minutes of the day can only change at a local midnight, at a boundary of
//! a time range, or where a zone's offset jumps. So only those instants are tried, a day at a time. Trying too many is
//! harmless, because between two changes the answer stays the same; leaving one out would be a wrong answer.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::clock::DAY_MINUTES;
use super::zone::Zone;

/// How far the search looks. More than a year, so that everything that comes back every year is found; a year to come
/// or a leap day further away is not, and nobody waits for those.
pub const HORIZON_DAYS: u16 = 400;

/// Where the answer of one part of a schedule may change.
#[derive(Debug, Clone)]
pub(super) struct Boundaries<'a> {
    zone: &'a Zone,
    /// Minutes of the local day, sorted; midnight is always among them.
    minutes: Vec<u16>,
}

impl<'a> Boundaries<'a> {
    /// Midnight and the given minutes of the day. The end of the day is the next day's midnight.
    pub(super) fn new(zone: &'a Zone, minutes: impl IntoIterator<Item = u16>) -> Self {
        let mut minutes: Vec<u16> = minutes.into_iter().filter(|minute| *minute < DAY_MINUTES).collect();
        minutes.push(0);
        minutes.sort_unstable();
        minutes.dedup();
        Self { zone, minutes }
    }

    /// Adds every boundary after `from` up to `to`, in no order, and perhaps some outside.
    fn collect(&self, from: Timestamp, to: Timestamp, instants: &mut Vec<Timestamp>) {
        let zone = self.zone.time_zone();
        // A jump around midnight may bring the local date back, so one day more is taken on both sides.
        let first = zone.to_datetime(from).date().yesterday().unwrap_or(Date::MIN);
        let last = zone.to_datetime(to).date().tomorrow().unwrap_or(Date::MAX);
        for date in first.series(jiff::Span::new().days(1)).take_while(|date| *date <= last) {
            for minute in &self.minutes {
                instants.extend(self.instants(date, *minute).into_iter().flatten());
            }
        }
        instants.extend(
            zone.following(from)
                .map(|transition| transition.timestamp())
                .take_while(|instant| *instant <= to),
        );
    }

    /// When the local clock shows a minute of a day: once, or twice where it is set back. Where it jumps over the
    /// minute, the jump is among the transitions, and what comes here is harmless.
    fn instants(&self, date: Date, minute: u16) -> [Option<Timestamp>; 2] {
        let clock = |value: u16| i8::try_from(value).expect("hours and minutes fit");
        let local = date.at(clock(minute / 60), clock(minute % 60), 0, 0);
        let ambiguous = self.zone.time_zone().to_ambiguous_timestamp(local);
        [ambiguous.earlier().ok(), ambiguous.later().ok()]
    }
}

/// The first instant after `at` at which `answer` differs from its answer at `at`; `None` if there is none within
/// [`HORIZON_DAYS`]. `boundaries` and `edges` must name every instant at which it can change.
pub(super) fn next<T: PartialEq>(
    at: Timestamp,
    boundaries: &[Boundaries<'_>],
    edges: &[Timestamp],
    answer: impl Fn(Timestamp) -> T,
) -> Option<Timestamp> {
    let before = answer(at);
    let mut from = at;
    let mut instants = Vec::new();
    for _ in 0..HORIZON_DAYS {
        let to = from.checked_add(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MAX);
        instants.clear();
        instants.extend(edges);
        for part in boundaries {
            part.collect(from, to, &mut instants);
        }
        instants.retain(|instant| (from < *instant) && (*instant <= to));
        instants.sort_unstable();
        instants.dedup();
        if let Some(found) = instants.iter().find(|instant| answer(**instant) != before) {
            return Some(*found);
        }
        from = to;
    }
    None
}
