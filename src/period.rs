//! A length of time as people write it in settings and rules: `10s`, `1h30m`, `7d`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::fmt::friendly::{Designator, Spacing, SpanPrinter};
use jiff::{SignedDuration, Span, SpanRelativeTo};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Longest accepted time, ten years: beyond it a typing error is likelier than a wish.
const PERIOD_MAX: SignedDuration = SignedDuration::from_hours(10 * 366 * 24);

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// A length of time. Days have 24 hours, weeks have seven days; months and years are refused, as
/// they have no fixed length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(Duration);

/// A text that is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a length of time from 0s to ten years, such as `10s`, `1h30m` or `7d`")]
pub struct NoPeriod;

impl Period {
    /// That many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// That many minutes.
    pub const fn from_mins(minutes: u64) -> Self {
        Self::from_secs(minutes * 60)
    }

    /// That many hours.
    pub const fn from_hours(hours: u64) -> Self {
        Self::from_mins(hours * 60)
    }

    /// That many days of 24 hours.
    pub const fn from_days(days: u64) -> Self {
        Self::from_hours(days * 24)
    }

    /// For timers and timeouts.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// For calculations with points in time.
    pub fn signed(self) -> SignedDuration {
        SignedDuration::try_from(self.0).expect("a period is at most ten years")
    }
}

impl FromStr for Period {
    type Err = NoPeriod;

    fn from_str(text: &str) -> Result<Self, NoPeriod> {
        let span: Span = text.trim().parse().map_err(|_| NoPeriod)?;
        let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| NoPeriod)?;
        if duration > PERIOD_MAX {
            return Err(NoPeriod);
        }
        Duration::try_from(duration).map(Self).map_err(|_| NoPeriod)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        if seconds > 0 && seconds.is_multiple_of(DAY_SECONDS) && self.0.subsec_nanos() == 0 {
            return write!(f, "{}d", seconds / DAY_SECONDS);
        }
        let printer = SpanPrinter::new().spacing(Spacing::None).designator(Designator::Compact);
        f.write_str(&printer.duration_to_string(&self.signed()))
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text: Cow<'de, str> = Deserialize::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Period {
    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "A length of time.", "examples": ["10s", "1h30m", "7d"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_spellings_are_read_and_written_shortly() {
        for (text, seconds, written) in [
            ("10s", 10, "10s"),
            ("1h30m", 5400, "1h30m"),
            ("1h 30m", 5400, "1h30m"),
            ("7d", 604_800, "7d"),
            ("2w", 1_209_600, "14d"),
            ("0s", 0, "0s"),
        ] {
            let period: Period = text.parse().expect("a period");
            assert_eq!(period, Period::from_secs(seconds), "{text}");
            assert_eq!(period.to_string(), written);
            assert_eq!(written.parse(), Ok(period));
        }
        assert_eq!("250ms".parse::<Period>().map(Period::get), Ok(Duration::from_millis(250)));
    }

    #[test]
    fn bare_numbers_negative_and_calendar_times_are_refused() {
        for text in ["", "10", "-5s", "5s ago", "1mo", "1y", "soon", "99999999h", "1e9s"] {
            assert_eq!(text.parse::<Period>(), Err(NoPeriod), "{text}");
        }
    }
}
