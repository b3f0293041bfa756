//! Inclusive ranges of calendar fields, written `begin:end` or as one member.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::ScheduleError;

/// A calendar field that ranges are written over.
pub trait Field: Copy + Eq + fmt::Debug {
    /// What one member is called.
    const NOUN: &'static str;
    /// What may be written.
    const HELP: &'static str;
    /// A range, for messages and schemas.
    const EXAMPLE: &'static str;
    /// The name of the range in schemas.
    const SCHEMA_NAME: &'static str;
    /// Whether a member may be written as a number.
    const NUMERIC: bool;

    /// Reads one member, in lower case. `None` if there is no such member.
    fn read(text: &str) -> Option<i16>;

    /// Writes one member.
    fn write(member: i16) -> Cow<'static, str>;

    /// Whether a range of two members can ever hold anything.
    fn in_order(begin: i16, end: i16) -> bool {
        begin <= end
    }
}

/// A range over a calendar field; both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range<F: Field> {
    pub(super) begin: i16,
    pub(super) end: i16,
    pub(super) field: PhantomData<F>,
}

impl<F: Field> Range<F> {
    /// Whether a member lies in the range, both counted alike.
    pub(super) fn contains(self, member: i16) -> bool {
        (self.begin..=self.end).contains(&member)
    }
}

impl<F: Field> FromStr for Range<F> {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Names are read without regard to case, as in Alertmanager.
        let lower = text.to_lowercase();
        let (begin, end) = lower.split_once(':').unwrap_or((&lower, &lower));
        if end.contains(':') {
            return Err(ScheduleError::Range(text.to_owned(), F::NOUN, F::EXAMPLE));
        }
        let read = |member: &str| {
            F::read(member).ok_or_else(|| ScheduleError::Member {
                text: member.to_owned(),
                noun: F::NOUN,
                help: F::HELP,
            })
        };
        let (begin, end) = (read(begin)?, read(end)?);
        if !F::in_order(begin, end) {
            return Err(ScheduleError::Order { text: text.to_owned(), noun: F::NOUN, help: F::HELP });
        }
        Ok(Self { begin, end, field: PhantomData })
    }
}

impl<F: Field> fmt::Display for Range<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&F::write(self.begin))?;
        if self.begin != self.end {
            write!(f, ":{}", F::write(self.end))?;
        }
        Ok(())
    }
}

impl<F: Field> Serialize for Range<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, F: Field> Deserialize<'de> for Range<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A single day, month or year may stand there as a number, without quotes.
        deserializer.deserialize_any(TextOrNumber(PhantomData))
    }
}

struct TextOrNumber<F>(PhantomData<F>);

impl<F: Field> Visitor<'_> for TextOrNumber<F> {
    type Value = Range<F>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {} or a range such as '{}'", F::NOUN, F::EXAMPLE)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        self.visit_str(&number.to_string())
    }
}

impl<F: Field> JsonSchema for Range<F> {
    fn schema_name() -> Cow<'static, str> {
        F::SCHEMA_NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let description = format!("A {} or an inclusive range of two: {}.", F::NOUN, F::HELP);
        let types: &[&str] = if F::NUMERIC { &["string", "integer"] } else { &["string"] };
        json_schema!({ "type": types, "description": description, "examples": [F::EXAMPLE] })
    }
}
