//! Small value types of the settings: web addresses, header values, lists of texts.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

use crate::secret::SecretSource;
use crate::yaml::hide_value;

/// An `http` or `https` address without user or password. Empty where the setting is absent; the checks after
/// loading refuse that wherever an address is needed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize)]
pub struct HttpUrl(String);

impl HttpUrl {
    /// An address from a constant of this program.
    pub(super) fn constant(url: &'static str) -> Self {
        Self(url.to_owned())
    }

    /// The address without a slash at its end, ready for a path to be appended.
    pub fn as_str(&self) -> &str {
        self.0.trim_end_matches('/')
    }

    /// Whether the setting is there.
    pub fn is_set(&self) -> bool {
        !self.0.is_empty()
    }

    fn parse(text: &str) -> Result<Self, String> {
        let url = reqwest::Url::parse(text.trim())
            .map_err(|error| format!("expected an address such as `http://host:9090`: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("expected an address that begins with `http://` or `https://`".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(hide_value(
                "an address must not hold a user or password: use the keys for authentication",
            ));
        }
        Ok(Self(text.trim().to_owned()))
    }
}

impl std::str::FromStr for HttpUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for HttpUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text: Cow<'de, str> = Deserialize::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(Self::default());
        }
        Self::parse(&text).map_err(de::Error::custom)
    }
}

impl JsonSchema for HttpUrl {
    fn schema_name() -> Cow<'static, str> {
        "HttpUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "uri", "examples": ["http://localhost:9090"] })
    }
}

/// A value that may be plain or secret: a header, or a database address with a password in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlainOrSecret {
    /// A text that everybody may see.
    Plain(String),
    /// A reference to a secret.
    Secret(SecretSource),
}

impl Serialize for PlainOrSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(text) => serializer.serialize_str(text),
            Self::Secret(source) => source.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for PlainOrSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;

        impl<'de> Visitor<'de> for Form {
            type Value = PlainOrSecret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text in quotes, or a secret as `{ env: NAME }` or `{ file: PATH }`")
            }

            fn visit_str<E>(self, text: &str) -> Result<PlainOrSecret, E> {
                Ok(PlainOrSecret::Plain(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PlainOrSecret, A::Error> {
                SecretSource::deserialize(MapAccessDeserializer::new(map)).map(PlainOrSecret::Secret)
            }
        }

        deserializer.deserialize_any(Form)
    }
}

impl JsonSchema for PlainOrSecret {
    fn schema_name() -> Cow<'static, str> {
        "PlainOrSecret".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, generator.subschema_for::<SecretSource>()] })
    }
}

/// A list of texts; a single text stands for a list of one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TextList(pub Vec<String>);

impl<'de> Deserialize<'de> for TextList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;

        impl<'de> Visitor<'de> for Form {
            type Value = TextList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of texts, or one text")
            }

            fn visit_str<E>(self, text: &str) -> Result<TextList, E> {
                Ok(TextList(vec![text.to_owned()]))
            }

            fn visit_unit<E>(self) -> Result<TextList, E> {
                Ok(TextList::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<TextList, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element()? {
                    texts.push(text);
                }
                Ok(TextList(texts))
            }
        }

        deserializer.deserialize_any(Form)
    }
}
