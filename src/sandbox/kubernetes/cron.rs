//! Schedules of CronJobs: five fields, in UTC. No names of days or months, and no macros but the usual ones.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

/// Days that are looked ahead: what comes only in a leap year is as good as never.
const DAYS_MAX: usize = 366;

/// When a CronJob is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    minutes: Vec<i8>,
    hours: Vec<i8>,
    days: Vec<i8>,
    months: Vec<i8>,
    /// 0 is Sunday.
    weekdays: Vec<i8>,
    /// Where both kinds of days are narrowed down, either will do.
    either_day: bool,
}

impl Schedule {
    /// The schedule that these words mean; nothing where they mean none.
    pub(super) fn read(words: &str) -> Option<Self> {
        let words = match words.trim() {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            other => other,
        };
        let fields: Vec<&str> = words.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields.as_slice() else { return None };
        let mut on = numbers(weekdays, 0, 7)?;
        // Sunday has two numbers.
        on.iter_mut().filter(|day| **day == 7).for_each(|day| *day = 0);
        Some(Self {
            minutes: numbers(minutes, 0, 59)?,
            hours: numbers(hours, 0, 23)?,
            days: numbers(days, 1, 31)?,
            months: numbers(months, 1, 12)?,
            weekdays: on,
            either_day: !days.starts_with('*') && !weekdays.starts_with('*'),
        })
    }

    /// The first time after this one.
    pub(super) fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let first = time.to_zoned(TimeZone::UTC).date();
        let mut day = first;
        for _ in 0..=DAYS_MAX {
            let found = self.times_of(day).find(|at| *at > time);
            if found.is_some() {
                return found;
            }
            day = day.checked_add(1.day()).ok()?;
        }
        None
    }

    fn times_of(&self, day: Date) -> impl Iterator<Item = Timestamp> {
        let hours = if self.has_day(day) { self.hours.as_slice() } else { &[] };
        let each = hours.iter().flat_map(|hour| self.minutes.iter().map(move |minute| (*hour, *minute)));
        each.filter_map(move |(hour, minute)| {
            day.at(hour, minute, 0, 0).to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp())
        })
    }

    fn has_day(&self, day: Date) -> bool {
        let by_number = self.days.contains(&day.day());
        let by_name = self.weekdays.contains(&day.weekday().to_sunday_zero_offset());
        let fits = if self.either_day { by_number || by_name } else { by_number && by_name };
        fits && self.months.contains(&day.month())
    }
}

/// The numbers of one field, in order: `*`, `1,2`, `1-5`, `*/15`.
fn numbers(field: &str, least: i8, most: i8) -> Option<Vec<i8>> {
    let mut all = Vec::new();
    for part in field.split(',') {
        let (range, step) = part.split_once('/').unwrap_or((part, "1"));
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (least, most),
            Some((from, to)) => (from.parse().ok()?, to.parse().ok()?),
            None if step == "1" => (range.parse().ok()?, range.parse().ok()?),
            None => (range.parse().ok()?, most),
        };
        let step: usize = step.parse().ok().filter(|step| *step > 0)?;
        if from < least || to > most || from > to {
            return None;
        }
        all.extend((from..=to).step_by(step));
    }
    all.sort_unstable();
    all.dedup();
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(words: &str, after: &str) -> String {
        let schedule = Schedule::read(words).expect("a schedule");
        schedule.next_after(after.parse().expect("a time")).map_or("never".into(), |at| at.to_string())
    }

    #[test]
    fn each_field_counts() {
        // 2026-11-22 is a Sunday.
        let now = "2026-11-22T10:30:00Z";
        for (words, expected) in [
            ("* * * * *", "2026-11-22T10:31:00Z"),
            ("*/20 * * * *", "2026-11-22T10:40:00Z"),
            ("30 10 * * *", "2026-11-23T10:30:00Z"),
            ("0 9-17/4 * * 1-5", "2026-11-23T09:00:00Z"),
            ("0 0 1 1 *", "2027-01-01T00:00:00Z"),
            ("0 0 13 * 0", "2026-11-29T00:00:00Z"),
            ("0 3 * * 7", "2026-11-29T03:00:00Z"),
            ("@daily", "2026-11-23T00:00:00Z"),
            ("0 0 30 2 *", "never"),
        ] {
            assert_eq!(next(words, now), expected, "{words}");
        }
    }

    #[test]
    fn what_means_no_time_is_no_schedule() {
        for words in
            ["", "often", "* * * *", "60 * * * *", "* 24 * * *", "5-1 * * * *", "*/0 * * * *", "* * 0 * *"]
        {
            assert_eq!(Schedule::read(words), None, "{words:?}");
        }
    }
}
