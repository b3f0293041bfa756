//! One time interval: calendar fields that must all hold, each of which holds if any of its ranges does.

use jiff::Timestamp;
use jiff::civil::DateTime;
use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::calendar::{DayOfMonthRange, MonthRange, WeekdayRange, YearRange};
use super::change::{self, Boundaries};
use super::clock::TimeRange;
use super::zone::Zone;

/// A recurring interval of time, with Alertmanager's keys. A field that is left out holds always, so that `{}` contains
/// every instant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeInterval {
    /// Parts of the day, ends not included.
    #[serde(default, deserialize_with = "none_or_some", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1))]
    pub times: Vec<TimeRange>,
    /// Days of the week.
    #[serde(default, deserialize_with = "none_or_some", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1))]
    pub weekdays: Vec<WeekdayRange>,
    /// Days of the month; negative ones count from its end.
    #[serde(default, deserialize_with = "none_or_some", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1))]
    pub days_of_month: Vec<DayOfMonthRange>,
    /// Months of the year.
    #[serde(default, deserialize_with = "none_or_some", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1))]
    pub months: Vec<MonthRange>,
    /// Years.
    #[serde(default, deserialize_with = "none_or_some", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1))]
    pub years: Vec<YearRange>,
    /// The time zone that the other fields are read in; UTC, or the schedule's own, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Zone>,
}

impl TimeInterval {
    /// Whether the interval contains an instant. An interval without a location is read in UTC, as in Alertmanager.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.contains_in(at, &Zone::default())
    }

    /// Whether the interval contains an instant; `default` is the zone of an interval without a location.
    pub fn contains_in(&self, at: Timestamp, default: &Zone) -> bool {
        self.contains_local(self.zone(default).time_zone().to_datetime(at))
    }

    /// The first instant after `at` at which the interval begins or ends, read in UTC if it has no location. `None` if
    /// nothing changes within [`HORIZON_DAYS`](super::HORIZON_DAYS).
    pub fn next_change(&self, at: Timestamp) -> Option<Timestamp> {
        let utc = Zone::default();
        change::next(at, &[self.boundaries(&utc)], &[], |instant| self.contains_in(instant, &utc))
    }

    fn contains_local(&self, local: DateTime) -> bool {
        // Hours and minutes of a civil time are never negative.
        let minute = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        let (day, month_days) = (i16::from(local.day()), i16::from(local.days_in_month()));
        let weekday = i16::from(local.weekday().to_sunday_zero_offset());
        holds(&self.times, |range| range.contains(minute))
            && holds(&self.days_of_month, |range| range.contains_day(day, month_days))
            && holds(&self.months, |range| range.contains(i16::from(local.month())))
            && holds(&self.weekdays, |range| range.contains(weekday))
            && holds(&self.years, |range| range.contains(local.year()))
    }

    fn zone<'a>(&'a self, default: &'a Zone) -> &'a Zone {
        self.location.as_ref().unwrap_or(default)
    }

    /// Where the answer of [`Self::contains_in`] may change.
    pub(super) fn boundaries<'a>(&'a self, default: &'a Zone) -> Boundaries<'a> {
        let minutes = self.times.iter().flat_map(|range| [range.start, range.end]);
        Boundaries::new(self.zone(default), minutes)
    }
}

/// Whether a field holds: it was left out, or one of its ranges does.
fn holds<R: Copy>(ranges: &[R], contains: impl Fn(R) -> bool) -> bool {
    ranges.is_empty() || ranges.iter().any(|range| contains(*range))
}

/// Reads a list that is left out, null, or not empty. Alertmanager takes an empty list and then never matches, which
/// nobody means; here an empty list would read as "always", so it is refused.
fn none_or_some<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    match Option::<Vec<T>>::deserialize(deserializer)? {
        Some(list) if list.is_empty() => Err(D::Error::custom(
            "the list is empty and would never match: leave the key out to match always",
        )),
        list => Ok(list.unwrap_or_default()),
    }
}

/// Reads a list of intervals with at least one entry.
///
/// # Errors
/// Where the list is empty, or an interval in it cannot be read.
pub fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<TimeInterval>, D::Error> {
    let list = Vec::<TimeInterval>::deserialize(deserializer)?;
    if list.is_empty() {
        return Err(D::Error::custom(
            "without a time interval the schedule is never active: write `[{}]` for always",
        ));
    }
    Ok(list)
}
