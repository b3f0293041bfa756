//! Shorthands: a word for a mapping, one thing for a list.

use super::{CannedOutcome, CannedTarget};
use crate::domain::people::Role;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de::IntoDeserializer};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// A list, or the one thing that it would hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = OneOrMany<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one entry, or a list of them")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Self::Value, E> {
        let deserializer: StrDeserializer<'_, E> = word.into_deserializer();
        T::deserialize(deserializer).map(|one| OneOrMany(vec![one]))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|one| OneOrMany(vec![one]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = list.next_element()? {
            all.push(one);
        }
        Ok(OneOrMany(all))
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

/// What a single word may stand for.
pub trait FromWord: Sized {
    /// What a word stands for, for people.
    const MEANING: &'static str;

    /// Reads the word.
    fn from_word<E: de::Error>(word: &str) -> Result<Self, E>;
}

/// A mapping, or the word that stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Short<T>(pub T);

impl<'de, T: Deserialize<'de> + FromWord> Deserialize<'de> for Short<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShortVisitor(PhantomData))
    }
}

struct ShortVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + FromWord> Visitor<'de> for ShortVisitor<T> {
    type Value = Short<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, or a mapping", T::MEANING)
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Self::Value, E> {
        T::from_word(word).map(Short)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Short)
    }
}

impl<T: JsonSchema + FromWord> JsonSchema for Short<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Short_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let whole = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [{ "type": "string", "description": T::MEANING }, whole] })
    }
}

/// What a diagnostic finds: the fields that conditions read and the `text` that people read, or why nobody knows.
#[derive(Debug, Clone, PartialEq)]
pub enum CannedFinding {
    /// It answers.
    Known {
        /// Its fields.
        fields: Map<String, Value>,
        /// For people.
        text: String,
    },
    /// It does not.
    Unknown(String),
}

impl FromWord for CannedFinding {
    const MEANING: &'static str = "`unknown`";

    fn from_word<E: de::Error>(word: &str) -> Result<Self, E> {
        match word {
            "unknown" => Ok(Self::Unknown("nobody knows".to_owned())),
            other => Err(E::unknown_variant(other, &["unknown"])),
        }
    }
}

impl<'de> Deserialize<'de> for CannedFinding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields: Map<String, Value> = Deserialize::deserialize(deserializer)?;
        let mut take = |key: &str| match fields.remove(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(de::Error::custom(format!("the `{key}` of a finding is a text"))),
        };
        let (text, unknown) = (take("text")?, take("unknown")?);
        match unknown {
            Some(_) if text.is_some() || !fields.is_empty() => {
                Err(de::Error::custom("what is unknown has neither fields nor a text"))
            }
            Some(why) => Ok(Self::Unknown(why)),
            None => Ok(Self::Known { text: text.unwrap_or_else(|| shown(&fields)), fields }),
        }
    }
}

/// What people read of a finding that comes without a text.
fn shown(fields: &Map<String, Value>) -> String {
    fields.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}

impl JsonSchema for CannedFinding {
    fn schema_name() -> Cow<'static, str> {
        "Finding".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "Fields that conditions read, by their names.",
            "properties": {
                "text": { "type": "string", "description": "What people read." },
                "unknown": { "type": "string", "description": "Why nobody knows; then there are no fields." },
            },
        })
    }
}

impl FromWord for CannedTarget {
    const MEANING: &'static str = "`allowed`, `nothingToDo`, `refused` or `notNow`";

    fn from_word<E: de::Error>(word: &str) -> Result<Self, E> {
        let said = || Some("as the test says".to_owned());
        let target = Self::default();
        match word {
            "allowed" => Ok(target),
            "nothingToDo" => Ok(Self { nothing_to_do: said(), ..target }),
            "refused" => Ok(Self { refused: said(), ..target }),
            "notNow" => Ok(Self { not_now: said(), ..target }),
            other => Err(E::unknown_variant(other, &["allowed", "nothingToDo", "refused", "notNow"])),
        }
    }
}

impl FromWord for CannedOutcome {
    const MEANING: &'static str = "`applied`, `alreadySo`, `notApplied`, `notNow`, `failed` or `unknown`";

    fn from_word<E: de::Error>(word: &str) -> Result<Self, E> {
        let said = "as the test says".to_owned();
        match word {
            "applied" => Ok(Self::Applied(said)),
            "alreadySo" => Ok(Self::AlreadySo(said)),
            "notApplied" => Ok(Self::NotApplied(said)),
            "notNow" => Ok(Self::NotNow(said)),
            "failed" => Ok(Self::Failed(said)),
            "unknown" => Ok(Self::Unknown(said)),
            other => Err(E::unknown_variant(
                other,
                &["applied", "alreadySo", "notApplied", "notNow", "failed", "unknown"],
            )),
        }
    }
}

/// Who does something, and to what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Person {
    /// Their name, as `people` of the settings have it. Where the settings have no people, anybody may approve.
    pub by: String,
    /// Their role, where the settings do not know them.
    #[serde(default)]
    pub role: Option<Role>,
    /// Why, in their words.
    #[serde(default)]
    pub reason: Option<String>,
    /// Which remedy they mean. Default: the one that is asked.
    #[serde(default)]
    pub remedy: Option<String>,
    /// The rule of the incident that they mean. Default: the only one that is open.
    #[serde(default)]
    pub rule: Option<String>,
    /// The target of that incident.
    #[serde(default)]
    pub target: Option<String>,
    /// For a pause: which namespace alone.
    #[serde(default)]
    pub namespace: Option<String>,
    /// It does not count, and they are told why, in these words among others.
    #[serde(default)]
    pub refused: Option<String>,
}

impl FromWord for Person {
    const MEANING: &'static str = "a person's name";

    fn from_word<E: de::Error>(word: &str) -> Result<Self, E> {
        Ok(Self { by: word.to_owned(), ..Self::default() })
    }
}
