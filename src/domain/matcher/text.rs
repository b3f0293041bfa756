//! Matchers as text: printed as Alertmanager prints them, stored and configured as that text.
//!
//! A single matcher is one string. A list is written as a list of strings and read from one, or from a single string;
//! each string may hold several matchers, as in Alertmanager's `matchers` key.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::name::is_reserved;
use super::quote::{escape_open_metrics, quote};
use super::{MatchOp, Matcher, Matchers};

/// An example that every message and schema uses.
const EXAMPLE: &str = r#"severity=~"critical|page""#;

impl fmt::Display for MatchOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Matcher {
    /// A name with reserved characters is quoted, which only the UTF-8 syntax reads; otherwise both syntaxes read it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name().contains(is_reserved) {
            write!(f, "{}{}{}", quote(self.name()), self.op(), quote(self.value()))
        } else {
            write!(f, "{}{}\"{}\"", self.name(), self.op(), escape_open_metrics(self.value()))
        }
    }
}

impl fmt::Display for Matchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, matcher) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{matcher}")?;
        }
        f.write_str("}")
    }
}

impl Serialize for Matcher {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Matchers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

impl<'de> Deserialize<'de> for Matcher {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Matcher;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a matcher as text, such as '{EXAMPLE}'")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Matcher, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

/// One string of a list, which may hold several matchers. A type of its own, so that a reader of YAML can tell the
/// place of the one string that is wrong.
struct Entry(Matchers);

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(ListVisitor).map(Entry)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = Matchers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "matchers as text, such as '{EXAMPLE}', or a list of them")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Matchers, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Matchers, A::Error> {
        let mut all = Matchers::default();
        while let Some(Entry(matchers)) = entries.next_element()? {
            all.append(matchers);
        }
        Ok(all)
    }
}

impl<'de> Deserialize<'de> for Matchers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor)
    }
}

impl JsonSchema for Matcher {
    fn schema_name() -> Cow<'static, str> {
        "Matcher".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A label name, an operator (=, !=, =~, !~) and a value, in Alertmanager's matcher language. \
                            Regular expressions follow RE2 and match the whole value.",
            "examples": [EXAMPLE],
        })
    }
}

impl JsonSchema for Matchers {
    fn schema_name() -> Cow<'static, str> {
        "Matchers".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let matcher = generator.subschema_for::<Matcher>();
        json_schema!({
            "description": "Matchers that must all match.",
            "anyOf": [matcher, { "type": "array", "items": matcher }],
        })
    }
}
