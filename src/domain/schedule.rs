//! When something holds: Alertmanager's time-interval language, and the `Schedule` rule object built on it.
//!
//! A [`TimeInterval`] describes recurring time by calendar fields. A [`Schedule`] is active during any of its intervals
//! except on its holidays; escalation levels name one to say when people can be reached. A freeze window is described
//! by the same intervals. A schedule may also say who is on call, by rotations and overrides ([`on_call`]). Everything is asked about a given instant: nothing here reads a clock, and time zones come
//! from the database inside the binary, never from the machine.

mod calendar;
mod change;
mod clock;
mod error;
mod holiday;
mod interval;
mod on_call;
mod range;
mod rotation;
mod zone;

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use calendar::{DayOfMonthRange, MonthRange, WeekdayRange, YearRange};
pub use change::HORIZON_DAYS;
pub use clock::{TimeOfDay, TimeRange};
pub use error::ScheduleError;
pub use holiday::Holiday;
pub use interval::{TimeInterval, at_least_one};
pub use on_call::{Contact, Duty, Gap, OnCall, Override, Turn, duties};
pub use rotation::{Rotation, TURN_MIN, instant_of};
pub use zone::Zone;

use change::Boundaries;

/// A named schedule: when people are reachable, and who is on call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The name that other rule objects call it by.
    pub name: String,
    /// What it consists of.
    pub spec: ScheduleSpec,
    /// Who is on call, where the schedule says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_call: Option<OnCall>,
}

/// The `spec` of a rule object of kind `Schedule`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScheduleSpec {
    /// The schedule is active while any of these contains the time. Always active is written as one empty interval,
    /// `[{}]`.
    #[serde(deserialize_with = "interval::at_least_one")]
    #[schemars(length(min = 1))]
    pub time_intervals: Vec<TimeInterval>,
    /// The schedule is not active during these, whatever the intervals say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holidays: Vec<Holiday>,
    /// The time zone of the holidays, and of every interval that names none. UTC if left out.
    #[serde(default)]
    pub location: Zone,
}

impl Schedule {
    /// Whether the schedule is active at an instant.
    pub fn is_active(&self, at: Timestamp) -> bool {
        self.spec.is_active(at)
    }

    /// The first instant after `at` at which the schedule becomes active or stops being so. `None` if nothing changes
    /// within [`HORIZON_DAYS`].
    pub fn next_change(&self, at: Timestamp) -> Option<Timestamp> {
        change::next(at, &self.boundaries(), &[], |instant| self.is_active(instant))
    }

    /// Where the answer of [`Self::is_active`] may change.
    fn boundaries(&self) -> Vec<Boundaries<'_>> {
        let spec = &self.spec;
        let holidays = spec.holidays.iter().map(|holiday| holiday.boundaries(&spec.location));
        let intervals = spec.time_intervals.iter().map(|interval| interval.boundaries(&spec.location));
        intervals.chain(holidays).collect()
    }

    /// The first instant from `at` on at which the schedule is active: `at` itself if it is. `None` if that is further
    /// away than [`HORIZON_DAYS`].
    pub fn next_active(&self, at: Timestamp) -> Option<Timestamp> {
        if self.is_active(at) { Some(at) } else { self.next_change(at) }
    }
}

impl ScheduleSpec {
    fn is_active(&self, at: Timestamp) -> bool {
        self.time_intervals.iter().any(|interval| interval.contains_in(at, &self.location))
            && !self.holidays.iter().any(|holiday| holiday.contains(at, &self.location))
    }
}
