//! The reference to a secret, as settings spell it: `{ env: NAME }` or `{ file: PATH }`.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

use crate::yaml::hide_value;

/// Most values of one secret that are accepted at the same time: the old one and the new one of a rotation. Each
/// live value is one more that an attacker may guess, and a third has no use.
pub const SECRETS_LIVE_MAX: usize = 2;

const PLAIN_TEXT: &str = "a secret must not stand here as plain text: write `{ env: NAME }` and set that \
                          environment variable, or `{ file: PATH }`";

/// Where one secret value comes from. Compares and prints by reference: the value is never part of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecretSource {
    /// The environment variable of this name, read once at start.
    Env(String),
    /// The file at this path, read again when it changes. One trailing line break is cut off.
    File(PathBuf),
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "<secret from env {name}>"),
            Self::File(path) => write!(f, "<secret from file {}>", path.display()),
        }
    }
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SourceVisitor)
    }
}

struct SourceVisitor;

/// Refuses plain scalars of any kind with the way out, and marks the value to be hidden.
macro_rules! refuse_plain_scalars {
    ($($visit:ident: $type:ty),*) => {
        $(fn $visit<E: Error>(self, _: $type) -> Result<Self::Value, E> {
            Err(E::custom(hide_value(PLAIN_TEXT)))
        })*
    };
}

impl<'de> Visitor<'de> for SourceVisitor {
    type Value = SecretSource;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hide_value("a secret: `{ env: NAME }` or `{ file: PATH }`"))
    }

    refuse_plain_scalars!(visit_str: &str, visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretSource, A::Error> {
        let entry: Option<(String, String)> = map.next_entry()?;
        let more: Option<(String, String)> = map.next_entry()?;
        let form = "a secret is `{ env: NAME }` or `{ file: PATH }`, one of the two";
        match (entry, more) {
            (Some((_, value)), None) if value.trim().is_empty() => {
                Err(A::Error::custom(format!("{form}; it is empty")))
            }
            (Some((key, value)), None) if key == "env" => Ok(SecretSource::Env(value)),
            (Some((key, value)), None) if key == "file" => Ok(SecretSource::File(value.into())),
            _ => Err(A::Error::custom(hide_value(form))),
        }
    }
}

/// One secret, or a list of up to two while it is being rotated. Empty where the setting is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecretSources(Vec<SecretSource>);

impl SecretSources {
    /// Whether the setting is there.
    pub fn is_set(&self) -> bool {
        !self.0.is_empty()
    }

    /// The sources, the preferred one first.
    pub fn iter(&self) -> std::slice::Iter<'_, SecretSource> {
        self.0.iter()
    }
}

impl From<SecretSource> for SecretSources {
    fn from(source: SecretSource) -> Self {
        Self(vec![source])
    }
}

/// As it is written: one reference, or a list.
impl Serialize for SecretSources {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [] => serializer.serialize_none(),
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for SecretSources {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SourcesVisitor)
    }
}

struct SourcesVisitor;

impl<'de> Visitor<'de> for SourcesVisitor {
    type Value = SecretSources;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SourceVisitor.expecting(f)
    }

    refuse_plain_scalars!(visit_str: &str, visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);

    fn visit_unit<E>(self) -> Result<SecretSources, E> {
        Ok(SecretSources::default())
    }

    fn visit_none<E>(self) -> Result<SecretSources, E> {
        Ok(SecretSources::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SecretSources, A::Error> {
        SourceVisitor.visit_map(map).map(SecretSources::from)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<SecretSources, A::Error> {
        let mut sources = Vec::new();
        while let Some(source) = list.next_element()? {
            sources.push(source);
        }
        match sources.len() {
            0 => Err(A::Error::custom("the list of secrets is empty: leave the key out, or name one or two")),
            1..=SECRETS_LIVE_MAX => Ok(SecretSources(sources)),
            _ => Err(A::Error::custom(
                "at most two secrets may be live while rotating: the new and the old one",
            )),
        }
    }
}

impl JsonSchema for SecretSources {
    fn schema_name() -> Cow<'static, str> {
        "SecretSources".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let source = generator.subschema_for::<SecretSource>();
        json_schema!({
            "description": "One secret, or a list of two while it is being rotated.",
            "anyOf": [
                source,
                { "type": "array", "items": source, "minItems": 1, "maxItems": SECRETS_LIVE_MAX },
                { "type": "null" },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<SecretSources, String> {
        crate::yaml::read::<SecretSources>("f", text)
            .map_err(|problems| problems.iter().map(|p| format!("{p}\n")).collect())
    }

    #[test]
    fn one_or_two_references_are_read() {
        assert_eq!(read("{ env: TOKEN }"), Ok(SecretSource::Env("TOKEN".into()).into()));
        assert_eq!(
            read("[{ env: '0123' }, { file: /run/secret }]"),
            Ok(SecretSources(vec![
                SecretSource::Env("0123".into()),
                SecretSource::File("/run/secret".into())
            ]))
        );
        assert!(!SecretSources::default().is_set());
    }

    #[test]
    fn plain_text_is_refused_with_the_way_out_and_is_not_shown() {
        for plain in
            ["hunter2hunter2", "123456789", "true", "1.5", "[hunter2hunter2]", "{ value: hunter2hunter2 }"]
        {
            let shown = read(plain).expect_err("plain text is no reference");
            assert!(shown.contains("{ env: NAME }"), "{shown}");
            assert!(!shown.contains("hunter2") && !shown.contains("12345"), "{shown}");
        }
    }

    #[test]
    fn three_live_secrets_an_empty_list_or_both_kinds_are_refused() {
        let error = |text| read(text).expect_err("not a valid reference");
        assert!(error("[{env: A}, {env: B}, {env: C}]").contains("at most two"));
        assert!(error("[]").contains("empty"));
        assert!(error("{ env: '' }").contains("empty"));
        assert!(error("{ env: A, file: /b }").contains("one of the two"));
    }

    #[test]
    fn it_is_written_as_it_is_read() {
        for text in [r#"{"env":"A"}"#, r#"[{"env":"A"},{"file":"/b"}]"#] {
            let sources: SecretSources = serde_json::from_str(text).expect("a reference");
            assert_eq!(serde_json::to_string(&sources).expect("serialises"), text);
        }
    }
}
