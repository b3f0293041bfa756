//! Days on which a schedule is not active: single dates, or intervals for what comes back every year.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::change::Boundaries;
use super::error::ScheduleError;
use super::interval::TimeInterval;
use super::zone::Zone;

/// A holiday: a date such as `2026-12-25`, or an interval such as `{ months: [december], days_of_month: ['25:26'] }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Holiday {
    /// One whole day, in the zone of the schedule.
    Date(Date),
    /// All that the interval contains, in its own zone or the schedule's.
    Interval(TimeInterval),
}

impl Holiday {
    pub(super) fn contains(&self, at: Timestamp, default: &Zone) -> bool {
        match self {
            Self::Date(date) => default.time_zone().to_datetime(at).date() == *date,
            Self::Interval(interval) => interval.contains_in(at, default),
        }
    }

    pub(super) fn boundaries<'a>(&'a self, default: &'a Zone) -> Boundaries<'a> {
        match self {
            Self::Date(_) => Boundaries::new(default, []),
            Self::Interval(interval) => interval.boundaries(default),
        }
    }
}

impl<'de> Deserialize<'de> for Holiday {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DateOrInterval)
    }
}

/// Read by hand instead of as an untagged enum, which would hide what is wrong and where.
struct DateOrInterval;

impl<'de> Visitor<'de> for DateOrInterval {
    type Value = Holiday;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a date such as '2026-12-25', or a time interval")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Holiday, E> {
        // The parser alone would also take a time of day behind the date, and drop it.
        let date = text.parse::<Date>().ok().filter(|date| date.to_string() == text);
        date.map(Holiday::Date).ok_or_else(|| E::custom(ScheduleError::Date(text.to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Holiday, A::Error> {
        TimeInterval::deserialize(MapAccessDeserializer::new(map)).map(Holiday::Interval)
    }
}

impl JsonSchema for Holiday {
    fn schema_name() -> Cow<'static, str> {
        "Holiday".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let interval = generator.subschema_for::<TimeInterval>();
        json_schema!({
            "description": "A day on which the schedule is not active, in the schedule's time zone.",
            "anyOf": [{ "type": "string", "format": "date", "examples": ["2026-12-25"] }, interval],
        })
    }
}
