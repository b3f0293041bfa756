//! When something holds: Alertmanager's time-interval language, and the `Schedule` rule object built on it.
//!
//! A [`TimeInterval`] describes recurring time by calendar fields. A [`Schedule`] is active during any of its intervals
//! except on its holidays; escalation levels name one to say when people can be reached. A freeze window is described
//! by the same intervals. Everything is asked about a given instant: nothing here reads a clock, and time zones come
//! from the database inside the binary, never from the machine.

mod calendar;
mod change;
mod clock;
mod error;
mod holiday;
mod interval;
mod range;
mod zone;

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use calendar::{DayOfMonthRange, MonthRange, WeekdayRange, YearRange};
pub use change::HORIZON_DAYS;
pub use clock::TimeRange;
pub use error::ScheduleError;
pub use holiday::Holiday;
pub use interval::TimeInterval;
pub use zone::Zone;

use change::Boundaries;

/// A named schedule: when people are reachable, for instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The name that other rule objects call it by.
    pub name: String,
    /// What it consists of.
    pub spec: ScheduleSpec,
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
        let spec = &self.spec;
        let holidays = spec.holidays.iter().map(|holiday| holiday.boundaries(&spec.location));
        let intervals = spec.time_intervals.iter().map(|interval| interval.boundaries(&spec.location));
        let boundaries: Vec<Boundaries<'_>> = intervals.chain(holidays).collect();
        change::next(at, &boundaries, |instant| spec.is_active(instant))
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
