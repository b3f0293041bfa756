//! Schedules, calendars and contacts as they are written.

use crate::domain::notification::Destination;
use crate::domain::schedule::{Holiday, TimeInterval, TimeOfDay, Zone, at_least_one};
use crate::period::Period;
use jiff::civil::{self, Date, DateTime};
use jiff::{SignedDuration, Timestamp};
use schemars::{JsonSchema, Schema as JsonSchemaOf, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// When people can be reached, and who is on call.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::rules) struct Schedule {
    /// The schedule is active while any of these contains the time. Always active is written as one empty interval,
    /// `[{}]`, which is the default where there are rotations.
    #[serde(default, deserialize_with = "at_least_one")]
    #[schemars(length(min = 1))]
    pub(in crate::rules) time_intervals: Vec<TimeInterval>,
    /// The schedule is not active during these, whatever the intervals say.
    #[serde(default)]
    pub(in crate::rules) holidays: Vec<Holiday>,
    /// Names of `Calendar`s whose days are holidays as well.
    #[serde(default)]
    pub(in crate::rules) calendars: Vec<String>,
    /// The time zone of the holidays, of the hand-overs, and of every interval that names none. UTC if left out.
    #[serde(default)]
    pub(in crate::rules) location: Zone,
    /// Who is on call while the schedule is active; later ones lie over earlier ones.
    #[serde(default)]
    pub(in crate::rules) rotations: Vec<Rotation>,
    /// Who is on call instead, for a while; later ones win.
    #[serde(default)]
    pub(in crate::rules) overrides: Vec<Override>,
}

impl Schedule {
    /// Whether it says who is on call.
    pub(in crate::rules) fn says_who(&self) -> bool {
        !(self.rotations.is_empty() && self.overrides.is_empty())
    }
}

/// People who take turns.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::rules) struct Rotation {
    /// Unique within the schedule.
    pub(in crate::rules) name: String,
    /// Who takes turns, in this order, by their names under `people` in the settings.
    #[schemars(length(min = 1))]
    pub(in crate::rules) people: Vec<String>,
    /// The day on which the first one begins.
    #[schemars(with = "String", extend("format" = "date"))]
    pub(in crate::rules) start: Date,
    /// The time of day of the hand-over, by the local clock. Where the clock jumps over it that day, it is when the clock
    /// jumps; where the clock shows it twice, it is the first time.
    pub(in crate::rules) handover: TimeOfDay,
    /// How long a turn is.
    pub(in crate::rules) every: TurnLength,
    /// The weekday of the hand-over; `start` must be one. For turns of whole weeks.
    #[serde(default)]
    pub(in crate::rules) weekday: Option<Weekday>,
    /// The rotation counts only within these. Default: always.
    #[serde(default)]
    pub(in crate::rules) time_intervals: Vec<TimeInterval>,
    /// The time zone of its hand-overs and intervals. Default: the schedule's.
    #[serde(default)]
    pub(in crate::rules) location: Option<Zone>,
}

/// One person instead of whoever would be on call.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::rules) struct Override {
    /// By the name under `people` in the settings.
    pub(in crate::rules) person: String,
    /// From then on.
    pub(in crate::rules) from: Moment,
    /// Until then.
    pub(in crate::rules) until: Moment,
}

/// Days that many schedules are not active on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::rules) struct Calendar {
    /// Dates, or intervals for what comes back every year; in the time zone of the schedule that names the calendar.
    pub(in crate::rules) days: Vec<Holiday>,
}

/// A name for whom to tell, so that policies need not repeat channels and services.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::rules) struct Contact {
    /// Whom.
    #[schemars(length(min = 1))]
    pub(in crate::rules) destinations: Vec<Whom>,
}

/// Whom to tell.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(in crate::rules) enum Whom {
    /// A Slack channel, by name (`#incidents`) or id.
    Slack {
        /// The channel.
        channel: String,
    },
    /// A PagerDuty service of the settings.
    #[serde(rename = "pagerduty")]
    PagerDuty {
        /// Key of `pagerduty.services`.
        service: String,
    },
    /// A webhook of the settings.
    Webhook {
        /// Key of `webhooks`.
        name: String,
    },
    /// A mailbox.
    Email {
        /// Its address.
        to: String,
    },
    /// A channel of Microsoft Teams.
    Teams {
        /// Key of `teams.channels`.
        channel: String,
    },
    /// Whoever is on call in a `Schedule` with rotations: by their name in the channels beside this, or else by a message
    /// of their own.
    OnCall(String),
    /// A `Contact` by its name.
    Contact(String),
}

impl Whom {
    /// The destination that it is; none for what stands for others.
    pub(in crate::rules) fn destination(&self) -> Option<Destination> {
        match self {
            Self::Slack { channel } => Some(Destination::Slack { channel: channel.clone() }),
            Self::PagerDuty { service } => Some(Destination::PagerDuty { service: service.clone() }),
            Self::Webhook { name } => Some(Destination::Webhook { name: name.clone() }),
            Self::Email { to } => Some(Destination::Email { to: to.clone() }),
            Self::Teams { channel } => Some(Destination::Teams { channel: channel.clone() }),
            Self::OnCall(_) | Self::Contact(_) => None,
        }
    }
}

/// How long a turn is: `daily`, `weekly`, or a length of time.
#[derive(Debug, Clone, Copy)]
pub(in crate::rules) struct TurnLength(Period);

impl TurnLength {
    pub(in crate::rules) fn signed(self) -> SignedDuration {
        self.0.signed()
    }
}

impl<'de> Deserialize<'de> for TurnLength {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text: Cow<'de, str> = Deserialize::deserialize(deserializer)?;
        let period = match text.as_ref() {
            "daily" => Period::from_days(1),
            "weekly" => Period::from_days(7),
            other => other.parse().map_err(|_| {
                D::Error::custom("expected `daily`, `weekly` or a length of time, such as `12h` or `3d`")
            })?,
        };
        Ok(Self(period))
    }
}

impl JsonSchema for TurnLength {
    fn schema_name() -> Cow<'static, str> {
        "TurnLength".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> JsonSchemaOf {
        json_schema!({
            "type": "string",
            "description": "`daily`, `weekly`, or a length of time of at least an hour.",
            "examples": ["weekly", "daily", "12h", "3d"],
        })
    }
}

/// A moment by the local clock, such as `2026-12-24T18:00`, or one and the same everywhere, such as
/// `2026-12-24T17:00:00Z`.
#[derive(Debug, Clone, Copy)]
pub(in crate::rules) enum Moment {
    /// By the clock of the schedule's location.
    Local(DateTime),
    /// With its offset.
    Instant(Timestamp),
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text: Cow<'de, str> = Deserialize::deserialize(deserializer)?;
        let instant = text.parse().map(Self::Instant).ok();
        instant.or_else(|| text.parse().map(Self::Local).ok()).ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is no moment: write `2026-12-24T18:00` by the local clock, or with an offset such as \
                 `2026-12-24T18:00:00+01:00`"
            ))
        })
    }
}

impl JsonSchema for Moment {
    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> JsonSchemaOf {
        json_schema!({
            "type": "string",
            "description": "A moment by the schedule's clock, or with an offset.",
            "examples": ["2026-12-24T18:00", "2026-12-24T17:00:00Z"],
        })
    }
}

/// A day of the week.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::rules) enum Weekday {
    /// Monday.
    Monday,
    /// Tuesday.
    Tuesday,
    /// Wednesday.
    Wednesday,
    /// Thursday.
    Thursday,
    /// Friday.
    Friday,
    /// Saturday.
    Saturday,
    /// Sunday.
    Sunday,
}

impl Weekday {
    pub(in crate::rules) fn get(self) -> civil::Weekday {
        match self {
            Self::Monday => civil::Weekday::Monday,
            Self::Tuesday => civil::Weekday::Tuesday,
            Self::Wednesday => civil::Weekday::Wednesday,
            Self::Thursday => civil::Weekday::Thursday,
            Self::Friday => civil::Weekday::Friday,
            Self::Saturday => civil::Weekday::Saturday,
            Self::Sunday => civil::Weekday::Sunday,
        }
    }
}
