//! One rotation: people who take turns, with a hand-over by the local clock.
//!
//! Hand-overs are points on the calendar, such as every Monday at 09:00, and not so many hours apart: a turn over a
//! change to summer time is an hour shorter, and nobody is woken an hour early. A hand-over whose time does not exist
//! that day happens when the clock jumps; one whose time exists twice happens the first time.

use jiff::civil::DateTime;
use jiff::tz::AmbiguousOffset;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::change::Boundaries;
use super::clock::DAY_MINUTES;
use super::interval::TimeInterval;
use super::zone::Zone;

/// Shortest turn: no clock is set by more at once, so that no turn vanishes.
pub const TURN_MIN: SignedDuration = SignedDuration::from_hours(1);

/// People who take turns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// What it is called.
    pub name: String,
    /// Who takes turns, in this order. Never empty.
    pub people: Vec<String>,
    /// When the first turn begins, by the local clock.
    pub start: DateTime,
    /// How long a turn is by the local clock, in whole minutes and at least [`TURN_MIN`].
    pub turn: SignedDuration,
    /// The rotation counts only within these; always, if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub time_intervals: Vec<TimeInterval>,
    /// Whose clock it is, and the zone of intervals that name none.
    pub location: Zone,
}

impl Rotation {
    /// Whose turn it is; nobody's before the first one, and outside of the intervals.
    pub(super) fn at(&self, at: Timestamp) -> Option<&str> {
        let counts = self.time_intervals.is_empty()
            || self.time_intervals.iter().any(|interval| interval.contains_in(at, &self.location));
        let turn = usize::try_from(self.turn_at(at).filter(|_| counts)?).ok()?;
        let place = turn.checked_rem(self.people.len())?;
        self.people.get(place).map(String::as_str)
    }

    /// When the first turn begins.
    pub(super) fn begins_at(&self) -> Option<Timestamp> {
        self.begin_of(0)
    }

    /// The number of the turn at an instant, from 0.
    fn turn_at(&self, at: Timestamp) -> Option<i64> {
        let local = self.location.time_zone().to_datetime(at);
        let minutes = self.turn.as_mins().max(TURN_MIN.as_mins());
        let mut turn = local.duration_since(self.start).as_secs().div_euclid(60).div_euclid(minutes);
        // The clock of that day may have been set: the hand-overs decide, and not the distance.
        while self.begin_of(turn + 1).is_some_and(|begin| begin <= at) {
            turn += 1;
        }
        while self.begin_of(turn).is_none_or(|begin| begin > at) {
            turn -= 1;
            if turn < 0 {
                return None;
            }
        }
        Some(turn)
    }

    fn begin_of(&self, turn: i64) -> Option<Timestamp> {
        let minutes = self.turn.as_mins().max(TURN_MIN.as_mins());
        let since = SignedDuration::from_mins(minutes.checked_mul(turn)?);
        self.start.checked_add(since).ok().map(|local| instant_of(local, &self.location))
    }

    /// Where somebody else may take over.
    pub(super) fn boundaries(&self) -> impl Iterator<Item = Boundaries<'_>> {
        // Hand-overs of turns of 36 hours come at two times of the day, of 7 hours at every hour.
        let step = gcd(self.turn.as_mins().unsigned_abs(), u64::from(DAY_MINUTES)).max(1);
        let start =
            u64::from(self.start.hour().unsigned_abs()) * 60 + u64::from(self.start.minute().unsigned_abs());
        let minutes = (0..u64::from(DAY_MINUTES) / step)
            .map(move |count| (start + count * step) % u64::from(DAY_MINUTES))
            .map(|minute| u16::try_from(minute).expect("a day has few minutes"));
        let own = std::iter::once(Boundaries::new(&self.location, minutes));
        own.chain(self.time_intervals.iter().map(|interval| interval.boundaries(&self.location)))
    }
}

/// When a local clock shows a time: the first time if twice, and if never, the instant at which it jumps over it.
pub fn instant_of(local: DateTime, zone: &Zone) -> Timestamp {
    let zone = zone.time_zone();
    let ambiguous = zone.to_ambiguous_timestamp(local);
    let found = match ambiguous.offset() {
        AmbiguousOffset::Gap { .. } => ambiguous
            .later()
            .ok()
            .and_then(|after| zone.preceding(after).next())
            .map(|transition| transition.timestamp()),
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => ambiguous.earlier().ok(),
    };
    // Only at the ends of the calendar, some ten thousand years from now.
    found.unwrap_or(if local.year() > 0 { Timestamp::MAX } else { Timestamp::MIN })
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
