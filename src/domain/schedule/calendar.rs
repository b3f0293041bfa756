//! The calendar fields of a time interval and what may be written in them. Names are whole English names; weekdays have
//! no numbers. Months and years out of range, which Alertmanager takes and never matches, are refused.

use std::borrow::Cow;

use super::range::{Field, Range};

/// Weekdays, such as `monday:friday`. A week begins on Sunday, so `saturday:sunday` runs backwards and is two entries.
pub type WeekdayRange = Range<Weekday>;

/// Days of the month from 1, or counted from its end from -1, such as `1:5` or `-3:-1`. A range is cut to the month, and
/// left out of a month in which it would begin after the end.
pub type DayOfMonthRange = Range<DayOfMonth>;

/// Months by name or number, such as `january:march` or `5`.
pub type MonthRange = Range<Month>;

/// Years, such as `2026:2030`.
pub type YearRange = Range<Year>;

/// Sunday, counted 0, to Saturday.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weekday;

const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

impl Field for Weekday {
    const NOUN: &'static str = "weekday";
    const HELP: &'static str = "write whole English names from `sunday`, the first of the week, to `saturday`, and a range over the week's end as two";
    const EXAMPLE: &'static str = "monday:friday";
    const SCHEMA_NAME: &'static str = "WeekdayRange";
    const NUMERIC: bool = false;

    fn read(text: &str) -> Option<i16> {
        index(&WEEKDAYS, text)
    }

    fn write(member: i16) -> Cow<'static, str> {
        name(&WEEKDAYS, member)
    }
}

/// 1 to 31, and -1 (the last day) to -31.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayOfMonth;

/// Days that every month has. A range that runs backwards in the shortest month is refused, so that it does not vanish
/// once a year. Alertmanager counts one day less here and refuses `28:-1` too, which is right in every month.
const SHORTEST_MONTH_DAYS: i16 = 28;

impl Field for DayOfMonth {
    const NOUN: &'static str = "day of the month";
    const HELP: &'static str = "write 1 to 31, or -1 (the last day) to -31; a range must hold in the shortest month, and end counting from the end \
         if it starts so";
    const EXAMPLE: &'static str = "1:5";
    const SCHEMA_NAME: &'static str = "DayOfMonthRange";
    const NUMERIC: bool = true;

    fn read(text: &str) -> Option<i16> {
        number(text).filter(|day| *day != 0 && (-31..=31).contains(day))
    }

    fn write(member: i16) -> Cow<'static, str> {
        member.to_string().into()
    }

    fn in_order(begin: i16, end: i16) -> bool {
        let forward = |day: i16| if day < 0 { SHORTEST_MONTH_DAYS + day + 1 } else { day };
        !(begin < 0 && end > 0) && forward(begin) <= forward(end)
    }
}

impl DayOfMonthRange {
    /// Whether a day lies in the range, in a month of so many days.
    pub(super) fn contains_day(self, day: i16, month_days: i16) -> bool {
        let forward = |day: i16| if day < 0 { month_days + day + 1 } else { day };
        (forward(self.begin)..=forward(self.end)).contains(&day)
    }
}

/// January, counted 1, to December.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Month;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

impl Field for Month {
    const NOUN: &'static str = "month";
    const HELP: &'static str = "write whole English names from `january` to `december`, or 1 to 12, and a range over the year's end as two";
    const EXAMPLE: &'static str = "january:march";
    const SCHEMA_NAME: &'static str = "MonthRange";
    const NUMERIC: bool = true;

    fn read(text: &str) -> Option<i16> {
        let named = index(&MONTHS, text).map(|index| index + 1);
        named.or_else(|| number(text).filter(|month| (1..=12).contains(month)))
    }

    fn write(member: i16) -> Cow<'static, str> {
        name(&MONTHS, member - 1)
    }
}

/// Years of the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Year;

impl Field for Year {
    const NOUN: &'static str = "year";
    const HELP: &'static str = "write years from 0 to 9999, the earlier first";
    const EXAMPLE: &'static str = "2026:2030";
    const SCHEMA_NAME: &'static str = "YearRange";
    const NUMERIC: bool = true;

    fn read(text: &str) -> Option<i16> {
        number(text).filter(|year| (0..=9999).contains(year))
    }

    fn write(member: i16) -> Cow<'static, str> {
        member.to_string().into()
    }
}

fn number(text: &str) -> Option<i16> {
    text.parse().ok()
}

fn index(names: &[&str], text: &str) -> Option<i16> {
    names.iter().zip(0..).find(|(name, _)| **name == text).map(|(_, index)| index)
}

fn name(names: &[&'static str], index: i16) -> Cow<'static, str> {
    let known = usize::try_from(index).ok().and_then(|index| names.get(index));
    known.map_or_else(|| index.to_string().into(), |name| (*name).into())
}
