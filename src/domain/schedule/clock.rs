//! Times of day in whole minutes, as Alertmanager counts them.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::ScheduleError;

/// Minutes in a day; `24:00` is the end of the day.
pub(super) const DAY_MINUTES: u16 = 24 * 60;

/// A part of a day, in minutes of local time. The start belongs to it, the end does not. It cannot run over midnight;
/// two ranges do that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Written", into = "Written")]
#[schemars(with = "Written")]
pub struct TimeRange {
    pub(super) start: u16,
    pub(super) end: u16,
}

impl TimeRange {
    /// A range of minutes from midnight, `end` not included.
    ///
    /// # Errors
    /// If the range is empty or leaves the day.
    pub fn new(start_minute: u16, end_minute: u16) -> Result<Self, ScheduleError> {
        if start_minute < end_minute && end_minute <= DAY_MINUTES {
            return Ok(Self { start: start_minute, end: end_minute });
        }
        Err(ScheduleError::TimeOrder { start: print(start_minute), end: print(end_minute) })
    }

    /// Whether a minute of the day lies in the range.
    pub(super) fn contains(self, minute: u16) -> bool {
        (self.start..self.end).contains(&minute)
    }
}

/// `HH:MM`.
pub(super) fn print(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// Reads `HH:MM`, two digits each, from `00:00` to `24:00`.
fn parse(text: &str) -> Option<u16> {
    let number = |digits: &str| -> Option<u16> {
        let plain = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten()
    };
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let minute = hours * 60 + minutes;
    (minutes < 60 && minute <= DAY_MINUTES).then_some(minute)
}

/// A time range as it stands in YAML.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TimeRange")]
struct Written {
    /// The first minute that belongs to the range.
    start_time: TimeOfDay,
    /// The first minute after the range; `24:00` is the end of the day.
    end_time: TimeOfDay,
}

impl TryFrom<Written> for TimeRange {
    type Error = ScheduleError;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        Self::new(written.start_time.0, written.end_time.0)
    }
}

impl From<TimeRange> for Written {
    fn from(range: TimeRange) -> Self {
        Self { start_time: TimeOfDay(range.start), end_time: TimeOfDay(range.end) }
    }
}

/// A minute of the day, written `HH:MM`; `24:00` is its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeOfDay(u16);

impl TimeOfDay {
    /// Minutes since midnight.
    pub fn minute(self) -> u16 {
        self.0
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&print(self.0))
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = TimeOfDay;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time of day as text, such as '09:00'")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<TimeOfDay, E> {
                parse(text).map(TimeOfDay).ok_or_else(|| E::custom(ScheduleError::Time(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

impl JsonSchema for TimeOfDay {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TimeOfDay".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$",
            "examples": ["09:00"],
        })
    }
}
