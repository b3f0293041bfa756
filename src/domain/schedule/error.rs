//! Why a part of a schedule cannot be read, and the way out.

use thiserror::Error;

use super::clock::DAY_MINUTES;

/// A part of a time interval or a schedule that cannot be read. Texts are quoted as they were written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// No time of day.
    #[error(
        "`{0}` is not a time of day: write hours and minutes with two digits each, from `00:00` to `24:00`"
    )]
    Time(String),
    /// A time range that is empty, or that would run over midnight.
    #[error(
        "a time range must end after it starts, and {start} to {end} does not: for a range over midnight write two, \
         one to `{day_end}` and one from `00:00`",
        day_end = super::clock::print(DAY_MINUTES)
    )]
    TimeOrder {
        /// The start as it was written.
        start: String,
        /// The end as it was written.
        end: String,
    },
    /// Not one member, or two with a colon between.
    #[error("`{0}` is not a {1} or a range of two with one colon between, such as `{2}`")]
    Range(String, &'static str, &'static str),
    /// Something that is no member of its field.
    #[error("`{text}` is not a valid {noun}: {help}")]
    Member {
        /// What was written.
        text: String,
        /// What the field holds.
        noun: &'static str,
        /// What may be written instead.
        help: &'static str,
    },
    /// A range that runs backwards.
    #[error("the {noun} range `{text}` ends before it starts: {help}")]
    Order {
        /// What was written.
        text: String,
        /// What the field holds.
        noun: &'static str,
        /// What may be written instead.
        help: &'static str,
    },
    /// A name that is no time zone.
    #[error("`{0}` is not a time zone: write an IANA name such as `Europe/Berlin`, or `UTC`")]
    Zone(String),
    /// Alertmanager's name for the zone of its machine.
    #[error(
        "the time zone `Local` depends on the machine, so that replicas would disagree: write its name, such as \
         `Europe/Berlin`"
    )]
    LocalZone,
    /// A text that is no date.
    #[error("`{0}` is not a date: write year, month and day, such as `2026-12-25`")]
    Date(String),
}
